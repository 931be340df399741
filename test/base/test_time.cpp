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

TEST("sleeps take times at either end, and a task canceled in one for ever wakes") {
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

namespace {
using years = std::chrono::years;
using half_seconds = std::chrono::duration<int, std::ratio<1, 2>>;
using fine_seconds = std::chrono::duration<double>;
using short_hours = std::chrono::duration<std::int8_t, std::ratio<3600>>;
template <class D> constexpr std::int64_t counted(D d) { return any_duration(d).count(); }
constexpr std::int64_t most = INT64_MAX, least = INT64_MIN;

// In constant expressions an overflow does not compile.
static_assert(counted(std::chrono::hours::max()) == most && counted(std::chrono::hours::min()) == least);
static_assert(counted(std::chrono::minutes::max()) == most && counted(std::chrono::seconds::max()) == most);
static_assert(counted(std::chrono::milliseconds::max()) == most && counted(std::chrono::microseconds::min()) == least);
static_assert(counted(duration::max()) == most && counted(duration::min()) == least && counted(duration(-1)) == -1);
static_assert(counted(years(300)) == most && counted(years(-300)) == least && counted(years(292)) == 292 * 31'556'952LL * 1'000'000'000);
static_assert(counted(std::chrono::hours(2'562'047)) == 2'562'047 * 3'600'000'000'000LL && counted(std::chrono::hours(2'562'048)) == most);
static_assert(counted(std::chrono::hours(-2'562'047)) == -2'562'047 * 3'600'000'000'000LL && counted(std::chrono::hours(-2'562'048)) == least);
static_assert(counted(half_seconds(3)) == 1'500'000'000 && counted(short_hours(-128)) == -128 * 3'600'000'000'000LL);
static_assert(counted(std::chrono::duration<std::uint64_t>(UINT64_MAX)) == most && counted(std::chrono::duration<unsigned>(UINT32_MAX)) > 0);
static_assert(counted(std::chrono::duration<std::int64_t, std::peta>(1)) == most && counted(std::chrono::duration<int, std::exa>(-1)) == least);
static_assert(counted(std::chrono::duration<int, std::exa>(0)) == 0);
// Finer than nanoseconds: rounded up, so that nothing is early; and in thirds.
static_assert(counted(std::chrono::duration<int, std::pico>(1)) == 1 && counted(std::chrono::duration<int, std::pico>(2'000)) == 2);
static_assert(counted(std::chrono::duration<std::int64_t, std::pico>(most)) == most / 1'000 + 1);
static_assert(counted(std::chrono::duration<std::int64_t, std::ratio<1, 3>>(most)) == most && counted(std::chrono::duration<int, std::ratio<1, 3>>(1)) == 333'333'334);
// What is no whole number, and what is no number.
static_assert(counted(fine_seconds(0.25)) == 250'000'000 && counted(fine_seconds(-0.25)) == -250'000'000 && counted(fine_seconds(1e-12)) == 1);
static_assert(counted(fine_seconds(1e300)) == most && counted(fine_seconds(-1e300)) == least);
static_assert(counted(fine_seconds(std::numeric_limits<double>::infinity())) == most && counted(-fine_seconds(std::numeric_limits<double>::infinity())) == least);
static_assert(counted(fine_seconds(std::numeric_limits<double>::quiet_NaN())) == 0);
static_assert(counted(std::chrono::duration<float, std::ratio<3600>>(0.5F)) == 1'800'000'000'000);
static_assert(in(std::chrono::hours::max()) == in(longest) && in(std::chrono::hours::min()) == in(0s) && !(in(years(300)) == never()));
static_assert(at(std::chrono::time_point<loop_clock, std::chrono::hours>::max()) == at(time_point::max()));
static_assert(at(std::chrono::time_point<loop_clock, years>::min()) == at(time_point::min()));
static_assert(sizeof(any_duration) == sizeof(duration) && std::is_trivially_copyable_v<any_duration>);
}  // namespace

TEST("lengths that nanoseconds cannot count are as long as can be in every call and option that takes one") {
    testing::simulation world(harness::as_asked({.start = std::chrono::hours(1), .stuck_after = std::chrono::hours::max()}));
    loop l(loop_options{.tick = std::chrono::hours::max(), .destroy_grace = std::chrono::hours::max(), .on = world.on()});
    REQUIRE(l.status().ok());
    int ran = 0;
    auto const count = [&] { ++ran; };
    handler const late[] = {l.call_later(std::chrono::hours::max(), count), l.call_later(years(300), count), l.call_every(std::chrono::hours::max(), count),
                            l.call_at(std::chrono::time_point<loop_clock, std::chrono::hours>::max(), count)};
    timer beat(count);
    one_shot_timer once(count);
    CHECK(beat.start(std::chrono::hours::max()).ok() && once.start(years(1'000)).ok());
    timed_function soon = timed(std::chrono::hours::max(), count);
    CHECK(soon());
    handler moved = l.call_soon(count);
    moved = l.call_later(1h, count);
    CHECK(moved.rearm(in(std::chrono::hours::max())));
    CHECK(l.advance(std::chrono::hours(24 * 365 * 100)).ok());
    CHECK(l.run_until([] { return false; }, in(0s)) == errc::timed_out);
    CHECK_EQ(ran, 1);   // what call_soon() was given
    for (handler h : late) CHECK(h.active() && h.due().ok() && *h.due() > time_point(24h * 365 * 200));
    // A time, however far away, is no never(): it can still be told when it is.
    CHECK(moved.active() && moved.due().ok() && *moved.due() > time_point(24h * 365 * 200));
    CHECK(beat.active() && once.active());
    CHECK(l.call_every(std::chrono::hours::min(), count).error() == errc::invalid_argument);
    CHECK(l.call_every(fine_seconds(std::numeric_limits<double>::quiet_NaN()), count).error() == errc::invalid_argument);
    CHECK(beat.start(std::chrono::hours::min()) == errc::invalid_argument);
    l.call_later(std::chrono::hours::min(), count);
    CHECK(l.run_once(in(0s)).ok());
    CHECK_EQ(ran, 2);
}

TEST("waits take lengths that nanoseconds cannot count, and end as they would without") {
    auto const r = run_virtually([]() -> result<void> {
        auto const far = in(std::chrono::hours::max());
        time_point const began = loop_clock::now();
        event e;
        auto sleeper = spawn([] { return sleep_for(std::chrono::hours::max()); });
        auto other = spawn([] { return sleep_until(std::chrono::time_point<loop_clock, years>(years(5'000))); });
        auto waiter = spawn([&] { return e.wait(far); });
        auto scope = spawn([&] { return with_deadline(in(years(300)), [&] { return e.wait(); }); });
        auto several = spawn([&]() -> result<bool> {
            every beats(std::chrono::hours::max());
            SPRUCE_TRY(auto won, wait_any(e, beats, in(std::chrono::hours::max())));
            return won.is(e);
        });
        auto limited = time_limit(as_future(e), far);
        auto late = delay(std::chrono::hours::max());
        async_function paced([] { return yield(); }, {.interval = std::chrono::hours::max()});
        auto pausing = paced();
        SPRUCE_CHECK(set_interval(pausing, years(1'000)));
        CHECK(interval_of(pausing).value_or(0s) == longest);
        SPRUCE_CHECK(sleep_for(1h));
        CHECK(!sleeper.done() && !other.done() && !waiter.done() && !scope.done() && !several.done());
        CHECK(!limited.done() && !late.done() && !pausing.done());
        e.set();
        SPRUCE_CHECK(waiter.get());
        SPRUCE_CHECK(scope.get());
        CHECK(several.get().value_or(false));
        SPRUCE_CHECK(limited.get());
        for (auto* t : {&sleeper, &other}) CHECK(t->cancel() && t->get() == errc::task_canceled);
        CHECK(pausing.cancel() && late.cancel());
        CHECK(loop_clock::now() - began >= 1h && loop_clock::now() - began < 2h);
        return {};
    });
    CHECK(r.ok());
}

TEST("the clock of a simulated kernel ends, and all that was late is over then") {
    testing::simulation world(harness::as_asked({.start = std::chrono::hours::max()}));
    loop l(loop_options{.on = world.on()});
    int ran = 0;
    l.call_later(std::chrono::hours::max(), [&] { ++ran; });
    l.call_later(24h * 365, [&] { ++ran; });
    world.advance(24h * 366);
    CHECK(l.run_once(in(0s)).ok());
    CHECK_EQ(ran, 1);
    time_point const before = world.now();
    world.advance(std::chrono::hours::max());
    CHECK(world.now() > before);
    CHECK(l.advance(years(300)).ok());
    CHECK(l.advance(std::chrono::hours::min()) == errc::invalid_argument);
    CHECK(l.run().ok());
    CHECK_EQ(ran, 2);
}

TEST("a simulated clock begins at 0 at the earliest") {
    testing::simulation world(harness::as_asked({.start = std::chrono::hours::min()}));
    CHECK(world.now() == time_point{});
    loop l(loop_options{.on = world.on()});
    int ran = 0;
    l.call_later(std::chrono::hours::max(), [&] { ran += 10; });
    l.call_later(1h, [&] { ++ran; });
    CHECK(l.run_until([&] { return ran != 0; }).ok());
    CHECK_EQ(ran, 1);
}

TEST("a sleep as long as can be moves a simulated clock to its end") {
    testing::simulation world(harness::as_asked());
    CHECK(run(loop_options{.on = world.on()}, [] { return sleep_for(std::chrono::hours::max()); }).ok());
    CHECK(world.now() > time_point(24h * 365 * 290));
}

TEST("the real kernel's loop sleeps on before a timer as far away as can be") {
    loop l;
    REQUIRE(l.status().ok());
    bool far = false, soon = false;
    l.call_later(std::chrono::hours::max(), [&] { far = true; });
    l.call_every(std::chrono::hours::max(), [&] { far = true; });
    auto sleeper = spawn([] { return sleep_for(std::chrono::hours::max()); });
    l.call_later(2ms, [&] { soon = true; });
    CHECK(l.run_until([&] { return soon; }, in(std::chrono::hours::max())).ok());
    CHECK(!far && !sleeper.done());
    sleeper.cancel();
    CHECK(l.run_until(sleeper, in(std::chrono::hours::max())).ok());
    std::thread([] {
        shared_event e;
        std::thread setter([&] { e.set(); });
        CHECK(e.wait(in(std::chrono::hours::max())).ok());
        setter.join();
    }).join();
}
