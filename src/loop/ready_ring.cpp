#include "ready_ring.hpp"

namespace spruce { inline namespace v0 { namespace detail {

bool ready_ring::grow(std::size_t n) noexcept {
    std::size_t const wanted = reserved_ + n;
    std::size_t size = entries_ ? capacity() : 32;
    while (size < wanted + holes_) size *= 2;
    if (size > (std::size_t{1} << 31) || !resize(size)) return false;
    reserved_ = wanted;
    return true;
}

bool ready_ring::resize(std::size_t size) noexcept {
    auto* const bigger = static_cast<ready_entry*>(allocate(memory_, size * sizeof(ready_entry), alignof(ready_entry)));
    if (!bigger) return false;
    std::uint32_t const count = tail_ - head_;
    for (std::uint32_t i = 0; i != count; ++i) bigger[i] = entries_[(head_ + i) & mask_];
    release(memory_, entries_, capacity() * sizeof(ready_entry), alignof(ready_entry));
    entries_ = bigger;
    mask_ = static_cast<std::uint32_t>(size - 1);
    head_ = known_ = 0;
    tail_ = count;
    return true;
}

// What was kept of places may be of another round: it counts if the node is there.
bool ready_ring::find(void* node, places const& of, std::uint32_t* found) noexcept {
    std::uint32_t const* const kept = of.at(node);
    if (!kept || *kept - head_ >= tail_ - head_ || entries_[*kept & mask_].node != node) return false;
    *found = *kept;
    return true;
}

void ready_ring::close_up(void* hole) noexcept {
    std::uint32_t to = head_;
    for (std::uint32_t at = head_; at != tail_; ++at)
        if (entries_[at & mask_].node != hole) entries_[to++ & mask_] = entries_[at & mask_];
    tail_ = to;
    known_ = head_;
    holes_ = 0;
}

bool ready_ring::extract(void* node, ready_entry* out, void* hole, places const& of) noexcept {
    if (empty()) return false;
    // Mostly it was put there just now: a task that was spawned, or woken, to run at once.
    if (entries_[(tail_ - 1) & mask_].node == node) {
        std::uint32_t const remember = known();
        *out = entries_[--tail_ & mask_];
        known_ = remember == tail_ + 1 ? tail_ : remember;
        return true;
    }
    if (front().node == node) return *out = take(), true;
    std::uint32_t at = 0;
    if (!find(node, of, &at)) {
        // Those that came since the last look learn their places.
        for (std::uint32_t from = known(); from != tail_; ++from)
            if (void* const one = entries_[from & mask_].node; is_extension(one)) of.keep(one, from);
        known_ = tail_;
        if (!find(node, of, &at)) {
            // Put in front of those that knew theirs, or not there.
            for (at = head_; at != tail_ && entries_[at & mask_].node != node;) ++at;
            if (at == tail_) return false;
        }
    }
    *out = entries_[at & mask_];
    // A hole takes a place that something else may need: as many as there are beyond those are enough, or there is
    // memory for as many again; else the entries before it move up.
    std::uint32_t const before = at - head_;
    if (reserved_ + holes_ < capacity() || resize(capacity() * 2)) {
        entries_[(head_ + before) & mask_] = {hole, nullptr};
        if (++holes_ > 32 && holes_ > size() / 2) close_up(hole);
        return true;
    }
    for (; at != head_; --at) entries_[at & mask_] = entries_[(at - 1) & mask_];
    ++head_;
    known_ = head_;
    return true;
}

}}}  // namespace spruce::v0::detail
