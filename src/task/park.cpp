// Waiting: what every call that can wait is made of.
#include "scheduler.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
// The outermost scope whose deadline has passed: it must end, and with it all inside.
deadline_scope const* expired_scope(task_block const& t, std::int64_t now) noexcept {
    deadline_scope const* found = nullptr;
    for (deadline_scope const* s = t.scopes; s; s = s->outer)
        if (s->due_ns <= now) found = s;
    return found;
}

task_id scope_to_blame(task_block const& t, std::int64_t now) noexcept {
    deadline_scope const* const s = expired_scope(t, now);
    return s ? s->id : task_id{};
}
error canceled_by_scope(task_block const& t, std::int64_t now) noexcept {
    return error(errc::canceled).caused_by(scope_to_blame(t, now));
}

// A canceled task that goes on asking gets its error, but not the hub: it goes to the back of the ready ring first.
[[gnu::noinline]] error fail_and_yield(scheduler& s, task_block& t, error why) noexcept {
    if (++t.ignored == s.h.options.ignored_cancels)
        tell_unhandled(&s.h, {t.id, task_name(&t), "it ignores that it is canceled, and goes on waiting", why});
    go_round(s, t);
    return why;
}

// The deadline's time, or that of a scope around it.
void expired(listener& self, unsigned) noexcept {
    auto& t = static_cast<task_block&>(self);
    parked* const p = t.wait;
    if (t.state != task_state::waiting || p->outcome != parked::how::waiting) return;
    scheduler& s = *t.home;
    p->outcome = !p->uncancelable && t.due() <= s.h.now_ns ? parked::how::scope : parked::how::expired;
    p->abandon(*p);
    make_ready(s, t);
}
}  // namespace

namespace {
// Why its next wait fails; of one that must end.
error why_it_ends(scheduler const& s, task_block const& t) noexcept {
    if (t.canceled && !t.shielded) return error(errc::canceled).caused_by(t.canceled_by);
    return canceled_by_scope(t, s.h.seen_ns);
}
// What a task asks after it has been round the ready ring.
result<void> look_after_round(scheduler const& s, task_block const& t) noexcept {
    if (must_end(s, t)) [[unlikely]] return why_it_ends(s, t);
    return {};
}

// The clock, for which a turn's time stands still.
void look_at_clock(scheduler& s) noexcept {
    if (s.h.read_clock() - s.h.now_ns >= turn_limit_ns(s.h)) s.h.credit.end_turn();
}

}  // namespace

[[gnu::noinline, gnu::cold]] void take_turn(scheduler& s, task_block& t) noexcept {
    look_at_clock(s);
    go_round(s, t);
}

result<void> begin_wait() noexcept {
    scheduler* const s = current_scheduler;
    if (!s || !s->current) return {};
    task_block& t = *s->current;
    if (must_end(*s, t)) [[unlikely]] return fail_and_yield(*s, t, why_it_ends(*s, t));
    return {};
}

void end_of_call() noexcept { count_call(); }

[[gnu::noinline, gnu::cold]] error failure_of(task_block& t, parked& p) noexcept {
    switch (p.outcome) {
    case parked::how::failed: return p.reason;
    case parked::how::expired: return errc::timed_out;
    case parked::how::scope: return canceled_by_scope(t, t.home->h.seen_ns);
    default: return error(errc::canceled).caused_by(t.canceled_by);
    }
}

task_id cause_of(task_block const& t, parked const& p) noexcept {
    return p.outcome == parked::how::scope ? scope_to_blame(t, t.home->h.now_ns) : t.canceled_by;
}

task_id cause_here() noexcept {
    task_block const* const t = current_scheduler ? current_scheduler->current : nullptr;
    if (!t) return {};
    return t->canceled ? t->canceled_by : scope_to_blame(*t, current_scheduler->h.now_ns);
}

[[gnu::noinline]] result<void> park_untimed(scheduler& s, task_block& t, parked& p) noexcept {
    return park_untimed_here(s, t, p);
}

