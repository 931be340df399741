// call_wait(): a call to another thread's loop whose outcome somebody waits for, as a task or as a thread.
#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include "../../src/context/sanitizers.hpp"
#include "../../src/loop/hub.hpp"
#include "../harness/axes.hpp"
#include "../harness/forked.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

namespace {
// A thread with a loop that runs until this ends.
class other_loop {
public:
    other_loop() : thread_([this] {
        {
            world w;
            loop l(w.options());
            door_ = l.remote();
            ready_ = true;
            ran_ = l.run_forever().ok();
        }
        REQUIRE(ran_);   // else others may wait for what it was to run
    }) {
        while (!ready_) std::this_thread::yield();
    }
    ~other_loop() { end(); }
    loop_ref door() const { return door_; }
    std::thread::id id() const { return thread_.get_id(); }
    void end() {
        if (!thread_.joinable()) return;
        CHECK(door_.stop().ok());
        thread_.join();
    }

private:
    loop_ref door_;
    std::atomic<bool> ready_{false}, ran_{false};
    std::thread thread_;
};

// Runs `body` where a wait blocks the thread, and as a task, where it parks.
template <class F> void in_both(F&& body) {
    body(false);
    bool went_on = false, done = false;
    world w;
    loop l(w.options());
    spawn([&] {
        body(true);
        done = true;
    });
    l.call_soon([&] { went_on = true; });
    CHECK(l.run().ok());   // a call elsewhere is outside: it holds the run
    CHECK(done && went_on);
}

// On the other loop, until it is let go.
struct obstacle {
    std::atomic<bool> begun{false}, over{false};
    void operator()() {
        begun = true;
        while (!over) std::this_thread::yield();
    }
    void wait() const {
        while (!begun) std::this_thread::yield();
    }
};
}  // namespace

TEST("call_wait gives what f gave on the other loop's thread: a value, nothing, a reference, its own error with the detail") {
    other_loop other;
    in_both([&](bool) {
        auto where = other.door().call_wait([] { return std::this_thread::get_id(); });
        REQUIRE(where.ok());
        CHECK(*where == other.id());
        int calls = 0;
        CHECK(other.door().call_wait([&] { ++calls; }).ok());
        CHECK_EQ(calls, 1);
        auto moved = other.door().call_wait([p = std::make_unique<int>(7)]() mutable { return std::move(p); });
        REQUIRE(moved.ok());
        CHECK_EQ(**moved, 7);
        auto same = other.door().call_wait([&]() -> result<int&> { return calls; });
        REQUIRE(same.ok());
        CHECK(&*same == &calls);
        auto refused = other.door().call_wait([]() -> result<int> { return detail::with_detail(errc::full, "the other's"); });
        CHECK(refused == errc::full);
        CHECK_EQ(std::string_view(refused.error().detail()), "the other's");
        auto none = other.door().call_wait([] { return this_task::yield(); });   // it cannot wait there
        CHECK(none == errc::not_in_task);
    });
}

#if SPRUCE_THROWS
TEST("what f throws in a call_wait comes back as task_failed, with its text, and is not told to the other loop's hook") {
    other_loop other;
    std::atomic<int> told{0};
    CHECK(other.door().call_wait([&] { loop::current()->on_unhandled([&](unhandled const&) { ++told; }); }).ok());
    in_both([&](bool) {
        auto r = other.door().call_wait([]() -> int { throw std::runtime_error("thrown over there"); });
        CHECK(r == errc::task_failed);
        CHECK_EQ(std::string_view(r.error().detail()), "thrown over there");
    });
    CHECK_EQ(told.load(), 0);
}
#endif

