// Odd but legal ways to use a loop's callbacks: bounds, replaced hooks, wrong threads, times beyond sense.
#include <csignal>
#include <memory>
#include <string>
#include <thread>

#include <spruce/spruce.hpp>

#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

TEST("a turn's budget beyond 32 bits is a budget without a bound, not none at all") {
    if (sizeof(std::size_t) == 4) harness::skip("no such number here");
    world w;
    auto o = w.options();
    o.turn_budget = static_cast<std::size_t>(std::uint64_t{1} << 32);
    loop l(o);
    int ran = 0;
    for (int i = 0; i != 3; ++i) l.call_soon([&] { ++ran; });
    auto first = l.dispatch();
    REQUIRE(first.ok());
    CHECK_EQ(*first, 3u);
    CHECK_EQ(ran, 3);
    o.turn_budget = SIZE_MAX;
    REQUIRE(l.destroy().ok());
    loop other(o);
    other.call_soon([&] { ++ran; });
    auto second = other.dispatch();
    REQUIRE(second.ok());
    CHECK_EQ(*second, 1u);
    CHECK_EQ(ran, 4);
}

TEST("callbacks canceled before any run give their places back, though nothing is left to run for") {
    world w;
    auto o = w.options();
    o.max_timers = 64;
    loop l(o);
    for (int i = 0; i != 1000; ++i) {
        handler soon = l.call_soon([] {});
        handler later = l.call_later(0s, [] {});
        REQUIRE(bool(soon) && bool(later));
        CHECK(soon.cancel());
        CHECK(later.cancel());
        CHECK(l.run().ok());
    }
}

TEST("callbacks canceled in one long callback give their places back within it") {
    world w;
    auto o = w.options();
    o.max_timers = 64;
    loop l(o);
    int refused = 0, ran = 0;
    l.call_soon([&] {
        l.call_soon([&] { ran = ran * 10 + 1; });
        for (int i = 0; i != 1000; ++i) {
            handler h = l.call_soon([] {});
            if (!h.cancel()) ++refused;
        }
        l.call_soon([&] { ran = ran * 10 + 2; });
    });
    CHECK(l.run().ok());
    CHECK_EQ(refused, 0);
    CHECK_EQ(ran, 12);
}

namespace {
// Its end runs the loop, and makes another callback. Whether its own bytes stayed its own is told to `spoilt`.
struct runs_in_its_end {
    loop* on;
    int* spoilt;
    int volatile own = 7;
    runs_in_its_end(loop* l, int* s) : on(l), spoilt(s) {}
    runs_in_its_end(runs_in_its_end&& other) noexcept : on(std::exchange(other.on, nullptr)), spoilt(other.spoilt) {}
    void operator()() const {}
    ~runs_in_its_end() {
        if (!on) return;
        static_cast<void>(on->run_once(in(0s)));
        struct {
            unsigned char fill[48];
            void operator()() const {}
        } other;
        for (auto& c : other.fill) c = 0xee;
        for (int i = 0; i != 70; ++i) on->call_soon(other);
        if (own != 7) ++*spoilt;
    }
};
}  // namespace

TEST("the room of a canceled callable is nobody else's until its destructor is through, even if that runs the loop") {
    world w;
    loop l(w.options());
    int spoilt = 0;
    for (int i = 0; i != 3; ++i) {
        handler h = l.call_soon(runs_in_its_end(&l, &spoilt));
        CHECK(h.cancel());
        CHECK(!h.active());
    }
    CHECK(l.run().ok());
    CHECK_EQ(spoilt, 0);
}

TEST("a hook for the unhandled cannot destroy the loop that calls it") {
    world w;
    loop l(w.options());
    bool refused = false;
    l.on_unhandled([&](unhandled const&) { refused = l.destroy() == errc::wrong_state; });
    detail::callback_threw("one");
    CHECK(refused);
    CHECK(l.run().ok());
    CHECK(l.destroy().ok());
}

TEST("a hook for the unhandled that waits in the task that called it does not keep the loop from its end") {
    world w;
    loop l(w.options());
    event never_set;
    errc ended{};
    l.on_unhandled([&](unhandled const&) {
        if (auto waited = never_set.wait(); !waited) ended = static_cast<errc>(waited.error().code());
    });
    auto t = spawn([] { detail::callback_threw("in a task"); });
    CHECK(l.run_once(in(0s)).ok());
    CHECK(!t.done());
    CHECK(l.destroy(in(5s)).ok());
    CHECK(ended == errc::canceled);
}

