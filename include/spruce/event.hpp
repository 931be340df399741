// Events: flags that tasks of one loop wait for.
#pragma once
#include "detail/waiter_list.hpp"
#include "result.hpp"
#include "time.hpp"
#include "wait_point.hpp"

namespace spruce { inline namespace v0 {

// A flag that tasks wait for. Thread: one loop's; set() and clear() may be called by plain code, too, on its thread.
// Lifetime: waiters that are left when it dies are woken with closed.
class event : detail::pinned {
public:
    event() noexcept = default;
    SPRUCE_API ~event();
    // Wakes all who wait now, even if it is cleared right after; no later wait blocks until it is cleared.
    SPRUCE_API void set() noexcept;
    void clear() noexcept { set_ = false; }
    bool is_set() const noexcept { return set_; }
    // Waits until it is set. Errors: canceled, timed_out, not_in_task, closed (it was destroyed).
    // Cancel: leaves no trace.
    [[nodiscard]] SPRUCE_API result<void> wait(deadline dl = {});

    // In wait_any and wait_all: it was set at some time of the wait. Errors: closed (it was destroyed).
    class condition {
    public:
        explicit condition(event& e) noexcept : of_(&e) {}
        SPRUCE_API result<void> arm(wait_point& p) noexcept;
        SPRUCE_API void disarm() noexcept;
        [[nodiscard]] result<void> take() noexcept { return ended_; }

    private:
        event* of_;
        result<void> ended_;
        detail::wait_entry entry_;
    };

private:
    detail::waiter_list waiters_;
    bool set_ = false;
};

}}  // namespace spruce::v0
