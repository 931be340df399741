// What joins something that is ending: a group whose owner leaves, one that a failure or cancel() has canceled, the end of
// a run. Whose errors a group reports: task/test_unseen_failures.cpp.
#include <algorithm>
#include <functional>
#include <memory>
#include <string>

#include <spruce/spruce.hpp>
#include <spruce/testing.hpp>

#include "../harness/virtual_run.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::run_virtually;

namespace {
// Something that is spawned late, and what came of it.
struct late {
    bool ran = false;
    task<void> handle;
    auto body() {
        return [this]() -> result<void> {
            ran = true;
            return sleep_for(1h);
        };
    }
    void into(task_group& g) { handle = g.spawn(body()); }
};
// A callable whose arguments take their time on their way into a task.
struct slow_to_move {
    late* of;
    explicit slow_to_move(late* l) noexcept : of(l) {}
    slow_to_move(slow_to_move&& o) noexcept : of(o.of) {
        cancel_shield const whatever_happens;
        static_cast<void>(sleep_for(10ms));
    }
    void operator()() const { of->ran = true; }
};
struct at_end {
    std::function<void()> then;
    explicit at_end(std::function<void()> f) : then(std::move(f)) {}
    at_end(at_end&& o) noexcept : then(std::move(o.then)) { o.then = nullptr; }
    ~at_end() {
        if (then) then();
    }
};
}  // namespace

TEST("what a member spawns into a group whose owner is leaving is refused: the owner does not wait for it") {
    auto r = run_virtually([]() -> result<void> {
        auto const began = loop_clock::now();
        late of_member, of_value;
        auto connection = std::make_shared<int>(1);
        {
            task_group g;
            event handed_over;
            g.spawn([&] {
                // It has its connection already when the cancellation comes.
                CHECK(handed_over.wait().ok());
                of_member.handle = g.spawn([&, connection] { of_member.ran = true; });
            });
            g.spawn([&] {
                at_end const last([&] { of_value.into(g); });
                static_cast<void>(sleep_for(1h));
            });
            SPRUCE_CHECK(yield());
            handed_over.set();
        }
        CHECK(!of_member.ran && !of_value.ran);
        CHECK(of_member.handle.get() == errc::closed);
        CHECK(of_value.handle.get() == errc::closed);
        CHECK_EQ(connection.use_count(), 1L);
        CHECK(loop_clock::now() - began < 1s);
        return {};
    });
    CHECK(r.ok());
}

TEST("who is no member, and spawns while the last member ends, or after it, does not outlast the group") {
    for (int rounds = 0; rounds != 4; ++rounds) {
        auto r = run_virtually([&]() -> result<void> {
            late l;
            bool gone = false;
            task<void> stranger;
            {
                task_group g;
                auto member = g.spawn([] { static_cast<void>(sleep_for(1h)); });
                SPRUCE_CHECK(yield());
                stranger = spawn([&] {
                    static_cast<void>(member.join());
                    for (int i = 0; i != rounds; ++i) static_cast<void>(yield());
                    if (!gone) l.into(g);
                });
                SPRUCE_CHECK(yield());
            }
            gone = true;
            CHECK(stranger.join().ok());
            CHECK(!l.ran);
            return {};
        });
        CHECK(r.ok());
    }
}

TEST("a group's end waits for a task whose arguments are still on their way, and that never begins") {
    auto r = run_virtually([]() -> result<void> {
        late l;
        task<void> spawner;
        {
            task_group g;
            spawner = spawn([&] { l.handle = g.spawn(slow_to_move(&l)); });
            SPRUCE_CHECK(yield());
            CHECK_EQ(g.size(), 1U);
        }
        CHECK(spawner.join().ok());
        CHECK(!l.ran);
        CHECK(l.handle.get() == errc::task_canceled);
        return {};
    });
    CHECK(r.ok());
}

