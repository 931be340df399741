// What tasks of one loop wait for among themselves.
#pragma once
#include <concepts>
#include <cstddef>
#include <utility>

#include "barrier.hpp"
#include "bound.hpp"
#include "wait_point.hpp"
#include "waiter_list.hpp"

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

// A number of permits. Who waits for one is served first come, first served: a permit that is given back goes straight
// to the first who waits, by direct hand-off, without barging. Thread: one loop's; what does not wait may be called by
// plain code, too, on its thread.
// Lifetime: waiters that are left when it dies are woken with closed; its permits become empty.
class semaphore : detail::pinned {
public:
    // The right to go on; gives itself back when it dies. It may be moved to another task.
    class [[nodiscard]] permit {
    public:
        permit(permit&& other) noexcept { move_from(other); }
        permit& operator=(permit&& other) noexcept {
            if (this != &other) {
                release();
                move_from(other);
            }
            return *this;
        }
        ~permit() { release(); }
        // Gives it back now. Nothing if it is empty.
        void release() noexcept {
            if (of_) give_back();
        }
        // Takes it off this object, which is empty then: other code gives it back, by semaphore::release().
        SPRUCE_API void keep() noexcept;

    private:
        friend class semaphore;
        permit() noexcept = default;
        SPRUCE_API void move_from(permit& other) noexcept;
        SPRUCE_API void give_back() noexcept;
        semaphore* of_ = nullptr;
        permit* next_ = nullptr;
        permit* previous_ = nullptr;
    };

    // With so many permits, and no bound.
    explicit semaphore(std::size_t permits) noexcept : semaphore(permits, static_cast<std::size_t>(-1)) {}
    // With a bound: those that are available and those that permit objects hold are never more. If there are more from
    // the start, every call gives invalid_argument.
    semaphore(std::size_t permits, std::size_t bound) noexcept : available_(permits), bound_(bound) {}
    SPRUCE_API ~semaphore();
    // Takes a permit; waits until there is one.
    // Errors: canceled, timed_out, not_in_task, closed (it was destroyed), invalid_argument.
    // Cancel: no permit is taken. Who has been given one keeps it, even if it is canceled before it runs.
    [[nodiscard]] SPRUCE_API result<permit> acquire(deadline dl = {});
    // Takes a permit if there is one. Errors: would_wait, invalid_argument.
    [[nodiscard]] SPRUCE_API result<permit> try_acquire() noexcept;
    // Gives n permits: new ones, or such as were kept. Errors: full (they would pass the bound; none is given),
    // invalid_argument.
    SPRUCE_API result<void> release(std::size_t n = 1) noexcept;
    // How many could be taken now.
    std::size_t available() const noexcept { return available_; }

    // In wait_any and wait_all: a permit, as of acquire(). Errors: closed, invalid_argument.
    class condition {
    public:
        explicit condition(semaphore& s) noexcept : of_(&s) {}
        condition(condition const&) = delete;
        condition& operator=(condition const&) = delete;
        SPRUCE_API ~condition();
        SPRUCE_API result<void> arm(wait_point& p) noexcept;
        SPRUCE_API void disarm() noexcept;
        SPRUCE_API bool ready() const noexcept;
        SPRUCE_API bool reserve() noexcept;
        SPRUCE_API void unreserve() noexcept;
        SPRUCE_API void goes_on() noexcept;
        [[nodiscard]] SPRUCE_API result<permit> take() noexcept;

    private:
        semaphore* of_;
        bool made_ = false;   // entry_ holds a waiter, whose permit must be given back
        detail::wait_entry entry_;
    };

private:
    struct acquiring;
    void hold(permit& by) noexcept;
    void let_go(permit& by) noexcept;
    bool give_to_first() noexcept;
    detail::contended_list waiters_;
    permit* permits_ = nullptr;   // those that live, and those on their way to who waited
    std::size_t available_, bound_, held_ = 0;
};

namespace detail {
// Who has a lock, and who waits for it.
struct lock_core : pinned {
    SPRUCE_API ~lock_core();
    waiter_list waiters;
    task_id owner{};            // 0: plain code
    std::size_t depth = 0;      // how often it is locked; 0: not
    std::size_t expected = 0;   // waiters of condition variables, who will lock it again
};
SPRUCE_API result<void> lock(lock_core& l, bool again, deadline dl) noexcept;
SPRUCE_API result<void> try_lock(lock_core& l, bool again) noexcept;
SPRUCE_API void unlock(lock_core& l) noexcept;
}  // namespace detail

