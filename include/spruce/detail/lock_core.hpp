// What mutexes are made of. Nothing here is for users to call.
#pragma once
#include <cstddef>

#include "../error.hpp"
#include "../result.hpp"
#include "../time.hpp"
#include "waiter_list.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// The owner of a lock, and its waiters.
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

}}}  // namespace spruce::v0::detail
