// Events between threads.
#include <memory>

#include "shared_threads.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

TEST("set() of a shared event wakes all who wait, tasks of several loops and threads, and what came before is seen") {
    shared_event e;
    int written = 0;
    std::atomic<int> begun{0}, woken{0};
    auto const waits = [&] {
        ++begun;
        CHECK(e.wait().ok());
        CHECK_EQ(written, 7);
        ++woken;
    };
    std::vector<std::thread> threads;
    std::vector<thread_with_loop> loops;
    for (int i = 0; i != 4; ++i) {
        threads.emplace_back(waits);
        loops.emplace_back([&] {
            task_group g;
            for (int n = 0; n != 10; ++n) REQUIRE(g.spawn(waits).id() != task_id{});   // all are waited for
            CHECK(g.join().ok());
        });
    }
    spin_until([&] { return begun == 44; });
    written = 7;
    e.set();
    for (auto& t : threads) t.join();
    loops.clear();
    CHECK_EQ(woken.load(), 44);
    CHECK(e.is_set());
    CHECK(e.wait(in(0s)).ok());
    e.clear();
    CHECK(!e.is_set());
    CHECK(e.wait(in(1ms)) == errc::timed_out);
}

TEST("set() ends the waits that had begun, though clear() follows at once") {
    shared_event e;
    int woken = 0;
    world w;
    loop l(w.options());
    spawn([&] { woken += e.wait().ok(); });
    spawn([&] { woken += wait_any(e).ok(); });
    spawn([&] { woken += wait_all(e, in(10s)).ok(); });
    spawn([&] {
        e.set();
        e.clear();
        CHECK(e.wait(in(1ms)) == errc::timed_out);
    });
    CHECK(l.run().ok());
    CHECK_EQ(woken, 3);
}

TEST("a shared event's wait ends by its deadline, by cancellation, and is not_in_task in plain code of a loop") {
    in_both([](bool) {
        shared_event e;
        time_point const begun = loop_clock::now();
        CHECK(e.wait(in(20ms)) == errc::timed_out);
        CHECK(loop_clock::now() - begun >= 20ms);
        e.set();
        CHECK(e.wait(in(0s)).ok());
    });
    shared_event e;
    world w;
    loop l(w.options());
    REQUIRE(l.status().ok());
    CHECK(e.wait() == errc::not_in_task);
    CHECK(wait_any(e) == errc::not_in_task);
    auto waits = spawn([&] { CHECK(e.wait() == errc::canceled); });
    auto any = spawn([&] { CHECK(wait_any(e) == errc::canceled); });
    spawn([&] {
        waits.cancel();
        any.cancel();
        CHECK(waits.join().ok());
        CHECK(any.join().ok());
    });
    CHECK(l.run().ok());
    e.set();
    CHECK(e.wait().ok());
    CHECK(wait_any(e).ok());
}

TEST("a shared event that dies wakes those who wait with closed") {
    auto e = std::make_unique<shared_event>();
    int closed = 0;
    world w;
    loop l(w.options());
    spawn([&] { closed += e->wait() == errc::closed; });
    spawn([&] {
        auto won = wait_any(*e, in(10s));
        closed += won.ok() && won->get<0>() == errc::closed;
    });
    spawn([&] { e.reset(); });
    CHECK(l.run().ok());
    CHECK_EQ(closed, 2);
}

TEST("a shared event without memory is never set, and its wait says so; a wait without memory leaves it as it was") {
    harness::refused_allocations() = {0, 1};
    shared_event none;
    harness::refused_allocations() = {0, 0};
    shared_event e;
    bool done = false;
    world w;
    loop l(w.options());
    none.set();
    none.clear();
    CHECK(!none.is_set());
    CHECK(none.wait() == errc::no_memory);
    spawn([&] {
        harness::refused_allocations() = {0, 1};
        CHECK(e.wait() == errc::no_memory);
        harness::refused_allocations() = {0, 0};
        e.set();
        CHECK(e.wait().ok());
        done = true;
    });
    CHECK(l.run().ok());
    CHECK(done);
}

TEST("a task that waits for a shared event holds its run, and the census says what it waits for") {
    shared_event e;
    bool woken = false;
    std::atomic<bool> go{false};
    std::thread other([&] {
        spin_until([&] { return go.load(); });
        e.set();
    });
    {
        world w;
        loop l(w.options());
        spawn([&] { woken = e.wait().ok(); });
        REQUIRE(l.call_soon([&] {
            std::string_view noun;
            for (auto const& t : l.census()) noun = t.waiting_for;
            CHECK_EQ(noun, "shared_event");
            go = true;
        }));
        CHECK(l.run().ok());
    }
    go = true;   // or the run has failed
    other.join();
    CHECK(woken);
}
