// Condition variables: who is notified goes straight into the line for the lock.
// Cancel, and the deadline: before the notification task/park.cpp unlinks the waiter from waiters_ by parked::abandon;
// after it, locking again cannot be canceled.
#include <spruce/condition_variable.hpp>
#include <spruce/task.hpp>

#include "../task/scheduler.hpp"
#include "locking.hpp"

namespace spruce { inline namespace v0 {

namespace detail {

namespace {
using condition_waiting = locking;

// From when the lock is given up until it is locked again.
struct expecting : outside_wait {
    explicit expecting(lock_core& l) noexcept : outside_wait(lost), of(l) {
        ++of.expected;
        current_hub->outside_waits.push_back(*this);
    }
    ~expecting() {
        unlink();
        --of.expected;
    }
    static void lost(outside_wait& w) noexcept { --static_cast<expecting&>(w).of.expected; }
    lock_core& of;
};

// Nothing ends this wait but the lock: its caller relies on it.
void lock_again(lock_core& l, std::size_t depth) noexcept {
    if (l.depth == 0) {
        l.owner = this_task::id();
        l.depth = depth;
        return;
    }
    locking p("mutex", l, depth);
    p.uncancelable = true;
    waiters(l.waiters).push_back(p);
    static_cast<void>(park(p, never()));
}
}  // namespace

result<void> begin_condition_wait(lock_core* l) noexcept {
    SPRUCE_CHECK(begin_wait());
    if (!l || l->depth == 0 || l->owner != this_task::id())
        return with_detail(errc::wrong_state, "the lock of a condition variable is not the caller's");
    return {};
}

result<void> condition_wait(waiter_list& on, lock_core* l, deadline dl) noexcept {
    SPRUCE_CHECK(begin_condition_wait(l));
    if (!current_scheduler || !current_scheduler->current) return errc::not_in_task;
    condition_waiting p("condition_variable", *l, l->depth);
    waiters(on).push_back(p);
    expecting const again(*l);
    l->depth = 0;
    hand_over(*l);
    auto const woken = park(p, dl);
    if (!woken) lock_again(*l, p.depth);
    return woken;
}

deadline anchored(deadline dl) noexcept {
    if (dl.how() != deadline::kind::relative || !current_hub) return dl;
    std::int64_t const due = current_hub->due_from_now(dl);
    return due == no_time ? never() : deadline(deadline::kind::absolute, due);
}

}  // namespace detail

using namespace detail;

condition_variable::~condition_variable() {
    while (parked* const p = waiters(waiters_).take_front()) wake_failed(*p, errc::closed);
}

std::size_t condition_variable::notify(std::size_t n) noexcept {
    std::size_t woken = 0;
    while (woken != n) {
        auto* const p = static_cast<condition_waiting*>(waiters(waiters_).take_front());
        if (!p) break;
        ++woken;
        // The wait is over from here on: neither its deadline nor a cancellation finds it waiting.
        p->outcome = parked::how::fired;
        p->noun = "mutex";
        waiters(p->of.waiters).push_back(*p);
        if (p->of.depth == 0) hand_over(p->of);
    }
    return woken;
}

}}  // namespace spruce::v0
