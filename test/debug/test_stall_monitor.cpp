// The monitor of what holds up a loop.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <mutex>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "../harness/axes.hpp"
#include "../harness/forked.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
struct told {
    std::string kind, name;
    int number;
    task_id task;
    duration held_up;
};
constexpr duration limit = 2ms;

// What the monitor has told; and a way to hold up the loop until it tells more.
struct reports {
    std::mutex lock{};
    std::condition_variable more{};
    std::vector<told> all{};
    std::atomic<std::size_t> count{0};

    static void take(debug::stall const& s, void* at) noexcept {
        auto& r = *static_cast<reports*>(at);
        std::lock_guard const hold(r.lock);
        r.all.push_back({s.kind, s.name, s.number, s.task, s.held_up});
        ++r.count;
        r.more.notify_all();
    }
    void wait_for_more(std::size_t before) {
        std::unique_lock held(lock);
        more.wait(held, [&] { return count != before; });
    }
    // Holds up whoever calls until it was told, and then so long that it could be told again.
    void hold_up() { hold_up(count); }
    // … until more was told than `before`.
    void hold_up(std::size_t before);
    told last() {
        std::lock_guard const hold(lock);
        return all.empty() ? told{} : all.back();
    }
};

// As long as a monitor that begins now takes to tell of another loop: one that has begun before has looked by then, too.
void let_monitors_look() {
    std::thread([] {
        loop l;
        reports r;
        auto const monitor = debug::watch_stalls(limit, reports::take, &r);
        if (!monitor.ok()) return;
        l.call_soon([&] { r.wait_for_more(0); });
        CHECK(l.run().ok());
    }).join();
}
void reports::hold_up(std::size_t before) {
    wait_for_more(before);
    let_monitors_look();
}
}  // namespace

