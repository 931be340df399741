// Events: set() wakes all who wait. Cancel, and the deadline: task/park.cpp unlinks the waiter by parked::abandon, the
// plain unlink here.
#include <spruce/event.hpp>

#include "waiters.hpp"

namespace spruce { inline namespace v0 {

event::~event() {
    while (detail::parked* const p = detail::waiters(waiters_).take_front()) detail::wake_failed(*p, errc::closed);
}

void event::set() noexcept {
    set_ = true;
    while (detail::parked* const p = detail::waiters(waiters_).take_front()) detail::wake(*p);
}

[[gnu::noinline]] result<void> event::wait(deadline dl) {
    if (!detail::may_wait()) [[unlikely]] return detail::begin_wait();
    if (set_) return detail::at_once<result<void>>({});
    detail::parked p("event");
    detail::waiters(waiters_).push_back(p);
    return detail::park_here(p, dl);
}

result<void> event::condition::arm(wait_point& p) noexcept {
    ended_ = {};
    if (of_->set_) p.fire();
    else detail::waiters(of_->waiters_).push_back(detail::enter<detail::parked>(entry_, p, "event"));
    return {};
}

void event::condition::disarm() noexcept {
    if (!entry_.armed) return;
    auto& p = detail::entry_of<detail::parked>(entry_);
    if (p.outcome == detail::parked::how::failed) ended_ = p.reason;
    detail::leave_line(entry_);
}

}}  // namespace spruce::v0
