// Barriers: who comes last takes the others out of the line, runs the action, and lets them go.
// Cancel, and the deadline: task/park.cpp calls the waiter's parked::abandon, which unlinks it and breaks the barrier.
#include <spruce/barrier.hpp>

#include <utility>

#include "../task/scheduler.hpp"
#include "waiters.hpp"

namespace spruce { inline namespace v0 {

using namespace detail;

struct barrier::arriving : parked {
    arriving(barrier& b, barrier_cycle& c, std::size_t i) noexcept : parked("barrier"), at(b), cycle(c), index(i) {
        // Who gives up breaks it at once, before anybody else can come. Of one that is whole the last knows what to do.
        abandon = [](parked& self) noexcept {
            auto& me = static_cast<arriving&>(self);
            me.unlink();
            if (me.outcome != how::fired) me.at.abort();
        };
    }
    barrier& at;
    barrier_cycle& cycle;   // its own, should it be the last
    std::size_t index;
};

// Breaks the barrier if the task that is to run the action, or runs it, is abandoned.
struct barrier::cycle_in_hand : outside_wait {
    explicit cycle_in_hand(barrier_cycle& c) noexcept : outside_wait(lost), of(c) {}
    static void lost(outside_wait& w) noexcept {
        barrier* const b = static_cast<cycle_in_hand&>(w).of.of;
        if (!b) return;
        b->running_ = nullptr;
        b->abort();
    }
    barrier_cycle& of;
};

namespace {
// The loop need not know of it any more.
void forget(barrier_cycle& cycle) noexcept {
    if (cycle.known[0]) std::launder(reinterpret_cast<list_link*>(cycle.known))->unlink();
}

// A cycle that its last has begun goes on without the barrier. One whose last was woken, but has not run yet, cannot:
// it would look for the action there. `still`: the barrier, if it goes on.
void let_cycle_go(barrier_cycle& cycle, barrier* still, error why) noexcept {
    cycle.of = nullptr;
    if (!cycle.passed) return;
    cycle.of = still;
    cycle.whole = false;
    forget(cycle);
    while (parked* const p = waiters(cycle.others).take_front()) wake_failed(*p, why);
}
}  // namespace

barrier::~barrier() {
    wake_all(errc::closed);
    if (running_) let_cycle_go(*running_, nullptr, errc::closed);
}

void barrier::wake_all(error why) noexcept {
    count_ = 0;
    while (parked* const p = waiters(waiters_).take_front()) wake_failed(*p, why);
}

void barrier::abort() noexcept {
    broken_ = true;
    wake_all(errc::broken);
}

void barrier::reset() noexcept {
    wake_all(errc::broken);
    broken_ = false;
    if (running_) let_cycle_go(*running_, this, errc::broken);
    running_ = nullptr;
}

// The first parties - 1 of the line wait for the end of this cycle only: neither a deadline nor a cancellation counts
// now.
void barrier::make_whole(barrier_cycle& cycle, bool of_task) noexcept {
    cycle.of = this;
    cycle.whole = true;
    running_ = &cycle;
    static_assert(sizeof(cycle_in_hand) <= sizeof cycle.known);
    if (of_task) current_hub->outside_waits.push_back(*::new (static_cast<void*>(cycle.known)) cycle_in_hand(cycle));
    for (std::size_t n = parties_ - 1; n != 0; --n) {
        parked* const p = waiters(waiters_).take_front();
        p->outcome = parked::how::fired;
        waiters(cycle.others).push_back(*p);
        --count_;
    }
}

result<std::size_t> barrier::arrive(barrier_cycle& cycle, deadline dl) noexcept {
    SPRUCE_CHECK(begin_wait());
    if (parties_ == 0) return with_detail(errc::invalid_argument, "a barrier with 0 parties");
    if (refused_) return errc::no_memory;
    if (broken_) return errc::broken;
    if (!running_ && count_ + 1 == parties_) {
        make_whole(cycle, current_scheduler && current_scheduler->current);
        return parties_ - 1;
    }
    if (!current_scheduler || !current_scheduler->current) return errc::not_in_task;
    arriving p(*this, cycle, count_ % parties_);
    waiters(waiters_).push_back(p);
    ++count_;
    SPRUCE_CHECK(park(p, dl));
    if (std::exchange(cycle.passed, false) && !cycle.whole) return cycle.of ? errc::broken : errc::closed;
    return p.index;
}

void barrier_cycle::end() noexcept {
    barrier* const b = of;
    if (b) b->running_ = nullptr;
    forget(*this);
    while (parked* const p = waiters(others).take_front()) {
        if (passed) wake(*p);
        else wake_failed(*p, errc::broken);
    }
    if (!b) return;
    if (!passed) return b->abort();
    // The next may have become whole meanwhile: its last goes on with it.
    if (b->count_ < b->parties_) return;
    auto* last = static_cast<barrier::arriving*>(waiters(b->waiters_).front());
    for (std::size_t n = b->parties_ - 1; n != 0; --n)
        last = static_cast<barrier::arriving*>(waiters(b->waiters_).after(*last));
    b->make_whole(last->cycle, true);
    waiters(b->waiters_).take_front();
    --b->count_;
    last->cycle.passed = true;   // until it runs, for let_cycle_go()
    wake(*last);
}

}}  // namespace spruce::v0
