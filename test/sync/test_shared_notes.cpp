// What a wait for a source of several threads costs, and what is left of it.
#include <memory>
#include <optional>

#include "../harness/at_memory.hpp"
#include "shared_threads.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

TEST("a thousand waits for shared channels and events, alone and among others, take no memory once as many have waited") {
    shared_channel<int> c(1), full(1);
    shared_event e;
    CHECK(full.try_send(0).ok());
    auto& counted = harness::refused_allocations();
    bool ended = false;
    world w;
    loop l(w.options());
    harness::needed([&] {
        int got = 0;
        auto const round = [&] {
            for (int i = 0; i != 100; ++i) {
                spawn([&] { got += c.receive().ok(); });
                spawn([&] { got += e.wait().ok(); });
                spawn([&] { got += wait_any(c, e, in(1h)).ok(); });
                spawn([&] { got += wait_all(e, in(1h)).ok(); });
                spawn([&] { got += full.send(1, in(0s)) == errc::timed_out; });
                for (int n = 0; n != 8; ++n) static_cast<void>(yield());   // all wait, and some have given up
                CHECK(c.try_send(1).ok());
                e.set();
                e.clear();
                int passes = 0;
                while (got != 5 * (i + 1)) REQUIRE(++passes != 1'000 && yield().ok());
                static_cast<void>(c.try_receive());   // a value that was for who had the event
            }
            got = 0;
        };
        round();
        round();   // in whatever order they end
        counted.calls = 0;
        for (int i = 0; i != 10; ++i) round();
        CHECK_EQ(counted.calls, 0U);
        ended = true;
    });
    CHECK(l.run().ok());
    CHECK(ended);
}

TEST("a task that was woken before destroy() takes what it was woken for; one that was not leaves nothing of its wait") {
    long const before = harness::memory_blocks();
    for (int how = 0; how != 4; ++how) {
        shared_channel<int> c(1);
        shared_channel<int>::condition outside(c);
        bool ran = false;
        {
            world w;
            auto options = w.options();
            options.turn_budget = 1;
            loop l(options);
            spawn([&] {
                cancel_shield const shield;
                if (how == 0 || how == 3) static_cast<void>(c.receive());
                else if (how == 1) static_cast<void>(wait_any(c));
                else static_cast<void>(wait_any(outside, in(1h)));
                ran = true;
            });
            spawn([&] { static_cast<void>(sleep_for(1h)); });
            spawn([&] { l.stop(); });
            CHECK(l.run().ok());
            if (how != 3) CHECK(c.try_send(1).ok());
            // One turn, in which it is notified, and another task has what there is of the turn: the ready ones run once more.
            auto const ended = l.destroy(in(0s));
            CHECK(how != 3 ? ended.ok() : ended == errc::tasks_left);
        }
        CHECK_EQ(ran, how != 3);
        CHECK_EQ(c.try_receive().value_or(0), 0);
        // Who waits from now on is told of what comes from now on.
        int got = 0;
        world w;
        loop l(w.options());
        spawn([&] { got = c.receive(in(10s)).value_or(0); });
        spawn([&] { CHECK(c.try_send(2).ok()); });
        CHECK(l.run().ok());
        CHECK_EQ(got, 2);
    }
    CHECK_EQ(harness::memory_blocks(), before);
    harness::pass();   // the abandoned stacks are left
}

TEST("shared sources that die on one thread while waiters of two loops come, are woken, and leave") {
    int const rounds = harness::nightly() ? 2'000 : 50;
    harness::random r(harness::seed());
    for (int i = 0; i != rounds; ++i) {
        auto c = std::make_unique<shared_channel<int>>(2);
        auto e = std::make_unique<shared_event>();
        std::atomic<int> begun{0}, ended{0};
        auto const waits = [&, in_time = in(std::chrono::microseconds(r.below(300)))] {
            task_group g;
            for (int n = 0; n != 10; ++n) {
                REQUIRE(g.spawn([&, n] {
                    switch (n % 5) {
                    case 0: static_cast<void>(c->receive(in_time)); break;
                    case 1: static_cast<void>(e->wait(in_time)); break;
                    case 2: static_cast<void>(wait_any(*c, *e, in_time)); break;
                    case 3: static_cast<void>(wait_all(*e, *c, in_time)); break;
                    default: static_cast<void>(c->receive()); break;
                    }
                    ++ended;
                }).id() != task_id{});
            }
            static_cast<void>(yield());
            ++begun;   // all wait: none begins a call once they die
            CHECK(g.join().ok());
        };
        thread_with_loop one(waits), other(waits);
        spin_until([&] { return begun == 2; });
        static_cast<void>(c->try_send(1));
        if (r.chance(50)) e->set();
        spin_until([&] { return ended >= 1; });
        while (r.chance(70)) std::this_thread::yield();
        c.reset();
        e.reset();
        one.join();
        other.join();
        CHECK_EQ(ended.load(), 20);
    }
}

// Another thread destroys the source while a call has looked, and makes its note.
namespace {
std::atomic<int> looked{0}, destroyed{0};
void wait_in_the_window() noexcept {
    looked = 1;
    while (destroyed == 0) std::this_thread::yield();
}
// f is a task's call, and `destroy` what another thread does in its midst.
template <class F, class D> void destroyed_in_its_midst(F f, D destroy) {
    looked = destroyed = 0;
    thread_with_loop waits([&] {
        harness::at_memory_here(wait_in_the_window);
        f();
        looked = 1;   // it may have been refused before it came to that
    });
    spin_until([] { return looked != 0; });
    destroy();
    destroyed = 1;
    waits.join();
}
}  // namespace

TEST("a shared source that dies on another thread between a call's look and its note is there until the call has ended") {
    for (int how = 0; how != 6; ++how) {
        auto c = std::make_unique<shared_channel<int>>(1), full = std::make_unique<shared_channel<int>>(1);
        auto e = std::make_unique<shared_event>();
        CHECK(full->try_send(1).ok());
        shared_channel<int>& values = *c;
        shared_event& event = *e;
        shared_channel<int>::condition value(*c);
        shared_event::condition set(*e);
        errc ended{};
        destroyed_in_its_midst([&, &taken = *full] {
            auto const how_of = [](auto const& r) { return r.ok() ? errc{} : static_cast<errc>(r.error().code()); };
            if (how == 0) ended = how_of(values.receive());
            if (how == 1) ended = how_of(event.wait());
            if (how == 2) ended = how_of(taken.send(2));
            if (how == 3) ended = how_of(values.receive(in(1h)));
            if (how == 4) ended = how_of(wait_any(value, in(1h))->get<0>());
            if (how == 5) ended = how_of(wait_any(set, in(1h))->get<0>());
        }, [&] {
            c.reset();
            e.reset();
            full.reset();
        });
        CHECK(ended == errc::closed);
    }
}
