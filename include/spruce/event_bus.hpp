// An event bus: named events, delivered one after another, later.
#pragma once
#include <concepts>
#include <cstddef>
#include <string_view>
#include <type_traits>
#include <utility>

#include "detail/backlog.hpp"
#include "emitter.hpp"
#include "future.hpp"
#include "handler.hpp"
#include "loop.hpp"
#include "message.hpp"
#include "task.hpp"

namespace spruce { inline namespace v0 {

namespace detail {
template <class T> inline constexpr bool is_awaited = false;
template <class T> inline constexpr bool is_awaited<future<T>> = true;
template <class R> inline constexpr bool is_awaited<task<R>> = true;
template <class T> void await_end(future<T> const& f) { static_cast<void>(f.wait()); }
template <class R> void await_end(task<R> const& t) { static_cast<void>(t.join()); }
}  // namespace detail

// Who posts an event goes on; in the loop's next pass all who have subscribed to its name are called, event after
// event, in the order they were posted. What is posted meanwhile comes in the pass after that. A post wakes an idle
// loop, and holds run(). T moves without throwing. Room for `bound` events is allocated when it is made. Thread: one
// loop's; from other threads, post by loop_ref::call(). Lifetime: it may die within a delivery; what was not delivered
// dies with it. A subscriber that gives a future or a task is waited for before the next one is called, and before the
// next event: an async_function, for one. Where there is such a one, or was, events are delivered by a task.
template <class T> class event_bus : detail::pinned {
    static_assert(std::is_object_v<T> && std::is_nothrow_move_constructible_v<T>,
                  "an event's value moves without throwing");

public:
    explicit event_bus(std::size_t bound = 256) : posted_(bound), bound_(bound) {}
    ~event_bus() {
        if (!delivering_) deliverer_.cancel();   // who is waited for goes on, and the task ends after that
    }

    // From here on f is called with each event of these names, in the order of subscribing; {}: with all events. What
    // it throws goes to the loop's unhandled hook, and the others are called.
    // Errors (of the connection, which is empty): invalid_argument (more than eight names), full (the emitter's bound),
    // no_memory. Lifetime: the names outlive the connection.
    template <std::invocable<std::string_view, T const&> F> connection subscribe(message_names names, F&& f) {
        if (names.count > message_names::room) return connection::refused(errc::invalid_argument);
        if constexpr (detail::is_awaited<std::invoke_result_t<F&, std::string_view, T const&>>) start_ = start_task;
        return subscribers_.connect(subscriber<std::decay_t<F>>{names, std::forward<F>(f)});
    }
    // Posts an event. Errors: full (the bound), no_memory, no_loop, closed (the loop ends); those of spawn(), if there
    // is a subscriber that is waited for.
    // Lifetime: the name outlives the delivery.
    [[nodiscard]] result<void> post(std::string_view name, T value) {
        SPRUCE_CHECK(posted_.room());
        if (bound_ == 0) return errc::full;
        if (!delivery_.get().active() && deliverer_.done()) SPRUCE_CHECK(begin());
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
            if (names.count != 0 && !names.has(name)) return;
            if constexpr (detail::is_awaited<std::invoke_result_t<F&, std::string_view, T const&>>)
                detail::await_end(f(name, value));
            else static_cast<void>(f(name, value));
        }
    };
    result<void> begin() {
        if (start_) return start_(*this);
        SPRUCE_TRY(loop& hub, loop::current());
        handler const h = hub.call_soon([this] { deliver(); });
        if (!h) return h.error();
        delivery_ = h;
        return {};
    }
    // Delivers one event. false: there is none, or the bus is gone.
    bool deliver_one() {
        auto next = posted_.take();
        if (!next) return false;
        detail::emit_argument<std::string_view, T> given{{std::get<0>(*next), std::get<1>(*next)}};
        delivering_ = true;
        if (!detail::emit_to(subscribers_.core(), &given)) return false;
        delivering_ = false;
        return true;
    }
    void deliver() {
        for (std::size_t n = posted_.size(); n != 0; --n) {
            // A handler wants to be waited for: that takes a task, one. Without it the events stay for the next post.
            if (start_) {
                if (!deliverer_.done()) return;
                if (auto const begun = start_(*this); !begun) detail::callback_threw(begun.error().message());
                return;
            }
            if (!deliver_one()) return;
        }
    }
    // Here alone, so that programs that wait for no subscriber need no tasks.
    static result<void> start_task(event_bus& self) {
        task<void> made = spawn({.name = "event bus"}, [&self] {
            do {
                for (std::size_t n = self.posted_.size(); n != 0; --n)
                    if (!self.deliver_one()) return;
                if (self.posted_.size() == 0) return;
            } while (yield() && !this_task::cancel_requested());   // it is canceled when the bus has gone, or the loop
        });
        if (!detail::task_access::block(made)) return detail::task_access::why(made);
        self.deliverer_ = std::move(made);
        return {};
    }
    detail::call_backlog<std::string_view, T> posted_;
    emitter<std::string_view, T> subscribers_;
    std::size_t bound_;
    scoped_handler delivery_;
    task<void> deliverer_;
    result<void> (*start_)(event_bus&) = nullptr;
    bool delivering_ = false;
};

}}  // namespace spruce::v0
