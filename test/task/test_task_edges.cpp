// Tasks in odd states: what their outcomes, arguments and destructors do to the loop.
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>

#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;

TEST("task_failed handed on by a task that nobody looks at is told as it is: it threw nothing itself") {
    testing::simulation world;
    loop l(loop_options{.on = world.on()});
    int told = 0;
    std::string what;
    l.on_unhandled([&](unhandled const& u) {
        ++told;
        what = u.what;
    });
    auto t = spawn([]() -> result<void> { return errc::task_failed; });
    { auto dropped = std::move(t); }
    CHECK(l.run().ok());
    CHECK_EQ(told, 1);
    CHECK_EQ(std::string_view(what), error(errc::task_failed).message());
}

TEST("values that are references, over-aligned or only movable come out of a task as they are") {
    struct alignas(256) wide {
        int value;
        explicit wide(int v) : value(v) {}
        wide(wide&& o) noexcept : value(o.value) {}
    };
    auto const r = run([] {
        int x = 1;
        auto ref = spawn([&]() -> int& { return x; });
        CHECK(&*ref.get() == &x);
        CHECK(&*ref.get() == &x);
        auto w = spawn([] { return wide(7); });
        auto got = w.get();
        CHECK(got.ok());
        CHECK_EQ(got->value, 7);
        CHECK_EQ(reinterpret_cast<std::uintptr_t>(&*got) % 256, 0U);
        CHECK(w.get() == errc::wrong_state);
        wide captured(3);
        auto held = spawn([c = std::move(captured)] { return reinterpret_cast<std::uintptr_t>(&c) % 256; });
        CHECK_EQ(held.get().value_or(1), 0U);
    });
    CHECK(r.ok());
}

namespace {
struct waits_at_its_end {
    int* ends = nullptr;
    event* until = nullptr;
    waits_at_its_end(int* e, event* u) : ends(e), until(u) {}
    waits_at_its_end(waits_at_its_end&& o) noexcept : ends(std::exchange(o.ends, nullptr)), until(o.until) {}
    ~waits_at_its_end() {
        if (!ends) return;
        static_cast<void>(yield());
        static_cast<void>(sleep_for(1ms));
        static_cast<void>(until->wait(in(1s)));
        ++*ends;
    }
};
}  // namespace

TEST("the destructor of a value that nobody took may wait, and the loop waits for it") {
    testing::simulation world;
    int ends = 0;
    {
        loop l(loop_options{.on = world.on()});
        event until;
        spawn([&] { return waits_at_its_end(&ends, &until); });
        CHECK(l.run().ok());
        CHECK_EQ(ends, 1);
        spawn([&] { return waits_at_its_end(&ends, &until); });
        spawn([&] {
            CHECK(sleep_for(5ms).ok());
            until.set();
        });
        CHECK(l.run().ok());
        CHECK_EQ(ends, 2);
    }
}

namespace {
struct spawner {
    int more = 0;
    int* ran = nullptr;
    spawner(int m, int* r) : more(m), ran(r) {}
    spawner(spawner&& o) : more(std::exchange(o.more, 0)), ran(o.ran) {
        for (; more > 0; --more) spawn([r = ran] { ++*r; });
    }
    void operator()() const { ++*ran; }
};
}  // namespace

TEST("arguments that spawn while they are moved into a task cost nobody a place") {
    testing::simulation world;
    loop l(loop_options{.max_tasks = 100, .on = world.on()});
    int ran = 0;
    for (int i = 0; i != 63; ++i) spawn([&] { ++ran; });
    // The outer tasks' places were promised before the inner ones are.
    spawn(spawner(70, &ran));
    CHECK(l.run().ok());
    CHECK_EQ(ran, 100);
}


#if SPRUCE_EXCEPTIONS
TEST("a group that ends while an exception passes waits for members that throw, and catch, their own") {
    auto const r = run([] {
        std::string said;
        auto t = spawn([&] {
            try {
                task_group g;
                for (int i = 0; i != 3; ++i)
                    g.spawn([&, i] {
                        try {
                            CHECK(std::uncaught_exceptions() == 0);
                            cancel_shield to_the_end;
                            static_cast<void>(sleep_for(1ms * (3 - i)));
                            throw std::runtime_error("inner");
                        } catch (std::exception const& e) {
                            static_cast<void>(yield());
                            said += e.what();
                        }
                    });
                CHECK(yield().ok());
                throw std::logic_error("outer");
            } catch (std::exception const& e) {
                CHECK(yield().ok());
                said += e.what();
            }
        });
        REQUIRE(t.get().ok());   // what it says into is here
        CHECK_EQ(std::string_view(said), "innerinnerinnerouter");
    });
    CHECK(r.ok());
}
#endif

