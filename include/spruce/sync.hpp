// What tasks of one loop wait for among themselves.
#pragma once
#include "result.hpp"
#include "time.hpp"

namespace spruce::inline v0 {

namespace detail {
// The waiters of one source, first come, first served: room for the list's head, which the library alone knows.
struct waiter_list {
    SPRUCE_API waiter_list() noexcept;
    waiter_list(waiter_list const&) = delete;
    waiter_list& operator=(waiter_list const&) = delete;
    void* head[2];
};
}  // namespace detail

// A flag that tasks wait for. Thread: one loop's; set() and clear() may be called by plain code, too, on its thread.
// Lifetime: waiters that are left when it dies are woken with closed.
class event : detail::pinned {
public:
    event() noexcept = default;
    SPRUCE_API ~event();
    // Wakes all who wait now, even if it is cleared right after; nobody waits until it is cleared.
    SPRUCE_API void set() noexcept;
    void clear() noexcept { set_ = false; }
    bool is_set() const noexcept { return set_; }
    // Waits until it is set. Errors: canceled, timed_out, not_in_task, closed (it was destroyed).
    // Cancel: leaves no trace.
    SPRUCE_API result<void> wait(deadline dl = {});

private:
    detail::waiter_list waiters_;
    bool set_ = false;
};

}  // namespace spruce::inline v0