TEST("the bound of callbacks is kept to the one, whatever it is") {
    world w;
    for (std::size_t bound : {1u, 5u, 33u, 64u}) {
        auto o = w.options();
        o.max_timers = bound;
        loop l(o);
        std::size_t made = 0, ran = 0;
        while (made != 200) {
            handler h = l.call_soon([&] { ++ran; });
            if (!h) {
                CHECK(h.error() == errc::full);
                break;
            }
            ++made;
        }
        CHECK_EQ(made, bound);
        CHECK(l.run().ok());
        CHECK_EQ(ran, bound);
    }
}

TEST("a hook for the unhandled that replaces itself twice leaves nothing of any of the three") {
    world w;
    auto counted = std::make_shared<int>(0);
    {
        loop l(w.options());
        int told = 0;
        l.on_unhandled([&, first = counted](unhandled const&) {
            l.on_unhandled([second = counted](unhandled const&) {});
            CHECK_EQ(counted.use_count(), 3);
            l.on_unhandled([&told, third = counted](unhandled const&) { ++told; });
            CHECK_EQ(counted.use_count(), 3);
        });
        detail::callback_threw("one");
        CHECK_EQ(counted.use_count(), 2);
        detail::callback_threw("two");
        CHECK_EQ(told, 1);
    }
    CHECK_EQ(counted.use_count(), 1);
}

TEST("a hook for the unhandled that is given on another thread is refused, and the loop's own does not run there") {
    world w;
    loop l(w.options());
    int told = 0;
    l.on_unhandled([&](unhandled const&) { ++told; });
    std::thread([&] { l.on_unhandled([](unhandled const&) {}); }).join();
    CHECK_EQ(told, 0);
    detail::callback_threw("still the first one's");
    CHECK_EQ(told, 1);
}

TEST("a hook that runs each time is active while it runs, until it cancels itself") {
    world w;
    loop l(w.options());
    bool active = false, after = true;
    l.on_start([&](handler self) {
        active = self.active();
        CHECK(self.cancel());
        after = self.active();
    });
    CHECK(l.run().ok());
    CHECK(active);
    CHECK(!after);
}

TEST("a beat rearmed to the beginning of time runs soon, and keeps its phase from then on") {
    world w;
    loop l(w.options());
    for (time_point when : {time_point::min(), time_point(duration(-5)), time_point(duration(0))}) {
        int ran = 0;
        handler h = l.call_every(1h, [&](handler self) {
            if (++ran == 1) {
                auto due = self.due();
                REQUIRE(due.ok());
                CHECK(*due > l.time());
                CHECK(*due <= l.time() + 1h);
                self.cancel();
            }
        });
        CHECK(h.rearm(at(when)));
        CHECK(l.run_until([&] { return ran == 1; }, in(10s)).ok());
    }
}

TEST("a stack for signal handlers that a callback put in place of the hub's stays") {
    if (harness::simulated()) harness::skip("the real thread's");
    world w;
    static char own[64 * 1024];
    {
        loop l(w.options());
        l.call_soon([] {
            stack_t mine{};
            mine.ss_sp = own;
            mine.ss_size = sizeof own;
            ::sigaltstack(&mine, nullptr);
        });
        CHECK(l.run().ok());
    }
    stack_t now{};
    CHECK_EQ(::sigaltstack(nullptr, &now), 0);
    CHECK(now.ss_sp == own);
    CHECK_EQ(now.ss_flags & SS_DISABLE, 0);
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    none.ss_size = sizeof own;
    ::sigaltstack(&none, nullptr);
}

TEST("a loop that one of its own callbacks destroys ends its run, and is destroyed when that is over") {
    world w;
    auto counted = std::make_shared<int>(0);
    for (int way = 0; way != 4; ++way) {
        auto l = std::make_unique<loop>(w.options());
        REQUIRE(l->status().ok());
        loop& same = *l;
        auto door = l->remote();
        int ran = 0;
        l->call_every(1ms, [counted] {});
        l->call_soon([&] {
            l.reset();
            ++ran;
            CHECK(loop::current() == errc::closed);
        });
        l->call_soon([&, counted] { ++ran; });
        result<void> outcome;
        if (way == 0) outcome = same.run();
        else if (way == 1) outcome = same.run_once(in(0s));
        else if (way == 2) outcome = same.run_until([] { return false; }, in(1h));
        else outcome = same.dispatch().ok() ? result<void>() : result<void>(errc::closed);
        CHECK(way == 2 ? outcome == errc::closed : outcome.ok());
        CHECK_EQ(ran, 1);   // what was queued behind it is not called any more
        CHECK(!door.alive());
        CHECK_EQ(counted.use_count(), 1);
    }
    loop next(w.options());
    CHECK(next.status().ok());
}

