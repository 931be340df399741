// Timers that own their callable: again and again, once, at times of day. (Functions whose calls come later:
// timed.hpp.)
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <type_traits>
#include <utility>

#include "emitter.hpp"
#include "handler.hpp"
#include "loop.hpp"
#include "time.hpp"
#include "timed.hpp"
#include "waiter_list.hpp"

namespace spruce { inline namespace v0 {

namespace detail {
struct timer_argument {
    handler self;
    bool go_on = true;
};
template <class F> void run_timer(void* callable, void* argument) noexcept {
    call_guarded([&] {
        F& f = *static_cast<F*>(callable);
        auto& given = *static_cast<timer_argument*>(argument);
        auto const call = [&]() -> decltype(auto) {
            if constexpr (std::invocable<F&>) return f();
            else return f(given.self);
        };
        if constexpr (std::is_same_v<decltype(call()), bool>) given.go_on = call();
        else static_cast<void>(call());
    });
}
template <class F> inline constexpr callable_ops timer_ops{run_timer<F>, destroy_callable<F>, sizeof(F), alignof(F)};
}  // namespace detail

// What the timers share. The callable takes nothing, or the handler behind the timer; it lies in the loop's memory from
// when the timer is made. The end of a timer stops it, also within its own callable. A timer that is active holds
// run().
// Thread: the loop's on which it was started.
class timer_base : detail::pinned {
public:
    // The callable is not called any more. Returns: true if the timer was active.
    bool stop() noexcept {
        bool const was = active();
        first_ = scoped_handler();
        beat_ = scoped_handler();
        return was;
    }
    // Whether the callable is still to be called.
    bool active() const noexcept { return beat_.get().active() || first_.get().active(); }

protected:
    template <class F> explicit timer_base(F&& f) : function_(hold(std::forward<F>(f))) {}
    result<void> held() const noexcept {
        return function_.connected() ? result<void>() : result<void>(function_.error());
    }
    // Calls it. Afterwards the timer may be gone: false.
    bool call(detail::timer_argument& given) noexcept {
        given.self = beat_.get();
        return detail::emit_to(call_, &given);
    }
    scoped_handler beat_, first_;

private:
    template <class F> connection hold(F&& f) {
        using held = std::decay_t<F>;
        return connection::make<held>(call_, std::forward<F>(f), detail::timer_ops<held>, {});
    }
    detail::emitter_core call_{1};
    connection function_;
};

// Calls f every so often, without drift; beats that were missed are skipped. f may return false: that stops it.
class [[nodiscard]] timer : public timer_base {
public:
    template <callback F> [[nodiscard]] explicit timer(F&& f) : timer_base(std::forward<F>(f)) {}
    // Begins, first d from now, or with `now` in the next pass, too. If it is active it begins anew; also within f,
    // whose return value then does not matter. If that fails it is not active.
    // Errors: invalid_argument (d is 0 or less), full, no_memory, no_loop, closed (the loop ends).
    result<void> start(any_duration d, bool now = false) & {
        SPRUCE_CHECK(held());
        SPRUCE_TRY(loop& hub, loop::current());
        if (d <= duration::zero()) return detail::with_detail(errc::invalid_argument, "d: 0 or less");
        stop();
        ++starts_;
        if (now) {
            handler const h = hub.call_soon([this] { beat(); });
            if (!h) return h.error();
            first_ = h;
        }
        handler const h = hub.call_every(d, [this] { beat(); });
        if (!h) return stop(), h.error();
        beat_ = h;
        return {};
    }
    // A timer that dies with the expression would never call.
    result<void> start(duration d, bool now = false) && = delete;

private:
    void beat() noexcept {
        std::uint64_t const started = starts_;
        detail::timer_argument given;
        if (call(given) && !given.go_on && started == starts_) stop();
    }
    std::uint64_t starts_ = 0;
};

// Calls f once, each time it is started.
class [[nodiscard]] one_shot_timer : public timer_base {
public:
    template <callback F> [[nodiscard]] explicit one_shot_timer(F&& f) : timer_base(std::forward<F>(f)) {}
    // Begins: f is called d from now; in the next pass if d is 0 or less. If it is active it begins anew. Within f it
    // is not active, and may be started. Errors: full, no_memory, no_loop, closed (the loop ends).
    result<void> start(any_duration d) & {
        SPRUCE_CHECK(held());
        SPRUCE_TRY(loop& hub, loop::current());
        stop();
        handler const h = hub.call_later(d, [this] {
            detail::timer_argument given;
            call(given);
        });
        if (!h) return h.error();
        beat_ = h;
        return {};
    }
    result<void> start(duration d) && = delete;
};

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