TEST("a call_wait that its deadline or a cancel ends before f began never runs f, and f is gone") {
    obstacle wall;
    other_loop other;
    REQUIRE(other.door().call([&] { wall(); }).ok());
    wall.wait();
    std::atomic<int> ran{0};
    in_both([&](bool) {
        auto const held = std::make_shared<int>(0);
        CHECK(other.door().call_wait([&, held] { ++ran; }, in(5ms)) == errc::timed_out);
        CHECK_EQ(held.use_count(), 1);
        CHECK(other.door().call_wait([&, held] { ++ran; }, in(0s)) == errc::timed_out);
        CHECK_EQ(held.use_count(), 1);
    });
    {
        world w;
        loop l(w.options());
        auto waiter = spawn([&] { return other.door().call_wait([&] { ++ran; }); });
        spawn([&] { CHECK(waiter.cancel()); });
        CHECK(l.run().ok());
        CHECK(waiter.get() == errc::task_canceled);
        auto scoped = spawn([&] { return with_deadline(in(2ms), [&] { return other.door().call_wait([&] { ++ran; }); }); });
        CHECK(l.run().ok());
        CHECK(scoped.get() == errc::timed_out);
        auto late = spawn([&] { return other.door().call_wait([&] { ++ran; }); });
        CHECK(l.run_once(in(0s)).ok());
        CHECK(l.destroy().ok());
        CHECK(late.get() == errc::task_canceled);
    }
    wall.over = true;
    CHECK(other.door().call_wait([] {}).ok());
    CHECK_EQ(ran.load(), 0);
}

TEST("once f has begun, a deadline, a cancel and a destroy wait for its end: what it uses may be the caller's") {
    obstacle wall;
    other_loop other;
    in_both([&](bool) {
        int here = 0;
        auto const passed = std::chrono::steady_clock::now() + 20ms;
        auto r = other.door().call_wait([&] {
            while (std::chrono::steady_clock::now() < passed) {}   // the deadline passes meanwhile
            return ++here;
        }, in(10ms));
        // Where it came before f's turn, f never ran.
        if (r.ok()) CHECK_EQ(*r, 1);
        else CHECK(r == errc::timed_out);
        CHECK_EQ(here, r.ok() ? 1 : 0);
    });
    int here = 0;
    world w;
    loop l(w.options());
    auto waiter = harness::needed([&] {
        int mine = 0;
        auto r = other.door().call_wait([&] {
            wall();
            ++mine;
        });
        here = mine;
        return r;
    });
    REQUIRE(l.run_once(in(0s)).ok());
    REQUIRE(!waiter.done());   // the call is on its way
    wall.wait();
    CHECK(waiter.cancel());
    CHECK(l.run_once(in(0s)).ok());
    CHECK(!waiter.done());
    std::thread opens([&] { wall.over = true; });
    CHECK(l.destroy().ok());
    opens.join();
    CHECK(waiter.get().ok());   // it has its outcome: that the wait was canceled shows at the next one
    CHECK_EQ(here, 1);
}

TEST("a task that destroy() abandons while f runs leaves f its frame, and nobody is told") {
    auto* const other = new other_loop;   // with the task's stack, it stays
    static obstacle wall;
    static int here = 0;
    {
        world w;
        loop l(w.options());
        harness::needed([door = other->door()] {
            int mine = 0;
            static_cast<void>(door.call_wait([&] {
                wall();
                here = ++mine;
            }));
            harness::give_up();   // it was refused
        });
        REQUIRE(l.run_once(in(0s)).ok());
        wall.wait();
        CHECK(l.destroy(in(1ms)) == errc::tasks_left);
    }
    wall.over = true;
    CHECK(other->door().call_wait([] {}).ok());   // after it
    CHECK_EQ(here, 1);
    other->end();
    // The stack is abandoned on purpose, which the balances would count.
    harness::pass();
}

TEST("call_wait is refused where it can never be: on the loop's own thread, of an empty door, of a loop that ended") {
    world w;
    auto l = std::make_unique<loop>(w.options());
    int ran = 0;
    loop_ref own = l->remote();
    CHECK(own.call_wait([&] { ++ran; }) == errc::deadlock);
    spawn([&] { CHECK(own.call_wait([&] { ++ran; }) == errc::deadlock); });
    l->call_soon([&] { CHECK(own.call_wait([&] { ++ran; }) == errc::deadlock); });
    CHECK(l->run().ok());
    CHECK(loop_ref().call_wait([&] { ++ran; }) == errc::no_loop);
    l.reset();
    CHECK(own.call_wait([&] { ++ran; }) == errc::closed);
    CHECK_EQ(ran, 0);
}

