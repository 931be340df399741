// Canceling a future, and where that goes on to.
#include "call_block.hpp"

namespace spruce { inline namespace v0 { namespace detail {

void give_up_awaiting(parked& self) noexcept {
    auto& p = static_cast<awaiting&>(self);
    p.unlink();
    // Who waits no longer because it was canceled takes the future with it, if it was the only one who wanted it.
    if (p.outcome != parked::how::canceled && p.outcome != parked::how::scope) return;
    if (!has_interest(p.of) && can_cancel(p.of)) cancel_down(p.of, cause_of(*p.who, p));
}

namespace {
// The task's wait for a future, if it is in one that a cancellation ends.
awaiting* waits_for_future(task_block& t) noexcept {
    if (t.state != task_state::waiting || t.shielded || t.wait->abandon != give_up_awaiting) return nullptr;
    return t.wait->outcome == parked::how::waiting && !t.wait->uncancelable ? static_cast<awaiting*>(t.wait) : nullptr;
}

void stop_following(future_block& b) noexcept {
    b.follows.unlink();
    b.state = future_state::pending;
    future_block* const was = std::exchange(b.source, nullptr);
    if (!was) return;
    // It gets an outcome at once, and those who follow it know their ways by that; but what ends with what it followed
    // runs users' code before.
    if (was->references.load(std::memory_order_relaxed) <= std::uint32_t{was->makers} + 1) forget_ways();
    release_future(was);
}
}  // namespace

bool can_cancel(future_block& first) noexcept {
    future_block* b = &first;
    for (; b->state == future_state::following && !b->has_cancelers(); b = &way_on(*b))
        if (b->shielded) return false;
    if (b->state == future_state::done) return false;
    if (b->kind == future_kind::call) {
        auto const& c = *static_cast<call_block*>(b);
        return c.task || c.queued;
    }
    return b->has_cancelers();
}

// From the future down to whose task waits for the next one, and so on; by a loop, for a chain may be longer than a
// small stack. They wake in the other order: the last one first, as if each had been canceled by who waits for it.
void cancel_down(future_block& first, task_id by) noexcept {
    awaiting* path = nullptr;
    queued_call* taken_back = nullptr;
    for (future_block* b = &first;;) {
        bool alone = true;
        while (alone && b->state == future_state::following && !b->has_cancelers()) {
            b->follows.unlink();
            alone = !has_interest(*b->source);
            b->source->listeners().links.push_back(b->follows);
            if (alone) b = b->source;
        }
        if (b->kind != future_kind::call) {
            if (b->state == future_state::following) stop_following(*b);
            b->canceled = true;
            fail_block(*b, error(errc::task_canceled).caused_by(by));
            break;
        }
        if (queued_call* const q = std::exchange(static_cast<call_block*>(b)->queued, nullptr)) {
            q->withdraw(*q);
            taken_back = q;
            fail_block(*b, error(errc::task_canceled).caused_by(by));
            break;
        }
        task_block& t = *static_cast<call_block*>(b)->task;
        awaiting* const next = waits_for_future(t);
        if (!next) {
            cancel_block(t, by);
            break;
        }
        if (!t.canceled) {
            t.canceled = true;
            t.canceled_by = by;
            t.look_again();
        }
        next->outcome = parked::how::canceled;
        next->unlink();
        next->up = path;
        path = next;
        b = &next->of;
        if (has_interest(*b) || !can_cancel(*b)) break;
    }
    while (path) {
        awaiting* const up = path->up;
        make_ready(*path->who->home, *path->who);
        path = up;
    }
    if (taken_back) taken_back->destroy(*taken_back);
}

bool cancel_future(future_block* b) noexcept {
    if (!is_here(*b) || !can_cancel(*b)) return false;
    plain_scope const scope;   // a job that never ran may be the last to own the loop
    cancel_down(*b, identity(*b));
    return true;
}

bool cancel_future_for(future_block* b, task_id cause) noexcept {
    if (!is_here(*b) || !can_cancel(*b)) return false;
    plain_scope const scope;   // a job that never ran may be the last to own the loop
    cancel_down(*b, cause.value != 0 ? cause : identity(*b));
    return true;
}

namespace {
// Who is forsaken lets go of what it followed, which may be forsaken by that, and so on: each in its turn, by whoever
// has begun. A future's end may run users' code, and wait: each task has a line of its own.
struct forsaking {
    explicit forsaking(task_block const* t) noexcept : who(t), outer(innermost) { innermost = this; }
    ~forsaking() {
        forsaking** at = &innermost;
        while (*at != this) at = &(*at)->outer;
        *at = outer;
    }
    static forsaking* of(task_block const* t) noexcept {
        forsaking* f = innermost;
        while (f && f->who != t) f = f->outer;
        return f;
    }
    static inline constinit thread_local forsaking* innermost = nullptr;
    task_block const* who;
    forsaking* outer;
    future_block* first = nullptr;
};
}  // namespace

void forsake(future_block& b) noexcept {
    if (!is_pending(b)) return;
    plain_scope const scope;
    task_block const* const self = current_scheduler ? current_scheduler->current : nullptr;
    retain_future(&b);
    if (forsaking* const begun = forsaking::of(self)) {
        b.forsaken = std::exchange(begun->first, &b);
        return;
    }
    forsaking line(self);
    b.forsaken = nullptr;
    line.first = &b;
    while (future_block* const f = line.first) {
        line.first = f->forsaken;
        if (is_pending(*f) && can_cancel(*f)) cancel_down(*f, identity(*f));
        give_back(f);
    }
}

void cancel_when_dropped(future_block* b, std::uint8_t makers) noexcept { b->makers = makers; }

void expire_future(future_block* b, future_block* with) noexcept {
    if (!is_here(*b) || !is_pending(*b)) return;
    if (b->state == future_state::following) stop_following(*b);
    if (with) {
        forget_ways();
        static_cast<void>(cancel_future_for(with, identity(*b)));
    }
    fail_block(*b, error(errc::timed_out).caused_by(identity(*b)));
}

bool future_cancelable(future_block* b) noexcept { return is_here(*b) && can_cancel(*b); }

bool was_canceled(future_block* b) noexcept { return b->canceled; }

// -- who it is

task_id identity(future_block& b) noexcept {
    if (b.id.value == 0) b.id = current_scheduler ? new_id(*current_scheduler) : new_loose_id();
    return b.id;
}

task_id future_identity(future_block* b) noexcept {
    return is_here(*b) ? identity(*b) : is_orphan(*b) ? b->id : task_id{};
}

task_id origin_of(future_block* b) noexcept {
    if (is_pending(*b)) return {};
    future_block& r = root_of(*b);
    auto const failed = r.ops->failure(r.outcome);
    return failed ? task_id{} : task_id{failed.error().origin()};
}

}}}  // namespace spruce::v0::detail
