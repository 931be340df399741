// Values that wait until somebody takes them.
#include <spruce/detail/backlog.hpp>
#include <spruce/detail/waiter_list.hpp>

namespace spruce { inline namespace v0 { namespace detail {

backlog_core::backlog_core(std::size_t capacity, value_ops const& ops) noexcept
    : ops_(&ops), capacity_(capacity != 0 ? capacity : 1), memory_(memory_here()) {
    if (capacity_ <= static_cast<std::size_t>(-1) / 2 / ops.size)
        slots_ = allocate(memory_, capacity_ * ops.size, ops.alignment);
}

backlog_core::~backlog_core() {
    while (count_ != 0) pop();
    release(memory_, slots_, capacity_ * ops_->size, ops_->alignment);
}

void backlog_core::push(void* value) noexcept {
    ops_->move(slot(count_), value);
    ++count_;
    if (point_) point_->fire();
}

void backlog_core::end() noexcept {
    ended_ = true;
    if (point_) point_->fire();
}

result<void*> backlog_core::first() noexcept {
    if (count_ != 0) return slot(0);
    if (gap_) {
        gap_ = false;
        return errc::full;
    }
    return ended_ ? errc::closed : errc::would_wait;
}

void backlog_core::pop() noexcept {
    void* const gone = slot(0);
    if (++first_ == capacity_) first_ = 0;
    --count_;
    ops_->destroy(gone);
}

result<void> backlog_core::arm(wait_point& p) noexcept {
    if (!slots_) return errc::no_memory;
    if (point_) return with_detail(errc::already_registered, "another wait has this condition");
    point_ = &p;
    if (ready()) p.fire();
    return {};
}

}}}  // namespace spruce::v0::detail
