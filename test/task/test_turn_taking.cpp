// Tasks take turns through the hub, start once, and are what their handles say. Deadline scopes that come again.
#include <cerrno>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "../../src/context/sanitizers.hpp"
#include "../harness/virtual_run.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::run_virtually;

namespace {
std::string_view state_of(loop& l, task_id id) {
    for (task_info const& t : l.census())
        if (t.id == id) return t.state;
    return "";
}
}  // namespace

TEST("a task that wakes, spawns, cancels or ends another goes on itself; the others run in their turns, in order") {
    auto r = run_virtually([]() -> result<void> {
        std::string seen;
        event e;
        auto waits = spawn([&] {
            CHECK(e.wait().ok());
            seen += 'w';
        });
        auto sleeps = spawn([&] {
            CHECK(sleep_for(1h) == errc::canceled);
            seen += 'c';
        });
        CHECK(yield().ok());
        auto ready = spawn([&] { seen += 'r'; });
        e.set();
        CHECK(sleeps.cancel());
        auto last = spawn([&] { seen += 's'; });
        auto joins = spawn([&] {
            CHECK(ready.join().ok());   // it has ended: no wait
            seen += 'j';
        });
        seen += 'm';
        CHECK(seen == "m");
        CHECK(yield().ok());
        CHECK_EQ(std::string_view(seen), "mrwcsj");
        for (auto* t : {&waits, &sleeps, &last, &joins}) CHECK(t->done());
        return {};
    });
    CHECK(r.ok());
}

TEST("a task starts once: it cannot be started again while it runs, waits or is ended, nor by another thread") {
    auto r = run_virtually([]() -> result<void> {
        int begun = 0;
        task<void> t;
        t = spawn([&] {
            ++begun;
            CHECK(run_now(t) == errc::wrong_state);   // itself
            CHECK(sleep_for(1ms).ok());
        });
        std::thread([&] { CHECK(run_now(t) == errc::wrong_thread); }).join();
        CHECK(run_now(t).ok());
        CHECK(run_now(t) == errc::wrong_state);
        CHECK(t.join().ok());
        CHECK(run_now(t) == errc::wrong_state);
        CHECK_EQ(begun, 1);
        // Its turn comes only for the place it had in the ring: nothing runs it twice.
        CHECK(yield().ok());
        CHECK_EQ(begun, 1);
        return {};
    });
    CHECK(r.ok());
}

TEST("the census tells a task's state at each step of its life: fresh, running, ready, waiting, and then no more") {
    testing::simulation world(harness::as_asked());
    loop l(loop_options{.on = world.on()});
    event e;
    task<void> t;
    t = spawn({.name = "one"}, [&] {
        CHECK_EQ(state_of(l, t.id()), "running");
        CHECK(yield().ok());
        CHECK(e.wait().ok());
    });
    CHECK_EQ(state_of(l, t.id()), "fresh");
    CHECK(!t.done());
    l.call_soon([&] {
        CHECK_EQ(state_of(l, t.id()), "ready");   // it has yielded
        l.call_soon([&] {
            CHECK_EQ(state_of(l, t.id()), "waiting");
            e.set();
            CHECK_EQ(state_of(l, t.id()), "ready");
        });
    });
    CHECK(l.run().ok());
    CHECK_EQ(state_of(l, t.id()), "");
    CHECK(t.done());
    CHECK_EQ(std::string_view(t.name()), "one");   // as long as the handle lives
}

TEST("handles of tasks, groups, shields and loops cannot be copied; handles and tokens move") {
    CHECK(!std::is_copy_constructible_v<task<int>> && !std::is_copy_assignable_v<task<int>>);
    CHECK(!std::is_copy_constructible_v<task<void>> && !std::is_copy_assignable_v<task<void>>);
    CHECK(std::is_nothrow_move_constructible_v<task<int>> && std::is_move_assignable_v<task<int>>);
    CHECK(!std::is_copy_constructible_v<loop> && !std::is_move_constructible_v<loop>);
    CHECK(!std::is_copy_constructible_v<task_group> && !std::is_move_constructible_v<task_group>);
    CHECK(!std::is_copy_constructible_v<cancel_shield> && !std::is_move_constructible_v<cancel_shield>);
    CHECK(!std::is_copy_constructible_v<hold_token> && std::is_move_constructible_v<hold_token>);
    CHECK(!std::is_copy_constructible_v<waker> && std::is_move_constructible_v<waker>);
}

TEST("a scope without a deadline never ends its waits, and one of no time ends the first") {
    auto r = run_virtually([]() -> result<void> {
        for (deadline const none : {deadline{}, never()})
            CHECK(with_deadline(none, [] { return sleep_for(std::chrono::hours(24 * 365)); }).ok());
        for (duration const length : {duration(0), duration(-1), duration(-1h)}) {
            int waits = 0;
            auto cut = with_deadline(in(length), [&]() -> result<void> {
                SPRUCE_CHECK(sleep_for(1ms));
                ++waits;
                return {};
            });
            CHECK(cut == errc::timed_out);
            CHECK_EQ(waits, 0);
            CHECK(with_deadline(in(length), [] { return 5; }).value_or(0) == 5);   // who does not wait is not cut
        }
        return {};
    });
    CHECK(r.ok());
}

