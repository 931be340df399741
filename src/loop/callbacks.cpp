// The life of a callback: claimed, armed, queued, run, gone; and canceled anywhere on the way.
#include <spruce/loop.hpp>

#include "plain_scope.hpp"

namespace spruce { inline namespace v0 { namespace detail {

void hub::rouse_sleeper() noexcept {
    visiting.poll_thread_sleeping = false;
    if (!fds.is_parents()) door->wake();   // a forked child's waker is its parent's until after_fork()
}

void add_hold(hub& h, handler_slot& s) noexcept {
    if (s.holds) return;
    s.holds = true;
    ++h.holds;
}
void drop_hold(hub& h, handler_slot& s) noexcept {
    if (!s.holds) return;
    s.holds = false;
    --h.holds;
}

slot_claim claim_handler(hub* on, error const& status, std::size_t size, std::size_t alignment) noexcept {
    slot_claim c;
    if (!on) return c.why = status, c;
    if (on->phase >= hub_phase::ending || on->orphaned) return c.why = errc::closed, c;
    if (on != current_hub) return c.why = errc::wrong_thread, c;
    return on->handlers.claim(*on, size, alignment);
}
void unclaim_handler(hub* on, handler_slot* slot) noexcept { on->handlers.unclaim(*slot); }

handler refused_handler(error why) noexcept { return handler_access::refused(why); }

handler arm_soon(hub* on, handler_slot* s, callable_ops const* ops) noexcept {
    s->ops = ops;
    s->kind = slot_kind::soon;
    add_hold(*on, *s);
    make_ready(*on, *s);
    return handler_access::name(on->serial, *s);
}

void* queue_plain(hub* on, error const& status, callable_ops const* ops, handler& made) noexcept {
    if (!on || on != current_hub || on->phase >= hub_phase::ending || !on->handlers.any_free()) [[unlikely]] {
        slot_claim const c = claim_handler(on, status, ops->size, ops->alignment);
        made = c.room ? arm_soon(on, c.slot, ops) : refused_handler(c.why);
        return c.room;
    }
    handler_slot& s = on->handlers.take_for(ops);
    s.kind = slot_kind::soon;
    s.holds = true;
    ++on->holds;
    make_ready(*on, s);
    made = handler_access::name(on->serial, s);
    return s.room;
}

handler arm_timer(hub* on, handler_slot* s, callable_ops const* ops, deadline dl, duration period) noexcept {
    s->ops = ops;
    if (auto reserved = on->timers.reserve(1); !reserved) {
        plain_scope const scope(on);
        on->handlers.dispose(*s);
        return refused_handler(reserved.error());
    }
    s->kind = period.count() > 0 ? slot_kind::periodic : slot_kind::timer;
    s->period_ns = period.count();
    s->time = on->timers.take(s);
    s->state = slot_state::armed;
    add_hold(*on, *s);
    std::int64_t const due = s->due_ns = on->due_from_now(dl);
    // What is due already runs in the next pass: one hop, in the order of its making. But behind what was to run before
    // it, and has not been seen to be due yet: then it is a timer among those.
    bool const soon =
        dl.how() == deadline::kind::relative ? dl.ns() <= 0 : due <= on->now_ns && on->phase == hub_phase::running;
    if (soon && on->timers.earliest_ns() > due) make_ready(*on, *s);
    else on->timers.arm(*s->time, due);
    on->rouse();
    return handler_access::name(on->serial, *s);
}

handler arm_idle(hub* on, handler_slot* s, callable_ops const* ops) noexcept {
    s->ops = ops;
    s->kind = slot_kind::idle;
    s->state = slot_state::armed;
    on->idlers.push_back(*s);
    on->rouse();
    return handler_access::name(on->serial, *s);
}

namespace {
void fd_slot_told(listener& self, unsigned what) noexcept {
    auto& slot = static_cast<handler_slot&>(self);
    hub& h = *current_hub;
    // Closed by its owner here: the number is about to be somebody else's.
    if ((what & told_closed) != 0) cancel_slot(h, slot);
    else if (slot.state == slot_state::armed) make_ready(h, slot);
}

bool remove_fd_handler(hub* h, int fd, bool write) noexcept {
    if (!h || h != current_hub) return false;
    fd_entry* const e = h->fds.find(fd);
    listener* const l = !e ? nullptr : write ? e->on_write : e->on_read;
    plain_scope const scope(h);
    // Somebody else's wait on that side is none of ours to remove.
    return l && l->notify == fd_slot_told && cancel_slot(*h, static_cast<handler_slot&>(*l));
}
}  // namespace

result<handler> arm_fd(hub* on, handler_slot* s, callable_ops const* ops, int fd, bool write) noexcept {
    s->ops = ops;
    s->kind = write ? slot_kind::writer : slot_kind::reader;
    s->number = fd;
    s->notify = fd_slot_told;
    if (auto watched = on->fds.watch(fd, write, *s); !watched) {
        plain_scope const scope(on);
        on->handlers.dispose(*s);
        return watched.error();
    }
    s->state = slot_state::armed;
    add_hold(*on, *s);
    on->rouse();
    return handler_access::name(on->serial, *s);
}

// -- running

namespace {
// After its call: gone, or armed for the next event.
void after_run(hub& h, handler_slot& s) noexcept {
    if (s.state == slot_state::canceled) {
        h.handlers.dispose(s);
        return;
    }
    switch (s.kind) {
    case slot_kind::reader:
    case slot_kind::writer:
    case slot_kind::signal:
    case slot_kind::hook:
        s.state = slot_state::armed;
        if (std::exchange(s.again, false)) make_ready(h, s);
        return;
    case slot_kind::timer:
    case slot_kind::periodic:
        if (!std::exchange(s.again, false) && s.kind == slot_kind::timer) break;
        s.state = slot_state::armed;   // a beat, or rearm() in its own callback put it into the wheel
        return;
    default:
        break;
    }
    detach_slot(h, s);
    h.handlers.dispose(s);
}

// A beat's next due time: the first of its series that is not over.
std::int64_t next_beat(std::int64_t due, std::int64_t period, std::int64_t now) noexcept {
    // Rearmed to before the beginning of time: a due time of the same phase from which differences are numbers.
    if (due < 0) due = due % period + period;
    if (due > now) return due;
    std::int64_t const missed = (now - due) / period;
    return missed >= (no_time - due) / period - 1 ? no_time : due + (missed + 1) * period;
}
}  // namespace

void expire_slot(hub& h, handler_slot& s) noexcept {
    if (s.kind == slot_kind::periodic) {
        // Armed again from where it was due, not from where it ran: no drift. One still queued counts this beat.
        s.due_ns = next_beat(s.due_ns, s.period_ns, h.now_ns);
        h.timers.arm(*s.time, s.due_ns);
    }
    if (s.state == slot_state::armed) make_ready(h, s);
    else if (s.state == slot_state::queued) s.again = false;   // rearmed while queued, and due again: that entry counts
}

void run_slot(hub& h, handler_slot& s) noexcept {
    if (is_due_soon(s)) return run_soon(h, s);
    if (s.state == slot_state::canceled) {
        if (&s == &h.hole) return h.ready.filled();
        if (std::exchange(s.again, false)) return;   // its callable's destructor runs us: cancel_slot() goes on
        --h.canceled_in_ring;
        h.handlers.dispose(s);
        return;
    }
    if (s.again && (s.kind == slot_kind::timer || s.kind == slot_kind::periodic)) {
        s.again = false;   // rearmed after it was queued: it runs at its new time
        s.state = slot_state::armed;
        return;
    }
    s.state = slot_state::running;
    handler const self = handler_access::name(h.serial, s);
    if (s.kind == slot_kind::soon || s.kind == slot_kind::idle || s.kind == slot_kind::hook) drop_hold(h, s);
    if (s.kind == slot_kind::child) {
        callback_argument<result<exit_status>> argument{self, child_outcome(s)};
        drop_hold(h, s);
        s.ops->run(s.callable, &argument);
    } else {
        callback_argument<> argument{self};
        s.ops->run(s.callable, &argument);
    }
    after_run(h, s);
}

void detach_slot(hub& h, handler_slot& s) noexcept {
    drop_hold(h, s);
    s.lasts = false;
    switch (s.kind) {
    case slot_kind::timer:
    case slot_kind::periodic:
        h.timers.give_back(s.time);
        h.timers.unreserve(1);
        break;
    case slot_kind::reader:
    case slot_kind::writer:
        h.fds.unwatch(s.number, s.kind == slot_kind::writer, s);
        break;
    case slot_kind::signal:
        s.unlink();
        drop_signal(h, s.number);
        break;
    case slot_kind::child:
        detach_child(h, s);
        break;
    default:
        s.unlink();
        break;
    }
}

bool cancel_slot(hub& h, handler_slot& s) noexcept {
    switch (s.state) {
    case slot_state::armed:
        detach_slot(h, s);
        h.handlers.dispose(s);
        return true;
    case slot_state::queued:
        // Its ring entry still points here: the slot waits for it, the callable does not.
        detach_slot(h, s);
        s.state = slot_state::canceled;
        s.again = true;   // the destructor may run the loop, or claim: the slot's room is not free yet
        h.handlers.drop_callable(s);
        if (std::exchange(s.again, false)) ++h.canceled_in_ring;
        else h.handlers.unclaim(s);   // the entry was taken meanwhile
        return true;
    case slot_state::running:
        if (!may_run(s)) return false;   // it has begun, and would not run again
        detach_slot(h, s);
        s.state = slot_state::canceled;
        return true;
    default:
        return false;
    }
}

void drop_handlers(hub& h, whose_callbacks which) noexcept {
    for (std::size_t i = 0; i != h.handlers.made(); ++i) {
        handler_slot& s = h.handlers.at(i);
        if (which == whose_callbacks::users && s.lasts) continue;
        // One that is being called is not called again.
        if (s.kind != slot_kind::unhandled) static_cast<void>(cancel_slot(h, s));
        else if (which == whose_callbacks::all) h.handlers.dispose(s);
    }
}

void keep_for_tasks(handler const& name) noexcept {
    hub* const h = current_hub;
    if (!h || handler_access::generation(name) == 0 || handler_access::loop(name) != h->serial) return;
    if (handler_slot* const s = h->handlers.find(handler_access::slot(name), handler_access::generation(name)))
        s->lasts = true;
}

void callback_failed(handler const& name) noexcept {
    hub* const h = current_hub;
    if (!h || h->options.keep_failing_fd_callbacks || handler_access::loop(name) != h->serial) return;
    handler_slot* const s = h->handlers.find(handler_access::slot(name), handler_access::generation(name));
    if (s && (s->kind == slot_kind::reader || s->kind == slot_kind::writer)) static_cast<void>(cancel_slot(*h, *s));
}

}}}  // namespace spruce::v0::detail

