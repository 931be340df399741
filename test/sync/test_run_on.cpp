// Tasks of another thread's loop, waited for from threads without one and from tasks of other loops.
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <thread>

#include "../harness/axes.hpp"
#include <spruce/run_on.hpp>
#include <spruce/spruce.hpp>

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

namespace {
// Runs `asks` on a thread without a loop, and the loop until that has ended.
template <class Asks> void with_a_thread(loop& l, Asks asks) {
    REQUIRE(l.status().ok());
    auto hold = l.hold();
    std::thread other([&, door = l.remote()] {
        asks(door);
        if (!door.call([&] { hold = {}; })) static_cast<void>(door.stop());
    });
    auto const ran = l.run();
    CHECK(ran.ok());
    if (!ran) static_cast<void>(l.destroy(in(0s)));   // whoever waits for it hears that
    other.join();
}
}  // namespace

TEST("run_on gives what f gave there: a value, its error with the detail, a future's or a task's outcome") {
    world w;
    loop l(w.options());
    auto const home = std::this_thread::get_id();
    with_a_thread(l, [&](loop_ref door) {
        CHECK_EQ(run_on(door, [&] { return std::this_thread::get_id() == home ? 3 : 0; }).value_or(-1), 3);
        CHECK(run_on(door, [] { static_cast<void>(sleep_for(1ms)); }).ok());
        auto const refused = run_on(door, []() -> result<int> { return detail::with_detail(errc::full, "no more of them"); });
        CHECK(refused == errc::full);
        CHECK(std::strcmp(refused.error().detail(), "no more of them") == 0);
        auto const moved = run_on(door, [] { return delay(1ms); });
        CHECK(moved.ok());
        auto const owned = run_on(door, [] {
            return spawn([]() -> std::unique_ptr<int> {
                static_cast<void>(sleep_for(1ms));
                return std::make_unique<int>(7);
            });
        });
        REQUIRE(owned.ok());
        CHECK_EQ(**owned, 7);
    });
}

#if SPRUCE_EXCEPTIONS
TEST("what throws in a run_on is task_failed where it is waited for, with its text, and nobody else is told") {
    world w;
    loop l(w.options());
    int told = 0;
    l.on_unhandled([&](unhandled const&) { ++told; });
    with_a_thread(l, [&](loop_ref door) {
        auto const thrown = run_on(door, []() -> int { throw std::runtime_error("not today"); });
        CHECK(thrown == errc::task_failed);
        CHECK(std::strcmp(thrown.error().detail(), "not today") == 0);
    });
    CHECK_EQ(told, 0);
}
#endif

TEST("a run_on whose deadline passes leaves the future as it was, and f that had not begun never does") {
    world w;
    loop l(w.options());
    promise<int> p;
    future<int> kept = p.get_future();
    std::atomic<int> begun{0};
    std::atomic<bool> busy{false}, over{false};
    with_a_thread(l, [&](loop_ref door) {
        CHECK(run_on(door, [kept] { return kept; }, in(2ms)) == errc::timed_out);
        // The loop is busy until this one has given up.
        REQUIRE(door.call([&] {
            busy = true;
            while (!over) std::this_thread::yield();
        }).ok());
        while (!busy && door.alive()) std::this_thread::yield();
        CHECK(run_on(door, [&begun] { ++begun; }, in(2ms)) == errc::timed_out);
        over = true;
        CHECK(run_on(door, [] {}).ok());
    });
    CHECK_EQ(begun.load(), 0);
    CHECK(!kept.done());
    CHECK(p.set(5).ok());
    CHECK_EQ(kept.get().value_or(0), 5);
}

TEST("a task of another loop waits with run_on; canceling it cancels what it waits for there") {
    world w;
    loop l(w.options());
    std::atomic<bool> ended{false};
    with_a_thread(l, [&](loop_ref door) {
        world w2;
        loop own(w2.options());
        CHECK(run_on(door, [] { return 1; }) == errc::not_in_task);
        auto asks = spawn([&]() -> result<int> { return run_on(door, [] { return sleep_for(1ms).ok() ? 4 : 0; }); });
        std::atomic<bool> waits{false};
        auto canceled = spawn([&]() -> result<void> {
            return run_on(door, [&] {
                event never;
                waits = true;
                static_cast<void>(never.wait());
                ended = this_task::cancel_requested();
            });
        });
        harness::needed([&] {
            while (!waits && !canceled.done()) CHECK(sleep_for(1ms).ok());
            canceled.cancel();
        });
        REQUIRE(own.run().ok());
        CHECK_EQ(asks.get().value_or(0), 4);
        CHECK(canceled.get() == errc::task_canceled);
        if (waits) while (!ended) std::this_thread::yield();
    });
    CHECK(ended.load());
    // Among tasks of one loop it is a task like others.
    auto here = spawn([&] { return run_on(l.remote(), [] { return 9; }); });
    CHECK(l.run().ok());
    CHECK_EQ(here.get().value_or(0), 9);
}

TEST("a run_on whose task cannot be made says why, each time") {
    world w;
    auto options = w.options();
    options.max_tasks = 1;
    loop l(options);
    event over;
    harness::needed([&] { CHECK(over.wait().ok()); });
    with_a_thread(l, [&](loop_ref door) {
        for (int i = 0; i != 200; ++i) CHECK(run_on(door, [] { return 1; }) == errc::full);
        CHECK(door.call([&] { over.set(); }).ok());
    });
}

TEST("a loop that ends wakes who waits with run_on: closed, also where the task is abandoned or never began") {
    std::atomic<int> closed{0};
    std::atomic<bool> waits{false};
    std::thread other;
    {
        world w;
        loop l(w.options());
        other = std::thread([&, door = l.remote()] {
            auto const got = run_on(door, [&] {
                cancel_shield const deaf;
                event never;
                waits = true;
                static_cast<void>(never.wait());
            });
            waits = true;   // it may have been refused
            if (got == errc::closed) ++closed;
            if (run_on(door, [] {}) == errc::closed) ++closed;
        });
        auto const held = l.hold();
        CHECK(l.run_until([&] { return waits.load(); }).ok());
        CHECK(l.destroy(in(1ms)) == errc::tasks_left);
    }
    other.join();
    CHECK_EQ(closed.load(), 2);
    CHECK(run_on(loop_ref(), [] {}) == errc::no_loop);
    harness::pass();   // an abandoned stack
}
