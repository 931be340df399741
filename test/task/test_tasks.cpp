#include <memory>
#include <string>
#include <thread>

#include "../../src/context/sanitizers.hpp"
#include "../harness/virtual_run.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::run_virtually;
using harness::note_end;

TEST("run() gives what its function gave: a value, an error, nothing, or a reference") {
    CHECK_EQ(run([] { return 42; }).value_or(0), 42);
    CHECK(run([]() -> result<int> { return errc::full; }) == errc::full);
    CHECK(run([] {}).ok());
    static int x = 3;
    auto r = run([]() -> result<int&> { return x; });
    CHECK(r.ok() && &*r == &x);
    auto p = run([] { return std::make_unique<int>(5); });
    CHECK(p.ok() && **p == 5);
}

TEST("run() inside a task is refused, and the loop goes on") {
    auto r = run([] {
        auto inner = run([] { return 1; });
        return inner == errc::already_registered ? 7 : 0;
    });
    CHECK_EQ(r.value_or(0), 7);
}

TEST("a spawned task runs later, in spawn order, with its arguments moved onto its stack") {
    std::string seen;
    auto r = run_virtually([&] {
        auto p = std::make_unique<int>(1);
        auto a = spawn([&](std::unique_ptr<int> q) { seen += static_cast<char>('0' + *q); }, std::move(p));
        auto b = spawn([&](std::string const& s) { seen += s; }, std::string("b"));
        int counter = 0;
        auto c = spawn([](int& n) { ++n; }, std::ref(counter));
        seen += 'm';
        CHECK(a.join().ok());
        CHECK(b.join().ok());
        CHECK(c.join().ok());
        CHECK_EQ(counter, 1);
    });
    CHECK(r.ok());
    CHECK_EQ(std::string_view(seen), "m1b");
}

TEST("join says ok however a task ended; get says how") {
    auto r = run_virtually([]() -> result<void> {
        auto value = spawn([] { return 7; });
        auto refused = spawn([]() -> result<int> { return errc::full; });
        CHECK(value.join().ok());
        CHECK(refused.join().ok());
        CHECK_EQ(value.get().value_or(0), 7);
        CHECK_EQ(value.get().value_or(0), 7);
        CHECK(refused.get() == errc::full);
        task<int> empty;
        CHECK(empty.join() == errc::wrong_state);
        CHECK(empty.get() == errc::wrong_state);
        CHECK(!empty.cancel());
        CHECK(empty.done());   // there is nothing to wait for
        CHECK_EQ(empty.id().value, 0U);
        auto owner = spawn([] { return std::make_unique<int>(5); });
        CHECK(owner.get().ok());
        CHECK(owner.get() == errc::wrong_state);
        return {};
    });
    CHECK(r.ok());
}

TEST("a task that joins itself is told so; joining twice and by many is fine") {
    auto r = run_virtually([]() -> result<void> {
        task<void> self;
        self = spawn([&] { CHECK(self.join() == errc::deadlock); });
        CHECK(self.join().ok());
        CHECK(self.join().ok());
        auto slow = spawn([] { static_cast<void>(sleep_for(5ms)); });
        int woken = 0;
        task_group many;
        for (int i = 0; i != 10; ++i) many.spawn([&] {
            if (slow.join()) ++woken;
        });
        CHECK(many.join().ok());
        CHECK_EQ(woken, 10);
        CHECK(slow.join(in(0s)).ok());   // it has ended: no need to wait
        return {};
    });
    CHECK(r.ok());
}

TEST("a join with a deadline gives up, and leaves the task alone") {
    auto r = run_virtually([]() -> result<void> {
        auto slow = spawn([] { return sleep_for(1h); });
        CHECK(slow.join(in(1ms)) == errc::timed_out);
        CHECK(!slow.done());
        CHECK(slow.join(in(0s)) == errc::timed_out);
        slow.cancel();
        CHECK(slow.get() == errc::task_canceled);
        return {};
    });
    CHECK(r.ok());
}

