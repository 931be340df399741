// The life of a future's block: made, counted, and freed by whoever drops the last handle, wherever that is.
#include <new>

#include "../base/round_up.hpp"
#include "../base/text_line.hpp"
#include "../task/failure_reports.hpp"
#include "call_block.hpp"
#include "future_set.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
// Who was made where a loop is still can be made; the main thread gets its loop by that.
[[gnu::noinline]] result<void> need_hub() noexcept {
    auto const here = loop::current();
    return here ? result<void>() : here.error();
}
[[gnu::always_inline]] inline result<void> take_room(block_room& r, std::size_t block_size, future_ops const& ops,
                                                     std::size_t rest) noexcept {
    if (!current_hub || current_hub->orphaned) [[unlikely]] SPRUCE_CHECK(need_hub());
    r.alignment = ops.alignment > alignof(std::max_align_t) ? ops.alignment : alignof(std::max_align_t);
    std::size_t const outcome = round_up(block_size, ops.alignment);
    std::size_t const behind = round_up(outcome + ops.size, alignof(std::max_align_t));
    if (rest > static_cast<std::size_t>(-1) / 2 - behind) [[unlikely]] return errc::no_memory;
    r.bytes = behind + rest;
    r.block = static_cast<std::byte*>(allocate(current_hub->options.memory, r.bytes, r.alignment));
    if (!r.block) [[unlikely]] return errc::no_memory;
    r.outcome = r.block + outcome;
    r.rest = r.block + behind;
    return {};
}
[[gnu::always_inline]] inline void fill(future_block& b, block_room const& room, future_ops const& ops) noexcept {
    hub& h = *current_hub;
    b.memory = h.options.memory;
    b.bytes = room.bytes;
    b.alignment = room.alignment;
    b.ops = &ops;
    b.outcome = room.outcome;
    b.door = h.door;
    retain(b.door);
    b.began_ns = h.fresh_now();
    b.follows.owner = &b;
    ops.begin(room.outcome);
}
}  // namespace

error_word refusal(error why) noexcept { return task_access::refused(why); }

result<block_room> future_room(std::size_t block_size, future_ops const& ops, std::size_t rest) noexcept {
    block_room r;
    SPRUCE_CHECK(take_room(r, block_size, ops, rest));
    return r;
}
void fill_block(future_block& b, block_room const& room, future_ops const& ops) noexcept { fill(b, room, ops); }

error_word make_future(future_ops const* ops) noexcept {
    block_room room{};
    if (auto const taken = take_room(room, sizeof(future_block), *ops, 0); !taken) [[unlikely]]
        return refusal(taken.error());
    auto* const b = ::new (static_cast<void*>(room.block)) future_block;
    fill(*b, room, *ops);
    return reinterpret_cast<std::uintptr_t>(b);
}

// -- handles

void retain_future(future_block* b) noexcept { b->references.fetch_add(1, std::memory_order_relaxed); }

