// Handles that go, or are given something else, while somebody waits by them for a value.
#include "virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
[[gnu::noinline]] std::string forty(char c) { return std::string(40, c); }

// What the waiter gets while `meddle` runs in the midst of its wait.
template <class Wait, class Meddle> auto while_waiting(Wait wait, Meddle meddle) {
    auto waiter = spawn(std::move(wait));
    settle();
    meddle();
    return std::move(waiter).get();
}
}  // namespace

TEST("who waits in get() of a task has the value of that task, though the handle is given another one, or goes") {
    auto r = run_virtually([]() -> result<void> {
        task<std::string> t;
        auto const slow = [&] { return spawn([] { static_cast<void>(sleep_for(5ms)); return std::string(40, 'a'); }); };
        auto const quick = [&] { return spawn([] { return std::string(40, 'b'); }); };
        t = slow();
        CHECK_EQ(while_waiting([&] { return t.get(); }, [&] { t = quick(); }).value_or(""), std::string(40, 'a'));
        CHECK_EQ(t.get().value_or(""), std::string(40, 'b'));
        t = slow();
        CHECK_EQ(while_waiting([&] { return std::move(t).get(); }, [&] { t = {}; }).value_or(""), std::string(40, 'a'));
        auto held = std::make_unique<task<std::string>>(slow());
        CHECK_EQ(while_waiting([&] { return held->get(); }, [&] { held.reset(); }).value_or(""), std::string(40, 'a'));
        t = slow();
        CHECK_EQ(while_waiting([&] { return t.get(in(1ms)); }, [&] { t = {}; }).error() == error(errc::timed_out), true);
        // As a condition, too.
        t = slow();
        auto won = while_waiting([&]() -> result<std::string> {
            SPRUCE_TRY(auto who, wait_any(t, in(1h)));
            return who.get<0>();
        }, [&] { t = quick(); });
        CHECK_EQ(won.value_or(""), std::string(40, 'a'));
        t = slow();
        auto all = while_waiting([&]() -> result<std::string> {
            SPRUCE_TRY(auto both, wait_all(t, quick()));
            return std::get<0>(std::move(both));
        }, [&] { t = {}; });
        CHECK_EQ(all.value_or(""), std::string(40, 'a'));
        return {};
    });
    CHECK(r.ok());
}

TEST("who waits in get() of a future has its value, though the handle is given another one, or goes") {
    auto r = run_virtually([]() -> result<void> {
        promise<std::string> p;
        future<std::string> f = p.get_future();
        auto const done = [] {
            promise<std::string> other;
            CHECK(other.set(std::string(40, 'b')).ok());
            return other.get_future();
        };
        CHECK_EQ(while_waiting([&] { return f.get(); }, [&] {
            f = done();
            CHECK(p.set(std::string(40, 'a')).ok());
            p = {};
        }).value_or(""), std::string(40, 'a'));
        CHECK_EQ(f.get().value_or(""), std::string(40, 'b'));
        f = p.get_future();
        CHECK_EQ(while_waiting([&] { return std::move(f).get(); }, [&] {
            f = {};
            CHECK(p.set(std::string(40, 'c')).ok());
            p = {};
        }).value_or(""), std::string(40, 'c'));
        // A call's, one that follows another, one of several.
        async_function slow([](char c) { static_cast<void>(sleep_for(5ms)); return forty(c); });
        f = slow('d');
        CHECK_EQ(while_waiting([&] { return f.get(); }, [&] { f = slow('e'); }).value_or(""), std::string(40, 'd'));
        promise<std::string> follower;
        CHECK(follower.follow(slow('f')).ok());
        f = follower.get_future();
        CHECK_EQ(while_waiting([&] { return f.get(); }, [&] { f = {}; follower = {}; }).value_or(""), std::string(40, 'f'));
        auto both = when_all(slow('g'), slow('h'));
        auto const given = while_waiting([&] { return both.get(); }, [&] { both = {}; });
        REQUIRE(given.ok());
        CHECK_EQ(std::get<0>(*given).value_or(""), std::string(40, 'g'));
        return {};
    });
    CHECK(r.ok());
}

TEST("a future that is moved out of by the last who asks is not copied, though that one has waited") {
    struct counts {
        int* copies;
        counts(int* n) : copies(n) {}
        counts(counts const& o) : copies(o.copies) { ++*copies; }
        counts(counts&& o) noexcept : copies(o.copies) {}
        ~counts() {}
    };
    auto r = run_virtually([]() -> result<void> {
        int copies = 0;
        async_function slow([&] { static_cast<void>(sleep_for(1ms)); return counts(&copies); });
        CHECK(slow().get().ok());
        CHECK_EQ(copies, 0);
        auto f = slow();
        CHECK(f.get().ok());
        CHECK_EQ(copies, 1);
        CHECK(std::move(f).get().ok());
        CHECK_EQ(copies, 1);
        return {};
    });
    CHECK(r.ok());
}

TEST("a range-for over a generator goes on with that one, though the generator is given another") {
    auto r = run_virtually([]() -> result<void> {
        generator<int> g([](yielder<int>& yield) { for (int i = 0; i != 3 && yield(i); ++i) {} });
        std::string seen;
        for (int n : g) {
            seen += std::to_string(n);
            if (n == 1) g = generator<int>([](yielder<int>& yield) { while (yield(9)) {} });
        }
        CHECK_EQ(seen, "01");   // the end of the first one was its end
        return {};
    });
    CHECK(r.ok());
}

TEST("the results of a pool's map may be asked for by several tasks, and may go while one waits") {
    auto r = run_virtually([]() -> result<void> {
        task_pool pool(2);
        int const inputs[] = {1, 2, 3, 4};
        {
            auto all = pool.map(inputs, [](int n) { static_cast<void>(sleep_for(1ms * n)); return n; });
            int sum = 0, others = 0;
            auto ask = [&] {
                while (auto one = all.next()) sum += *one, ++others;
            };
            auto a = spawn(ask), b = spawn(ask);
            CHECK(a.join().ok() && b.join().ok());
            CHECK_EQ(sum, 10);
            CHECK_EQ(others, 4);
        }
        return {};
    });
    CHECK(r.ok());
}

TEST("a condition variable that dies after it has notified ends a wait for what does not hold yet") {
    auto r = run_virtually([]() -> result<void> {
        mutex lock;
        auto changed = std::make_unique<condition_variable>();
        auto waiter = spawn([&]() -> result<void> {
            SPRUCE_TRY(auto held, lock.lock());
            return changed->wait(held, [] { return false; });
        });
        settle();
        CHECK_EQ(changed->notify(), 1u);
        changed.reset();
        CHECK_EQ(ending_of(waiter.get()), errc::closed);
        return {};
    });
    CHECK(r.ok());
}

TEST("joining a loop's thread holds it, though the handle goes meanwhile") {
    auto r = run([]() -> result<void> {
        auto made = loop_thread::start();
        SPRUCE_CHECK(made);
        auto held = std::make_unique<loop_thread>(*std::move(made));
        auto waiter = spawn([&] { return held->join(); });
        settle();
        auto dropper = spawn([&] { held.reset(); });
        CHECK(waiter.get().ok());
        CHECK(dropper.join().ok());
        return {};
    });
    CHECK(r.ok());
}
