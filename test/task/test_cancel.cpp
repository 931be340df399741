#include <memory>
#include <string>

#include "../harness/virtual_run.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::run_virtually;
using harness::note_end;

TEST("a task canceled before it began never runs, and its arguments are gone when join returns") {
    auto r = run_virtually([]() -> result<void> {
        auto alive = std::make_shared<int>(1);
        auto t = spawn([alive] { CHECK(false); });
        CHECK(t.cancel());
        CHECK(t.cancel());   // it has not ended yet
        CHECK(t.join().ok());
        CHECK_EQ(alive.use_count(), 1L);
        CHECK(t.get() == errc::task_canceled);
        CHECK(t.get().error().is_from(t.id()));
        CHECK(!t.cancel());
        return {};
    });
    CHECK(r.ok());
}

TEST("a waiting task wakes with canceled, whose origin it is, and every destructor runs once") {
    auto r = run_virtually([]() -> result<void> {
        int ended = 0;
        auto t = spawn([&]() -> result<void> {
            note_end n{&ended};
            auto slept = sleep_for(1h);
            CHECK(slept == errc::canceled);
            CHECK(slept.error().is_from(this_task::id()));
            return slept;
        });
        CHECK(yield().ok());
        CHECK(t.cancel());
        CHECK(t.get() == errc::task_canceled);
        CHECK(t.get().error().is_from(t.id()));
        CHECK_EQ(ended, 1);
        return {};
    });
    CHECK(r.ok());
}

TEST("a wait already completed is not undone: cancel shows at the next one") {
    auto r = run_virtually([]() -> result<void> {
        event e;
        std::string seen;
        auto t = spawn([&] {
            seen += e.wait() ? "woken " : "lost ";
            seen += sleep_for(1ms) ? "slept" : "canceled";
        });
        CHECK(yield().ok());
        e.set();      // the wait is complete; the task has not run yet
        t.cancel();
        CHECK(t.join().ok());
        CHECK_EQ(std::string_view(seen), "woken canceled");
        return {};
    });
    CHECK(r.ok());
}

TEST("cancel is sticky: every wait fails until the task ends, and none of them does anything") {
    auto r = run_virtually([]() -> result<void> {
        auto pipe = make_pipe();
        REQUIRE(pipe.ok());
        event set;
        set.set();
        auto t = spawn([&] {
            CHECK(sleep_for(1h) == errc::canceled);
            CHECK(sleep_for(1h) == errc::canceled);
            CHECK(yield() == errc::canceled);
            CHECK(set.wait() == errc::canceled);
            CHECK(pipe->write_end.write("lost") == errc::canceled);
            CHECK(this_task::cancel_requested());
            CHECK(spawn([] {}).join() == errc::canceled);
        });
        CHECK(yield().ok());
        t.cancel();
        CHECK(t.join().ok());
        CHECK_EQ(pipe->write_end.bytes_written(), 0U);
        return {};
    });
    CHECK(r.ok());
}

