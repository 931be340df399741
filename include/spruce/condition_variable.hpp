// Condition variables: waiting for a change of what a mutex guards.
#pragma once
#include <concepts>
#include <cstddef>

#include "bound.hpp"
#include "detail/waiter_list.hpp"
#include "mutex.hpp"
#include "result.hpp"
#include "time.hpp"

namespace spruce { inline namespace v0 {

namespace detail {
SPRUCE_API result<void> begin_condition_wait(lock_core* l) noexcept;
SPRUCE_API result<void> condition_wait(waiter_list& on, lock_core* l, deadline dl) noexcept;
// The same deadline, if it is relative counted from now.
SPRUCE_API deadline anchored(deadline dl) noexcept;
}  // namespace detail

// Waits for a change of what a mutex guards. The waiter holds the lock again whenever wait() comes back, however. A
// notification goes to one who really waits: who has timed out or was canceled takes none away. Thread: one loop's;
// notify() may be called by plain code, too, with or without the lock.
// Lifetime: waiters that are left when it dies are woken with closed; the mutex outlives its waiters.
class condition_variable : detail::pinned {
public:
    condition_variable() noexcept = default;
    SPRUCE_API ~condition_variable();
    // Unlocks, however often a recursive mutex is locked, waits for a notification, and locks again: who is notified is
    // in the line for the lock already, and runs when it has it. The deadline is for the notification alone.
    // Errors: canceled, timed_out, not_in_task, wrong_state (the guard is empty, or another task's), closed (it was
    // destroyed).
    // Cancel: before the notification it ends the wait; locking again cannot be canceled.
    template <class M> [[nodiscard]] result<void> wait(lock_guard<M>& held, deadline dl = {}) {
        return detail::condition_wait(waiters_, held.of_, dl);
    }
    // Waits until `until()` holds, which it asks with the lock held: first, after each notification, and when the time
    // is over. Errors, Cancel: as above; timed_out only if it still does not hold.
    template <class M, std::predicate P>
    [[nodiscard]] result<void> wait(lock_guard<M>& held, P until, deadline dl = {}) {
        SPRUCE_CHECK(detail::begin_condition_wait(held.of_));
        if (until()) return {};
        dl = detail::anchored(dl);
        detail::anchor_link const alive(life_);
        for (;;) {
            auto const woken = wait(held, dl);
            if (!woken && woken != error(errc::timed_out)) return woken;
            if (until()) return {};
            if (!woken) return woken;
            if (!alive.of) return errc::closed;   // it has notified, and died
        }
    }
    // Notifies the first n who wait. Returns: how many that were.
    SPRUCE_API std::size_t notify(std::size_t n = 1) noexcept;
    // Notifies all who wait. They get the lock one after another. Returns: how many that were.
    std::size_t notify_all() noexcept { return notify(static_cast<std::size_t>(-1)); }

private:
    detail::waiter_list waiters_;
    anchor life_;
};

}}  // namespace spruce::v0