TEST("each kind of callback that holds up its loop is told once, by what it is for") {
    reports r;
    loop l;
    // Its limit is long enough for whatever does not hold it up on purpose, but under load: those are not counted.
    auto const monitor = debug::watch_stalls(limit, reports::take, &r);
    REQUIRE(monitor.ok());
    auto const expect = [&](char const* kind, int number) {
        std::size_t const before = r.count;
        r.hold_up();
        CHECK_EQ(r.count.load(), before + 1);
        told const t = r.last();
        CHECK_EQ(t.kind, std::string(kind));
        CHECK_EQ(t.number, number);
        CHECK(t.name.empty() && t.task.value == 0);
        CHECK(t.held_up >= limit);
    };
    int ends[2];
    REQUIRE(::pipe(ends) == 0 && ::write(ends[1], "x", 1) == 1);
    int ran = 0;
    l.call_soon([&] { expect("callback", -1), ++ran; });
    l.call_later(0s, [&] { expect("timer", -1), ++ran; });
    l.call_when_idle([&] { expect("idle callback", -1), ++ran; });
    l.on_start([&] { expect("hook", -1), ++ran; });
    l.on_shutdown(shutdown_phase::after, [&] { expect("hook", -1), ++ran; });
    auto reader = l.add_reader(ends[0], [&](handler h) { expect("reader of fd", ends[0]), h.cancel(), ++ran; });
    auto writer = l.add_writer(ends[1], [&](handler h) { expect("writer of fd", ends[1]), h.cancel(), ++ran; });
    auto sig = l.add_signal_handler(SIGUSR1, [&] { expect("handler of signal", SIGUSR1), ++ran; });
    pid_t const child = ::fork();
    if (child == 0) ::_exit(0);
    auto ended = l.add_child_handler(child, [&](result<exit_status>) { expect("handler of process", child), ++ran; });
    REQUIRE(reader.ok() && writer.ok() && sig.ok() && ended.ok());
    auto posted = l.call_from_thread([&] { expect("call from another thread", -1), ++ran; });
    CHECK(posted.ok());
    l.call_soon([] { ::raise(SIGUSR1); });
    auto held = l.hold();
    REQUIRE(l.run_until([&] { return ran >= 8; }).ok());
    held.release();
    REQUIRE(l.run().ok());
    CHECK_EQ(ran, 10);
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST("a task that holds up its loop is told by its name and id, and one without a name by its id") {
    reports r;
    CHECK(run([&] {
        auto const monitor = debug::watch_stalls(limit, reports::take, &r);
        REQUIRE(monitor.ok());
        for (char const* name : {"busy", "", "a name of the very last byte ok"}) {
            auto t = spawn({.name = name}, [&] {
                static_cast<void>(yield());
                r.hold_up();
            });
            auto other = spawn({.name = "other"}, [] { static_cast<void>(yield()); });
            task_id const id = t.id();
            CHECK(t.join().ok() && other.join().ok());
            told const last = r.last();
            CHECK_EQ(last.kind, std::string("task"));
            CHECK_EQ(last.name, std::string(name));
            CHECK(last.task == id);
            CHECK_EQ(last.number, -1);
        }
        // What runs when the monitor begins counts from then.
        r.hold_up();
        CHECK(r.last().task == this_task::id());
    }).ok());
}

TEST("a task that starts the monitor and goes on without waiting is told itself") {
    reports r;
    CHECK(run([&] {
        auto t = spawn({.name = "first"}, [&] {
            auto const monitor = debug::watch_stalls(limit, reports::take, &r);
            REQUIRE(monitor.ok());
            r.hold_up();
        });
        // In the ring behind it: after that the monitor is over, and this is not told.
        auto u = spawn({.name = "second"}, [] { let_monitors_look(); });
        CHECK(t.join().ok() && u.join().ok());
    }).ok());
    CHECK_EQ(r.count.load(), 1U);
    CHECK_EQ(r.last().name, std::string("first"));
}

TEST("the next task of the same turn is seen as well when the monitor begins in the one before") {
    reports r;
    debug::stall_monitor kept;
    CHECK(run([&] {
        auto t = spawn({.name = "first"}, [&] {
            auto monitor = debug::watch_stalls(limit, reports::take, &r);
            REQUIRE(monitor.ok());
            kept = std::move(*monitor);
        });
        auto u = spawn({.name = "second"}, [&] { r.hold_up(); });
        CHECK(t.join().ok() && u.join().ok());
    }).ok());
    CHECK_EQ(r.last().name, std::string("second"));
}

TEST("within run_now() the inner task is told, and after it the outer again") {
    reports r;
    loop l;
    auto const monitor = debug::watch_stalls(limit, reports::take, &r);
    REQUIRE(monitor.ok());
    // A dispatch is told of once: where a busy machine held up what comes before in it, that was, and it is tried again.
    auto const until_told_of = [&](char const* name, auto hold_up) {
        do {
            hold_up(r.count.load());
            REQUIRE(l.run().ok());
        } while (r.last().name != name);
    };
    until_told_of("inner", [&](std::size_t before) {
        l.call_soon([&, before] {
            auto t = spawn({.name = "inner"}, [&, before] { r.hold_up(before); });
            CHECK(run_now(t).ok());
        });
    });
    until_told_of("outer", [&](std::size_t before) {
        spawn({.name = "outer"}, [&, before] {
            auto t = spawn({.name = "short"}, [] {});
            CHECK(run_now(t).ok());
            r.hold_up(before);
        });
    });
    // Plain code is not the loop's.
    until_told_of("from plain code", [&](std::size_t before) {
        auto t = spawn({.name = "from plain code"}, [&, before] { r.hold_up(before); });
        CHECK(run_now(t).ok());
    });
    std::size_t const before = r.count;
    let_monitors_look();
    CHECK_EQ(r.count.load(), before);
}

TEST("a monitor that begins within run_now() sees who called it, and the rest of the turn") {
    reports r;
    loop l;
    debug::stall_monitor kept;
    auto const begin = [&] {
        auto t = spawn([&] {
            auto monitor = debug::watch_stalls(limit, reports::take, &r);
            REQUIRE(monitor.ok());
            kept = std::move(*monitor);
        });
        CHECK(run_now(t).ok());
        r.hold_up();
    };
    auto outer = spawn({.name = "outer"}, [&] {
        begin();
        CHECK_EQ(r.last().name, std::string("outer"));
    });
    auto next = spawn({.name = "next"}, [&] {
        r.hold_up();
        CHECK_EQ(r.last().name, std::string("next"));
        kept = {};
    });
    REQUIRE(l.run().ok());
    l.call_soon([&] {
        begin();
        CHECK_EQ(r.last().kind, std::string("callback"));
        kept = {};
    });
    REQUIRE(l.run().ok());
    CHECK_EQ(r.count.load(), 3U);
}

TEST("calls from other threads begin and end a monitor for those that come after them") {
    reports r;
    loop l;
    debug::stall_monitor kept;
    CHECK(l.call_from_thread([&] {
        auto monitor = debug::watch_stalls(limit, reports::take, &r);
        REQUIRE(monitor.ok());
        kept = std::move(*monitor);
    }).ok());
    CHECK(l.call_from_thread([&] {
        r.hold_up();
        CHECK_EQ(r.last().kind, std::string("call from another thread"));
    }).ok());
    CHECK(l.call_from_thread([&] { kept = {}; }).ok());
    int ran = 0;
    CHECK(l.call_from_thread([&] { ++ran; }).ok());
    REQUIRE(l.run().ok());
    CHECK_EQ(ran, 1);
    CHECK_EQ(r.count.load(), 1U);
}

TEST("a loop that is busy with short turns is not told of, nor one that sleeps") {
    reports r;
    loop l;
    static constexpr duration long_limit = 60ms;
    auto const monitor = debug::watch_stalls(long_limit, reports::take, &r);
    REQUIRE(monitor.ok());
    using clock = std::chrono::steady_clock;
    auto const end = clock::now() + 5 * long_limit;
    // Where the machine itself takes a turn's time away, the monitor is right.
    clock::duration worst{};
    auto last = clock::now();
    std::vector<task<void>> all;
    for (int i = 0; i != 3; ++i) {
        all.push_back(spawn({.name = "yields"}, [&] {
            while (clock::now() < end) {
                auto const now = clock::now();
                worst = std::max(worst, now - last);
                last = now;
                static_cast<void>(yield());
            }
        }));
    }
    REQUIRE(l.run().ok());
    CHECK(r.count == 0 || worst > long_limit / 2);
    std::size_t const before = r.count;
    auto sleeper = spawn([] { static_cast<void>(sleep_for(5 * long_limit)); });
    auto const began = clock::now();
    REQUIRE(l.run().ok());
    CHECK(r.count == before || clock::now() - began > 6 * long_limit);
}

TEST("while it is watched a loop runs the same things in the same order, and counts them the same") {
    auto const trace = [](bool watched) {
        testing::simulation world;
        loop l(loop_options{.turn_budget = 7, .on = world.on()});
        debug::stall_monitor monitor;
        if (watched) {
            auto made = debug::watch_stalls(1h);
            REQUIRE(made.ok());
            monitor = std::move(*made);
        }
        std::string seen;
        event e;
        for (char c = 'a'; c != 'f'; ++c) {
            spawn([&, c] {
                for (int i = 0; i != 4; ++i) seen += c, static_cast<void>(yield());
                if (c == 'c') e.set();
                else static_cast<void>(e.wait());
                seen += c;
                static_cast<void>(sleep_for(std::chrono::milliseconds('z' - c)));
                seen += c;
            });
            l.call_soon([&, c] {
                seen += static_cast<char>(c - 'a' + 'A');
                auto t = spawn([&] { seen += '!', static_cast<void>(yield()), seen += '?'; });
                static_cast<void>(run_now(t));
            });
        }
        for (std::size_t const max : {3U, 1U, 0U, 5U, 100U}) {
            auto const ran = l.dispatch(max);
            REQUIRE(ran.ok());
            seen += std::to_string(*ran) + ' ';
        }
        CHECK(l.run().ok());
        return seen;
    };
    std::string const plain = trace(false);
    CHECK(plain.size() > 50);
    CHECK_EQ(trace(true), plain);
}

TEST("without a report the line goes to stderr, with the loop, the task and the time") {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    auto const e = harness::forked([&] {
        int const out = ::dup(2);
        ::dup2(ends[1], 2);
        std::string line;
        static_cast<void>(run([&] {
            auto const monitor = debug::watch_stalls(limit);
            static_cast<void>(spawn({.name = "busy"}, [&] {
                char c = 0;
                while (c != '\n' && ::read(ends[0], &c, 1) == 1) line += c;   // the thread blocks, and so the loop
            }).join());
        }));
        static_cast<void>(!::write(out, line.data(), line.size()));
    });
    ::close(ends[0]);
    ::close(ends[1]);
    CHECK(WIFEXITED(e.status) && WEXITSTATUS(e.status) == 0);
    CHECK(e.said.starts_with("spruce: loop "));
    CHECK(e.says(" is held up by task "));
    CHECK(e.says(" 'busy' for "));
    CHECK(e.said.ends_with(" ms so far\n"));
}

TEST("what cannot be watched is refused, and a token may outlive its loop or end on another thread") {
    std::thread([] { CHECK(debug::watch_stalls(1s) == errc::no_loop); }).join();
    auto const e = harness::forked([] {
        debug::stall_monitor kept, elsewhere;
        {
            loop l;
            CHECK(debug::watch_stalls(0s) == errc::invalid_argument);
            CHECK(debug::watch_stalls(999us) == errc::invalid_argument);
            auto first = debug::watch_stalls(1ms);
            CHECK(first.ok());
            CHECK(debug::watch_stalls(1s) == errc::already_registered);
            *first = debug::stall_monitor();
            auto again = debug::watch_stalls(1ms);
            CHECK(again.ok());
            std::thread([&] { *again = debug::stall_monitor(); }).join();
            l.call_soon([] {});
            CHECK(l.run().ok());
        }
        {
            loop l;
            auto made = debug::watch_stalls(1ms);
            CHECK(made.ok());
            kept = std::move(*made);
            CHECK(l.run().ok());
        }
        {
            loop l;
            l.call_soon([] {});
            CHECK(l.run().ok());
        }
    });
    CHECK(WIFEXITED(e.status) && WEXITSTATUS(e.status) == 0);
}

TEST("in a forked child, where the monitor's thread is not, its token can end") {
    loop l;
    auto monitor = debug::watch_stalls(1ms);
    REQUIRE(monitor.ok());
    auto const e = harness::forked([&] { *monitor = debug::stall_monitor(); });
    CHECK(WIFEXITED(e.status) && WEXITSTATUS(e.status) == 0);
}