// A lock of a mutex M, which ends with it. Thread: that of the task which locked; only that task may end it.
// Lifetime: the mutex outlives it.
template <class M> class [[nodiscard]] lock_guard {
public:
    lock_guard(lock_guard&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
    lock_guard& operator=(lock_guard&& other) noexcept {
        if (this != &other) {
            unlock();
            of_ = std::exchange(other.of_, nullptr);
        }
        return *this;
    }
    ~lock_guard() { unlock(); }
    // Unlocks now; the next who waits has the lock at once, and runs later. Nothing if it is empty. Done by another
    // task than the one that locked, it ends the program.
    void unlock() noexcept {
        if (detail::lock_core* const l = std::exchange(of_, nullptr)) detail::unlock(*l);
    }

private:
    friend M;
    friend class condition_variable;
    explicit lock_guard(detail::lock_core& l) noexcept : of_(&l) {}
    detail::lock_core* of_;
};

// One task at a time. It is handed over first come, first served, by direct hand-off, without barging. Thread: one
// loop's; plain code on its thread may lock it, too, where it is free, and counts as one more task.
// Lifetime: it must have no owner and no waiter when it dies: else the program ends.
class mutex : detail::pinned {
public:
    using guard = lock_guard<mutex>;
    mutex() noexcept = default;
    // Locks; waits until it is free. Errors: canceled, timed_out, not_in_task, deadlock (the caller holds it already).
    // Cancel: it is not locked. Who was handed the lock has it, even if it is canceled before it runs.
    [[nodiscard]] result<guard> lock(deadline dl = {}) {
        SPRUCE_CHECK(detail::lock(core_, false, dl));
        return guard(core_);
    }
    // Locks if it is free. Errors: would_wait.
    [[nodiscard]] result<guard> try_lock() noexcept {
        SPRUCE_CHECK(detail::try_lock(core_, false));
        return guard(core_);
    }

private:
    detail::lock_core core_;
};

// A mutex that its owner may lock again: it is free when all of the owner's guards have ended. All else is as of mutex.
class recursive_mutex : detail::pinned {
public:
    using guard = lock_guard<recursive_mutex>;
    recursive_mutex() noexcept = default;
    // Locks; waits until it is free, or the caller's already. Errors: canceled, timed_out, not_in_task.
    // Cancel: as of mutex.
    [[nodiscard]] result<guard> lock(deadline dl = {}) {
        SPRUCE_CHECK(detail::lock(core_, true, dl));
        return guard(core_);
    }
    // Locks if it is free, or the caller's. Errors: would_wait.
    [[nodiscard]] result<guard> try_lock() noexcept {
        SPRUCE_CHECK(detail::try_lock(core_, true));
        return guard(core_);
    }

private:
    detail::lock_core core_;
};

namespace detail {
SPRUCE_API result<void> begin_condition_wait(lock_core* l) noexcept;
SPRUCE_API result<void> condition_wait(waiter_list& on, lock_core* l, deadline dl) noexcept;
// The same deadline, if it is relative counted from now.
SPRUCE_API deadline anchored(deadline dl) noexcept;
}  // namespace detail

// Waits for a change of what a mutex guards. Who waits holds the lock again whenever wait() comes back, however. A
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

// Counts work that others finish. Thread: one loop's; what does not wait may be called by plain code, too, on its
// thread.
// Lifetime: waiters that are left when it dies are woken with closed.
class wait_group : detail::pinned {
public:
    wait_group() noexcept = default;
    SPRUCE_API ~wait_group();
    // So much more is to be done. More than a std::size_t counts ends the program.
    void add(std::size_t n = 1) noexcept {
        SPRUCE_VERIFY(count_ + n >= count_, "a wait group counts no further");
        count_ += n;
    }
    // One is done; the last one wakes all who wait. Errors: wrong_state (nothing is left to be done).
    SPRUCE_API result<void> done() noexcept;
    // Waits until nothing is left. Errors: canceled, timed_out, not_in_task, closed (it was destroyed).
    // Cancel: leaves no trace.
    [[nodiscard]] SPRUCE_API result<void> wait(deadline dl = {});

private:
    detail::waiter_list waiters_;
    std::size_t count_ = 0;
};

}}  // namespace spruce::v0
