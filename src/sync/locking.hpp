// A wait for a lock, and handing it over.
#pragma once
#include <spruce/mutex.hpp>

#include "waiters.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// Out of the line it stands in. One that was made the owner, and will never run, hands over again.
void give_up_lock(parked& self) noexcept;
struct locking : parked {
    explicit locking(char const* what, lock_core& l, std::size_t depth_ = 1) noexcept
        : parked(what), of(l), depth(depth_) {
        abandon = give_up_lock;
    }
    lock_core& of;
    std::size_t depth;   // as deep it is to be locked for who waits
};

// Makes the first who waits the owner, if anybody waits; it runs later.
inline void hand_over(lock_core& l) noexcept {
    parked* const p = waiters(l.waiters).take_front();
    if (!p) return;
    l.owner = p->who->id;
    l.depth = static_cast<locking*>(p)->depth;
    wake_inline(*p);
}

}}}  // namespace spruce::v0::detail
