// Calls that are tasks, and the lines in which their policies hold them.
#include <cstring>
#include <new>

#include "../base/round_up.hpp"
#include "call_block.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// The function itself lies behind it. Freed by its last copy or its last call.
struct function_core {
    atomic<std::uint32_t> references{1};
    call_policy policy = call_policy::each;
    std::int64_t interval_ns = 0;
    policy_queue own;
    policy_queue* queue = nullptr;    // its own, or its group's
    void (*destroy)(void* callable) noexcept = nullptr;
    void* callable = nullptr;
    memory_hook memory;
    std::size_t bytes = 0, alignment = 0;
    char name[stall_watch::name_bytes] = {};
};

namespace {
using line = intrusive_list<call_place>;
static_assert(sizeof(line) == sizeof(policy_queue::head), "room for the head of a list");
line& line_of(policy_queue& q) noexcept { return *std::launder(reinterpret_cast<line*>(q.head)); }

call_block& call_at(future_block* b) noexcept { return static_cast<call_block&>(*b); }

// The newest calls of each type are a list, as long as a group has types, and behind each stand the older ones of its
// type. The pointer in that list to the newest of this type; to the null at its end if the type has none.
call_place** entry_of_type(policy_queue& q, future_ops const* ops) noexcept {
    call_place** at = &q.newest;
    while (*at && (*at)->of->ops != ops) at = &(*at)->next_type;
    return at;
}

// The newest of the line that gives such a value and has not ended.
call_block* newest(policy_queue& q, future_ops const* ops) noexcept {
    call_place* p = *entry_of_type(q, ops);
    while (p && !is_pending(*p->of)) p = p->older;   // they are about to leave
    return p ? p->of : nullptr;
}

void join_line(policy_queue& q, call_place& p) noexcept {
    line_of(q).push_back(p);
    call_place** const at = entry_of_type(q, p.of->ops);
    p.older = *at;
    p.next_type = p.older ? p.older->next_type : nullptr;
    if (p.older) p.older->newer = &p;
    *at = &p;
}

void leave_line(policy_queue& q, call_place& p) noexcept {
    p.unlink();
    if (p.older) p.older->newer = p.newer;
    if (p.newer) {
        p.newer->older = p.older;
        return;
    }
    call_place** const at = entry_of_type(q, p.of->ops);
    if (p.older) p.older->next_type = p.next_type;
    *at = p.older ? p.older : p.next_type;
}

void copy_name(char* to, char const* from, std::size_t length) noexcept {
    if (length >= stall_watch::name_bytes) length = stall_watch::name_bytes - 1;
    if (length != 0) std::memcpy(to, from, length);   // of no name there is not even an address
    to[length] = '\0';
}
}  // namespace

policy_queue::policy_queue() noexcept { ::new (static_cast<void*>(head)) line; }

void end_policy(policy_queue& q) noexcept {
    while (call_place* const p = line_of(q).take_front()) {
        p->of->queue = nullptr;
        p->of->late = !p->of->task;
        if (parked* const turn = std::exchange(p->of->turn, nullptr)) wake_failed(*turn, errc::closed);
    }
}

// -- functions

function_claim claim_function(async_options const& options, std::size_t size, std::size_t alignment) noexcept {
    std::size_t const strictest = alignment > alignof(function_core) ? alignment : alignof(function_core);
    std::size_t const offset = round_up(sizeof(function_core), alignment);
    memory_hook const memory = memory_here();
    auto* const block = static_cast<std::byte*>(allocate(memory, offset + size, strictest));
    if (!block) return {nullptr, nullptr};
    auto* const f = ::new (static_cast<void*>(block)) function_core;
    f->policy = options.policy;
    f->interval_ns = options.interval.count();
    f->queue = options.group ? &options.group->impl() : &f->own;
    f->callable = block + offset;
    f->memory = memory;
    f->bytes = offset + size;
    f->alignment = strictest;
    copy_name(f->name, options.name.data(), options.name.size());
    return {f, f->callable};
}

