#include "ready_ring.hpp"

namespace spruce::inline v0::detail {

bool ready_ring::grow(std::size_t n) noexcept {
    std::size_t const wanted = reserved_ + n;
    std::size_t size = entries_ ? capacity() : 32;
    while (size < wanted) size *= 2;
    if (size > (std::size_t{1} << 31)) return false;
    auto* const bigger = static_cast<ready_entry*>(allocate(memory_, size * sizeof(ready_entry), alignof(ready_entry)));
    if (!bigger) return false;
    std::uint32_t const count = tail_ - head_;
    for (std::uint32_t i = 0; i != count; ++i) bigger[i] = entries_[(head_ + i) & mask_];
    release(memory_, entries_, capacity() * sizeof(ready_entry), alignof(ready_entry));
    entries_ = bigger;
    mask_ = static_cast<std::uint32_t>(size - 1);
    head_ = 0;
    tail_ = count;
    reserved_ = wanted;
    return true;
}

bool ready_ring::extract(void* node, ready_entry* out) noexcept {
    // Mostly it was put there just now: a task that was spawned, or woken, to run at once.
    if (!empty() && entries_[(tail_ - 1) & mask_].node == node) {
        *out = entries_[--tail_ & mask_];
        return true;
    }
    for (std::uint32_t at = head_; at != tail_; ++at) {
        if (entries_[at & mask_].node != node) continue;
        *out = entries_[at & mask_];
        for (; at != head_; --at) entries_[at & mask_] = entries_[(at - 1) & mask_];
        ++head_;
        return true;
    }
    return false;
}

}  // namespace spruce::inline v0::detail
