// Timers that call once, each time they are started.
#pragma once
#include <utility>

#include "handler.hpp"
#include "loop.hpp"
#include "result.hpp"
#include "time.hpp"
#include "timer_base.hpp"

namespace spruce { inline namespace v0 {

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

}}  // namespace spruce::v0
