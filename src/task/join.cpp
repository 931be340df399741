// What a task's handle can ask: to join, to have the outcome, to cancel, its name.

#include "../base/text_line.hpp"
#include "../loop/plain_scope.hpp"
#include "scheduler.hpp"
#include "wait_core.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
enum class place { here, elsewhere, orphan };
// Whether the block belongs to this thread's loop, to another's, or to one that has ended.
place where(task_block const& t) noexcept {
    if (current_scheduler && current_scheduler->arena == t.arena) return place::here;
    return t.arena->orphaned.load(std::memory_order_acquire) != 0 ? place::orphan : place::elsewhere;
}
bool ended_or_orphaned(task_block const& t) noexcept {
    place const p = where(t);
    return p == place::orphan || (p == place::here && t.state == task_state::ended);
}

// A wait for a task's end. Those who wait for the same one are a ring, in the order they came.
struct joining : parked {
    explicit joining(task_block& of) noexcept : parked("task"), joined(of) {
        abandon = [](parked& self) noexcept {
            if (self.outcome != how::fired) static_cast<joining&>(self).leave_ring();
        };
        if (joined.joiners) insert_before(*joined.joiners);
        else joined.joiners = this;
    }
    void leave_ring() noexcept {
        if (joined.joiners == this) joined.joiners = linked() ? static_cast<parked*>(next) : nullptr;
        unlink();
    }
    task_block& joined;
};
}  // namespace

namespace {
// Whatever is asked, and of whom.
[[gnu::noinline]] result<void> join_anyhow(task_block& t, deadline dl) noexcept {
    switch (where(t)) {
    case place::elsewhere: return errc::wrong_thread;
    case place::orphan: return t.state == task_state::ended ? result<void>() : errc::closed;
    case place::here: break;
    }
    scheduler& s = *current_scheduler;
    task_block* const self = s.current;
    if (self && must_end(s, *self)) SPRUCE_CHECK(begin_wait());
    if (t.state == task_state::ended) return {};
    if (self == &t) return refused_call(with_detail(errc::deadlock, "a task that joins itself"));
    joining p(t);
    return park(p, dl);
}
}  // namespace

namespace {
[[gnu::always_inline]] inline result<void> join_here(task_block& t, deadline dl) noexcept {
    scheduler* const s = current_scheduler;
    task_block* const self = s && s->arena == t.arena ? s->current : nullptr;
    // A task of this loop, without a time in sight, waits for another.
    if (!self || self->look_at != no_time || dl.how() != deadline::kind::never || self == &t) [[unlikely]]
        return join_anyhow(t, dl);
    if (t.state == task_state::ended) return {};
    joining p(t);
    return park_untimed_here(*s, *self, p);
}
// As part of a call that is counted by its caller, who looks at the block yet.
[[gnu::noinline]] result<void> await_end(task_block& t, deadline dl) noexcept { return join_here(t, dl); }
}  // namespace

[[gnu::noinline]] result<void> join_task(task_block* block, deadline dl) noexcept {
    scheduler const* const s = current_scheduler;
    if (!s || s->arena != block->arena || block->state == task_state::ended) [[unlikely]]
        return at_once(join_anyhow(*block, dl));
    return join_here(*block, dl);
}

result<void> arm_join(task_block* block, wait_entry& e, wait_point& p) noexcept {
    task_block& t = *block;
    switch (where(t)) {
    case place::elsewhere: return errc::wrong_thread;
    case place::orphan:
        if (t.state != task_state::ended) return errc::closed;
        break;
    case place::here:
        if (current_scheduler->current == &t) return with_detail(errc::deadlock, "a task that waits for itself");
        break;
    }
    if (t.state == task_state::ended) p.fire();
    else enter<joining>(e, p, t);
    return {};
}
void disarm_join(wait_entry& e) noexcept { leave_line(e); }

result<void*> outcome_of(task_block* block, deadline dl) noexcept {
    SPRUCE_CHECK(await_end(*block, dl));
    block->looked = true;
    return block->payload;
}

void* outcome_if_ended(task_block* block) noexcept {
    if (!ended_or_orphaned(*block) || block->state != task_state::ended) return nullptr;
    block->looked = true;
    return block->payload;
}

