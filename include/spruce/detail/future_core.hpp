// What futures are made of. Nothing here is for users to call.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <new>
#include <type_traits>
#include <utility>

#include "../progress.hpp"
#include "../task.hpp"
#include "../wait_point.hpp"

namespace spruce { inline namespace v0 {

template <class T> class future;
template <class T> class promise;

namespace detail {
struct future_block;

// What the library does with an outcome, which lies in the future's block.
struct future_ops {
    void (*drop)(void* outcome) noexcept;
    void (*fail)(void* outcome, error why) noexcept;   // there is none yet, or an error that is to be another one
    result<void> (*failure)(void const* outcome) noexcept;
    void (*describe)(void* outcome, void (*tell)(void* context, char const* what), void* context) noexcept;
    void (*begin)(void* room) noexcept;
    std::size_t size, alignment;
    bool ends_quietly;   // nothing of the users' runs when it is dropped
};
// An outcome is what a task's is.
template <class T> inline constexpr future_ops future_ops_of{
    outcome_calls<T>::drop,
    [](void* at, error why) noexcept {
        auto& o = *static_cast<task_outcome<T>*>(at);
        if (o.made) o.value.~result<T>();
        o.make(why);
    },
    outcome_calls<T>::failure,
    outcome_calls<T>::describe,
    [](void* room) noexcept { ::new (room) task_outcome<T>; },
    sizeof(task_outcome<T>),
    alignof(task_outcome<T>),
    std::is_void_v<T> || std::is_reference_v<T> || std::is_trivially_destructible_v<T>,
};

// The outcome's value, copied; or moved out, if it has no other owner or cannot be copied.
template <class T> result<T> take_outcome(task_outcome<T>& o, bool last) {
    if (o.taken) return with_detail(errc::wrong_state, "its value was moved out before");
    if constexpr (std::is_void_v<T> || std::is_reference_v<T>) {
        return o.value;
    } else {
        if constexpr (std::copy_constructible<T>) {
            if (!last) return o.value;
        }
        o.taken = o.value.ok();   // an error can be asked for again
        return std::move(o.value);
    }
}

// -- all of these for the loop's thread, but for counting
SPRUCE_API error_word make_future(future_ops const* ops) noexcept;   // a block's address, or a refusal
SPRUCE_API void retain_future(future_block* b) noexcept;
SPRUCE_API void release_future(future_block* b) noexcept;
SPRUCE_API void drop_promise(future_block* b) noexcept;
SPRUCE_API result<void> wait_future(future_block* b, deadline dl) noexcept;
// The outcome's place; waits for it. Counts as having looked. kept: it has waited, and the block is held for the
// caller, whose handle may have gone meanwhile, or have been given another one.
SPRUCE_API result<void*> await_outcome(future_block* b, deadline dl, bool& kept) noexcept;
SPRUCE_API void* outcome_if_there(future_block* b) noexcept;
SPRUCE_API result<void> arm_future(future_block* b, wait_entry& e, wait_point& p) noexcept;
SPRUCE_API void disarm_future(wait_entry& e) noexcept;
// Whether there are no other references to it, nor to what it follows; so many are the caller's.
SPRUCE_API bool is_last_handle(future_block* b, std::uint32_t own = 1) noexcept;
SPRUCE_API bool future_done(future_block* b) noexcept;
SPRUCE_API bool future_failed(future_block* b) noexcept;
SPRUCE_API bool cancel_future(future_block* b) noexcept;
// The same as a consequence of another operation's cancellation, which stays the origin; of none (0): as above.
SPRUCE_API bool cancel_future_for(future_block* b, task_id cause) noexcept;
// The origin of the error that is its outcome; 0: none.
SPRUCE_API task_id origin_of(future_block* b) noexcept;
SPRUCE_API task_id future_identity(future_block* b) noexcept;
SPRUCE_API bool future_cancelable(future_block* b) noexcept;
// Where the outcome is to be made, if there is to be one; then announce().
SPRUCE_API result<void*> outcome_room(future_block* b) noexcept;
SPRUCE_API void announce(future_block* b) noexcept;
SPRUCE_API result<void> fail_future(future_block* b, error why) noexcept;
SPRUCE_API result<void> report_progress(future_block* b, std::uint64_t position, std::uint64_t maximum) noexcept;

// A counted pointer to a block; or, with the lowest bit set, the error of one that could not be made; or 0.
class future_ref {
public:
    future_ref() noexcept = default;
    explicit future_ref(error_word word) noexcept : word_(word) {}   // takes the reference over
    future_ref(future_ref const& other) noexcept : word_(other.word_) {
        if (block()) retain_future(block());
    }
    future_ref(future_ref&& other) noexcept : word_(std::exchange(other.word_, 0)) {}
    future_ref& operator=(future_ref other) noexcept {
        std::swap(word_, other.word_);
        return *this;
    }
    ~future_ref() {
        if (block()) release_future(block());
    }
    future_block* block() const noexcept {
        return (word_ & 1) != 0 ? nullptr : reinterpret_cast<future_block*>(static_cast<std::uintptr_t>(word_));
    }
    error_word word() const noexcept { return word_; }
    // Why there is no block.
    error why() const noexcept {
        return word_ == 0 ? with_detail(errc::wrong_state, "an empty future or promise") : unpack(word_);
    }
    // Lets go of the block, for a caller that goes on counting.
    error_word release() noexcept { return std::exchange(word_, 0); }

private:
    error_word word_ = 0;
};
SPRUCE_API future_ref shield_future(future_ref const& of, future_ops const* ops) noexcept;
SPRUCE_API result<void> follow_future(future_block* b, future_ref const& other) noexcept;

// From now on it is canceled once only its makers, with so many references, are left: dropped on the loop's thread.
SPRUCE_API void cancel_when_dropped(future_block* b, std::uint8_t makers) noexcept;
// It follows no other any more, and is timed out, unless it has its outcome. with: canceled first, or null.
SPRUCE_API void expire_future(future_block* b, future_block* with) noexcept;

struct future_access {
    template <class T> static future<T> handle(future_ref ref) noexcept { return future<T>(std::move(ref)); }
    template <class T> static future_ref const& ref(future<T> const& f) noexcept { return f.ref_; }
};

// -- subscribing

enum class subscription : unsigned char { done, progress, cancel };
SPRUCE_API slot_claim claim_subscription(future_block* b, subscription what, std::size_t size,
                                         std::size_t alignment) noexcept;
SPRUCE_API void unclaim_subscription(handler_slot* slot) noexcept;
SPRUCE_API handler arm_subscription(future_block* b, subscription what, handler_slot* slot,
                                    callable_ops const* ops) noexcept;
SPRUCE_API bool progress_since(future_block* b, std::uint32_t& heard, progress& now) noexcept;
SPRUCE_API bool was_canceled(future_block* b) noexcept;

// What a subscriber's slot holds: the callable, and a handle of the future. All of them run once there is an outcome,
// be it only to go: so nothing of the user's runs inside set().
template <class F, class T> struct done_call {
    F f;
    future_ref of;
    void operator()() {
        auto* const o = static_cast<task_outcome<T>*>(outcome_if_there(of.block()));
        if (!o) return;
        if (!o->taken) return static_cast<void>(std::invoke(f, static_cast<result<T> const&>(o->value)));
        result<T> const gone(with_detail(errc::wrong_state, "its value was moved out before"));
        static_cast<void>(std::invoke(f, gone));
    }
};
template <class F> struct progress_call {
    F f;
    future_ref of;
    std::uint32_t heard = 0;
    void operator()() {
        progress now;
        if (progress_since(of.block(), heard, now))
            static_cast<void>(std::invoke(f, static_cast<progress const&>(now)));
    }
};
template <class F> struct cancel_call {
    F f;
    future_ref of;
    void operator()() {
        if (was_canceled(of.block())) static_cast<void>(std::invoke(f));
    }
};

template <class held, class F> handler subscribe(future_ref const& to, subscription what, F&& f) {
    if (!to.block()) return refused_handler(to.why());
    auto const c = claim_subscription(to.block(), what, sizeof(held), alignof(held));
    if (!c.room) return refused_handler(c.why);
    make_in<held>(c.room, [&] { unclaim_subscription(c.slot); }, std::forward<F>(f), to);
    return arm_subscription(to.block(), what, c.slot, &callback_ops<held>);
}
}  // namespace detail
}}  // namespace spruce::v0
