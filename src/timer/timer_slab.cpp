#include "timer_slab.hpp"

#include <new>

namespace spruce { inline namespace v0 { namespace detail {

namespace {
constexpr std::size_t smallest_block = 15;       // with its head 1 KiB
constexpr std::size_t largest_block = 65535;     // 4 MiB; a reservation beyond gets a block of its size
}  // namespace

timer_slab::~timer_slab() {
    while (first_) {
        block* const b = first_;
        first_ = b->next;
        release(hook_, b, sizeof(block) + b->count * sizeof(timer), alignof(timer));
    }
}

bool timer_slab::grow(std::size_t n) noexcept {
    std::size_t const missing = n - (capacity_ - reserved_);
    std::size_t wanted = capacity_ + 1;  // doubles what there is, whatever sizes the blocks came in
    if (wanted < smallest_block) wanted = smallest_block;
    if (wanted > largest_block) wanted = largest_block;
    if (wanted < missing) wanted = missing;
    // A small arena may have room for what is needed, though not for what would be convenient.
    return add_block(wanted) || (wanted > missing && add_block(missing));
}

bool timer_slab::add_block(std::size_t count) noexcept {
    if (count >= SIZE_MAX / sizeof(timer) - capacity_) return false;
    void* const memory = allocate(hook_, sizeof(block) + count * sizeof(timer), alignof(timer));
    if (!memory) return false;
    block* const b = ::new (memory) block{nullptr, count, 0};
    (last_ ? last_->next : first_) = b;
    last_ = b;
    if (!filling_) filling_ = b;
    capacity_ += count;
    return true;
}

timer* timer_slab::fresh() noexcept {
    while (filling_->used == filling_->count) filling_ = filling_->next;
    return ::new (static_cast<void*>(filling_->timers() + filling_->used++)) timer();
}

}}}  // namespace spruce::v0::detail