void unclaim_function(function_core* f) noexcept { release(f->memory, f, f->bytes, f->alignment); }
void arm_function(function_core* f, void (*destroy)(void*) noexcept) noexcept { f->destroy = destroy; }
void retain_function(function_core* f) noexcept { f->references.fetch_add(1, std::memory_order_relaxed); }
void release_function(function_core* f) noexcept {
    if (f->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    f->destroy(f->callable);
    unclaim_function(f);
}
void* callable_of(function_core* f) noexcept { return f->callable; }

task_options call_options(function_core* f) noexcept {
    task_options o;
    o.name = f->name;
    return o;
}

// -- calls

namespace {
// Those of a loop that has ended, which abandoned them, are in nobody's way.
void drop_orphans(policy_queue& q) noexcept {
    line& calls = line_of(q);
    for (call_place* p = calls.front(); p && is_orphan(*p->of); p = calls.front()) {
        leave_line(q, *p);
        p->of->queue = nullptr;
    }
}
}  // namespace

call_claim claim_call(function_core* f, future_ops const* ops) noexcept {
    policy_queue* const calls = f->policy == call_policy::each ? nullptr : f->queue;
    if (calls) drop_orphans(*calls);
    call_place const* const first = calls ? line_of(*calls).front() : nullptr;
    if (first && !is_here(*first->of)) return {nullptr, refusal(errc::wrong_thread)};
    call_block* const before = first ? newest(*calls, ops) : nullptr;
    if (f->policy == call_policy::singleton && first) {
        if (!before) return {nullptr, refusal(with_detail(errc::wrong_state, "its group runs a call of another type"))};
        retain_future(before);
        return {nullptr, reinterpret_cast<std::uintptr_t>(static_cast<future_block*>(before))};
    }
    auto const room = future_room(sizeof(call_block), *ops, 0);
    if (!room) return {nullptr, refusal(room.error())};
    auto* const c = ::new (static_cast<void*>(room->block)) call_block;
    fill_block(*c, *room, *ops);
    c->kind = future_kind::call;
    c->function = f;
    retain_function(f);
    c->place.of = c;
    if (f->policy == call_policy::pass_last && before) {
        retain_future(before);
        c->last = before;
    }
    c->queue = calls;
    if (calls) join_line(*calls, c->place);
    return {c, 0};
}

void adopt_call(future_block* call, task_block* task) noexcept {
    call_block& c = call_at(call);
    c.task = task;
    task->in_call = true;
    task->call = &c;
    // One that was asked for its id while it waited for its task keeps it.
    if (c.id.value != 0) task->id = c.id;
    c.by = c.id = task->id;
    copy_name(c.name, c.function->name, std::strlen(c.function->name));
}

void start_call(future_block* call, task_block* task) noexcept {
    adopt_call(call, task);
    static_cast<void>(switch_now(task));
}

void refuse_call(future_block* call, error why) noexcept { fail_block(*call, why); }

namespace {
// The task is not the call's any more.
void leave_task(call_block& c) noexcept {
    if (task_block* const t = std::exchange(c.task, nullptr)) t->in_call = false;
}

void leave_line(call_block& c) noexcept {
    policy_queue* const q = std::exchange(c.queue, nullptr);
    if (!q) return;
    leave_line(*q, c.place);
    // The next one's turn.
    call_place* const next = line_of(*q).front();
    if (!next) return;
    if (parked* const turn = std::exchange(next->of->turn, nullptr)) wake(*turn);
}

result<void> wait_for_turn(call_block& c) noexcept {
    struct waiting : parked {
        explicit waiting(call_block& of) noexcept : parked("turn"), call(of) {
            abandon = [](parked& self) noexcept { static_cast<waiting&>(self).call.turn = nullptr; };
        }
        call_block& call;
    } p(c);
    c.turn = &p;
    return park(p, never());
}

error canceled_call(task_block const& t) noexcept { return error(errc::task_canceled).caused_by(t.canceled_by); }
}  // namespace

void* begin_call(future_block* call) noexcept {
    call_block& c = call_at(call);
    task_block& t = *current_scheduler->current;
    if (c.function->interval_ns > 0) pace_call(call, duration(c.function->interval_ns));
    if (c.late && !t.canceled) {
        c.task = nullptr;
        fail_block(c, errc::closed);
        return nullptr;
    }
    if (c.queue && c.function->policy == call_policy::synchronized && line_of(*c.queue).front() != &c.place) {
        auto const turn = wait_for_turn(c);
        if (!turn && !t.canceled) {
            leave_task(c);
            fail_block(c, turn.error());
            return nullptr;
        }
    }
    // Canceled before it began: it never does.
    if (!t.canceled) return c.outcome;
    leave_task(c);
    fail_block(c, canceled_call(t));
    return nullptr;
}

void finish_call(future_block* call) noexcept {
    call_block& c = call_at(call);
    task_block& t = *c.task;
    leave_task(c);
    if (auto const failed = c.ops->failure(c.outcome); t.canceled && !failed && failed == error(errc::canceled))
        c.ops->fail(c.outcome, canceled_call(t));
    announce(&c);
    leave_line(c);
}

void end_call(future_block* call) noexcept {
    call_block& c = call_at(call);
    if (is_here(c)) {
        leave_task(c);
        // Never run: its task was canceled, or its arguments could not be copied.
        if (is_pending(c))
            fail_block(c, current_scheduler && current_scheduler->current && current_scheduler->current->canceled
                              ? canceled_call(*current_scheduler->current)
                              : error(errc::closed));
        leave_line(c);
        if (future_block* const last = std::exchange(c.last, nullptr)) release_future(last);
    }
    release_function(std::exchange(c.function, nullptr));
    release_future(&c);
}

future_ref last_call(future_block* call) noexcept {
    future_block* const last = call_at(call).last;
    if (!last) return {};
    retain_future(last);
    return future_ref(reinterpret_cast<std::uintptr_t>(last));
}

// -- how a call goes on

void pace_call(future_block* call, duration interval) noexcept {
    task_block* const t = call_at(call).task;
    if (t) set_pace(*t, {interval.count(), pace_of(*t).active});
}

namespace {
// The task of the call whose outcome it has, or will have.
result<task_block*> task_behind(future_block* b) noexcept {
    if (!is_here(*b)) return why_not_here(*b);
    future_block& r = root_of(*b);
    task_block* const t = r.kind == future_kind::call ? call_at(&r).task : nullptr;
    if (!t) return with_detail(errc::wrong_state, "no call that runs");
    return t;
}
}  // namespace

result<void> set_call_interval(future_block* b, duration interval) noexcept {
    SPRUCE_TRY(task_block* const t, task_behind(b));
    set_pace(*t, {interval.count(), pace_of(*t).active});
    return {};
}

result<void> set_call_active(future_block* b, bool active) noexcept {
    SPRUCE_TRY(task_block* const t, task_behind(b));
    set_pace(*t, {pace_of(*t).interval_ns, active});
    return {};
}

result<duration> call_interval(future_block* b) noexcept {
    SPRUCE_TRY(task_block* const t, task_behind(b));
    return duration(pace_of(*t).interval_ns);
}

bool call_active(future_block* b) noexcept {
    auto const t = task_behind(b);
    return t && pace_of(**t).active;
}

}}}  // namespace spruce::v0::detail
