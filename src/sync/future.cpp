// Futures: their blocks, waiting for an outcome, and giving one.
#include <cstdio>
#include <new>

#include "call_block.hpp"
#include "future_set.hpp"

namespace spruce::inline v0::detail {

namespace {
std::size_t aligned(std::size_t n, std::size_t alignment) noexcept { return (n + alignment - 1) / alignment * alignment; }

// Who was made where a loop is still can be made; the main thread gets its loop by that.
result<hub*> hub_here() noexcept {
    SPRUCE_TRY(loop& here, loop::current());
    return here.impl();
}
}  // namespace

std::uintptr_t refusal(error why) noexcept { return task_access::refused(why); }

result<block_room> future_room(std::size_t block_size, future_ops const& ops, std::size_t rest) noexcept {
    SPRUCE_CHECK(hub_here());
    block_room r;
    r.alignment = ops.alignment > alignof(std::max_align_t) ? ops.alignment : alignof(std::max_align_t);
    std::size_t const outcome = aligned(block_size, ops.alignment);
    std::size_t const behind = aligned(outcome + ops.size, alignof(std::max_align_t));
    if (rest > static_cast<std::size_t>(-1) / 2 - behind) return errc::no_memory;
    r.bytes = behind + rest;
    r.block = static_cast<std::byte*>(allocate(memory_here(), r.bytes, r.alignment));
    if (!r.block) return errc::no_memory;
    r.outcome = r.block + outcome;
    r.rest = r.block + behind;
    return r;
}

void fill_block(future_block& b, block_room const& room, future_ops const& ops) noexcept {
    b.memory = memory_here();
    b.bytes = room.bytes;
    b.alignment = room.alignment;
    b.ops = &ops;
    b.outcome = room.outcome;
    b.door = current_hub->door;
    retain(b.door);
    b.began_ns = current_hub->fresh_now();
    b.follows.owner = &b;
    ops.begin(room.outcome);
}

std::uintptr_t make_future(future_ops const* ops) noexcept {
    auto const room = future_room(sizeof(future_block), *ops, 0);
    if (!room) return refusal(room.error());
    auto* const b = ::new (static_cast<void*>(room->block)) future_block;
    fill_block(*b, *room, *ops);
    return reinterpret_cast<std::uintptr_t>(b);
}

// -- handles

void retain_future(future_block* b) noexcept { b->references.fetch_add(1, std::memory_order_relaxed); }

namespace {
constexpr callable_ops end_ops{[](void*, void*) noexcept {}, [](void* b) noexcept { end_block(static_cast<future_block*>(b)); }, 0, 0};

void break_promise(future_block* b) noexcept {
    if (is_here(*b) && b->state == future_state::pending) fail_block(*b, errc::closed);
    release_future(b);
}
constexpr callable_ops break_ops{[](void*, void*) noexcept {}, [](void* b) noexcept { break_promise(static_cast<future_block*>(b)); }, 0, 0};

// To the loop's thread, through the node in the block: first the promise's end may need it, then, when that has come
// there, the last handle's. false: the loop is gone, and nobody else changes the block.
bool send_home(future_block& b, callable_ops const& what) noexcept {
    auto* const note = ::new (static_cast<void*>(b.note)) post_node;
    note->ops = &what;
    note->callable = &b;
    note->embedded = true;
    return push_embedded(*b.door, *note);
}

// Nobody looked, and nobody will.
void report_unseen(future_block& b) noexcept {
    if (b.state != future_state::done || b.source || b.looked || b.derived) return;
    auto const failed = b.ops->failure(b.outcome);
    if (failed) return;
    error const why = failed.error();
    if (why == error(errc::canceled) || why == error(errc::closed) || why == error(errc::task_canceled)) return;
    bool const is_call = b.kind == future_kind::call;
    if (is_call && !static_cast<call_block&>(b).name[0]) {
        auto& c = static_cast<call_block&>(b);
        std::snprintf(c.name, sizeof c.name, "task %llu", static_cast<unsigned long long>(c.by.value));
    }
    struct {
        task_id task;
        char const* name;
        bool told = false;
    } about{is_call ? static_cast<call_block&>(b).by : task_id{}, is_call ? static_cast<call_block&>(b).name : ""};
    // An exception in its own words; another's is an error like any.
    if (why == error(errc::task_failed)) {
        b.ops->describe(b.outcome, [](void* context, char const* what) {
            auto& a = *static_cast<decltype(about)*>(context);
            if (what[0]) tell_unhandled(current_hub, {a.task, a.name, what, errc::task_failed});
            a.told = what[0] != '\0';
        }, &about);
    }
    if (about.told) return;
    hand_on_detail(why, b.id.value, this_task::id().value);
    told const what(is_call ? why.message() : "a future failed, and nobody looked", why);
    tell_unhandled(current_hub, {about.task, about.name, what.text, why});
}

// The references that a block holds, one after another; each is forgotten as it is given.
template <class F> void for_each_held(future_block& b, F&& f) noexcept {
    if (b.source) f(std::exchange(b.source, nullptr));
    if (b.kind == future_kind::call) {
        if (auto& c = static_cast<call_block&>(b); c.last) f(std::exchange(c.last, nullptr));
    } else if (b.kind == future_kind::set) {
        auto& s = static_cast<future_set&>(b);
        for (std::size_t i = 0; i != s.count; ++i)
            if (future_block* const m = block_of_word(std::exchange(s.members[i].word, 0))) f(m);
    }
}
}  // namespace

void release_future(future_block* b) noexcept {
    if (b->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    if (is_here(*b) || !send_home(*b, end_ops)) end_block(b);
}

void drop_promise(future_block* b) noexcept {
    if (is_here(*b) || !send_home(*b, break_ops)) break_promise(b);
}

void end_block(future_block* first) noexcept {
    // Those that only the dead named die with them: in a line, however long the chain is.
    first->walk = nullptr;
    for (future_block* dead = first; dead;) {
        future_block& b = *dead;
        dead = b.walk;
        if (is_here(b)) {
            report_unseen(b);
            b.follows.unlink();
            if (b.kind == future_kind::set) leave_members(static_cast<future_set&>(b));
        }
        for_each_held(b, [&](future_block* held) {
            if (held->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
            held->walk = dead;
            dead = held;
        });
        b.ops->drop(b.outcome);
        remote* const door = b.door;
        release(b.memory, &b, b.bytes, b.alignment);
        release(door);
    }
}

bool is_last_handle(future_block* b) noexcept {
    for (; b; b = b->source)
        if (b->references.load(std::memory_order_acquire) != 1) return false;
    return true;
}

// -- waiting

result<void> wait_future(future_block* b, deadline dl) noexcept {
    if (!is_here(*b)) {
        if (!is_orphan(*b)) return errc::wrong_thread;
        return b->state == future_state::done ? result<void>() : errc::closed;
    }
    SPRUCE_CHECK(begin_wait());
    if (b->state == future_state::done) return {};
    // Its handle may go while the task waits.
    retain_future(b);
    future_ref const keep(reinterpret_cast<std::uintptr_t>(b));
    awaiting p(*b);
    b->waiters.push_back(p);
    return park(p, dl);
}

result<void*> await_outcome(future_block* b, deadline dl) noexcept {
    SPRUCE_CHECK(wait_future(b, dl));
    if (!is_here(*b)) return root_of(*b).outcome;
    look(*b);
    future_block& r = root_of(*b);
    recall(r, this_task::id());
    return r.outcome;
}

void recall(future_block& r, task_id by) noexcept {
    if (auto const failed = r.ops->failure(r.outcome); !failed) {
        hand_on_detail(failed.error(), r.id.value, by.value);
        if (failed.error() == error(errc::task_failed)) {
            r.ops->describe(r.outcome, [](void* context, char const* what) {
                if (what[0]) give_detail(errc::task_failed, what, *static_cast<std::uint64_t*>(context));
            }, &by.value);
        }
    }
    if (r.kind == future_kind::set) recall_members(static_cast<future_set&>(r), by);
}

void* outcome_if_there(future_block* b) noexcept {
    if (!future_done(b)) return nullptr;
    if (is_here(*b)) {
        look(*b);
        recall(root_of(*b), this_task::id());
    }
    return root_of(*b).outcome;
}

result<void> arm_future(future_block* b, wait_entry& e, wait_point& p) noexcept {
    if (!is_here(*b) && !(is_orphan(*b) && b->state == future_state::done)) return why_not_here(*b);
    if (b->state == future_state::done) p.fire();
    else b->waiters.push_back(enter<parked>(e, p, "future"));
    return {};
}

void disarm_future(wait_entry& e) noexcept { leave_line(e); }

bool future_done(future_block* b) noexcept { return (is_here(*b) || is_orphan(*b)) && b->state == future_state::done; }

bool future_failed(future_block* b) noexcept {
    if (!future_done(b)) return false;
    future_block& r = root_of(*b);
    return !r.ops->failure(r.outcome).ok();
}

void look(future_block& b) noexcept {
    future_block& r = root_of(b);
    if (r.looked) return;
    r.looked = true;
    if (r.kind == future_kind::set) look_at_members(static_cast<future_set&>(r));
}

// -- giving an outcome

result<void*> outcome_room(future_block* b) noexcept {
    if (!is_here(*b)) return why_not_here(*b);
    if (b->state == future_state::pending) return b->outcome;
    if (b->canceled) return with_detail(errc::wrong_state, "it was cancelled");
    return with_detail(errc::wrong_state, b->source ? "it follows another one" : "it has an outcome");
}

void announce(future_block* b) noexcept {
    if (b->id.value == 0) {
        if (auto const failed = b->ops->failure(b->outcome); !failed) {
            b->id = current_scheduler ? new_id(*current_scheduler) : new_loose_id();
            hand_on_detail(failed.error(), this_task::id().value, b->id.value);
        }
    }
    resolve(*b);
}

result<void> fail_future(future_block* b, error why) noexcept {
    SPRUCE_TRY(void* const at, outcome_room(b));
    b->ops->fail(at, why);
    announce(b);
    return {};
}

void fail_block(future_block& b, error why) noexcept {
    b.ops->fail(b.outcome, why);
    announce(&b);
}

namespace {
future_block* told_of_source(future_link& l) noexcept {
    l.owner->state = future_state::done;
    return l.owner;
}

void tell_all(hub& h, future_block& b) noexcept {
    // Who is cancelled by it is told before anybody wakes.
    while (handler_slot* const s = b.cancelers.take_front()) queue_slot(h, *s, b.canceled);
    while (parked* const p = b.waiters.take_front()) wake(*p);
    while (handler_slot* const s = b.subscribers.take_front()) queue_slot(h, *s, true);
    while (handler_slot* const s = b.watchers.take_front()) {
        s->kind = slot_kind::soon;   // one that is queued runs once more, with the last report; and all go
        if (s->state == slot_state::armed) queue_slot(h, *s, false);
    }
}
}  // namespace

void queue_slot(hub& h, handler_slot& s, bool holds) noexcept {
    if (holds) add_hold(h, s);
    make_ready(h, s);
}

void resolve(future_block& first) noexcept {
    hub& h = *current_hub;
    retain_future(&first);
    first.walk = nullptr;
    future_block* last = &first;
    for (future_block* b = &first; b;) {
        // A set's outcome is made of copies: what is the users' may run here, and drop handles.
        if (b->kind == future_kind::set && b->state != future_state::done) {
            auto& s = static_cast<future_set&>(*b);
            if (s.collect) s.collect(s.outcome, &s, s.winner);
        }
        b->state = future_state::done;
        tell_all(h, *b);
        while (future_link* const l = b->links.take_front()) {
            future_block* const next = l->told(*l);
            if (!next) continue;
            retain_future(next);
            next->walk = nullptr;
            last->walk = next;
            last = next;
        }
        future_block* const done = b;
        b = b->walk;
        release_future(done);
    }
}

// -- following

bool leads_to(future_block& from, future_block& what) noexcept {
    // Each search has a number, so that no block is visited twice.
    static constinit thread_local std::uint32_t searches = 0;
    std::uint32_t const search = ++searches;
    future_block* todo = &from;
    from.seek = nullptr;
    from.sought = search;
    auto add = [&](future_block* b) {
        if (!b || b->sought == search) return;
        b->sought = search;
        b->seek = todo;
        todo = b;
    };
    while (todo) {
        future_block& b = *todo;
        todo = b.seek;
        if (&b == &what) return true;
        if (!is_pending(b)) continue;
        add(b.source);
        if (b.kind != future_kind::set) continue;
        auto& s = static_cast<future_set&>(b);
        for (std::size_t i = 0; i != s.count; ++i) add(block_of_word(s.members[i].word));
    }
    return false;
}

result<void> follow_future(future_block* b, future_ref const& other) noexcept {
    if (auto const room = outcome_room(b); !room) return room.error();
    future_block* const of = other.block();
    // One that could not be made has its outcome: why. An empty one has none, and never will.
    if (!of && other.word() == 0) return other.why();
    if (!of) return fail_future(b, other.why());
    if (!is_here(*of)) return why_not_here(*of);
    if (leads_to(*of, *b)) return with_detail(errc::deadlock, "a future that would follow itself");
    retain_future(of);
    b->source = of;
    if (of->state == future_state::done) {
        resolve(*b);
        return {};
    }
    b->state = future_state::following;
    b->follows.told = told_of_source;
    of->links.push_back(b->follows);
    // Its watchers hear how far the other one is.
    progress ignored;
    std::uint32_t heard = 0;
    if (progress_since(of, heard, ignored)) tell_watchers(*b);
    return {};
}

future_ref shield_future(future_ref const& of, future_ops const* ops) noexcept {
    if (!of.block()) return of;
    if (!is_here(*of.block())) return future_ref(refusal(why_not_here(*of.block())));
    future_ref made(make_future(ops));
    if (!made.block()) return made;
    made.block()->shielded = true;
    static_cast<void>(follow_future(made.block(), of));
    return made;
}

}  // namespace spruce::inline v0::detail
