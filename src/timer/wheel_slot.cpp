#include "wheel_slot.hpp"

#include <new>

namespace spruce { inline namespace v0 { namespace detail {

chunk_pool::~chunk_pool() {
    for (bool const large : {false, true})
        while (wheel_chunk* const c = shelves_[large].free) {
            shelves_[large].free = c->next;
            release(hook_, c, bytes_of(large), alignof(wheel_chunk));
        }
}

wheel_chunk* chunk_pool::take(bool large) noexcept {
    shelf& s = shelves_[large];
    wheel_chunk* c = s.free;
    if (c) {
        s.free = c->next;
        --s.kept;
    } else {
        void* const memory = allocate(hook_, bytes_of(large), alignof(wheel_chunk));
        if (!memory) return nullptr;
        c = ::new (memory) wheel_chunk;
        c->capacity = capacity_of(large);
    }
    c->clear();
    ++s.in_use;
    return c;
}

void chunk_pool::give_back(wheel_chunk* c) noexcept {
    bool const large = c->capacity == capacity_of(true);
    shelf& s = shelves_[large];
    --s.in_use;
    if (s.kept > s.in_use / 2 + 16) {
        release(hook_, c, bytes_of(large), alignof(wheel_chunk));
        return;
    }
    c->next = s.free;
    s.free = c;
    ++s.kept;
}

}}}  // namespace spruce::v0::detail
