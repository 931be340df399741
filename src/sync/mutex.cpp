// Mutexes: who unlocks makes the first who waits the owner.
#include <spruce/sync.hpp>
#include <spruce/task.hpp>

#include "locking.hpp"

namespace spruce::inline v0::detail {

lock_core::~lock_core() {
    SPRUCE_VERIFY(depth == 0 && expected == 0, "the end of a mutex that is locked, or that waiters will lock again");
}

result<void> try_lock(lock_core& l, bool again) noexcept {
    task_id const me = this_task::id();
    if (l.depth != 0 && !(again && l.owner == me)) return errc::would_wait;
    l.owner = me;
    ++l.depth;
    return {};
}

result<void> lock(lock_core& l, bool again, deadline dl) noexcept {
    SPRUCE_CHECK(begin_wait());
    if (try_lock(l, again)) return {};
    if (l.owner == this_task::id()) return with_detail(errc::deadlock, "a mutex that its owner locks again");
    locking p("mutex");
    waiters(l.waiters).push_back(p);
    return park(p, dl);
}

void unlock(lock_core& l) noexcept {
    SPRUCE_VERIFY(l.depth != 0 && l.owner == this_task::id(), "a mutex unlocked by another task than the one that locked it");
    if (--l.depth == 0) hand_over(l);
}

}  // namespace spruce::inline v0::detail