TEST("an ended deadline scope is over: it cuts nothing later, and may be made again as often as wanted") {
    auto r = run_virtually([]() -> result<void> {
        time_point const before = loop_clock::now();
        task_id last{};
        for (int i = 0; i != 100; ++i) {
            // In turn one that is in time, and one that is not: each counts from its own beginning.
            bool const late = i % 2 != 0;
            auto tried = with_deadline(in(10ms), [&](task_id me) {
                CHECK(me != last);
                last = me;
                return sleep_for(late ? 1h : 9ms);
            });
            CHECK(late ? tried == errc::timed_out && tried.error().is_from(last) : tried.ok());
            CHECK(sleep_for(20ms).ok());
        }
        auto const took = loop_clock::now() - before;
        CHECK(took >= 50 * (10ms + 9ms + 40ms));
        CHECK(took < 50 * (10ms + 9ms + 40ms) + 1s);
        // Left early by whatever way, it is gone, too.
        task_group g;
        auto t = g.spawn([] {
            CHECK(with_deadline(in(5ms), []() -> result<void> { return errc::full; }) == errc::full);
            return sleep_for(50ms);
        });
        CHECK(t.get().ok());
        return {};
    });
    CHECK(r.ok());
}

TEST("a scope's own expiry can be given any error, and nobody else's time-out is taken for it") {
    auto r = run_virtually([]() -> result<void> {
        // A scope whose expiry is an error of the caller's choice, or none at all.
        auto const at_most = [](duration d, auto&& f) -> result<void> {
            task_id mine{};
            auto outcome = with_deadline(in(d), [&](task_id me) {
                mine = me;
                return f();
            });
            if (!outcome && outcome.error().is_from(mine)) return errc::full;
            return outcome;
        };
        event e;
        CHECK(at_most(5ms, [&] { return e.wait(); }) == errc::full);
        CHECK(at_most(1h, [&] { return e.wait(in(5ms)); }) == errc::timed_out);   // the wait's own deadline
        auto outer = with_deadline(in(5ms), [&](task_id me) {
            auto inner = at_most(1h, [&] { return e.wait(); });
            CHECK(inner == errc::canceled && inner.error().is_from(me));   // the outer scope's
            return inner;
        });
        CHECK(outer == errc::timed_out);
        auto t = spawn([&] { return at_most(1h, [&] { return e.wait(); }); });
        CHECK(yield().ok());
        t.cancel();
        CHECK(t.get() == errc::task_canceled);   // a cancel is no time-out
        return {};
    });
    CHECK(r.ok());
}

TEST("forty thousand tasks can wait at once: a guard does not cost a mapping each") {
    if (SPRUCE_TSAN) harness::skip("the sanitizer's own tasks are too large");
    int const many = 40'000;
    bool costly = false;
    loop_options o;
    auto r = run_virtually([&]() -> result<void> {
        event go;
        int ran = 0;
        std::vector<task<void>> all;
        for (int i = 0; i != many; ++i)
            all.push_back(spawn({.stack_size = 16'384}, [&] {
                if (go.wait()) ++ran;
            }));
        CHECK(yield().ok());
        // A kernel that knows no light guards has room for half as many; then it says so.
        costly = all.back().join(in(0s)) == errc::no_memory;
        go.set();
        for (auto& t : all) static_cast<void>(t.join());
        if (!costly) CHECK_EQ(ran, many);
        return {};
    }, o);
    CHECK(r.ok());
    if (costly) harness::skip("this kernel's guards split mappings");
}

namespace {
thread_local int of_thread = 0;
}
TEST("a thread-local variable is the same object after a wait, on each loop's thread; its value is whoever's wrote last") {
    auto const on_a_loop = [](int first, int second) {
        auto r = run_virtually([=]() -> result<void> {
            auto a = spawn([=]() -> result<void> {
                int* const before = &of_thread;
                int* const error_before = &errno;
                of_thread = first;
                SPRUCE_CHECK(sleep_for(1ms));
                CHECK(&of_thread == before);
                CHECK(&errno == error_before);
                CHECK_EQ(of_thread, second);   // the other task's
                return {};
            });
            auto b = spawn([=] { of_thread = second; });
            SPRUCE_CHECK(a.join());
            return b.join();
        });
        CHECK(r.ok());
    };
    std::thread other([&] { on_a_loop(3, 4); });
    on_a_loop(1, 2);
    other.join();
    CHECK_EQ(of_thread, 2);
}
