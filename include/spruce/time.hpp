// Time: the loop's clock, durations, and deadlines, which every call that can wait takes.
#pragma once
#include <chrono>
#include <concepts>
#include <cstdint>
#include <limits>
#include <ratio>
#include <type_traits>

#include "config.hpp"

namespace spruce { inline namespace v0 {

namespace detail {
class deadline_condition;   // conditions.hpp
}

// A length of time, in nanoseconds. std::chrono durations of whole units convert to it; see any_duration for the
// longest.
using duration = std::chrono::nanoseconds;

// The clock of the calling thread's loop: monotonic, or virtual on a simulated kernel. It is no wall clock,
// and its times from different loops compare only if both run on the real kernel.
struct loop_clock {
    using duration = spruce::duration;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<loop_clock, duration>;
    static constexpr bool is_steady = true;
    // The time now, read afresh from this thread's loop, or from the system's monotonic clock without one.
    SPRUCE_API static time_point now() noexcept;
};
// A time of that clock.
using time_point = std::chrono::time_point<loop_clock, duration>;

namespace detail {
// A count of ticks of num / den nanoseconds in nanoseconds, rounded up; what they cannot count is the most or the
// least. For counts that are no numbers: 0.
template <class Rep> constexpr std::int64_t saturated(Rep count, std::intmax_t num, std::intmax_t den) noexcept {
    constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max(),
                           least = std::numeric_limits<std::int64_t>::min();
    if constexpr (std::integral<Rep> && sizeof(Rep) <= sizeof(std::int64_t)) {
        if (den == 1 || num <= most / den) {
            if constexpr (std::unsigned_integral<Rep> && sizeof(Rep) >= sizeof(std::int64_t)) {
                if (count > static_cast<Rep>(most))
                    return den == 1 ? most : saturated(static_cast<double>(count), num, den);
            }
            auto const n = static_cast<std::int64_t>(count);
            if (num == most) return n > 0 ? most : n < 0 ? least : 0;   // a tick is longer than all
            std::int64_t const whole = n / den, rest = n % den * num;
            std::int64_t const furthest = most / num - (den != 1 ? 1 : 0);   // the rest is less than one num more
            if (whole > furthest) return most;
            if (whole < -furthest) return least;
            return whole * num + (rest > 0 ? (rest - 1) / den + 1 : rest / den);
        }
    }
    constexpr double beyond = static_cast<double>(least) * -1;   // 2^63
    double const ticks = static_cast<double>(count), scale = static_cast<double>(num) / static_cast<double>(den);
    if (!(ticks == ticks)) return 0;
    if (ticks >= beyond / scale) return most;
    if (ticks <= -beyond / scale) return least;
    double const ns = ticks * scale;
    if (ns >= beyond) return most;
    auto const whole = static_cast<std::int64_t>(ns);
    return whole + (static_cast<double>(whole) < ns ? 1 : 0);
}
template <class Rep, class Period>
constexpr std::int64_t saturated(std::chrono::duration<Rep, Period> const& d) noexcept {
    using scale = std::ratio<1'000'000'000, Period::den>;
    constexpr std::intmax_t most = std::numeric_limits<std::intmax_t>::max();
    return saturated(d.count(), Period::num > most / scale::num ? most : Period::num * scale::num, scale::den);
}
}  // namespace detail

// Any length of time, as a parameter and an option: all std::chrono durations convert, also such as nanoseconds cannot
// count (hours::max()), which are as long as can be, and such as are finer or no whole numbers, which are rounded up.
struct any_duration : duration {
    constexpr any_duration() noexcept : duration(duration::zero()) {}
    template <class Rep, class Period>
        requires std::is_arithmetic_v<Rep>
    constexpr any_duration(std::chrono::duration<Rep, Period> const& d) noexcept : duration(detail::saturated(d)) {}
    // Types of one's own that convert to a duration.
    template <std::convertible_to<duration> D> constexpr any_duration(D const& d) : duration(d) {}
};
// Any time of a loop's clock, likewise.
struct any_time_point : time_point {
    constexpr any_time_point() noexcept = default;
    template <class D>
    constexpr any_time_point(std::chrono::time_point<loop_clock, D> const& t) noexcept
        : time_point(any_duration(t.time_since_epoch())) {}
};

// Until when a call may wait. Made by in(), at() and never(); a bare duration does not convert, so that it
// cannot be mistaken for something else. 16 bytes, freely copied.
struct deadline {
    // Never: the call waits as long as it takes.
    constexpr deadline() noexcept = default;

    // Whether it has passed. One made by in(d) counts from the call it is given to: passed when d <= 0.
    bool passed() const noexcept { return kind_ != kind::never && remaining() <= duration::zero(); }

    // What is left: 0 when passed, duration::max() for never. For in(d) that is d.
    SPRUCE_API duration remaining() const noexcept;

    // For poll(2) and calls like it, in milliseconds: -1 never, 0 passed, else rounded up, at most INT_MAX.
    SPRUCE_API int poll_timeout_ms() const noexcept;

    bool operator==(deadline const&) const = default;

    // In wait_any() it wins when it has passed.
    using condition = detail::deadline_condition;

    // For the library's own use.
    enum class kind : std::int64_t { never, relative, absolute };
    constexpr deadline(kind k, std::int64_t ns) noexcept : ns_(ns), kind_(k) {}
    constexpr kind how() const noexcept { return kind_; }
    constexpr std::int64_t ns() const noexcept { return ns_; }

private:
    std::int64_t ns_ = 0;
    kind kind_ = kind::never;
};

// So long from the moment when the call that it is given to has to wait; negative counts as 0. However long d is, it is
// a time, not never(): its end is as far away as the clock can tell.
constexpr deadline in(any_duration d) noexcept { return {deadline::kind::relative, d.count() < 0 ? 0 : d.count()}; }
// At a time of this loop's clock.
constexpr deadline at(any_time_point t) noexcept { return {deadline::kind::absolute, t.time_since_epoch().count()}; }
// No deadline, said aloud.
constexpr deadline never() noexcept { return {}; }

namespace detail {
// The thread's clock, in nanoseconds; null: the system's monotonic clock. Set while the thread has a loop.
struct clock_source {
    std::int64_t (*now_ns)(void* context) noexcept = nullptr;
    void* context = nullptr;
};
extern SPRUCE_API constinit thread_local clock_source thread_clock;
}  // namespace detail
}}  // namespace spruce::v0
