#include <spruce/sync.hpp>

#include "waiters.hpp"

namespace spruce::inline v0 {

event::~event() {
    while (detail::parked* const p = detail::waiters(waiters_).take_front()) detail::wake_failed(*p, errc::closed);
}

void event::set() noexcept {
    set_ = true;
    while (detail::parked* const p = detail::waiters(waiters_).take_front()) detail::wake(*p);
}

result<void> event::wait(deadline dl) {
    SPRUCE_CHECK(detail::begin_wait());
    if (set_) return {};
    detail::parked p("event");
    detail::waiters(waiters_).push_back(p);
    return detail::park(p, dl);
}

}  // namespace spruce::inline v0