namespace spruce { inline namespace v0 {

namespace {
detail::handler_slot* slot_of(handler const& h) noexcept {
    using detail::handler_access;
    detail::hub* const here = detail::current_hub;
    if (!here || handler_access::generation(h) == 0 || handler_access::loop(h) != here->serial) return nullptr;
    return here->handlers.find(handler_access::slot(h), handler_access::generation(h));
}
bool is_timer(detail::handler_slot const& s) noexcept {
    return s.kind == detail::slot_kind::timer || s.kind == detail::slot_kind::periodic;
}
}  // namespace

bool loop::remove_reader(int fd) noexcept { return detail::remove_fd_handler(hub_, fd, false); }
bool loop::remove_writer(int fd) noexcept { return detail::remove_fd_handler(hub_, fd, true); }

bool handler::cancel() noexcept {
    detail::handler_slot* const s = slot_of(*this);
    if (!s) return false;
    detail::plain_scope const scope;   // the callable may be the last to own the loop
    return detail::cancel_slot(*detail::current_hub, *s);
}

bool handler::active() const noexcept {
    detail::handler_slot const* const s = slot_of(*this);
    return s && detail::may_run(*s);
}

error handler::error() const noexcept {
    if (generation_ != 0) return errc::wrong_state;
    if (loop_ == 0) return errc::no_loop;
    return detail::unpack(detail::error_word{slot_} << 32 | loop_);
}

bool handler::rearm(deadline dl) noexcept {
    detail::handler_slot* const s = slot_of(*this);
    if (!s || !is_timer(*s) || s->state == detail::slot_state::canceled) return false;
    detail::hub& h = *detail::current_hub;
    std::int64_t const due = s->due_ns = h.due_from_now(dl);
    if (s->state == detail::slot_state::running) s->again = true;
    if (due == detail::no_time) {
        h.timers.disarm(*s->time);
        detail::drop_hold(h, *s);   // suspended, it is nothing to wait for
    } else {
        h.timers.arm(*s->time, due);
        detail::add_hold(h, *s);
        h.rouse();
    }
    // One that was queued already has lost its turn: it runs at the new time instead.
    if (s->state == detail::slot_state::queued) s->again = true;
    return true;
}

result<time_point> handler::due() const noexcept {
    detail::handler_slot const* const s = slot_of(*this);
    if (!s || !is_timer(*s) || s->state == detail::slot_state::canceled) return errc::wrong_state;
    detail::hub& h = *detail::current_hub;
    if (s->state == detail::slot_state::queued && !s->again && !h.timers.armed(*s->time))
        return time_point(duration(h.now_ns));
    if (!h.timers.armed(*s->time)) return errc::wrong_state;
    return time_point(duration(h.timers.due(*s->time)));
}

}}  // namespace spruce::v0
