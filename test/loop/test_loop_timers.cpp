#include <string>
#include <vector>

#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
// Virtual time: no test here sleeps.
struct virtual_loop {
    testing::simulation world{harness::as_asked()};
    loop l{loop_options{.on = world.on()}};
};
}  // namespace

TEST("timers run in the order of their times, and equal ones in the order they were armed") {
    virtual_loop v;
    std::string seen;
    time_point const t = v.l.time() + 5ms;
    v.l.call_at(t, [&] { seen += 'b'; });
    v.l.call_at(t, [&] { seen += 'c'; });
    v.l.call_at(t - 1ms, [&] { seen += 'a'; });
    handler moved = v.l.call_at(t, [&] { seen += 'e'; });
    v.l.call_at(t, [&] { seen += 'd'; });
    CHECK(moved.rearm(at(t)));   // counts as armed last
    CHECK(v.l.run().ok());
    CHECK_EQ(std::string_view(seen), "abcde");
}

TEST("a timer never runs early, and in virtual time late by no more than a tick") {
    virtual_loop v;
    harness::random r(harness::seed());
    int ran = 0;
    for (int i = 0; i != 500; ++i) {
        duration const d(static_cast<std::int64_t>(r.below(std::uint64_t{1} << (r.below(34) + 1))));
        time_point const due = v.l.time() + d;
        v.l.call_later(d, [&, due] {
            ++ran;
            CHECK(v.l.time() >= due);
            CHECK(v.l.time() <= due + 65'536ns);
        });
    }
    CHECK(v.l.run().ok());
    CHECK_EQ(ran, 500);
}

TEST("a timer of no length, or past, runs in the next pass") {
    virtual_loop v;
    std::string seen;
    v.l.call_later(0s, [&] { seen += 'a'; });
    v.l.call_later(-1h, [&] { seen += 'b'; });
    v.l.call_soon([&] { seen += 'c'; });
    CHECK(v.l.run_once(in(0s)).ok());
    CHECK_EQ(std::string_view(seen), "abc");
}

TEST("a timer canceled by an earlier one of the same expiry does not run") {
    virtual_loop v;
    handler second;
    v.l.call_later(1ms, [&] { CHECK(second.cancel()); });
    second = v.l.call_later(1ms, [] { CHECK(false); });
    CHECK(v.l.run().ok());
}

TEST("a beat keeps its phase and skips what it missed") {
    virtual_loop v;
    time_point const start = v.l.time();
    std::vector<std::int64_t> at;
    v.l.call_every(10ms, [&](handler self) {
        at.push_back((v.l.time() - start) / 1ms);
        if (at.size() == 2) v.world.advance(35ms);   // a callback that takes long
        if (at.size() == 5) self.cancel();
    });
    CHECK(v.l.run().ok());
    REQUIRE(at.size() == 5);
    CHECK_EQ(at[0], 10);
    CHECK_EQ(at[1], 20);
    CHECK(at[2] >= 55 && at[2] <= 60);
    CHECK_EQ(at[3] % 10, 0);
    CHECK_EQ(at[4], at[3] + 10);
}

TEST("a one-shot timer may rearm itself in its callback, and a suspended one holds nothing") {
    virtual_loop v;
    int ran = 0;
    v.l.call_later(1ms, [&](handler self) {
        if (++ran != 3) CHECK(self.rearm(in(1ms)));
    });
    CHECK(v.l.run().ok());
    CHECK_EQ(ran, 3);
    handler h = v.l.call_later(1ms, [&] { ++ran; });
    CHECK(h.due().ok());
    CHECK(h.rearm(never()));
    CHECK(h.due() == errc::wrong_state);
    CHECK(v.l.run().ok());
    CHECK_EQ(ran, 3);
    CHECK(h.rearm(in(1ms)));
    CHECK(v.l.run().ok());
    CHECK_EQ(ran, 4);
}

TEST("a timer rearmed by another of its own expiry runs at its new time only") {
    virtual_loop v;
    handler second;
    time_point const start = v.l.time();
    bool ran = false;
    v.l.call_later(1ms, [&] { CHECK(second.rearm(in(50ms))); });
    second = v.l.call_later(1ms, [&] {
        CHECK(!ran);
        ran = true;
        CHECK(v.l.time() - start >= 50ms);
    });
    CHECK(v.l.run().ok());
    CHECK(ran);
}

TEST("times beyond all bounds are kept, and do not wake the loop") {
    virtual_loop v;
    handler h = v.l.call_later(duration::max(), [] { CHECK(false); });
    handler g = v.l.call_at(time_point::max(), [] { CHECK(false); });
    CHECK(h.active() && g.active());
    CHECK(v.l.run_once(in(1h)) == errc::timed_out);
    h.cancel();
    g.cancel();
    CHECK(v.l.run().ok());
}

TEST("a relative time counts from a fresh reading, not from the turn's") {
    virtual_loop v;
    v.l.call_soon([&] {
        v.world.advance(1s);
        time_point const before = v.world.now();
        handler h = v.l.call_later(1ms, [] {});
        CHECK(*h.due() >= before + 1ms);
    });
    CHECK(v.l.run().ok());
}

TEST("virtual time can be stepped by hand; real time cannot") {
    {
        virtual_loop v;
        time_point const before = v.l.time();
        CHECK(v.l.advance(3s).ok());
        CHECK(v.l.time() == before + 3s);
        CHECK(v.l.advance(-1s) == errc::invalid_argument);
    }
    loop real;
    CHECK(real.advance(1s) == errc::not_supported);
}
