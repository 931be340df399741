// Timers that call again and again.
#pragma once
#include <cstdint>
#include <utility>

#include "handler.hpp"
#include "loop.hpp"
#include "result.hpp"
#include "time.hpp"
#include "timer_base.hpp"

namespace spruce { inline namespace v0 {

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

}}  // namespace spruce::v0