#if SPRUCE_THROWS
TEST("a task whose arguments throw on their way leaves the group's line, and its end goes on") {
    auto r = run_virtually([]() -> result<void> {
        struct throws {
            throws() = default;
            throws(throws&&) {
                cancel_shield const whatever_happens;
                static_cast<void>(sleep_for(10ms));
                throw 1;
            }
            void operator()() const {}
        };
        bool thrown = false;
        task<void> spawner;
        {
            task_group g;
            spawner = spawn([&] {
                try {
                    g.spawn(throws());
                } catch (int) {
                    thrown = true;
                }
            });
            SPRUCE_CHECK(yield());
        }
        CHECK(spawner.join().ok());
        CHECK(thrown);
        return {};
    });
    CHECK(r.ok());
}
#endif

TEST("with cancel_rest, what comes after the first failure never begins, until join() has given that; then the group is as new") {
    auto r = run_virtually([]() -> result<void> {
        late of_member, of_value, of_stranger, of_owner;
        task_group g(on_error::cancel_rest);
        g.spawn([&]() -> result<void> {
            at_end const last([&] { of_value.into(g); });
            SPRUCE_CHECK(sleep_for(1ms));
            return errc::broken;
        });
        g.spawn([&] {
            cancel_shield const handed_over;
            static_cast<void>(sleep_for(5ms));
            of_member.into(g);
        });
        auto stranger = spawn([&] {
            static_cast<void>(sleep_for(3ms));
            of_stranger.into(g);
        });
        SPRUCE_CHECK(sleep_for(2ms));
        of_owner.into(g);
        CHECK(g.join(in(1ms)) == errc::timed_out);
        CHECK(g.join() == errc::broken);
        for (auto* l : {&of_member, &of_stranger, &of_owner}) {
            CHECK(!l->ran);
            CHECK(l->handle.get() == errc::task_canceled);
            CHECK(l->handle.get().error().is_from(l->handle.id()));
        }
        // The member's own value went before it had failed.
        CHECK(of_value.handle.get() == errc::task_canceled);
        CHECK(stranger.join().ok());
        bool again = false;
        g.spawn([&] { again = sleep_for(1ms).ok(); });
        CHECK(g.join().ok());
        CHECK(again);
        return {};
    });
    CHECK(r.ok());
}

