// What a loop answers about itself: when what is made in a callback is due, in which order it runs, whether it runs, whether
// its tasks can be woken yet, and by what it was stopped.
#include <csignal>
#include <cstdlib>
#include <string>
#include <unistd.h>

#include <spruce/process.hpp>
#include <spruce/spruce.hpp>

#include "../harness/axes.hpp"
#include "../harness/forked.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

TEST("a timer that is overdue runs before what was to run at once after it, in a callback, a task and plain code") {
    testing::simulation clock(harness::as_asked());
    for (int from = 0; from != 3; ++from) {
        loop l(loop_options{.on = clock.on()});
        std::string seen;
        auto const make = [&] {
            loop& here = *loop::current();
            here.call_later(1ms, [&] { seen += 'a'; });
            clock.advance(5ms);   // it computes
            here.call_later(0ms, [&] { seen += 'b'; });
            here.call_later(-1h, [&] { seen += 'c'; });
            here.call_at(clock.now() - 3ms, [&] { seen += 'd'; });
        };
        if (from == 0) make();
        else if (from == 1) l.call_soon(make);
        else spawn(make);
        CHECK(l.run().ok());
        // The last is a time between the first and the second: behind the one, and before the others.
        CHECK_EQ(std::string_view(seen), "adbc");
    }
}

TEST("what is to run at once runs in the next pass where no timer is overdue") {
    testing::simulation clock(harness::as_asked());
    loop l(loop_options{.on = clock.on()});
    std::string seen;
    l.call_soon([&] {
        l.call_later(1ms, [&] { seen += 't'; });
        l.call_later(0ms, [&] { seen += 'a'; });
        l.call_soon([&] { seen += 'b'; });
        l.call_later(0ms, [&] { seen += 'c'; });
    });
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(seen), "abct");
}

TEST("a relative time counts from the call that is given it, however long the callback has computed before") {
    testing::simulation clock(harness::as_asked());
    loop l(loop_options{.on = clock.on()});
    auto const began = clock.now();
    std::string seen;
    auto const at_least = [&](char name, duration d) {
        return [&, name, d] {
            seen += name;
            CHECK(clock.now() - began >= 50ms + d);
            CHECK(clock.now() - began <= 51ms + d);
        };
    };
    handler again = l.call_later(1h, at_least('r', 10ms));
    timer beats(at_least('p', 20ms));
    one_shot_timer once(at_least('o', 30ms));
    auto calls = timed(40ms, at_least('t', 40ms));
    future<void> d;
    l.call_soon([&] {
        l.call_later(1h, [] {}).cancel();   // reads the clock
        clock.advance(50ms);
        l.call_later(5ms, at_least('l', 5ms));
        CHECK(again.rearm(in(10ms)));
        CHECK(beats.start(20ms).ok());
        CHECK(once.start(30ms).ok());
        CHECK(calls());
        d = delay(45ms);
        d.on_done([&](result<void> const&) {
            beats.stop();
            at_least('d', 45ms)();
        });
        l.call_every(60ms, [&](handler self) {
            at_least('e', 60ms)();
            self.cancel();
        });
    });
    l.call_later(75ms, [&] { beats.stop(); });
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(seen), "lrpotde");
}

TEST("advance() goes to the clock's end at most, and gives no error that its header does not name") {
    testing::simulation clock(harness::as_asked());
    loop l(loop_options{.on = clock.on()});
    CHECK(l.advance(1h).ok());
    CHECK(l.advance(-1ns) == errc::invalid_argument);
    CHECK(l.advance(duration::max()).ok());
    auto const end = clock.now();
    CHECK(l.advance(duration::max()).ok());
    CHECK(clock.now() == end);
}

TEST("a loop does not run yet in its first start hooks, and what delays them, and runs from the second phase on") {
    world w;
    std::string seen;   // what tasks use outlives their loop
    loop l(w.options());
    auto const note = [&](char name) { seen += name, seen += l.running() ? '+' : '-'; };
    l.on_start(start_phase::before, [&] {
        note('b');
        spawn([&, held = l.hold()] {
            CHECK(sleep_for(1ms).ok());
            note('t');
        });
    });
    l.on_start(start_phase::during, [&] { note('d'); });
    l.on_start(start_phase::after, [&] { note('a'); });
    l.on_shutdown(shutdown_phase::after, [&] { note('s'); });
    CHECK(l.run().ok());
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(seen), "b-t-d+a+s+b-t-d+a+s+");
    CHECK(l.run_until([&] { return l.running(); }, in(0s)).ok());
    CHECK(!l.running());
}

