// Loops in threads of their own, started, stopped and waited for from everywhere.
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "../harness/axes.hpp"
#include <spruce/loop_thread.hpp>
#include <spruce/spruce.hpp>

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

namespace {
// Tests here have threads of their own, which the simulated kernel and a host of one thread do not carry.
void needs_threads() {
    if (!harness::option("host").empty() || harness::option("kernel") == "simulated") harness::skip("threads with loops of their own");
}
}  // namespace

TEST("a loop_thread is up once start() comes back: calls run in it, and stop() with join() ends it") {
    needs_threads();
    auto t = loop_thread::start();
    REQUIRE(t.ok());
    auto const here = std::this_thread::get_id();
    CHECK_EQ(t->remote().call_wait([&] { return loop::current().ok() && std::this_thread::get_id() != here; }).value_or(false), true);
    CHECK_EQ(run_on(t->remote(), [] { return sleep_for(1ms).ok() ? 5 : 0; }).value_or(-1), 5);
    CHECK(t->join(in(5ms)) == errc::timed_out);
    CHECK(t->stop().ok());
    CHECK(t->join().ok());
    CHECK(t->join().ok());
    CHECK(t->stop().ok());
    CHECK(t->remote().call([] {}) == errc::closed);
}

TEST("an empty loop_thread says wrong_state, and so does one that was moved from") {
    loop_thread none;
    CHECK(none.stop() == errc::wrong_state);
    CHECK(none.join() == errc::wrong_state);
    CHECK(none.remote().call([] {}) == errc::no_loop);
    needs_threads();
    auto t = loop_thread::start();
    REQUIRE(t.ok());
    loop_thread moved(std::move(*t));
    CHECK(t->join() == errc::wrong_state);
    moved = loop_thread();   // stopped and waited for
    CHECK(moved.stop() == errc::wrong_state);
}

TEST("the end of a loop_thread's handle cancels its tasks and waits for the last of their destructors") {
    needs_threads();
    std::atomic<int> gone{0};
    struct leaving {
        std::atomic<int>* gone;
        ~leaving() { gone->fetch_add(1); }
    };
    {
        auto t = loop_thread::start();
        REQUIRE(t.ok());
        CHECK(t->remote().call_wait([&] {
            for (int i = 0; i != 10; ++i)
                spawn([&gone] {
                    leaving const at_end{&gone};
                    static_cast<void>(sleep_for(1h));
                });
        }).ok());
    }
    CHECK_EQ(gone.load(), 10);
}

TEST("a task that joins a loop_thread lets the others run; its deadline or a cancel leaves the thread as it was") {
    needs_threads();
    world w;
    loop l(w.options());
    auto t = loop_thread::start();
    REQUIRE(t.ok());
    int beats = 0;
    auto joiner = spawn([&] { return t->join(); });
    auto late = spawn([&] { return t->join(in(5ms)); });
    auto stopped = spawn([&] { return t->join(); });
    l.call_later(1ms, [&] { stopped.cancel(); });
    handler beat = l.call_every(1ms, [&] {
        if (++beats == 20) {
            CHECK(t->stop().ok());
            beat.cancel();
        }
    });
    CHECK(l.run().ok());
    CHECK(beats == 20);
    CHECK(joiner.get().ok());
    CHECK(late.get() == errc::timed_out);
    CHECK(stopped.get() == errc::task_canceled);
}

TEST("plain code of a thread that has a loop blocks in join(), and in the end of the handle") {
    needs_threads();
    world w;
    loop l(w.options());
    auto t = loop_thread::start();
    REQUIRE(t.ok());
    CHECK(t->join(in(5ms)) == errc::timed_out);
    CHECK(t->remote().call([] { static_cast<void>(loop::current()->stop()); }).ok());
    CHECK(t->join().ok());
    auto other = loop_thread::start();
    REQUIRE(other.ok());
}

