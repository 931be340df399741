// An event bus: named events, delivered one after another, later.
#pragma once
#include <concepts>
#include <cstddef>
#include <string_view>
#include <type_traits>
#include <utility>

#include "backlog.hpp"
#include "emitter.hpp"
#include "handler.hpp"
#include "loop.hpp"
#include "message.hpp"

namespace spruce::inline v0 {

// Who posts an event goes on; in the loop's next pass all who have subscribed to its name are called, event after event,
// in the order they were posted. What is posted meanwhile comes in the pass after that. A post wakes an idle loop, and
// holds run(). T moves without throwing. Room for `bound` events is allocated when it is made. Thread: one loop's; from
// other threads, post by loop_ref::call(). Lifetime: it may die within a delivery; what was not delivered dies with it.
template <class T> class event_bus : detail::pinned {
    static_assert(std::is_object_v<T> && std::is_nothrow_move_constructible_v<T>, "an event's value moves without throwing");

public:
    explicit event_bus(std::size_t bound = 256) : posted_(bound), bound_(bound) {}

    // From here on f is called with each event of these names, in the order of subscribing; {}: with all events. What it
    // throws goes to the loop's unhandled hook, and the others are called.
    // Errors (of the connection, which is empty): invalid_argument (more than eight names), full (the emitter's bound),
    // no_memory. Lifetime: the names outlive the connection.
    template <std::invocable<std::string_view, T const&> F> connection subscribe(message_names names, F&& f) {
        if (names.count > message_names::room) return connection::refused(errc::invalid_argument);
        return subscribers_.connect(subscriber<std::decay_t<F>>{names, std::forward<F>(f)});
    }
    // Posts an event. Errors: full (the bound), no_memory, no_loop, closed (the loop ends).
    // Lifetime: the name outlives the delivery.
    result<void> post(std::string_view name, T value) {
        SPRUCE_CHECK(posted_.room());
        if (bound_ == 0) return errc::full;
        if (!delivery_.get().active()) {
            SPRUCE_TRY(loop& hub, loop::current());
            handler const h = hub.call_soon([this] { deliver(); });
            if (!h) return h.error();
            delivery_ = h;
        }
        posted_.keep(name, std::move(value));
        return {};
    }
    // How many events have not been delivered.
    std::size_t size() const noexcept { return posted_.size(); }

private:
    template <class F> struct subscriber {
        message_names names;
        F f;
        void operator()(std::string_view name, T const& value) {
            if (names.count == 0 || names.has(name)) static_cast<void>(f(name, value));
        }
    };
    void deliver() {
        for (std::size_t n = posted_.size(); n != 0; --n) {
            auto next = posted_.take();
            if (!next) return;
            detail::emit_argument<std::string_view, T> given{{std::get<0>(*next), std::get<1>(*next)}};
            if (!detail::emit_to(subscribers_.core(), &given)) return;   // the bus is gone
        }
    }
    detail::call_backlog<std::string_view, T> posted_;
    emitter<std::string_view, T> subscribers_;
    std::size_t bound_;
    scoped_handler delivery_;
};

}  // namespace spruce::inline v0