TEST("a thousand members that fail cancel the rest once, and each late one as it comes") {
    auto r = run_virtually([]() -> result<void> {
        task_group g(on_error::cancel_rest);
        int ended = 0, resisted = 0;
        auto stubborn = g.spawn([&] {
            cancel_shield const shield;
            ++resisted;
            return sleep_for(1s);
        });
        for (int i = 0; i != 1'000; ++i)
            g.spawn([&]() -> result<void> {
                cancel_shield const shield;
                SPRUCE_CHECK(sleep_for(1ms));
                ++ended;
                return errc::broken;
            });
        SPRUCE_CHECK(yield());
        CHECK(g.join() == errc::broken);
        CHECK_EQ(ended, 1'000);
        CHECK_EQ(resisted, 1);
        CHECK(stubborn.get().ok());
        return {};
    });
    CHECK(r.ok());
}

TEST("cancel() ends those that are there, and what these spawn; what the owner spawns next runs, and join() waits for it") {
    auto r = run_virtually([]() -> result<void> {
        late of_member, of_late;
        task_group g;
        event handed_over;
        auto acceptor = g.spawn([&] {
            CHECK(handed_over.wait().ok());
            // As a consequence of its own cancellation; and so on, of a task that never began.
            of_member.handle = g.spawn([&, last = at_end([&] { of_late.into(g); })]() -> result<void> {
                of_member.ran = true;
                return sleep_for(1h);
            });
        });
        SPRUCE_CHECK(yield());
        handed_over.set();
        CHECK_EQ(g.cancel(), 1U);
        bool next = false;
        g.spawn([&] { next = sleep_for(1ms).ok(); });
        CHECK(g.join().ok());
        CHECK(next);
        CHECK(!of_member.ran && !of_late.ran);
        CHECK(of_member.handle.get() == errc::task_canceled);
        CHECK(of_member.handle.get().error().is_from(acceptor.id()));
        CHECK(of_late.handle.get() == errc::task_canceled);
        CHECK(of_late.handle.get().error().is_from(acceptor.id()));
        // In a shield it is the member's clean-up, and runs.
        bool cleaned = false;
        g.spawn([&] {
            static_cast<void>(sleep_for(1h));
            cancel_shield const clean_up;
            static_cast<void>(g.spawn([&] { cleaned = sleep_for(1ms).ok(); }).join());
        });
        SPRUCE_CHECK(yield());
        g.cancel();
        CHECK(g.join().ok());
        CHECK(cleaned);
        return {};
    });
    CHECK(r.ok());
}

TEST("what goes into the background while run() ends never begins, and run() ends in time") {
    testing::simulation world(harness::as_asked());
    loop l(loop_options{.on = world.on()});
    late l1, l2, next;
    event never;   // no sleep: a guest's thread that sleeps already when the run ends would take it to its end, in virtual time
    auto last = spawn({.background = true}, [&] {
        static_cast<void>(never.wait());
        l1.handle = spawn({.background = true}, l1.body());
        at_end const value([&] { l2.handle = spawn({.background = true}, l2.body()); });
    });
    spawn([] { static_cast<void>(sleep_for(1ms)); });
    auto const began = l.time();
    CHECK(l.run().ok());
    CHECK(last.done() && l1.handle.done() && l2.handle.done());
    CHECK(!l1.ran && !l2.ran);
    CHECK(l.time() - began < 1s);
    // The next run's are that run's.
    next.handle = spawn({.background = true}, next.body());
    spawn([] { static_cast<void>(sleep_for(1ms)); });
    CHECK(l.run().ok());
    CHECK(next.ran);
}

TEST("destroy() takes along a task whose arguments are still on their way") {
    testing::simulation world(harness::as_asked());
    loop l(loop_options{.on = world.on()});
    late one;
    spawn([&] { one.handle = spawn(slow_to_move(&one)); });
    CHECK(l.run_once(in(0s)).ok());
    auto const began = l.time();
    CHECK(l.destroy(in(1s)).ok());
    CHECK(!one.ran);
    CHECK(one.handle.get() == errc::task_canceled);
    CHECK(one.handle.get().error().is_from(one.handle.id()));
    static_cast<void>(began);
}

TEST("a job whose arguments are on their way when its pool ends is taken back") {
    auto r = run_virtually([]() -> result<void> {
        late l;
        future<void> f;
        task<void> submits;
        {
            task_pool pool(2);
            submits = spawn([&] {
                auto made = pool.submit(slow_to_move(&l));
                REQUIRE(made.ok());
                f = *made;
            });
            SPRUCE_CHECK(yield());
        }
        CHECK(submits.join().ok());
        CHECK(!l.ran);
        CHECK(f.get() == errc::closed);
        return {};
    });
    CHECK(r.ok());
}

TEST("a call whose arguments are on their way when its policy's group ends fails with closed, and does not run beside others") {
    auto r = run_virtually([]() -> result<void> {
        struct slow_argument {
            slow_argument() = default;
            slow_argument(slow_argument const&) { static_cast<void>(sleep_for(10ms)); }
            slow_argument(slow_argument&&) = default;
        };
        int running = 0, most = 0;
        auto group = std::make_unique<policy_group>();
        async_function store([&](slow_argument const&) {
            most = std::max(most, ++running);
            static_cast<void>(sleep_for(1s));
            --running;
        }, {.policy = call_policy::synchronized, .group = group.get()});
        auto first = store(slow_argument());
        future<void> second;
        slow_argument const copied;
        auto calls = spawn([&] { second = store(copied); });
        SPRUCE_CHECK(yield());
        group.reset();
        CHECK(calls.join().ok());
        CHECK(second.get() == errc::closed);
        CHECK(first.get().ok());
        CHECK_EQ(most, 1);
        return {};
    });
    CHECK(r.ok());
}
