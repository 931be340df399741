// Time: the loop's clock, durations, and deadlines, which every call that can wait takes.
#pragma once
#include <chrono>
#include <cstdint>

#include "config.hpp"

namespace spruce::inline v0 {

namespace detail {
class deadline_condition;   // conditions.hpp
}

// A length of time, in nanoseconds. All std::chrono durations of whole units convert to it.
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
using time_point = std::chrono::time_point<loop_clock, duration>;

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

// So long from the moment when the call that it is given to has to wait; negative counts as 0.
constexpr deadline in(duration d) noexcept { return {deadline::kind::relative, d.count() < 0 ? 0 : d.count()}; }
// At a time of this loop's clock.
constexpr deadline at(time_point t) noexcept { return {deadline::kind::absolute, t.time_since_epoch().count()}; }
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
}  // namespace spruce::inline v0
