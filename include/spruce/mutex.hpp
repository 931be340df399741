// Mutexes: one task at a time.
#pragma once
#include <cstddef>
#include <utility>

#include "detail/lock_core.hpp"
#include "result.hpp"
#include "time.hpp"

namespace spruce { inline namespace v0 {

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
    // Unlocks now; the next waiter has the lock at once, and runs later. Nothing if it is empty. Done by another
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

}}  // namespace spruce::v0
