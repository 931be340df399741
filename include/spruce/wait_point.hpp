// What a condition notifies: wait_any() and wait_all() give each of theirs such a point, and wake when it fires.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>

#include "detail/callback.hpp"
#include "result.hpp"
#include "time.hpp"

namespace spruce { inline namespace v0 {

namespace detail {
struct wait_core;

// A call that may wait, from its beginning to its end. Those that complete without waiting are counted: after so many
// of them (loop_options::call_budget) the task goes once round the ready ring, when nothing of the call is left to be
// done.
SPRUCE_API void end_of_call() noexcept;
struct counted_call {
    counted_call() noexcept = default;
    counted_call(counted_call const&) = delete;
    counted_call& operator=(counted_call const&) = delete;
    ~counted_call() { end_of_call(); }
};
// Of a call that fails at once, since there is nothing to wait for: it counts, too.
inline error refused_call(error why) noexcept {
    end_of_call();
    return why;
}
}

// One condition's place in one wait. Lives from arm() to disarm(), in the waiter's frame. Thread: the loop's.
class wait_point {
public:
    wait_point() noexcept = default;
    wait_point(wait_point const&) = delete;
    wait_point& operator=(wait_point const&) = delete;
    // There is something to take. arm() itself may call it. Only the first call of a wait counts.
    SPRUCE_API void fire() noexcept;
    // Fires by itself then, unless it has fired before. The last call counts; never() takes it back. For arm() only.
    void fire_at(deadline dl) noexcept { due_ = dl; }
    // What is waited for comes from outside of this loop's tasks and callbacks (another thread, the system), so that
    // run() goes on waiting for it, and does not call it a deadlock. For arm() only.
    SPRUCE_API void comes_from_outside() noexcept;

private:
    friend struct detail::wait_core;
    detail::wait_core* of_ = nullptr;
    deadline due_;
    bool fired_ = false;
};

namespace detail {

// What the library does with a condition whose type it does not know.
struct condition_ops {
    result<void> (*arm)(void* condition, wait_point& point) noexcept;
    void (*disarm)(void* condition) noexcept;
    // Whether take() would find something now. null: just if its point has fired.
    bool (*ready)(void const* condition) noexcept;
    // Of what other threads may take, too, instead of `ready`; else null. claim: whether take() will find something,
    // which no other gets from now on; if not, it goes on waiting. unclaim: it may go to others again.
    bool (*claim)(void* condition) noexcept;
    void (*unclaim)(void* condition) noexcept;
    // Of what a wait for all could find twice in one place; else null. reserve: whether take() would find something
    // besides what those that are reserved already take, each after the other. All are given back before anything else
    // happens.
    bool (*reserve)(void* condition) noexcept;
    void (*unreserve)(void* condition) noexcept;
    // Of what wakes no more of those who wait for all than can have something; else null. It was woken in vain, or what
    // it was notified of has gone: its wait goes on, and another may be notified.
    void (*goes_on)(void* condition) noexcept;
};
struct condition_ref {
    void* condition;
    condition_ops const* ops;
};

// Waits for the first of them, or for all and no longer than dl. Afterwards all are disarmed.
// Returns: which one to take from.
SPRUCE_API result<std::size_t> wait_for_any(condition_ref const* conditions, wait_point* points,
                                            std::size_t count) noexcept;
SPRUCE_API result<void> wait_for_all(condition_ref const* conditions, wait_point* points, std::size_t count,
                                     deadline dl) noexcept;

// A condition's place in the line of a source: room for what the library alone knows.
struct wait_entry {
    wait_entry() noexcept = default;
    wait_entry(wait_entry const&) = delete;
    wait_entry& operator=(wait_entry const&) = delete;
    // As large as what the library keeps there: a place in a line, and, behind it, whom and what something is handed
    // to.
    struct shape {
        void* line[2];
        char const* noun;
        std::uint8_t state[5];
        error reason;
        void* of[2];
        std::int64_t since_ns;
        void (*abandon)();
        void* handed[2];
        error in_place_of_it;
    };
    alignas(std::max_align_t) std::byte room[sizeof(shape)];
    bool armed = false;
};

}  // namespace detail
}}  // namespace spruce::v0