TEST("what does not hold a run may end its tasks' waits yet: idle callbacks and hooks at the ends of turns come first") {
    if (!harness::option("host").empty()) harness::skip("a guest makes no turns for that");
    world w;
    loop l(w.options());
    event done;
    auto t = spawn([&] { CHECK(done.wait().ok()); });
    CHECK(l.run() == errc::deadlock);
    l.call_when_idle([&] { done.set(); });   // pending when the next run begins
    CHECK(l.run().ok());
    CHECK(t.done());
    done.clear();
    t = spawn([&] {
        // Once nothing else is left, and more than once.
        loop::current()->call_when_idle([&] {
            loop::current()->call_when_idle([&] { loop::current()->call_when_idle([&] { done.set(); }); });
        });
        CHECK(done.wait().ok());
    });
    CHECK(l.run().ok());
    done.clear();
    int turns = 0;
    handler hook = l.on_turn([&] {
        if (++turns == 5) done.set();
    });
    t = spawn([&] { CHECK(done.wait().ok()); });
    CHECK(l.run().ok());
    CHECK(t.done());
    done.clear();
    // One that never will ends in the deadlock that it is.
    t = spawn([&] { CHECK(done.wait() == errc::canceled); });
    CHECK(l.run() == errc::deadlock);
    CHECK(turns < 10'000);
    hook.cancel();
    CHECK(l.run() == errc::deadlock);
    CHECK(t.cancel());
    CHECK(l.run().ok());
}

TEST("a signal that came before a run may end what its tasks wait for") {
    if (harness::simulated()) harness::skip("the real kernel's signals");
    if (!harness::option("host").empty()) harness::skip("a guest makes no turns for that");
    world w;
    loop l(w.options());
    event done;
    REQUIRE(l.add_signal_handler(SIGUSR2, [&] { done.set(); }).ok());   // else the signal ends the program
    auto t = spawn([&] { CHECK(done.wait().ok()); });
    CHECK(l.run() == errc::deadlock);
    ::raise(SIGUSR2);
    CHECK(l.run().ok());
}

TEST("a run that a signal stopped says so, by stop_signal() and in its error, and one that failed does not") {
    if (harness::simulated()) harness::skip("the real kernel's signals");
    for (int const sig : {SIGTERM, SIGINT}) {
        auto const ended = run({.stop_on_signals = true}, [sig]() -> result<void> {
            ::raise(sig);
            return sleep_for(1h);
        });
        CHECK(ended == errc::closed);
        CHECK_EQ(stop_signal(), sig);
        CHECK_EQ(std::string_view(ended.error().detail()), sig == SIGTERM ? "stopped by SIGTERM" : "stopped by SIGINT");
    }
    CHECK(run({.stop_on_signals = true}, []() -> result<void> { return errc::broken; }) == errc::broken);
    CHECK_EQ(stop_signal(), 0);
    CHECK(run([]() -> result<void> {
              static_cast<void>(loop::current()->stop());
              return sleep_for(1h);
          }) == errc::closed);
    CHECK_EQ(stop_signal(), 0);
    auto const child = harness::forked([] {
        auto const served = run({.stop_on_signals = true}, []() -> result<void> {
            ::raise(SIGTERM);
            return sleep_for(1h);
        });
        if (int const sig = stop_signal()) die_of(sig);
        ::_exit(served ? 0 : 1);
    });
    CHECK(WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGTERM);
}

TEST("tasks and callbacks of a main thread's loop that nobody runs are reported when the program exits") {
    auto const spawned = harness::forked([] {
        spawn([] {});
        spawn([] {});
        std::exit(0);
    });
    CHECK(spawned.says("never run: 2 tasks are left"));
    CHECK(WIFEXITED(spawned.status) && WEXITSTATUS(spawned.status) == 0);
    auto const both = harness::forked([] {
        static_cast<void>(loop::current()->destroy_at_exit());
        loop::current()->call_later(1s, [] {});
        spawn([] {});
        std::exit(0);
    });
    CHECK(both.says("never run: 1 task and 1 callback are left"));
    // Nothing is said of one that was run, that has nothing, that was destroyed, or that another process made.
    auto const silent = harness::forked([] {
        loop::current()->on_exit([] {});
        spawn([] { static_cast<void>(sleep_for(1h)); });
        static_cast<void>(loop::current()->run_once(in(0s)));
        std::exit(0);
    });
    CHECK_EQ(std::string_view(silent.said), "");
    auto const destroyed = harness::forked([] {
        spawn([] {});
        static_cast<void>(loop::current()->destroy());
        std::exit(0);
    });
    CHECK_EQ(std::string_view(destroyed.said), "");
    auto const forked_again = harness::forked([] {
        spawn([] {});
        if (::fork() == 0) std::exit(0);
        ::_exit(0);
    });
    CHECK_EQ(std::string_view(forked_again.said), "");
}