TEST("outside a task a wait says not_in_task, and what need not wait works") {
    testing::simulation world(harness::as_asked());
    loop l(loop_options{.on = world.on()});
    CHECK(sleep_for(1ms) == errc::not_in_task);
    CHECK(yield() == errc::not_in_task);
    auto t = spawn([] { return 3; });
    CHECK(t.join() == errc::not_in_task);
    event e;
    CHECK(e.wait() == errc::not_in_task);
    e.set();
    CHECK(e.wait().ok());
    CHECK(l.run().ok());
    CHECK_EQ(t.get().value_or(0), 3);
    l.call_soon([&] { CHECK(sleep_for(1ms) == errc::not_in_task); });
    CHECK(l.run().ok());
}

TEST("a handle dropped lets its task go on; its error is told once, unless somebody looked") {
    testing::simulation world(harness::as_asked());
    loop l(loop_options{.on = world.on()});
    int told = 0;
    std::string who;
    l.on_unhandled([&](unhandled const& u) {
        ++told;
        who = u.name;
        CHECK(u.reason == errc::full);
    });
    bool ran = false;
    spawn({.name = "careless"}, [&]() -> result<void> {
        ran = true;
        return errc::full;
    });
    CHECK(l.run().ok());
    CHECK(ran);
    CHECK_EQ(told, 1);
    CHECK_EQ(std::string_view(who), "careless");
    {
        auto looked = spawn([]() -> result<void> { return errc::full; });
        CHECK(l.run().ok());
        CHECK(looked.get() == errc::full);
    }
    {
        auto ignored = spawn([]() -> result<void> { return errc::full; });
        CHECK(l.run().ok());
        CHECK_EQ(told, 1);
    }
    CHECK_EQ(told, 2);
    spawn([]() -> result<void> { return errc::canceled; });
    spawn([]() -> result<void> { return errc::closed; });
    CHECK(l.run().ok());
    CHECK_EQ(told, 2);
}

TEST("names are kept to 31 bytes, and those without one are called by their number") {
    auto r = run_virtually([]() -> result<void> {
        auto t = spawn({.name = "0123456789012345678901234567890123456789"}, [] {
            CHECK_EQ(this_task::name(), "0123456789012345678901234567890");
        });
        CHECK(t.join().ok());
        auto u = spawn([] {});
        CHECK(std::string_view(u.name()).starts_with("task "));
        CHECK(u.id() > t.id());
        CHECK(this_task::id().value != 0);
        return {};
    });
    CHECK(r.ok());
    CHECK_EQ(this_task::name(), "");
    CHECK_EQ(this_task::id().value, 0U);
}

TEST("at the bound of tasks spawn says full, and a slot comes back when one ends") {
    loop_options o;
    o.max_tasks = 4;
    auto r = run_virtually([]() -> result<void> {
        auto a = spawn([] { static_cast<void>(sleep_for(1ms)); });
        auto b = spawn([] { static_cast<void>(sleep_for(1ms)); });
        auto c = spawn([] { static_cast<void>(sleep_for(1ms)); });
        auto d = spawn([] {});
        CHECK(d.join() == errc::full);
        CHECK(d.get() == errc::full);
        CHECK_EQ(d.get().error().detail(), "max_tasks");
        CHECK(a.join().ok());
        CHECK(spawn([] {}).join().ok());
        return {};
    }, o);
    CHECK(r.ok());
}

