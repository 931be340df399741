// What the primitives of synchronisation are made of. Nothing here is for users to call.
#pragma once
#include "../memory.hpp"
#include "../result.hpp"
#include "../time.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// The waiters of one source, first come, first served: room for the list's head, which the library alone knows.
struct waiter_list {
    SPRUCE_API waiter_list() noexcept;
    waiter_list(waiter_list const&) = delete;
    waiter_list& operator=(waiter_list const&) = delete;
    void* head[2];
};

// The same, of what one of those who wait takes from the others; those who wait for all of several stand apart.
struct contended_list {
    SPRUCE_API contended_list() noexcept;
    contended_list(contended_list const&) = delete;
    contended_list& operator=(contended_list const&) = delete;
    void* head[7];
};

// The memory hook of this thread's loop, or the process's.
SPRUCE_API memory_hook memory_here() noexcept;

}}}  // namespace spruce::v0::detail
