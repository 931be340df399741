#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

TEST("when_all gives each its own outcome, failures among them, once all have one") {
    auto r = run_virtually([]() -> result<void> {
        promise<int> a;
        promise<std::string> b;
        promise<std::unique_ptr<int>> c;
        promise<void> d;
        auto all = when_all(a.get_future(), b.get_future(), c.get_future(), d.get_future(), future<int>());
        CHECK(!all.cancelable() && !all.cancel());
        CHECK(c.set(std::make_unique<int>(3)).ok());
        CHECK(a.set(1).ok());
        CHECK(b.fail(detail::with_detail(errc::broken, "the second")).ok());
        CHECK(!all.done());
        CHECK(d.set().ok());
        auto got = all.get();   // what is in it moves with it
        REQUIRE(got.ok());
        auto& [ra, rb, rc, rd, re] = *got;
        CHECK_EQ(ra.value_or(0), 1);
        CHECK(rb == errc::broken);
        CHECK_EQ(std::string_view(rb.error().detail()), "the second");
        CHECK_EQ(**rc, 3);
        CHECK(rd.ok());
        CHECK(re == errc::wrong_state);
        CHECK(when_all().get().ok());
        return {};
    });
    CHECK(r.ok());
}

TEST("when_all of many gives the first failure, once all are done; of none it is done at once") {
    auto r = run_virtually([]() -> result<void> {
        std::vector<promise<int>> p(4);
        std::vector<future<int>> f;
        for (auto& each : p) f.push_back(each.get_future());
        auto all = when_all(std::span(f));
        CHECK(p[2].fail(errc::broken).ok());
        CHECK(p[1].fail(errc::too_long).ok());
        CHECK(p[0].set(1).ok());
        CHECK(!all.done());
        CHECK(all.get(in(1ms)) == errc::timed_out);
        CHECK(p[3].set(1).ok());
        CHECK(all.failed() && all.get() == errc::broken);
        CHECK(f[1].get() == errc::too_long);
        auto again = when_all(std::span(f));   // all have finished before
        CHECK(again.done());
        CHECK(again.get() == errc::too_long);   // as they stand in line
        CHECK(when_all(std::span<future<int>>()).get().ok());
        std::vector<future<int>> fine{f[0], f[3], f[0]};
        CHECK(when_all(std::span(fine)).get().ok());
        return {};
    });
    CHECK(r.ok());
}

TEST("when_any gives the place of the first, a failure too, and leaves the others alone; of none it is wrong") {
    auto r = run_virtually([]() -> result<void> {
        std::vector<promise<int>> p(3);
        std::vector<future<int>> f;
        for (auto& each : p) f.push_back(each.get_future());
        auto first = when_any(std::span(f));
        p[0].on_cancel([] { CHECK(false); });
        CHECK(!first.done());
        CHECK(p[1].fail(errc::broken).ok());
        CHECK_EQ(first.get().value_or(9), 1U);
        CHECK(f[1].get() == errc::broken);
        CHECK(!f[0].done());
        CHECK(p[0].set(1).ok() && p[2].set(2).ok());
        CHECK_EQ(when_any(std::span(f)).get().value_or(9), 0U);
        CHECK(when_any(std::span<future<int>>()).get() == errc::invalid_argument);
        return {};
    });
    CHECK(r.ok());
}

TEST("who failed in a set is told to the hook unless somebody looked at the set, or at it") {
    int told = 0;
    auto r = run_virtually([&]() -> result<void> {
        loop::current()->on_unhandled([&](unhandled const&) { ++told; });
        auto failed = [] {
            promise<int> p;
            CHECK(p.fail(errc::broken).ok());
            return p.get_future();
        };
        CHECK(when_all(failed(), failed()).get().ok());
        CHECK_EQ(told, 0);
        static_cast<void>(when_all(failed(), failed()));
        CHECK_EQ(told, 2);
        std::vector<future<int>> both{failed(), failed()};
        CHECK(when_all(std::span(both)).get() == errc::broken);
        both.clear();
        CHECK_EQ(told, 3);   // the second of them
        std::vector<future<int>> one{failed()};
        CHECK(when_any(std::span(one)).get().ok());
        one.clear();
        CHECK_EQ(told, 4);
        return {};
    });
    CHECK(r.ok());
}

TEST("as_completed gives futures in the order they finish, those done before first, and ends after the last") {
    auto r = run_virtually([]() -> result<void> {
        async_function later([](int ms) {
            CHECK(sleep_for(std::chrono::milliseconds(ms)).ok());
            return ms;
        });
        std::vector<future<int>> f{later(30), later(10), later(0), later(20), future<int>()};
        settle();
        std::string seen;
        auto line = as_completed(std::span(f));
        CHECK_EQ(line.next()->get().value_or(0), 0);
        CHECK(line.next()->get() == errc::wrong_state);
        auto late = line.next(in(5ms));
        CHECK(late == errc::timed_out);
        CHECK_EQ(std::string_view(late.error().detail()), "3 of 5 futures have not finished");
        for (auto& each : line) seen += std::to_string(each.get().value_or(0)) + ' ';
        CHECK_EQ(std::string_view(seen), "10 20 30 ");
        CHECK(line.next() == errc::end_of_stream);
        CHECK(as_completed(std::span<future<int>>()).next() == errc::end_of_stream);
        return {};
    });
    CHECK(r.ok());
}

