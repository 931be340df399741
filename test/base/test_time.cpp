#include <climits>
#include <ctime>
#include <limits>
#include <thread>

#include <spruce/spruce.hpp>
#include <spruce/testing.hpp>

#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
constexpr auto longest = duration::max();
template <class F> auto run_virtually(F&& f) {
    testing::simulation world(harness::as_asked());
    return run(loop_options{.on = world.on()}, std::forward<F>(f));
}
}  // namespace

TEST("a relative deadline is what is left of it, never less than nothing") {
    CHECK_EQ(in(5ms).remaining().count(), 5'000'000);
    CHECK_EQ(in(-5ms).remaining().count(), 0);
    CHECK_EQ(in(duration::min()).remaining().count(), 0);
    CHECK(in(longest).remaining() == longest);
    CHECK(!in(longest).passed());
    CHECK(in(duration::min()).passed());
    CHECK(in(1h) == in(60min));
    CHECK(in(-1s) == in(0s));
}

TEST("an absolute deadline at either end of time does not overflow") {
    CHECK(at(time_point::min()).passed());
    CHECK_EQ(at(time_point::min()).remaining().count(), 0);
    CHECK_EQ(at(time_point::min()).poll_timeout_ms(), 0);
    CHECK(at(time_point{}).passed());
    CHECK(!at(time_point::max()).passed());
    CHECK(at(time_point::max()).remaining() > 24h * 365 * 200);
    CHECK(at(time_point::max()).remaining() < longest);
    CHECK_EQ(at(time_point::max()).poll_timeout_ms(), INT_MAX);
    CHECK(!(at(time_point::max()) == never()));
    CHECK(never().remaining() == longest);
    CHECK(deadline() == never());
}

TEST("milliseconds for poll(2) are rounded up, and end at its largest") {
    CHECK_EQ(in(1ns).poll_timeout_ms(), 1);
    CHECK_EQ(in(999'999ns).poll_timeout_ms(), 1);
    CHECK_EQ(in(1'000'000ns).poll_timeout_ms(), 1);
    CHECK_EQ(in(1'000'001ns).poll_timeout_ms(), 2);
    duration const most = std::chrono::milliseconds(INT_MAX);
    CHECK_EQ(in(most - 1ms).poll_timeout_ms(), INT_MAX - 1);
    CHECK_EQ(in(most).poll_timeout_ms(), INT_MAX);
    CHECK_EQ(in(most + 1ns).poll_timeout_ms(), INT_MAX);
    CHECK_EQ(in(longest).poll_timeout_ms(), INT_MAX);
}

TEST("the clock is the thread's loop's: virtual while it has one on a simulated kernel, else the system's") {
    auto const system = [] {
        timespec t{};
        ::clock_gettime(CLOCK_MONOTONIC, &t);
        return time_point(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
    };
    auto const is_system = [&] {
        time_point const before = system(), now = loop_clock::now();
        return before <= now && now <= system();
    };
    CHECK(is_system());
    testing::simulation world(harness::as_asked({.start = 1'000'000h}));   // a time that no machine has been up for
    {
        loop l(loop_options{.on = world.on()});
        CHECK(loop_clock::now().time_since_epoch() == 1'000'000h);
        deadline const d = at(loop_clock::now() + 5ms);
        CHECK(l.advance(5ms - 1ns).ok());
        CHECK(!d.passed());
        CHECK_EQ(d.remaining().count(), 1);
        CHECK(l.advance(1ns).ok());
        CHECK(d.passed());
        bool elsewhere = false;
        std::thread([&] { elsewhere = is_system(); }).join();
        CHECK(elsewhere);
    }
    CHECK(is_system());
}

TEST("calls of a loop take deadlines at either end of time") {
    testing::simulation world(harness::as_asked());
    loop l(loop_options{.on = world.on()});
    time_point const began = world.now();
    for (deadline const past : {at(time_point::min()), at(time_point(-1ns)), at(time_point{}), in(duration::min())}) {
        CHECK(l.run_once(past) == errc::timed_out);
        CHECK(l.run_until([] { return false; }, past) == errc::timed_out);
    }
    CHECK(world.now() == began);
    int ran = 0;
    l.call_at(time_point::min(), [&] { ++ran; });
    l.call_later(duration::min(), [&] { ++ran; });
    l.call_at(time_point{}, [&] { ++ran; });
    CHECK(l.run().ok());
    CHECK_EQ(ran, 3);
    CHECK(world.now() == began);
    auto const count = [&] { ++ran; };
    handler const late[] = {l.call_at(time_point::max(), count), l.call_later(longest, count),
                            l.call_every(longest, count)};
    for (handler h : late) CHECK(h.active());
    l.call_later(24h * 365 * 100, [&] { ++ran; });
    CHECK(l.run_until([&] { return ran == 4; }).ok());
    CHECK(world.now() - began >= 24h * 365 * 100);
    CHECK(world.now() - began < 24h * 365 * 101);
    // Moved from one end to the other, and back.
    handler first = late[0];
    CHECK(first.rearm(at(time_point::min())));
    CHECK(l.run_until([&] { return ran == 5; }).ok());
    for (handler h : late) CHECK_EQ(h.cancel(), h != first);
}

TEST("sleeps take times at either end, and a task cancelled in one for ever wakes") {
    auto const r = run_virtually([] {
        time_point const began = loop_clock::now();
        CHECK(sleep_for(duration::min()).ok());
        CHECK(sleep_until(time_point::min()).ok());
        CHECK(sleep_until(time_point{}).ok());
        CHECK(loop_clock::now() == began);
        auto a = spawn([] { return sleep_for(longest); });
        auto b = spawn([] { return sleep_until(time_point::max()); });
        CHECK(sleep_for(1h).ok());
        CHECK(a.cancel() && b.cancel());
        CHECK(a.get() == errc::task_canceled);
        CHECK(b.get() == errc::task_canceled);
        CHECK(loop_clock::now() - began >= 1h);
        CHECK(loop_clock::now() - began < 2h);
    });
    CHECK(r.ok());
}
