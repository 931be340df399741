// Task groups.
#include <spruce/group.hpp>

#include "scheduler.hpp"

namespace spruce::inline v0::detail {

void open_group(group_state& g) noexcept { g.owner = current_scheduler ? current_scheduler->current : nullptr; }

void group_add(group_state& g, task_block& t) noexcept {
    t.group_previous = g.last;
    t.group_next = nullptr;
    (g.last ? g.last->group_next : g.first) = &t;
    g.last = &t;
    ++g.count;
}

result<void> group_hears(task_block& t) noexcept {
    auto const failed = t.ops->failure(t.payload);
    if (failed || failed == error(errc::task_canceled) || failed == error(errc::canceled)) return {};
    // The first is the group's now, which tells it if nobody joins; at once, since the member may wait until its value
    // is gone, and others end meanwhile. The others are told as those of any task.
    group_state& g = *t.group;
    if (g.failed) return failed;
    g.failed = true;
    g.failure = failed.error();
    t.looked = true;
    copy_detail(t, g.failure, g.owner->id);
    return failed;
}

void group_ended(task_block& t, result<void> const& heard) noexcept {
    group_state& g = *t.group;
    (t.group_previous ? t.group_previous->group_next : g.first) = t.group_next;
    (t.group_next ? t.group_next->group_previous : g.last) = t.group_previous;
    t.grouped = false;
    --g.count;
    if (!heard && g.cancel_rest) cancel_group(g);
    if (g.count == 0 && g.waiter) wake(*static_cast<parked*>(std::exchange(g.waiter, nullptr)));
}

namespace {
result<void> wait_empty(group_state& g, bool uncancellable, deadline dl) noexcept {
    if (g.waiter) return with_detail(errc::already_registered, "somebody joins the group");
    struct group_wait : parked {
        explicit group_wait(group_state& of) noexcept : parked("group"), group(of) {}
        group_state& group;
    } p(g);
    p.uncancellable = uncancellable;
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
    if (!std::exchange(g.failed, false)) return at_once<result<void>>({});
    return at_once<result<void>>(g.failure);
}

namespace {
// cause: the operation that was canceled, if this is the consequence; of none (0) each member is its own.
std::size_t cancel_members(group_state& g, task_id cause) noexcept {
    // Cancelling runs nobody: each goes into the ready ring, and the list stays as it is.
    std::size_t count = 0;
    for (task_block* t = g.first; t; t = t->group_next) count += cancel_block(*t, cause.value != 0 ? cause : t->id) ? 1 : 0;
    return count;
}
}  // namespace

std::size_t cancel_group(group_state& g) noexcept { return cancel_members(g, {}); }

void close_group(group_state& g) noexcept {
    if (g.count != 0) {
        cancel_members(g, cause_here());
        SPRUCE_VERIFY(wait_empty(g, true, never()).ok(), "a task_group must be destroyed by the task that made it");
    }
    if (g.failed && g.owner) {
        told const what("a task of its group failed, and nobody joined the group", g.failure);
        tell_unhandled(current_hub, {g.owner->id, task_name(g.owner), what.text, g.failure});
    }
}

}  // namespace spruce::inline v0::detail