bool cancel_task(task_block* block) noexcept {
    if (where(*block) != place::here) return false;
    return cancel_block(*block, block->id);
}
bool cancel_task_for(task_block* block, task_id cause) noexcept {
    if (where(*block) != place::here) return false;
    return cancel_block(*block, cause.value != 0 ? cause : block->id);
}

bool task_done(task_block* block) noexcept { return ended_or_orphaned(*block); }

bool task_was_canceled(task_block* block) noexcept { return block->canceled; }
task_id task_canceler(task_block* block) noexcept { return block->canceled ? block->canceled_by : task_id{}; }

char const* task_name(task_block* block) noexcept {
    if (where(*block) == place::elsewhere) return "";
    // Most are never asked for their names: the number is written when one is.
    if (!block->named) {
        text_line(block->name, sizeof block->name).put("task ").put(block->id.value).string();
        block->named = true;
    }
    return block->name;
}

task_id task_identity(task_block* block) noexcept { return where(*block) == place::elsewhere ? task_id{} : block->id; }

hub* hub_of(task_block* block) noexcept { return where(*block) == place::here ? &block->home->h : nullptr; }

slot_claim claim_on_done(task_block* block, std::size_t size, std::size_t alignment) noexcept {
    error const why = where(*block) == place::elsewhere ? errc::wrong_thread : errc::closed;
    return claim_handler(hub_of(block), why, size, alignment);
}

handler arm_on_done(task_block* block, handler_slot* s, callable_ops const* ops) noexcept {
    hub& h = block->home->h;
    s->ops = ops;
    s->kind = slot_kind::soon;
    s->state = slot_state::armed;
    if (block->state == task_state::ended) make_ready(h, *s);
    else block->handlers().push_back(*s);
    return handler_access::name(h.serial, *s);
}

namespace {
constexpr ready_ring::places ring_places{
    [](void* node) noexcept -> std::uint32_t const* {
        task_block& t = block_of(node);
        return t.placed ? &t.ring_place : nullptr;
    },
    [](void* node, std::uint32_t place) noexcept {
        task_block& t = block_of(node);
        t.placed = true;
        t.ring_place = place;
    }};
}  // namespace

result<void> switch_now(task_block* block) noexcept {
    task_block& t = *block;
    if (where(t) == place::elsewhere) return errc::wrong_thread;
    if (where(t) == place::orphan ||
        (t.state != task_state::fresh && t.state != task_state::ready && t.state != task_state::yielded))
        return with_detail(errc::wrong_state, "the task runs, waits or has ended");
    scheduler& s = *t.home;
    hub& h = s.h;
    plain_scope const scope(&h);   // the task may be the last to own the loop
    ready_entry e{};
    if (!h.ready.extract(ring_node(t), &e, &h.hole, ring_places)) return errc::wrong_state;
    // While its credit is 0, whoever leaves looks here first, and comes back to us.
    return_frame f{s.returns, s.current, nullptr, h.credit.left()};
    s.returns = &f;
    ++h.credit.dispatches;
    h.credit.set(0);
    if (f.caller) f.caller->state = task_state::yielded;
    t.state = task_state::running;
    s.current = &t;
    execution& from = f.caller ? f.caller->machine : s.hub_machine;
    bool const was_dispatching = std::exchange(h.dispatching, true);
    running_now outer;
    if (h.reporting.watch) [[unlikely]] {
        outer = h.reporting.watch->now();
        h.reporting.watch->begin_task(t.id.value, given_name(t), outer.kind != nullptr);
    }
    std::uint32_t const calls_left = h.calls_left;   // it has its own, as in a dispatch
    h.renew_calls();
    switch_to(s.machine, from, t.machine, &f.stack_pointer, e.word);
    h.calls_left = calls_left;
    if (h.reporting.watch) [[unlikely]] {
        if (outer.kind) h.reporting.watch->publish(outer);
        else if (f.caller) h.reporting.watch->begin_task(f.caller->id.value, given_name(*f.caller), true);
        else if (was_dispatching) h.reporting.watch->begin("callback", -1);
        else h.reporting.watch->end();
    }
    h.dispatching = was_dispatching;
    h.rouse();   // it may have parked with a deadline
    return {};
}

}}}  // namespace spruce::v0::detail
