// Timers that call at times of day, by the clock on the wall.
#pragma once
#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <utility>

#include "handler.hpp"
#include "loop.hpp"
#include "result.hpp"
#include "time.hpp"
#include "timer_base.hpp"

namespace spruce { inline namespace v0 {

// Some of the hours of a day, or of the minutes of an hour, …; none stands for all.
struct clock_values {
    constexpr clock_values() noexcept = default;
    constexpr clock_values(std::initializer_list<int> values) noexcept {
        for (int v : values) {
            if (v < 0 || v >= 60) valid = false;
            else bits |= std::uint64_t{1} << v;
        }
    }
    std::uint64_t bits = 0;
    bool valid = true;
};
// Times of day, on the wall clock in the local time zone: all that hours, minutes and seconds make together. {}: at
// each full minute. {.hours = {8, 20}, .minutes = {30}}: at 8:30 and 20:30.
struct time_of_day {
    clock_values hours{}, minutes{}, seconds{0};
};

namespace detail {
// A time on the wall clock: the seconds that a calendar and a clock show, as if all days had 24 hours, and the rest.
struct wall_time {
    std::int64_t second, ns;
};
SPRUCE_API result<time_of_day> checked(time_of_day when) noexcept;
SPRUCE_API wall_time wall_time_now() noexcept;
// The first of these times after that second.
SPRUCE_API std::int64_t next_of_day(time_of_day const& when, std::int64_t after) noexcept;

// When an at_timer is to call, whatever becomes of the wall clock.
struct wall_schedule {
    time_of_day when{};
    std::int64_t due = 0;     // the next time, as it seems
    std::int64_t seen = 0;    // what the clock showed when it was looked at last
    std::int64_t fired = 0;   // … when f was called last
    bool has_fired = false;
    SPRUCE_API void begin() noexcept;
    // Looks at the clock. Returns: whether it is time.
    SPRUCE_API bool look() noexcept;
    // How long to wait before the next look.
    SPRUCE_API duration until_look() const noexcept;
};
}  // namespace detail

// Calls f at times of day; f may return false: that stops it. Never twice for one time: where the clock shows a time
// again (it was put back, or summer time has ended), nothing is called until it is past what it has shown before. Times
// that the clock leaves out (it was put forward, summer time has begun, the machine slept) are made up for by one call.
// A clock that is put by more than two days has been wrong: it begins anew, as start() does. The timer sleeps by the
// loop's clock and looks at the wall's when it is due and at each full minute before: that is when it notices that the
// clock, or the time zone, was changed.
class [[nodiscard]] at_timer : public timer_base {
public:
    template <callback F> [[nodiscard]] explicit at_timer(F&& f) : timer_base(std::forward<F>(f)) {}
    // Begins: f is called at the next of these times, and at all that follow. If it is active it begins anew.
    // Errors: invalid_argument (no such hour, minute or second), full, no_memory, no_loop, closed (the loop ends).
    result<void> start(time_of_day when = {}) & {
        SPRUCE_CHECK(held());
        SPRUCE_TRY(loop& hub, loop::current());
        SPRUCE_TRY(schedule_.when, detail::checked(when));
        stop();
        ++starts_;
        schedule_.begin();
        handler const h = hub.call_later(schedule_.until_look(), [this](handler self) { look(self); });
        if (!h) return h.error();
        beat_ = h;
        return {};
    }
    result<void> start(time_of_day when = {}) && = delete;
    // How long until the next call, as far as the wall clock can be trusted. Errors: wrong_state (it is not active).
    [[nodiscard]] result<duration> next() const noexcept {
        if (!active()) return errc::wrong_state;
        detail::wall_time const now = detail::wall_time_now();
        return std::chrono::seconds(schedule_.due - now.second) - duration(now.ns);
    }

private:
    void look(handler self) noexcept {
        bool const is_time = schedule_.look();
        self.rearm(in(schedule_.until_look()));
        if (!is_time) return;
        std::uint64_t const started = starts_;
        detail::timer_argument given;
        if (call(given) && !given.go_on && started == starts_) stop();
    }
    detail::wall_schedule schedule_;
    std::uint64_t starts_ = 0;
};

}}  // namespace spruce::v0
