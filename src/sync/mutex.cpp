// Mutexes: who unlocks makes the first who waits the owner.
// Cancel, and the deadline: task/park.cpp calls the waiter's parked::abandon, give_up_lock() in locking.hpp, which
// unlinks it; one that has been handed the lock keeps it.
#include <spruce/mutex.hpp>

#include "locking.hpp"

namespace spruce { inline namespace v0 { namespace detail {

lock_core::~lock_core() {
    // One whose owner was abandoned stays locked for ever, and may end so.
    bool const is_left = depth != 0 && owner.value != 0 && !is_alive(owner) && detail::waiters(waiters).empty();
    SPRUCE_VERIFY((depth == 0 || is_left) && expected == 0,
                  "the end of a mutex that is locked, or that waiters will lock again");
}

void give_up_lock(parked& self) noexcept {
    auto& p = static_cast<locking&>(self);
    bool const owns = p.outcome == parked::how::fired && !p.linked();
    p.unlink();
    if (!owns) return;
    p.of.depth = 0;
    hand_over(p.of);
}

namespace {
task_id caller() noexcept {
    scheduler const* const s = current_scheduler;
    return s && s->current ? s->current->id : task_id{};
}
bool lock_now(lock_core& l, bool again, task_id me) noexcept {
    if (l.depth != 0 && !(again && l.owner == me)) return false;
    l.owner = me;
    ++l.depth;
    return true;
}
// Its frame holds a waiter, which those who need not wait do without.
[[gnu::noinline]] result<void> wait_for_lock(lock_core& l, deadline dl) noexcept {
    locking p("mutex", l);
    waiters(l.waiters).push_back(p);
    return park_here(p, dl);
}
}  // namespace

result<void> try_lock(lock_core& l, bool again) noexcept {
    if (lock_now(l, again, caller())) return {};
    return errc::would_wait;
}

result<void> lock(lock_core& l, bool again, deadline dl) noexcept {
    if (!may_wait()) [[unlikely]] return begin_wait();
    task_id const me = caller();
    if (lock_now(l, again, me)) return at_once<result<void>>({});
    if (l.owner == me) [[unlikely]]
        return refused_call(with_detail(errc::deadlock, "a mutex that its owner locks again"));
    return wait_for_lock(l, dl);
}

void unlock(lock_core& l) noexcept {
    SPRUCE_VERIFY(l.depth != 0 && l.owner == caller(), "a mutex unlocked by another task than the one that locked it");
    if (--l.depth == 0) hand_over(l);
}

}}}  // namespace spruce::v0::detail
