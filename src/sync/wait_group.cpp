// Wait groups: the last who is done wakes all.
// Cancel, and the deadline: task/park.cpp unlinks the waiter by parked::abandon, the plain unlink here.
#include <spruce/wait_group.hpp>

#include "waiters.hpp"

namespace spruce { inline namespace v0 {

using namespace detail;

wait_group::~wait_group() {
    while (parked* const p = waiters(waiters_).take_front()) wake_failed(*p, errc::closed);
}

result<void> wait_group::done() noexcept {
    if (count_ == 0) return with_detail(errc::wrong_state, "a wait group with nothing left to be done");
    if (--count_ != 0) return {};
    while (parked* const p = waiters(waiters_).take_front()) wake(*p);
    return {};
}

result<void> wait_group::wait(deadline dl) {
    SPRUCE_CHECK(begin_wait());
    if (count_ == 0) return at_once<result<void>>({});
    parked p("wait_group");
    waiters(waiters_).push_back(p);
    return park(p, dl);
}

}}  // namespace spruce::v0
