// Condition variables: who is notified goes straight into the line for the lock.
#include <spruce/sync.hpp>
#include <spruce/task.hpp>

#include "../task/scheduler.hpp"
#include "locking.hpp"

namespace spruce::inline v0 {

namespace detail {

namespace {
struct condition_waiting : locking {
    explicit condition_waiting(lock_core& l) noexcept : locking("condition_variable", l.depth), with(l) {}
    lock_core& with;
};

// Nothing ends this wait but the lock: its caller relies on it.
void lock_again(lock_core& l, std::size_t depth) noexcept {
    if (l.depth == 0) {
        l.owner = this_task::id();
        l.depth = depth;
        return;
    }
    locking p("mutex", depth);
    p.uncancellable = true;
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
    condition_waiting p(*l);
    waiters(on).push_back(p);
    ++l->expected;
    l->depth = 0;
    hand_over(*l);
    auto const woken = park(p, dl);
    if (!woken) lock_again(*l, p.depth);
    --l->expected;
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
        waiters(p->with.waiters).push_back(*p);
        if (p->with.depth == 0) hand_over(p->with);
    }
    return woken;
}

}  // namespace spruce::inline v0