[[gnu::noinline]] result<void> park_until(scheduler& s, task_block& t, parked& p, std::int64_t due) noexcept {
    hub& h = s.h;
    if (!p.uncancelable && t.due() < due) due = t.due();
    if (due == no_time) return park_untimed(s, t, p);
    // Time is outside: a wait with a deadline keeps run() alive.
    if (!t.time) t.time = h.timers.take(timer_owner(t));
    t.notify = expired;
    h.timers.arm(*t.time, due);
    t.ignored = 0;
    p.who = &t;
    p.since_ns = h.now_ns;
    t.wait = &p;
    t.state = task_state::waiting;
    leave(s, t, &t.stack_pointer);
    if (p.outcome != parked::how::expired && p.outcome != parked::how::scope) h.timers.disarm(*t.time);
    if (p.outcome == parked::how::fired) return {};
    return failure_of(t, p);
}

namespace {
// A wait that has a time, its own or that of a scope around it.
result<void> park_timed(scheduler& s, task_block& t, parked& p, deadline dl) noexcept {
    hub& h = s.h;
    std::int64_t const due = h.due_from_now(dl);
    // It has tried once already; a deadline that has passed ends it here.
    if (due != no_time && (dl.how() == deadline::kind::relative ? dl.ns() == 0 : due <= h.fresh_now())) {
        p.abandon(p);
        return at_once(result<void>(errc::timed_out));
    }
    return park_until(s, t, p, due);
}
}  // namespace

// No switch in here: it would have every register saved once more than it need be.
result<void> park(parked& p, deadline dl) noexcept {
    scheduler* const s = current_scheduler;
    if (!s || !s->current) {
        p.abandon(p);
        return errc::not_in_task;
    }
    task_block& t = *s->current;
    if (dl.how() == deadline::kind::never && (t.due() == no_time || p.uncancelable)) return park_untimed(*s, t, p);
    return park_timed(*s, t, p, dl);
}

void wake(parked& p) noexcept {
    wake_inline(p);
}

void wake_failed(parked& p, error why) noexcept {
    p.reason = why;
    p.outcome = parked::how::failed;
    if (!p.who) [[unlikely]] return p.point->fire();
    make_ready(*p.who->home, *p.who);
}

bool cancel_block(task_block& t, task_id by) noexcept {
    if (t.state >= task_state::abandoned) return false;
    if (!t.canceled) {
        t.canceled = true;
        t.canceled_by = by;
        t.look_again();
    }
    parked* const p = t.wait;
    // One that was woken already has its outcome, and keeps it; it sees the cancellation at its next wait.
    if (t.state != task_state::waiting || t.shielded || p->uncancelable || p->outcome != parked::how::waiting)
        return true;
    p->outcome = parked::how::canceled;
    p->abandon(*p);
    make_ready(*t.home, t);
    return true;
}

// -- scopes and shields

void open_scope(deadline_scope& s, deadline dl) noexcept {
    scheduler* const here = current_scheduler;
    task_block* const t = here ? here->current : nullptr;
    s.of = t;
    if (!t) {
        s.id = here ? new_id(*here) : new_loose_id();
        return;
    }
    s.id = new_id(*here);
    s.due_ns = here->h.due_from_now(dl);
    // One whose deadline has passed fails the first wait.
    if (dl.how() == deadline::kind::absolute) static_cast<void>(here->h.read_clock());
    s.outer = t->scopes;
    s.outer_due = t->due();
    t->scopes = &s;
    t->scope_due = s.due_ns < s.outer_due ? s.due_ns : s.outer_due;
    t->look_again();
}

void close_scope(deadline_scope& s) noexcept {
    if (!s.of) return;
    s.of->scopes = s.outer;
    s.of->scope_due = s.outer_due;
    s.of->look_again();
}

result<void> outcome_of_scope(deadline_scope const& s) noexcept {
    if (!s.of || s.due_ns == no_time) return {};
    task_block const& t = *s.of;
    hub& h = t.home->h;
    // A function that computed has not moved any time that is kept.
    std::int64_t const now = s.due_ns <= h.seen_ns ? h.seen_ns : h.read_clock();
    if (s.due_ns > now) return {};
    if (t.canceled && !t.shielded) return error(errc::canceled).caused_by(t.canceled_by);
    error const why = canceled_by_scope(t, now);
    return why.is_from(s.id) ? error(errc::timed_out).caused_by(s.id) : why;
}

void open_shield(shield_state& s) noexcept {
    task_block* const t = current_scheduler ? current_scheduler->current : nullptr;
    s.of = t;
    if (!t) return;
    s.outermost_sees_cancel = !t->shielded;
    s.scopes = t->scopes;
    s.scope_due = t->due();
    t->shielded = true;
    t->scopes = nullptr;
    t->look_again();
}