TEST("a callable that owns its loop may be canceled: the loop ends with it") {
    world w;
    for (bool const queued : {false, true}) {
        auto owner = std::make_shared<std::unique_ptr<loop>>(std::make_unique<loop>(w.options()));
        loop& l = **owner;
        auto door = l.remote();
        handler h = queued ? l.call_soon([owner] {}) : l.call_later(1h, [owner] {});
        owner.reset();
        CHECK(door.alive());
        CHECK(h.cancel());
        CHECK(!door.alive());
        CHECK(!h.cancel());
    }
    loop next(w.options());
    CHECK(next.run().ok());
}

TEST("run_until() past its deadline still runs a turn") {
    world w;
    loop l(w.options());
    bool seen = false;
    l.call_soon([&] { seen = true; });
    CHECK(l.run_until([&] { return seen; }, in(0s)).ok());
    CHECK(l.run_until([] { return false; }, in(0s)) == errc::timed_out);
    CHECK(l.run_until([] { return false; }, at(time_point::min())) == errc::timed_out);
}

TEST("a grace of nothing is still a turn in which tasks end") {
    world w;
    bool ended = false, background_ended = false;
    {
        auto o = w.options();
        o.destroy_grace = 0s;
        loop l(o);
        auto t = spawn([&] {
            static_cast<void>(sleep_for(1h));
            ended = true;
        });
        auto b = spawn(task_options{.background = true}, [&] {
            static_cast<void>(sleep_for(1h));
            background_ended = true;
        });
        CHECK(l.run_once(in(0s)).ok());
        t.cancel();
        CHECK(l.run().ok());
        CHECK(ended);
        CHECK(background_ended);
        ended = false;
        auto u = spawn([&] {
            static_cast<void>(sleep_for(1h));
            ended = true;
        });
        CHECK(l.run_once(in(0s)).ok());
        CHECK(l.destroy(in(0s)).ok());
        CHECK(ended);
    }
}

TEST("an fd that is closed while its old watch is still known is refused, not watched for ever") {
    world w;
    auto const [out, into] = w.pipe();
    {
        loop l(w.options());
        bool refused = false;
        auto h = l.add_reader(out, [] {});
        REQUIRE(h.ok());
        l.call_soon([&, out = out] {
            h->cancel();
            w.close(out);
            refused = l.add_reader(out, [] {}) == errc::invalid_argument;
        });
        CHECK(l.run_once(in(0s)).ok());
        CHECK(refused);
        CHECK(l.run().ok());
    }
    w.close(into);
}

TEST("a guest's small dispatches get to what is ready however many calls are posted, and the other way round") {
    world w;
    for (std::size_t most : {1u, 2u, 5u}) {
        loop l(w.options());
        auto door = l.remote();
        int soon = 0, posts = 0;
        l.call_soon([&] { ++soon; });
        for (int i = 0; i != 10; ++i) {
            for (std::size_t n = 0; n != most; ++n) REQUIRE(door.call([&] { ++posts; }).ok());
            auto ran = l.dispatch(most);
            REQUIRE(ran.ok());
            CHECK_EQ(*ran, most);
        }
        CHECK_EQ(soon, 1);
        CHECK_EQ(posts, static_cast<int>(10 * most) - 1);
        while (*l.dispatch() != 0) {}
        // Callbacks that go on for ever, as many as each dispatch may run.
        posts = 0;
        auto again = [&](auto& self) -> void { l.call_soon([&] { self(self); }); };
        for (std::size_t n = 0; n != most; ++n) again(again);
        REQUIRE(door.call([&] { ++posts; }).ok());
        for (int i = 0; i != 4; ++i) CHECK_EQ(*l.dispatch(most), most);
        CHECK_EQ(posts, 1);
    }
}

TEST("a dispatch of nothing does not take an idle callback for the only thing to do") {
    world w;
    loop l(w.options());
    std::string seen;
    l.call_when_idle([&] { seen += 'i'; });
    CHECK_EQ(*l.dispatch(0), 0u);
    l.call_soon([&] { seen += 's'; });
    CHECK_EQ(*l.dispatch(), 1u);
    CHECK_EQ(*l.dispatch(), 1u);
    CHECK_EQ(std::string_view(seen), "si");
}
