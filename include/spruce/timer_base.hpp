// What all timers that own their callable have.
#pragma once
#include <type_traits>
#include <utility>

#include "detail/timer_call.hpp"
#include "emitter.hpp"
#include "handler.hpp"
#include "result.hpp"

namespace spruce { inline namespace v0 {

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

}}  // namespace spruce::v0
