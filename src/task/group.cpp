// Task groups.
#include <cstring>

#include <spruce/group.hpp>

#include "failure_reports.hpp"
#include "scheduler.hpp"

namespace spruce { inline namespace v0 { namespace detail {

void open_group(group_state& g) noexcept { g.owner = current_scheduler ? current_scheduler->current : nullptr; }

void group_add(group_state& g, task_block& t) noexcept {
    t.group = &g;
    t.grouped = true;
    t.group_previous = g.last;
    t.group_next = nullptr;
    (g.last ? g.last->group_next : g.first) = &t;
    g.last = &t;
    ++g.count;
}

// -- the error that a group keeps, of the first member that failed

namespace {
void copy_name(group_state& g, task_block& t) noexcept {
    static_assert(sizeof g.failed_name == sizeof t.name);
    g.failed_id = t.id;
    std::memcpy(g.failed_name, task_name(&t), sizeof g.failed_name);
}

// Somebody has it now, or it goes back to the member: the next failure is the first again.
void forget_failure(group_state& g, bool looked) noexcept {
    g.failed = false;
    task_block* const t = std::exchange(g.failed_member, nullptr);
    if (!t) return;
    t->noted = false;
    t->looked = t->looked || looked;
}
}  // namespace

bool group_hears(task_block& t) noexcept {
    auto const failed = t.ops->failure(t.payload);
    if (failed || failed == error(errc::task_canceled) || failed == error(errc::canceled)) return false;
    // At once, since the member may wait until its value is gone, and others end meanwhile.
    group_state& g = *t.group;
    if (g.failed) return false;
    g.failed = true;
    g.failure = explained(&t, failed.error());
    if (t.held) {
        t.noted = true;
        g.failed_member = &t;
        g.looked = false;
    } else {
        group_keeps(t);
    }
    return true;
}

void group_keeps(task_block& t) noexcept {
    group_state& g = *t.group;
    copy_name(g, t);
    g.failed_member = nullptr;
    g.looked = t.looked;
    t.noted = false;
    t.looked = true;   // the group reports it
}

namespace {
void report_failure(group_state& g) noexcept {
    bool const kept = g.failed_member != nullptr;
    forget_failure(g, false);
    // Who has a handle may look yet; if not, it is reported as that of any task.
    if (kept || g.looked || !g.owner) return;
    unseen_failure what;
    what.task = g.failed_id;
    what.name = g.failed_name;
    what.why = g.failure;
    what.sentence = "it failed, and the group was not joined";
    report_unseen_failure(what);
}

// -- canceling members

// cause: the operation that was canceled, if this is the consequence; of none (0) each member is its own.
std::size_t cancel_members(group_state& g, task_id cause) noexcept {
    // Canceling runs nobody: each goes into the ready ring, and the list stays as it is.
    std::size_t count = 0;
    for (task_block* t = g.first; t; t = t->group_next) {
        t->with_group = true;
        count += cancel_block(*t, cause.value != 0 ? cause : t->id) ? 1 : 0;
    }
    return count;
}

// Whether a task that the running one spawns is canceled, as those were that the group has canceled.
bool takes_along(task_block const* spawner, group_state const& g) noexcept {
    return spawner && spawner->grouped && spawner->group == &g && spawner->with_group && !spawner->shielded;
}
}  // namespace

void group_cancels_late(task_block& t) noexcept {
    group_state const& g = *t.group;
    task_block const* const spawner = t.home->current;
    if (takes_along(spawner, g)) {
        t.with_group = true;
        cancel_block(t, spawner->canceled_by);
    } else if (g.ending || (g.failed && g.cancel_rest)) {
        t.with_group = true;
        cancel_block(t, t.id);
    }
}

// -- leaving

void group_left(task_block& t) noexcept {
    group_state& g = *t.group;
    (t.group_previous ? t.group_previous->group_next : g.first) = t.group_next;
    (t.group_next ? t.group_next->group_previous : g.last) = t.group_previous;
    t.grouped = false;
    if (--g.count == 0 && g.waiter) wake(*static_cast<parked*>(std::exchange(g.waiter, nullptr)));
}

void group_ended(task_block& t, bool first_failure) noexcept {
    // What is spawned later is canceled as it comes: once is enough.
    if (first_failure && t.group->cancel_rest) cancel_members(*t.group, {});
    group_left(t);
}

namespace {
result<void> wait_empty(group_state& g, bool uncancelable, deadline dl) noexcept {
    if (g.waiter) return with_detail(errc::already_registered, "a join() of the group is already pending");
    struct group_wait : parked {
        explicit group_wait(group_state& of) noexcept : parked("group"), group(of) {}
        group_state& group;
    } p(g);
    p.uncancelable = uncancelable;
    p.abandon = [](parked& self) noexcept { static_cast<group_wait&>(self).group.waiter = nullptr; };
    g.waiter = static_cast<parked*>(&p);
    return park(p, dl);
}
}  // namespace

result<void> join_group(group_state& g, deadline dl) noexcept {
    SPRUCE_CHECK(begin_wait());
    // Its owner may not leave while another one waits here.
    if (current_scheduler && current_scheduler->current && current_scheduler->current != g.owner)
        return with_detail(errc::wrong_state, "only the task that made a group joins it");
    if (g.count != 0) SPRUCE_CHECK(wait_empty(g, false, dl));
    // Told once: the next join is about those who are spawned from now on.
    if (!g.failed) return at_once<result<void>>({});
    forget_failure(g, true);
    return at_once<result<void>>(g.failure);
}

std::size_t cancel_group(group_state& g) noexcept { return cancel_members(g, {}); }

void close_group(group_state& g) noexcept {
    // From here on spawn() is refused, so that the last one's end is the group's.
    g.ending = true;
    if (g.count != 0) {
        cancel_members(g, cause_here());
        SPRUCE_VERIFY(wait_empty(g, true, never()).ok(), "a task_group must be destroyed by the task that made it");
    }
    if (g.failed) report_failure(g);
}

}}}  // namespace spruce::v0::detail