TEST("a task that ignores cancel cannot seize the hub, and is named after a thousand refusals") {
    testing::simulation world(harness::as_asked());
    loop l(loop_options{.on = world.on()});
    int told = 0;
    std::string who;
    l.on_unhandled([&](unhandled const& u) {
        ++told;
        who = u.name;
    });
    bool stop = false;
    long others = 0;
    auto deaf = spawn({.name = "deaf"}, [&] {
        while (!stop) static_cast<void>(sleep_for(1h));
    });
    spawn([&] {
        CHECK(yield().ok());
        deaf.cancel();
        for (int i = 0; i != 2'000; ++i) {
            CHECK(yield().ok());
            ++others;
        }
        stop = true;
    });
    CHECK(l.run().ok());
    CHECK_EQ(others, 2'000L);
    CHECK_EQ(told, 1);
    CHECK_EQ(std::string_view(who), "deaf");
}

TEST("a task may cancel itself: it shows at its next wait") {
    auto r = run_virtually([]() -> result<void> {
        task<void> self;
        self = spawn([&]() -> result<void> {
            CHECK(self.cancel());
            return sleep_for(1h);
        });
        CHECK(self.get() == errc::task_canceled);
        return {};
    });
    CHECK(r.ok());
}

TEST("a task that ends with a value after it was canceled gives the value") {
    auto r = run_virtually([]() -> result<void> {
        auto t = spawn([] {
            static_cast<void>(sleep_for(1h));
            return 5;
        });
        CHECK(yield().ok());
        t.cancel();
        CHECK_EQ(t.get().value_or(0), 5);
        return {};
    });
    CHECK(r.ok());
}

TEST("a shield hides cancellation and outer deadlines while it lives, and shields nest") {
    auto r = run_virtually([]() -> result<void> {
        auto t = spawn([] {
            {
                cancel_shield outer;
                {
                    cancel_shield inner;
                    CHECK(sleep_for(1ms).ok());
                    CHECK(!this_task::cancel_requested());
                }
                CHECK(sleep_for(1ms).ok());
            }
            CHECK(this_task::cancel_requested());
            CHECK(sleep_for(1ms) == errc::canceled);
        });
        t.cancel();
        auto begun = spawn([] {
            cancel_shield s;
            return sleep_for(5ms);
        });
        CHECK(yield().ok());
        begun.cancel();
        CHECK(begun.get().ok());
        auto scoped = with_deadline(in(1ms), [] {
            {
                cancel_shield s;
                CHECK(sleep_for(10ms).ok());
                auto own = with_deadline(in(1ms), [] { return sleep_for(1h); });
                CHECK(own == errc::timed_out);   // a scope inside the shield counts
            }
            return sleep_for(1ms);
        });
        CHECK(scoped == errc::timed_out);
        CHECK(t.join().ok());
        return {};
    });
    CHECK(r.ok());
}

TEST("a cancel in the same turn as the event leaves exactly one outcome") {
    for (int order = 0; order != 2; ++order) {
        auto r = run_virtually([&]() -> result<void> {
            event e;
            int outcomes = 0;
            bool woken = false;
            auto t = spawn([&] {
                woken = e.wait().ok();
                ++outcomes;
            });
            CHECK(yield().ok());
            if (order == 0) {
                e.set();
                t.cancel();
            } else {
                t.cancel();
                e.set();
            }
            CHECK(t.join().ok());
            CHECK_EQ(outcomes, 1);
            CHECK_EQ(woken, order == 0);
            return {};
        });
        CHECK(r.ok());
    }
}

TEST("an event destroyed under its waiters wakes them with closed") {
    auto r = run_virtually([]() -> result<void> {
        auto e = std::make_unique<event>();
        auto t = spawn([&] { return e->wait(); });
        CHECK(yield().ok());
        e.reset();
        CHECK(t.get() == errc::closed);
        return {};
    });
    CHECK(r.ok());
}

TEST("an event wakes all who wait, even if it is cleared right after, in the order they came") {
    auto r = run_virtually([]() -> result<void> {
        event e;
        std::string seen;
        task_group g;
        for (char c : {'a', 'b', 'c'}) g.spawn([&, c] {
            if (e.wait()) seen += c;
        });
        CHECK(yield().ok());
        e.set();
        e.clear();
        CHECK(g.join().ok());
        CHECK_EQ(std::string_view(seen), "abc");
        CHECK(e.wait(in(0s)) == errc::timed_out);
        return {};
    });
    CHECK(r.ok());
}

TEST("deadline scopes nest: the id tells whose expiry it was, and afterwards waits work") {
    auto r = run_virtually([]() -> result<void> {
        task_id outer_id, inner_id;
        auto outer = with_deadline(in(5ms), [&](task_id me) -> result<void> {
            outer_id = me;
            auto inner = with_deadline(in(1h), [&](task_id id) {
                inner_id = id;
                return sleep_for(2h);
            });
            CHECK(inner == errc::canceled);
            CHECK(inner.error().is_from(me));
            CHECK(sleep_for(1ms) == errc::canceled);   // until the scope ends
            return inner;
        });
        CHECK(outer == errc::timed_out);
        CHECK(outer.error().is_from(outer_id));
        CHECK(!outer.error().is_from(inner_id));
        CHECK(sleep_for(1ms).ok());
        // Both at one time: the outer one has the word.
        auto both = with_deadline(in(5ms), [](task_id me) -> result<void> {
            auto inner = with_deadline(in(5ms), [] { return sleep_for(1h); });
            CHECK(inner == errc::canceled && inner.error().is_from(me));
            return inner;
        });
        CHECK(both == errc::timed_out);
        // An error of f's own passes unchanged, and so does a cancellation by somebody else.
        CHECK(with_deadline(in(1h), []() -> result<void> { return errc::full; }) == errc::full);
        auto t = spawn([] { return with_deadline(in(1h), [] { return sleep_for(2h); }); });
        CHECK(yield().ok());
        t.cancel();
        CHECK(t.get() == errc::task_canceled);
        return {};
    });
    CHECK(r.ok());
}

TEST("a scope that has passed lets f run, but not wait; a call's own deadline tries once") {
    auto r = run_virtually([]() -> result<void> {
        bool ran = false;
        auto none = with_deadline(in(0s), [&]() -> result<void> {
            ran = true;
            return sleep_for(1ms);
        });
        CHECK(ran);
        CHECK(none == errc::timed_out);
        event set;
        set.set();
        CHECK(set.wait(in(0s)).ok());
        return {};
    });
    CHECK(r.ok());
    CHECK_EQ(with_deadline(in(1s), [] { return 4; }).value_or(0), 4);   // outside a task it just calls
}

TEST("a group's join gives the first error that isn't a cancellation; its end leaves nobody") {
    auto r = run_virtually([]() -> result<void> {
        int ended = 0;
        {
            task_group g;
            g.spawn([&] {
                note_end n{&ended};
                return sleep_for(1h);
            });
            g.spawn([&]() -> result<void> {
                note_end n{&ended};
                CHECK(sleep_for(2ms).ok());
                return errc::broken;
            });
            g.spawn([&]() -> result<void> {
                note_end n{&ended};
                CHECK(sleep_for(1ms).ok());
                return errc::full;
            });
            CHECK_EQ(g.size(), 3U);
            CHECK(g.join(in(5ms)) == errc::timed_out);
            CHECK_EQ(g.cancel(), 1U);
            CHECK(g.join() == errc::full);
            CHECK(g.join().ok());   // told once
            g.spawn([&] {
                note_end n{&ended};
                return sleep_for(1h);
            });
            CHECK(yield().ok());   // it has begun when the group ends
        }
        CHECK_EQ(ended, 4);
        task_group strict(on_error::cancel_rest);
        auto sleeper = strict.spawn([] { return sleep_for(1h); });
        strict.spawn([]() -> result<void> { return errc::full; });
        CHECK(strict.join() == errc::full);
        CHECK(sleeper.get() == errc::task_canceled);
        return {};
    });
    CHECK(r.ok());
    task_group outside;
    CHECK(outside.spawn([] {}).join() == errc::not_in_task);
}

TEST("a group's end waits even for members that shield themselves, and even in a canceled task") {
    auto r = run_virtually([]() -> result<void> {
        bool finished = false;
        auto t = spawn([&] {
            task_group g;
            g.spawn([&] {
                cancel_shield s;
                CHECK(sleep_for(10ms).ok());
                finished = true;
            });
            CHECK(yield().ok());
            static_cast<void>(sleep_for(1h));
        });
        CHECK(yield().ok());
        CHECK(yield().ok());
        t.cancel();
        CHECK(t.join().ok());
        CHECK(finished);
        return {};
    });
    CHECK(r.ok());
}

TEST("destroy() cancels all tasks, honours shields, and runs every destructor; stragglers are named") {
    testing::simulation world(harness::as_asked());
    int ended = 0;
    {
        loop l(loop_options{.on = world.on()});
        event e, stop;
        l.on_unhandled([](unhandled const&) { CHECK(false); });
        for (int i = 0; i != 10; ++i) spawn([&] {
            note_end n{&ended};
            static_cast<void>(e.wait());
        });
        spawn([&] {
            note_end n{&ended};
            cancel_shield s;
            CHECK(stop.wait().ok());
            CHECK(sleep_for(20ms).ok());
            CHECK(spawn([] {}).join() == errc::closed);
        });
        spawn([n = note_end{&ended}] { CHECK(false); }).cancel();
        CHECK(l.run() == errc::deadlock);
        ended = 0;
        stop.set();
        CHECK(l.destroy(in(1s)).ok());
        CHECK_EQ(ended, 11);
        CHECK(l.destroy() == errc::closed);
        CHECK(l.run() == errc::closed);
    }
}

TEST("what ignores its end past the deadline of destroy() is left behind, and named") {
    testing::simulation world(harness::as_asked());
    static task<void> keeps;
    loop l(loop_options{.on = world.on()});
    keeps = spawn({.name = "stubborn"}, [] {
        for (;;) {
            cancel_shield s;
            CHECK(sleep_for(1s).ok());
        }
    });
    CHECK(l.run_once(in(0s)).ok());
    auto destroyed = l.destroy(in(5s));
    CHECK(destroyed == errc::tasks_left);
    CHECK_EQ(destroyed.error().detail(), "stubborn");
    CHECK(keeps.get() == errc::closed);
    CHECK(keeps.done());   // nothing of it will ever run
    // Its stack is abandoned on purpose, which the balances would count.
    harness::pass();
}

TEST("run() of a function that waits for ever says deadlock, after its destructors ran") {
    int ended = 0;
    auto r = run_virtually([&]() -> result<int> {
        note_end n{&ended};
        event e;
        SPRUCE_CHECK(e.wait());
        return 1;
    });
    CHECK(r == errc::deadlock);
    CHECK_EQ(ended, 1);
}