TEST("a loop that ends before f's turn tells who waits: closed") {
    for (bool const as_task : {false, true}) {
        std::atomic<bool> ready{false}, asked{false};
        loop_ref door;
        std::thread other([&] {
            world w;
            loop l(w.options());   // never run, and destroyed with the call in its inbox
            door = l.remote();
            ready = true;
            while (l.status().ok() && !l.impl()->door->pending() && !asked) std::this_thread::yield();
        });
        while (!ready) std::this_thread::yield();
        int ran = 0;
        auto const ask = [&] { CHECK(door.call_wait([&] { ++ran; }) == errc::closed); };
        if (as_task) {
            world w;
            loop l(w.options());
            spawn(ask);
            CHECK(l.run().ok());
        } else {
            ask();
        }
        asked = true;   // or could not be
        other.join();
        CHECK_EQ(ran, 0);
    }
}

TEST("a full inbox refuses a call_wait") {
    std::atomic<bool> ready{false};
    loop_ref door;
    std::atomic<bool> end{false};
    std::thread other([&] {
        world w;
        auto o = w.options();
        o.inbox = 1;
        loop l(o);
        door = l.remote();
        ready = true;
        while (!end) std::this_thread::yield();
    });
    while (!ready) std::this_thread::yield();
    REQUIRE(door.call([] {}).ok());
    in_both([&](bool) { CHECK(door.call_wait([] {}) == errc::full); });
    end = true;
    other.join();
}

TEST("tasks of two loops ask each other at once, again and again, with and without deadlines") {
    constexpr int rounds = 200;
    std::atomic<int> ran{0}, answered{0};
    loop_ref doors[2];
    std::atomic<int> ready{0}, done{0};
    world worlds[2];
    auto const body = [&](int me) {
        loop l(worlds[me].options());
        doors[me] = l.remote();
        ++ready;
        while (ready != 2) std::this_thread::yield();
        for (int t = 0; t != 4; ++t)
            harness::needed([&, t] {
                for (int i = 0; i != rounds; ++i) {
                    auto const r = doors[1 - me].call_wait([&] { ++ran; }, t % 2 == 0 ? never() : in(std::chrono::microseconds(i)));
                    if (r.ok()) ++answered;
                    else CHECK(r == errc::timed_out);
                }
                if (++done == 8)
                    for (auto const& d : doors) CHECK(d.stop().ok());
            });
        REQUIRE(l.run_forever().ok());   // else the other waits for it
    };
    std::thread a([&] { body(0); }), b([&] { body(1); });
    a.join();
    b.join();
    CHECK_EQ(ran.load(), answered.load());
    CHECK(ran >= 4 * rounds);
}

TEST("in a forked child a task that waits for another thread's loop gets closed; the parent's gets its answer") {
    if (harness::simulated()) harness::skip("the real kernel's fork()");
    if (SPRUCE_TSAN || SPRUCE_ASAN)
        harness::skip("the sanitizer's own locks, which another thread may hold at the fork, are not the child's to free");
    obstacle wall;
    other_loop other;
    std::optional<result<int>> got;
    world w;
    loop l(w.options());
    harness::needed([&] {
        got = other.door().call_wait([&] {
            wall();
            return 5;
        });
    });
    REQUIRE(l.run_once(in(0s)).ok());
    REQUIRE(!got.has_value());   // the call is on its way
    wall.wait();
    auto const child = harness::forked([&] {
        ::alarm(15);
        bool const fine = l.after_fork() && l.run_until([&] { return got.has_value(); }) && *got == errc::closed && l.run();
        ::_exit(fine ? 0 : 1);
    });
    CHECK(WIFEXITED(child.status) && WEXITSTATUS(child.status) == 0);
    CHECK(!got.has_value());
    wall.over = true;
    CHECK(l.run().ok());
    REQUIRE(got.has_value() && got->ok());
    CHECK_EQ(**got, 5);
}