TEST("several may take from one line of completions: each gets another future, and all get the end") {
    auto r = run_virtually([]() -> result<void> {
        std::vector<promise<int>> p(3);
        std::vector<future<int>> f;
        for (auto& each : p) f.push_back(each.get_future());
        auto line = as_completed(std::span(f));
        int sum = 0, ends = 0;
        task_group g;
        for (int i = 0; i != 4; ++i) g.spawn([&] {
            for (;;) {
                auto got = line.next();
                if (!got) {
                    CHECK(got == errc::end_of_stream);
                    ++ends;
                    return;
                }
                sum += got->get().value_or(0);
            }
        });
        auto gives_up = spawn([&] { CHECK(line.next() == errc::canceled); });
        settle();
        gives_up.cancel();
        for (int i = 0; i != 3; ++i) CHECK(p[static_cast<std::size_t>(i)].set(1 << i).ok());
        CHECK(g.join().ok());
        CHECK_EQ(sum, 7);
        CHECK_EQ(ends, 4);
        return {};
    });
    CHECK(r.ok());
}

TEST("sets of sets work, and one that nobody keeps is gone before its members finish") {
    auto r = run_virtually([]() -> result<void> {
        promise<int> a, b;
        b.on_cancel([] {});
        auto both = when_all(when_all(a.get_future()), b.get_future());
        static_cast<void>(when_all(a.get_future(), b.get_future()));
        {
            std::vector<future<int>> one{a.get_future()};
            auto line = as_completed(std::span(one));
        }
        CHECK(a.set(1).ok());
        CHECK(b.set(2).ok());
        auto got = both.get();
        REQUIRE(got.ok());
        CHECK_EQ(std::get<0>(*std::get<0>(*got)).value_or(0), 1);
        CHECK_EQ(std::get<1>(*got).value_or(0), 2);
        return {};
    });
    CHECK(r.ok());
}

#if SPRUCE_THROWS
namespace {
struct thorny {
    bool armed = false;
    thorny() = default;
    thorny(thorny&&) noexcept = default;
    thorny(thorny const& other) : armed(other.armed) {
        if (armed) throw 1;
    }
};
}  // namespace

TEST("a value whose copy throws makes the set fail, and nothing else") {
    auto r = run_virtually([]() -> result<void> {
        promise<thorny> p;
        auto all = when_all(p.get_future());
        thorny t;
        t.armed = true;
        CHECK(p.set(std::move(t)).ok());
        CHECK(all.failed());
        CHECK(all.exception() != nullptr);
        return {};
    });
    CHECK(r.ok());
}
#endif

TEST("when_any of several types gives who was first, and its value; the others stay what they are") {
    auto r = run_virtually([]() -> result<void> {
        promise<int> a;
        promise<std::unique_ptr<int>> b;
        promise<void> c;
        auto any = when_any(a.get_future(), b.get_future(), c.get_future());
        auto waits = spawn([f = std::move(any)]() mutable { return std::move(f).get(); });
        settle();
        CHECK(b.set(std::make_unique<int>(4)).ok());
        CHECK(a.set(1).ok());
        auto won = std::move(waits).get();
        REQUIRE(won.ok());
        CHECK_EQ(won->index(), 1U);
        CHECK(won->get<0>() == errc::wrong_state);
        CHECK_EQ(**won->get<1>(), 4);
        CHECK_EQ(a.get_future().get().value_or(0), 1);
        auto failed = when_any(future<int>(), c.get_future());
        CHECK(failed.get()->get<0>() == errc::wrong_state);
        return {};
    });
    CHECK(r.ok());
}

TEST("futures are conditions: the first of several things, or all of them, and the losers are left alone") {
    auto r = run_virtually([]() -> result<void> {
        promise<int> a;
        promise<std::string> b;
        a.on_cancel([] { CHECK(false); });
        auto f = a.get_future();
        auto g = b.get_future();
        auto timed = wait_any(f, g, in(5ms));
        CHECK(timed.ok() && timed->timed_out());
        event go;
        auto both = spawn([&] { return wait_any(f, g, go); });
        auto canceled = spawn([&] { return wait_any(f, g).ok(); });
        settle();
        canceled.cancel();
        settle();
        CHECK(!f.done());   // who waits for several takes none of them along
        CHECK(b.set("b").ok());
        auto won = std::move(both).get();
        REQUIRE(won.ok());
        CHECK_EQ(won->index(), 1U);
        CHECK_EQ(std::string_view(*won->get<1>()), "b");
        CHECK(wait_all(f, g, in(1ms)) == errc::timed_out);
        CHECK(a.fail(errc::broken).ok());
        auto all = wait_all(f, g);
        REQUIRE(all.ok());
        CHECK(std::get<0>(*all) == errc::broken);
        CHECK_EQ(std::string_view(*std::get<1>(*all)), "b");
        CHECK(wait_any(future<int>()) == errc::wrong_state);
        auto moved = wait_any(async_function([] { return std::make_unique<int>(3); })());
        CHECK_EQ(**moved->get<0>(), 3);
        return {};
    });
    CHECK(r.ok());
}