void close_shield(shield_state& s) noexcept {
    if (!s.of) return;
    s.of->shielded = !s.outermost_sees_cancel;
    s.of->scopes = static_cast<deadline_scope*>(s.scopes);
    s.of->scope_due = s.scope_due;
    s.of->look_again();
}

// -- pauses: what yield() is to a paced task

namespace {
void end_pause(parked&) noexcept {}
}  // namespace

pace pace_of(task_block const& t) noexcept {
    if (!t.paced) return {};
    return t.pace_ns < 0 ? pace{~t.pace_ns, false} : pace{t.pace_ns, true};
}

void set_pace(task_block& t, pace p) noexcept {
    if (p.interval_ns < 0) p.interval_ns = 0;
    t.paced = p.interval_ns != 0 || !p.active;
    t.pace_ns = p.active ? p.interval_ns : ~p.interval_ns;
    t.look_again();
    if (t.state == task_state::waiting && t.wait->abandon == end_pause && t.wait->outcome == parked::how::waiting)
        wake(*t.wait);
}

}}}  // namespace spruce::v0::detail

namespace spruce { inline namespace v0 {

using namespace detail;

void switch_to_hub() {
    scheduler* const s = current_scheduler;
    if (!s || !s->current) return;
    if (!begin_wait()) return;
    parked p("hub");
    p.abandon = [](parked&) noexcept {};
    static_cast<void>(park(p, never()));
}

namespace this_task {

namespace {
result<void> sleep_until_woken(deadline dl) noexcept {
    SPRUCE_CHECK(begin_wait());
    parked p("sleep", true);
    p.abandon = [](parked&) noexcept {};
    auto const slept = park(p, dl);
    return !slept && slept == error(errc::timed_out) ? result<void>() : slept;
}

// Until the interval is over that holds then, and the task is to go on.
result<void> pause(scheduler& s, task_block& t) noexcept {
    std::int64_t const began = s.h.read_now();
    while (t.paced) {
        SPRUCE_CHECK(begin_wait());   // it may have been canceled since a change of its pace has woken it
        pace const now = pace_of(t);
        if (now.active && now.interval_ns == 0) break;
        parked p(now.active ? "sleep" : "activity", now.active);
        p.abandon = end_pause;
        std::int64_t const due = now.interval_ns < no_time - began ? began + now.interval_ns : no_time;
        auto const over = park(p, now.active ? at(time_point(duration(due))) : never());
        if (!over) return over == error(errc::timed_out) ? result<void>() : over;
    }
    return {};
}

// Its time to go on is not yet, or never again.
[[gnu::noinline]] result<void> yield_slowly(scheduler& s, task_block& t) noexcept {
    return must_end(s, t) ? begin_wait() : pause(s, t);
}
}  // namespace

[[gnu::noinline]] result<void> yield() {
    scheduler* const s = current_scheduler;
    if (__builtin_expect(!s || !s->current, 0)) return errc::not_in_task;
    task_block& t = *s->current;
    if (must_look(*s, t)) [[unlikely]] return yield_slowly(*s, t);
    go_round(*s, t);
    return look_after_round(*s, t);
}

result<void> sleep_for(any_duration d) {
    scheduler* const s = current_scheduler;
    if (!s || !s->current) return errc::not_in_task;
    return d > duration::zero() ? sleep_until_woken(in(d)) : yield();
}
result<void> sleep_until(any_time_point t) {
    scheduler* const s = current_scheduler;
    if (!s || !s->current) return errc::not_in_task;
    look_at_clock(*s);
    return t.time_since_epoch().count() <= s->h.seen_ns ? yield() : sleep_until_woken(at(t));
}

bool cancel_requested() noexcept {
    scheduler* const s = current_scheduler;
    if (!s || !s->current) return false;
    task_block const& t = *s->current;
    // Between two waits no turn tells the time.
    if (t.due() != no_time) static_cast<void>(s->h.read_clock());
    return must_end(*s, t);
}
char const* name() noexcept {
    scheduler* const s = current_scheduler;
    return s && s->current ? task_name(s->current) : "";
}
task_id id() noexcept {
    scheduler* const s = current_scheduler;
    return s && s->current ? s->current->id : task_id{};
}

}  // namespace this_task
}}  // namespace spruce::v0
