#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
// A call that notes the time of each of its steps, in milliseconds.
struct stepping {
    time_point start = loop_clock::now();
    std::vector<int> at;
    future<void> go(async_options options = {}) {
        return async_function([this] {
            do at.push_back(static_cast<int>((loop_clock::now() - start) / 1ms));
            while (yield());
        }, options)();
    }
};
}  // namespace

TEST("a call's interval can be changed while it pauses: the pause counts from when it began") {
    auto r = run_virtually([]() -> result<void> {
        stepping s;
        auto f = s.go({.interval = 100ms});
        CHECK(interval_of(f).value_or(0s) == 100ms);
        SPRUCE_CHECK(sleep_for(10ms));
        CHECK(set_interval(f, 30ms).ok());   // 20 are left
        SPRUCE_CHECK(sleep_for(45ms));       // now 55: steps at 0, 30; the next would be at 60
        CHECK(set_interval(f, 10ms).ok());   // 25 have passed: at once
        SPRUCE_CHECK(sleep_for(6ms));        // now 61
        CHECK(set_interval(f, 200ms).ok());
        SPRUCE_CHECK(sleep_for(150ms));
        CHECK(s.at == std::vector({0, 30, 55}));
        SPRUCE_CHECK(sleep_for(100ms));      // now 311
        CHECK(s.at == std::vector({0, 30, 55, 255}));
        CHECK(f.cancel());
        CHECK(f.wait().ok());
        CHECK(set_interval(f, 1s) == errc::wrong_state);
        CHECK(interval_of(f) == errc::wrong_state);
        CHECK(set_interval(future<int>(), 1s) == errc::wrong_state);
        promise<int> p;
        CHECK(set_active(p.get_future(), false) == errc::wrong_state);
        return {};
    });
    CHECK(r.ok());
}

TEST("a call stands still at its next yield until it is active again, with its interval; or is canceled") {
    auto r = run_virtually([]() -> result<void> {
        stepping s;
        auto f = s.go({.interval = 10ms});
        CHECK(is_active(f));
        SPRUCE_CHECK(sleep_for(15ms));
        CHECK(set_active(f, false).ok());
        CHECK(!is_active(f));
        CHECK(interval_of(f).value_or(0s) == 10ms);
        SPRUCE_CHECK(sleep_for(100ms));
        CHECK(s.at == std::vector({0, 10}));
        CHECK(set_interval(f, 20ms).ok());   // it still stands
        SPRUCE_CHECK(sleep_for(100ms));
        CHECK_EQ(s.at.size(), 2U);
        CHECK(set_active(f.shield(), true).ok());   // by one that follows it
        CHECK(is_active(f));
        SPRUCE_CHECK(sleep_for(25ms));       // at once, for the pause is long over; and 20 later
        CHECK(s.at == std::vector({0, 10, 215, 235}));
        CHECK(set_active(f, false).ok());
        SPRUCE_CHECK(sleep_for(100ms));
        CHECK(f.cancel());
        CHECK(f.wait().ok());
        CHECK_EQ(s.at.size(), 4U);
        CHECK(!is_active(f));
        // One without an interval; and twice the same changes nothing.
        stepping busy;
        auto g = busy.go();
        CHECK(set_active(g, false).ok() && set_active(g, false).ok());
        settle();
        std::size_t const steps = busy.at.size();
        settle();
        CHECK_EQ(busy.at.size(), steps);
        CHECK(set_active(g, true).ok());
        settle();
        CHECK(busy.at.size() > steps);
        g.cancel();
        return g.wait();
    });
    CHECK(r.ok());
}

TEST("calls that all stand still are a deadlock, which names them; what waits elsewhere goes on until it yields") {
    testing::simulation world(harness::as_asked());
    loop_options o;
    o.on = world.on();
    loop hub(o);
    REQUIRE(hub.status().ok());
    bool slept = false, yielded = false;
    auto f = async_function([&] {
        CHECK(sleep_for(5ms).ok());
        slept = true;
        CHECK(yield().ok());
        yielded = true;
    })();
    CHECK(set_active(f, false).ok());
    CHECK(hub.run() == errc::deadlock);
    CHECK(slept && !yielded);
    std::string_view what;
    for (auto const& t : hub.census()) what = t.waiting_for;
    CHECK_EQ(what, "activity");
    CHECK(set_active(f, true).ok());
    CHECK(hub.run().ok());
    CHECK(yielded);
}

TEST("a call that is canceled right after its pace was changed ends") {
    auto r = run_virtually([]() -> result<void> {
        for (int kind = 0; kind != 3; ++kind) {
            async_function steps([]() -> result<void> {
                for (;;) SPRUCE_CHECK(yield());
            }, {.interval = 10ms});
            auto f = steps();
            SPRUCE_CHECK(sleep_for(1ms));
            if (kind != 1) CHECK(set_active(f, false).ok());
            if (kind != 0) CHECK(set_interval(f, 1h).ok());
            CHECK(f.cancel());
            REQUIRE(f.wait(in(1min)).ok());
            CHECK(f.get() == errc::task_canceled);
        }
        return {};
    });
    CHECK(r.ok());
}
