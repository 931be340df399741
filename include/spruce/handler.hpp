// Handlers: names for callbacks that a loop holds.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "detail/callback.hpp"
#include "result.hpp"
#include "time.hpp"

namespace spruce { inline namespace v0 {

class handler;
struct unhandled;

namespace detail {
struct hub;
struct handler_slot;
struct handler_access;
}  // namespace detail

// A name for a callback in a loop's hands: 16 bytes, freely copied. Letting go of it changes nothing; the callback
// belongs to its loop. Thread: on another thread than the loop's, and after the loop's end, it is a harmless name:
// it cancels nothing and is not active.
class handler {
public:
    // Empty: active() is false, error() is no_loop.
    handler() noexcept = default;

    // Takes the callback back. Returns: true if this call did; then the callback never runs (again), though its
    // event was already collected. false if it ran, was canceled before, or belongs to another thread.
    // Inside its own callback it stops the next runs. The callable is destroyed before cancel() returns, or, when
    // it is running, when it returns.
    SPRUCE_API bool cancel() noexcept;

    // Whether the callback may still run. A one-shot callback is not active once it has begun.
    SPRUCE_API bool active() const noexcept;

    // Why it is empty: what the call that should have made it ran into (full, no_memory, closed, an errno), or
    // no_loop if nothing ever filled it. Wrong on one that is not empty: gives wrong_state.
    SPRUCE_API spruce::error error() const noexcept;

    // Whether it names a callback, active or not.
    explicit operator bool() const noexcept { return generation_ != 0; }

    // For timers: the callback is to run at `dl` instead, and counts as armed anew. A one-shot timer may do this
    // inside its own callback, and runs again. A relative one counts from this call. never() suspends it.
    // Returns: false if it is no active timer.
    SPRUCE_API bool rearm(deadline dl) noexcept;

    // For timers: when it is due. Errors: wrong_state if it is no active timer, or suspended.
    [[nodiscard]] SPRUCE_API result<time_point> due() const noexcept;

    bool operator==(handler const&) const = default;

private:
    friend struct detail::handler_access;
    std::uint64_t generation_ = 0;
    std::uint32_t loop_ = 0;   // the loop's serial number; of an empty one: the low half of its error
    std::uint32_t slot_ = 0;   // the place in its table;   of an empty one: the high half
};

// Owns a callback: cancels it when it dies. Thread: the loop's.
class [[nodiscard]] scoped_handler {
public:
    scoped_handler() noexcept = default;
    [[nodiscard]] scoped_handler(handler h) noexcept : handler_(h) {}
    scoped_handler(scoped_handler&& other) noexcept : handler_(std::exchange(other.handler_, {})) {}
    scoped_handler& operator=(scoped_handler&& other) noexcept {
        if (this != &other) {
            handler_.cancel();
            handler_ = std::exchange(other.handler_, {});
        }
        return *this;
    }
    ~scoped_handler() { handler_.cancel(); }

    // Lets go without canceling.
    handler release() noexcept { return std::exchange(handler_, {}); }
    handler const& get() const noexcept { return handler_; }

private:
    handler handler_;
};

// A callback takes nothing, or its own handler (to cancel or rearm itself); some get a value first.
template <class F, class... A>
concept callback = std::invocable<std::decay_t<F>&, A...> || std::invocable<std::decay_t<F>&, handler, A...>;

namespace detail {
// What a trampoline is given: the handler, and the value if there is one.
template <class... A> struct callback_argument;
template <> struct callback_argument<> {
    handler self;
};
template <class A> struct callback_argument<A> {
    handler self;
    A value;
};

// What it threw was reported: one that would be called again for the same reason, an fd's, is canceled.
SPRUCE_API void callback_failed(handler const& which) noexcept;
// Tasks wait for what this callback does: it goes on when the loop has been deleted in one of its callbacks.
SPRUCE_API void keep_for_tasks(handler const& which) noexcept;

template <class F, class... A> void run_callback(void* callable, void* argument) noexcept {
    F& f = *static_cast<F*>(callable);
    auto& given = *static_cast<callback_argument<A...>*>(argument);
    bool const ended = call_guarded([&] {
        if constexpr (std::invocable<F&, A...>) {
            if constexpr (sizeof...(A) == 0) static_cast<void>(f());
            else static_cast<void>(f(std::move(given.value)));
        } else {
            if constexpr (sizeof...(A) == 0) static_cast<void>(f(given.self));
            else static_cast<void>(f(given.self, std::move(given.value)));
        }
    });
    if (!ended) callback_failed(given.self);
}

// Without destroy() where there is nothing to do.
template <class F, class... A>
inline constexpr callable_ops callback_ops{
    run_callback<F, A...>, std::is_trivially_destructible_v<F> ? nullptr : destroy_callable<F>, sizeof(F), alignof(F)};

// What of a callable lies within its slot; a larger one takes the loop's memory.
inline constexpr std::size_t slot_room = 48;
// Whether no code runs when an F is made of a From, and when it ends: it may be put into a slot that is queued already.
template <class F, class From>
inline constexpr bool is_plain = std::is_trivially_constructible_v<F, From> && std::is_trivially_destructible_v<F> &&
                                 sizeof(F) <= slot_room && alignof(F) <= alignof(std::max_align_t);

// A place for a callable, taken and not yet armed; room is null when refused, and then `why` says so.
struct slot_claim {
    handler_slot* slot = nullptr;
    void* room = nullptr;
    error why = errc::no_loop;
};

// -- making callbacks; each pair is claim (room for the callable) and arm
SPRUCE_API slot_claim claim_handler(hub* on, error const& status, std::size_t size, std::size_t alignment) noexcept;
SPRUCE_API void unclaim_handler(hub* on, handler_slot* slot) noexcept;
SPRUCE_API handler arm_soon(hub* on, handler_slot* slot, callable_ops const* ops) noexcept;
// Both at once, for a callable that is_plain. Null if it is refused, and `made` says why.
SPRUCE_API void* queue_plain(hub* on, error const& status, callable_ops const* ops, handler& made) noexcept;
SPRUCE_API handler arm_timer(hub* on, handler_slot* slot, callable_ops const* ops, deadline due,
                             duration period) noexcept;
SPRUCE_API handler arm_idle(hub* on, handler_slot* slot, callable_ops const* ops) noexcept;
SPRUCE_API result<handler> arm_fd(hub* on, handler_slot* slot, callable_ops const* ops, int fd, bool write) noexcept;
SPRUCE_API result<handler> arm_signal(hub* on, handler_slot* slot, callable_ops const* ops, int signal) noexcept;
SPRUCE_API result<handler> arm_child(hub* on, handler_slot* slot, callable_ops const* ops, int pid) noexcept;
SPRUCE_API handler refused_handler(error why) noexcept;
inline handler refused_argument(char const* why) noexcept {
    return refused_handler(with_detail(errc::invalid_argument, why));
}

template <class F> void run_unhandled(void* callable, void* what) noexcept {
    call_guarded([&] { static_cast<void>((*static_cast<F*>(callable))(*static_cast<unhandled const*>(what))); });
}
template <class F>
inline constexpr callable_ops unhandled_ops{run_unhandled<F>, destroy_callable<F>, sizeof(F), alignof(F)};
}  // namespace detail

}}  // namespace spruce::v0