TEST("a handle that is assigned to has let go of its old task before that task's value is destroyed") {
    struct looks {
        task<looks>* at;
        int* ends;
        looks(task<looks>* a, int* e) : at(a), ends(e) {}
        looks(looks&& o) noexcept : at(std::exchange(o.at, nullptr)), ends(o.ends) {}
        ~looks() {
            if (!at) return;
            ++*ends;
            CHECK_EQ(at->id().value, 0U);
            if (*ends == 1) auto mine = std::move(*at);   // the new one, if any
        }
    };
    auto const r = run([] {
        task<looks> t;
        int ends = 0;
        t = spawn([&] { return looks(&t, &ends); });
        CHECK(t.join().ok());
        t = {};
        CHECK_EQ(ends, 1);
    });
    CHECK(r.ok());
}

TEST("deadlines at the ends of time have passed, or never will") {
    auto const r = run([] {
        CHECK(at(time_point::min()).passed());
        CHECK(!at(time_point::max()).passed());
        event e;
        CHECK(e.wait(at(time_point::min())) == errc::timed_out);
        CHECK(e.wait(in(duration::min())) == errc::timed_out);
        CHECK(sleep_until(time_point::min()).ok());
        CHECK(sleep_for(duration::min()).ok());
        auto waits = spawn([&] { return e.wait(in(duration::max())); });
        auto sleeps = spawn([] { return sleep_until(time_point::max()); });
        auto inside = spawn([&] { return with_deadline(in(duration::max()), [&] { return e.wait(at(time_point::max())); }); });
        auto past = with_deadline(at(time_point::min()), [&] { return yield(); });
        CHECK(past == errc::timed_out);
        CHECK(sleep_for(1ms).ok());
        e.set();
        sleeps.cancel();
        CHECK(waits.get().ok());
        CHECK(inside.get().ok());
        CHECK(sleeps.get() == errc::task_canceled);
    });
    CHECK(r.ok());
}

TEST("a wait's time counts from the wait, however long the task worked since it last asked for the time") {
    testing::simulation world;
    loop l(loop_options{.on = world.on()});
    auto t = spawn([&]() -> result<void> {
        auto const begin = l.time();
        SPRUCE_CHECK(with_deadline(in(1s), [&]() -> result<void> {
            world.advance(50ms);   // works
            return sleep_for(20ms);
        }));
        CHECK(l.time() - begin >= 70ms);
        return {};
    });
    CHECK(l.run().ok());
    CHECK(t.get().ok());
}

TEST("a group keeps its first error for who joins, and tells the others as those of any task that nobody looks at") {
    testing::simulation world;
    loop l(loop_options{.on = world.on()});
    std::string told;
    l.on_unhandled([&](unhandled const& u) { told += u.reason.name() + std::string(" "); });
    auto t = spawn([&] {
        task_group g;
        for (errc const why : {errc::full, errc::broken, errc::timed_out})
            g.spawn([why]() -> result<void> { return why; });
        auto kept = g.spawn([]() -> result<void> { return errc::deadlock; });
        CHECK(g.join() == errc::full);
        CHECK(kept.get() == errc::deadlock);   // looked at: not told
    });
    CHECK(l.run().ok());
    CHECK_EQ(told, "broken timed_out ");
}

TEST("a task that is still under construction when its loop ends keeps nothing of the loop") {
    long const before = harness::memory_blocks();
    {
        testing::simulation world;
        loop l(loop_options{.on = world.on()});
        struct slow {
            slow() = default;
            slow(slow&&) noexcept {
                cancel_shield const shield;
                static_cast<void>(sleep_for(1h));
            }
            void operator()() const {}
        };
        spawn([] { spawn(slow()); });
        CHECK(l.run_once(in(0s)).ok());
        CHECK(l.destroy(in(1ms)) == errc::tasks_left);
    }
    CHECK_EQ(harness::memory_blocks(), before);
    harness::pass();   // the abandoned stacks are left
}

#if SPRUCE_THROWS
TEST("a member whose exception takes its time to die does not make the group lose another one's error") {
    testing::simulation world;
    loop l(loop_options{.on = world.on()});
    std::string told;
    l.on_unhandled([&](unhandled const& u) { told += u.reason.name() + std::string(" "); });
    struct slow : std::runtime_error {
        slow() : std::runtime_error("slow") {}
        slow(slow const&) = default;
        ~slow() override { static_cast<void>(sleep_for(5ms)); }
    };
    auto t = spawn([&] {
        task_group g;
        g.spawn([] { throw slow(); });
        g.spawn([]() -> result<void> { return errc::full; });
        CHECK(g.join() == errc::task_failed);
    });
    CHECK(l.run().ok());
    CHECK(t.done());
    CHECK_EQ(told, "full ");
}
#endif