namespace {
constexpr callable_ops end_ops{[](void*, void*) noexcept {},
                               [](void* b) noexcept { end_block(static_cast<future_block*>(b)); }, 0, 0};

void break_promise(future_block* b) noexcept {
    if (is_here(*b) && b->state == future_state::pending) fail_block(*b, errc::closed);
    release_future(b);
}
constexpr callable_ops break_ops{[](void*, void*) noexcept {},
                                 [](void* b) noexcept { break_promise(static_cast<future_block*>(b)); }, 0, 0};

// To the loop's thread, through the node in the block: first the promise's end may need it, then, when that has come
// there, the last handle's. false: the loop is gone, and nobody else changes the block.
bool send_home(future_block& b, callable_ops const& what) noexcept {
    auto* const note = ::new (static_cast<void*>(b.note)) post_node;
    note->ops = &what;
    note->callable = &b;
    note->embedded = true;
    // The block may be freed before this is through, and with it the last that holds the door.
    loop_ref const door(b.door);
    remote& to = *b.door;
    return push_embedded(to, *note);
}

// Nobody looked, and nobody will.
void report_unseen(future_block& b) noexcept {
    if (b.fine || b.state != future_state::done || b.source || b.looked || b.derived) return;
    auto const failed = b.ops->failure(b.outcome);
    if (failed) return;
    unseen_failure what;
    what.why = failed.error();
    what.describe = b.ops->describe;
    what.outcome = b.outcome;
    if (b.kind == future_kind::call) {
        auto& c = static_cast<call_block&>(b);
        if (!c.name[0]) text_line(c.name, sizeof c.name).put("task ").put(c.by.value).string();
        what.task = c.by;
        what.name = c.name;
    } else {
        what.sentence = "a future failed, and its error was not looked at";
    }
    report_unseen_failure(what);
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

namespace {
// Whether that was the last reference. If its makers alone are left, they are here, too.
[[gnu::noinline]] bool let_go_of_made(future_block* b) noexcept {
    std::uint32_t const makers = is_here(*b) ? b->makers : 0;
    std::uint32_t const left = b->references.fetch_sub(1, std::memory_order_acq_rel) - 1;
    if (left != 0 && left == makers) forsake(*b);
    return left == 0;
}
[[gnu::always_inline]] inline bool let_go(future_block* b) noexcept {
    if (b->makers != 0) [[unlikely]] return let_go_of_made(b);
    return b->references.fetch_sub(1, std::memory_order_acq_rel) == 1;
}
[[gnu::noinline]] void let_end(future_block* b) noexcept {
    if (is_here(*b) || !send_home(*b, end_ops)) end_block(b);
}
}  // namespace

void give_back(future_block* b) noexcept {
    if (b->references.fetch_sub(1, std::memory_order_acq_rel) == 1) let_end(b);
}

void release_future(future_block* b) noexcept {
    if (let_go(b)) let_end(b);
}

void drop_promise(future_block* b) noexcept {
    if (is_here(*b) && b->state == future_state::done) [[likely]] {
        if (let_go(b)) end_block(b);
        return;
    }
    if (is_here(*b) || !send_home(*b, break_ops)) break_promise(b);
}

namespace {
[[gnu::always_inline]] inline void free_block(future_block& b) noexcept {
    b.ops->drop(b.outcome);
    remote* const door = b.door;
    release(b.memory, &b, b.bytes, b.alignment);
    release(door);
}
}  // namespace

namespace {
// The ends of values that hold futures may end other futures, and those others: beyond a few levels they wait for their
// turn. (Up to there a value's end is really over when it says so.) A value's end may wait: each task has its own.
struct ending {
    static constexpr unsigned deepest = 8;
    explicit ending(task_block const* t, ending* inside) noexcept
        : who(t), outer(innermost), depth(inside ? inside->depth + 1 : 1) {
        innermost = this;
    }
    ~ending() {
        ending** at = &innermost;
        while (*at != this) at = &(*at)->outer;
        *at = outer;
    }
    static ending* of(task_block const* t) noexcept {
        ending* e = innermost;
        while (e && e->who != t) e = e->outer;
        return e;
    }
    static inline constinit thread_local ending* innermost = nullptr;
    task_block const* who;
    ending* outer;
    future_block* first = nullptr;
    unsigned depth;
};

void end_one(future_block& b, ending& line) noexcept {
    if (is_here(b)) {
        report_unseen(b);
        b.follows.unlink();
        if (b.kind == future_kind::set) leave_members(static_cast<future_set&>(b));
    }
    for_each_held(b, [&](future_block* held) {
        if (let_go(held)) held->walk = std::exchange(line.first, held);
    });
    free_block(b);
}
}  // namespace

void end_block(future_block* first) noexcept {
    // One of a promise, that followed nobody, names nobody.
    if (first->kind == future_kind::promised && !first->source && first->ops->ends_quietly) [[likely]] {
        if (!first->fine && is_here(*first)) report_unseen(*first);
        return free_block(*first);
    }
    plain_scope const scope;   // an outcome may be the last to own the loop
    // Those that only the dead named die with them: in a line, however long the chain is.
    task_block const* const self = current_scheduler ? current_scheduler->current : nullptr;
    ending* const begun = ending::of(self);
    if (begun && begun->depth == ending::deepest) {
        first->walk = std::exchange(begun->first, first);
        return;
    }
    ending line(self, begun);
    first->walk = nullptr;
    line.first = first;
    while (future_block* const b = line.first) {
        line.first = b->walk;
        end_one(*b, line);
    }
}

bool is_last_handle(future_block* b, std::uint32_t own) noexcept {
    for (; b; b = b->source, own = 1)
        if (b->references.load(std::memory_order_acquire) > own) return false;
    return true;
}

}}}  // namespace spruce::v0::detail