TEST("start() tells why there is no loop, and leaves no thread") {
    needs_threads();
    loop_options wrong;
    wrong.inbox = 0;
    auto const t = loop_thread::start(wrong);
    REQUIRE(!t.ok());
    CHECK(t == errc::invalid_argument);
    CHECK(std::strstr(t.error().detail(), "inbox") != nullptr);
    loop_options small;
    small.max_timers = 0;
    CHECK(loop_thread::start(small) == errc::full);
}

TEST("join() of a loop_thread names the tasks that outlived its grace") {
    needs_threads();
    loop_options o;
    o.destroy_grace = 0s;
    auto t = loop_thread::start(o);
    REQUIRE(t.ok());
    CHECK(t->remote().call_wait([] {
        spawn({.name = "stubborn"}, [] {
            cancel_shield const from_all;
            static_cast<void>(sleep_for(1h));
        });
        return spawn([] { return yield(); }).id().value != 0;
    }).ok());
    static_cast<void>(run_on(t->remote(), [] { return sleep_for(1ms); }));   // it waits by now
    CHECK(t->stop().ok());
    auto const ended = t->join();
    REQUIRE(!ended.ok());
    CHECK(ended == errc::tasks_left);
    CHECK(std::strstr(ended.error().detail(), "stubborn") != nullptr);
    harness::pass();   // its stack stays mapped for ever
}

TEST("on its own thread a loop_thread is a deadlock to join, and its handle's end stops it and lets go") {
    needs_threads();
    std::atomic<bool> dead{false};
    auto t = loop_thread::start();
    REQUIRE(t.ok());
    auto const door = t->remote();
    auto own = std::make_unique<loop_thread>(std::move(*t));
    CHECK(door.call_wait([&] { return own->join(); }) == errc::deadlock);
    REQUIRE(door.call([own = std::move(own), &dead]() mutable {
        static_cast<void>(loop::current()->on_shutdown(shutdown_phase::after, [&dead] { dead.store(true); }));
        own.reset();
    }).ok());
    while (door.call([] {}) != errc::closed) std::this_thread::yield();
    CHECK(dead.load());
    harness::pass();   // nobody can wait for the thread any more: it may be on its last steps yet
}

TEST("loops come and go in their threads while others call them") {
    needs_threads();
    std::atomic<long> ran{0}, sent{0};
    for (int round = 0; round != 10; ++round) {
        std::vector<loop_thread> all;
        for (int i = 0; i != 4; ++i) {
            auto t = loop_thread::start();
            REQUIRE(t.ok());
            all.push_back(std::move(*t));
        }
        std::vector<std::thread> callers;
        for (int c = 0; c != 3; ++c)
            callers.emplace_back([&, doors = std::vector<loop_ref>{all[0].remote(), all[1].remote(), all[2].remote(), all[3].remote()}] {
                for (int n = 0; n != 200; ++n)
                    if (doors[static_cast<std::size_t>(n) % 4].call([&] { ran.fetch_add(1); }).ok()) sent.fetch_add(1);
            });
        if (round % 2 == 0) all.clear();   // under their calls
        for (auto& c : callers) c.join();
        for (auto const& t : all) CHECK(t.remote().call_wait([] {}).ok());   // behind all of theirs
        all.clear();
    }
    CHECK(ran.load() <= sent.load());
    CHECK(ran.load() >= 5 * 600);   // of the rounds in which nobody was stopped under them
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST("in a forked child a loop_thread's handle waits for nobody, and says that the thread is the parent's") {
    needs_threads();
    auto t = loop_thread::start();
    REQUIRE(t.ok());
    pid_t const child = ::fork();
    if (child == 0) {
        bool const right = t->join() == errc::closed && t->stop() == errc::closed;
        { loop_thread const mine(std::move(*t)); }
        ::_exit(right ? 0 : 1);
    }
    int status = -1;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(t->remote().call_wait([] { return 1; }).value_or(0) == 1);
}
#endif