TEST("every stack size works, and a callable too large for a small stack gets a larger one") {
    auto r = run_virtually([]() -> result<void> {
        for (std::size_t size : {std::size_t{1}, std::size_t{16} << 10, std::size_t{64} << 10, std::size_t{1} << 20, std::size_t{8} << 20}) {
            auto t = spawn({.stack_size = size}, [=] {
                // Uses most of it.
                std::size_t const use = (size < 16'384 ? 16'384 : size) - 8'000;
                char* room = static_cast<char*>(__builtin_alloca(use));
                for (std::size_t i = 0; i < use; i += 512) room[i] = 1;
                return room[0] == 1;
            });
            auto got = t.get();
            CHECK(got.ok() && *got);
        }
        struct big {
            char room[100'000];
        };
        auto wide = std::make_unique<big>();
        wide->room[99'999] = 9;
        auto t = spawn({.stack_size = 16'384}, [b = *wide] { return b.room[99'999]; });
        CHECK_EQ(t.get().value_or(0), 9);
        return {};
    });
    CHECK(r.ok());
}

TEST("run_now runs a task to its first wait and comes back; nested calls come back last in, first out") {
    auto r = run_virtually([]() -> result<void> {
        std::string seen;
        auto inner = spawn([&] {
            seen += 'i';
            CHECK(yield().ok());
            seen += 'I';
        });
        auto outer = spawn([&] {
            seen += 'o';
            CHECK(run_now(inner).ok());
            seen += 'p';
            CHECK(sleep_for(1ms).ok());
            seen += 'O';
        });
        CHECK(run_now(outer).ok());
        seen += 'm';
        CHECK_EQ(std::string_view(seen), "oipm");
        CHECK(run_now(outer) == errc::wrong_state);   // it waits
        CHECK(outer.join().ok());
        CHECK(run_now(outer) == errc::wrong_state);   // it has ended
        CHECK(run_now(task<void>()) == errc::wrong_state);
        CHECK(inner.join().ok());
        auto ends = spawn([&] { seen += 'e'; });
        CHECK(run_now(ends).ok());
        CHECK(ends.done());
        return {};
    });
    CHECK(r.ok());
}

TEST("a callback can run a task at once, too") {
    testing::simulation world(harness::as_asked());
    loop l(loop_options{.on = world.on()});
    std::string seen;
    auto t = spawn([&] {
        seen += 'a';
        CHECK(yield().ok());
        seen += 'c';
    });
    l.call_soon([&] {
        CHECK(run_now(t).ok() || t.done());
        seen += 'b';
    });
    auto u = spawn([&] { seen += 'u'; });
    l.call_soon([&] { CHECK(run_now(u) == errc::wrong_state); });
    CHECK(l.run().ok());
    CHECK(seen.find('b') > seen.find('a'));
}

TEST("the census names each task, its state and what it waits for") {
    testing::simulation world(harness::as_asked());
    loop l(loop_options{.on = world.on()});
    event e;
    auto a = spawn({.name = "waiter"}, [&] { static_cast<void>(e.wait()); });
    auto b = spawn({.name = "sleeper"}, [] { static_cast<void>(sleep_for(1h)); });
    CHECK(l.run_once(in(0s)).ok());
    auto c = spawn({.name = "newborn"}, [] {});
    int lines = 0;
    for (task_info const& t : l.census()) {
        ++lines;
        std::string_view const name = t.name;
        if (name == "waiter") CHECK(std::string_view(t.state) == "waiting" && std::string_view(t.waiting_for) == "event" && t.id == a.id());
        else if (name == "sleeper") CHECK(std::string_view(t.waiting_for) == "sleep" && t.stack_high_water_bytes > 100 && t.stack_high_water_bytes < 65'536);
        else CHECK(name == "newborn" && std::string_view(t.state) == "fresh" && std::string_view(t.waiting_for).empty());
    }
    CHECK_EQ(lines, 3);
    b.cancel();
    e.set();
    CHECK(l.run().ok());
}

TEST("a handle may outlive its loop: the outcome stays, and one without an outcome says closed") {
    task<int> ended, canceled;
    {
        testing::simulation world(harness::as_asked());
        loop l(loop_options{.on = world.on()});
        ended = spawn([] { return 9; });
        CHECK(l.run().ok());
        canceled = spawn([]() -> result<int> {
            SPRUCE_CHECK(sleep_for(1h));
            return 1;
        });
    }
    CHECK(ended.done());
    CHECK(ended.join().ok());
    CHECK_EQ(ended.get().value_or(0), 9);
    CHECK(canceled.get() == errc::task_canceled);
    CHECK(!ended.cancel());
    CHECK(!bool(ended.on_done([] {})));
}

TEST("on another thread a handle says wrong_thread, and may be dropped there") {
    auto alive = std::make_shared<int>(1);
    testing::simulation world(harness::as_asked({.stuck_after = 0s}));
    loop l(loop_options{.on = world.on()});
    auto t = spawn([alive] { return alive; });
    auto running = spawn([alive] { return sleep_for(10ms); });
    CHECK(l.run_once(in(0s)).ok());
    std::thread([&, mine = std::move(t), other = std::move(running)]() mutable {
        CHECK(mine.join() == errc::wrong_thread);
        CHECK(mine.get() == errc::wrong_thread);
        CHECK(!mine.cancel());
        CHECK(!mine.done());
        CHECK(run_now(mine) == errc::wrong_thread);
    }).join();
    CHECK(l.run().ok());
    CHECK_EQ(alive.use_count(), 1L);
    // And on a thread that drops it after the loop's end.
    task<std::shared_ptr<int>> late;
    late = spawn([alive] { return alive; });
    CHECK(l.run().ok());
    CHECK(l.destroy().ok());
    std::thread([mine = std::move(late)] {}).join();
    CHECK_EQ(alive.use_count(), 1L);
}

TEST("on_done runs once the task has ended, also for one that ended before") {
    testing::simulation world(harness::as_asked());
    loop l(loop_options{.on = world.on()});
    std::string seen;
    auto t = spawn([&] { seen += 't'; });
    t.on_done([&] { seen += '1'; });
    handler h = t.on_done([&] { seen += 'x'; });
    CHECK(h.cancel());
    CHECK(l.run().ok());
    t.on_done([&] { seen += '2'; });
    CHECK(l.run_once(in(0s)).ok());
    CHECK_EQ(std::string_view(seen), "t12");
}

TEST("run() reports a deadlock, the census tells who, and the tasks can still be woken and run again") {
    testing::simulation world(harness::as_asked());
    loop l(loop_options{.on = world.on()});
    event never_set;
    bool ran = false;
    auto t = spawn([&] {
        if (never_set.wait()) ran = true;
    });
    CHECK(l.run() == errc::deadlock);
    CHECK(!t.done());
    never_set.set();
    CHECK(l.run().ok());
    CHECK(ran);
}

TEST("a background task neither holds the loop nor is a deadlock, and is canceled when run() ends") {
    testing::simulation world(harness::as_asked());
    loop l(loop_options{.on = world.on()});
    event e;
    int ended = 0;
    auto waits = spawn({.background = true}, [&] {
        note_end n{&ended};
        static_cast<void>(e.wait());
    });
    auto sleeps = spawn({.background = true}, [&] {
        note_end n{&ended};
        while (sleep_for(1s)) {}
    });
    int work = 0;
    spawn([&] {
        for (int i = 0; i != 3; ++i) {
            CHECK(sleep_for(10ms).ok());
            ++work;
        }
    });
    CHECK(l.run().ok());
    CHECK_EQ(work, 3);
    CHECK_EQ(ended, 2);
    CHECK(waits.done() && sleeps.done());
}

TEST("a background task that never rests does not keep run() from ending") {
    harness::world w;
    loop l(w.options());
    if (harness::simulated()) harness::skip("virtual time stands still while anything is ready");
    long rounds = 0;
    auto spins = spawn({.background = true}, [&] {
        while (yield()) ++rounds;
    });
    spawn([] { static_cast<void>(sleep_for(5ms)); });
    CHECK(l.run().ok());
    CHECK(spins.done());
    CHECK(rounds > 0);
}

TEST("many tasks can come and go through a few stacks") {
    auto r = run_virtually([]() -> result<void> {
        long sum = 0;
        int const rounds = SPRUCE_TSAN ? 30 : 1'000;   // there each birth is a system call or more
        for (int i = 0; i != rounds; ++i) {
            task_group g;
            for (int j = 0; j != 100; ++j) g.spawn({.stack_size = 16'384}, [&] { ++sum; });
            SPRUCE_CHECK(g.join());
        }
        CHECK_EQ(sum, rounds * 100L);
        return {};
    });
    CHECK(r.ok());
}
