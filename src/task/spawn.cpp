// A task's birth, and its handle's end.
#include <cstring>
#include <new>

#include "../base/text_line.hpp"
#include "../loop/plain_scope.hpp"
#include "../sys/binding.hpp"
#include "failure_reports.hpp"
#include "scheduler.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
// From the top downwards: the block, then the payload, then the frames, aligned as the machine wants it.
struct layout {
    task_block* block;
    void* payload;
    std::byte* frames;
};
layout lay_out(std::byte* top, std::size_t size, std::size_t alignment) noexcept {
    auto* const block = reinterpret_cast<task_block*>(top - sizeof(task_block));
    auto at = reinterpret_cast<std::uintptr_t>(block) - size;
    at &= ~(static_cast<std::uintptr_t>(alignment > 16 ? alignment : 16) - 1);
    return {block, reinterpret_cast<void*>(at), reinterpret_cast<std::byte*>(at)};
}

// What a task needs at birth: a place in the ready ring and a timer for its waits, within the loop's bound. Taken for
// many at a time, so that most births only compare two numbers; kept until the loop ends.
result<void> make_places(scheduler& s) noexcept {
    hub& h = s.h;
    if (h.phase >= hub_phase::ending || h.orphaned) return errc::closed;
    std::size_t const most = h.options.max_tasks;
    if (s.live >= most) return with_detail(errc::full, "max_tasks");
    if (s.live == s.reserved) {
        std::size_t const step = most - s.reserved < 64 ? most - s.reserved : 64;
        SPRUCE_CHECK(h.timers.reserve(step));
        if (!h.ready.reserve(step)) {
            h.timers.unreserve(step);
            return errc::no_memory;
        }
        s.reserved += step;
    }
    s.places = s.reserved;
    return {};
}

// The class of a stack that the usual one won't do for.
result<stack_class> unusual_class(std::size_t wanted, std::size_t size, std::size_t alignment) noexcept {
    std::size_t const asked = wanted ? wanted : default_stack_bytes;
    if (asked > bytes_of(stack_class::m8)) return with_detail(errc::invalid_argument, "stack_size: at most 8 M");
    // A callable that would fill a good part of the stack asks for more of it.
    stack_class const c = class_for(size > asked / 4 ? asked + size : asked);
    if (bytes_of(c) < size + alignment + 8192)
        return with_detail(errc::invalid_argument, "the task's arguments are larger than any stack");
    return c;
}

// The same of those without guards.
result<stack_class> bare_class(bool available, std::size_t wanted, std::size_t size, std::size_t alignment) noexcept {
    if (wanted > most_bare) return with_detail(errc::invalid_argument, "stack_size: at most 8 K without a guard");
    stack_class const c = bare_class_for(wanted ? wanted : most_bare);
    if (bytes_of(c) < size + alignment + 1936)   // the block, and a wait for two things
        return with_detail(errc::invalid_argument, "the task's arguments are too large for its stack without a guard");
    if (!available) return class_for(wanted);
    if (bytes_of(c) < size + alignment + 1936 + 3072 && !calls_are_bound())   // what finding a function takes besides
        return with_detail(errc::invalid_argument,
                           "so small a stack without a guard needs a program linked with -z now (or LD_BIND_NOW=1)");
    return c;
}

void set_name(task_block& t, std::string_view name) noexcept {
    std::size_t const length = name.size() < sizeof t.name ? name.size() : sizeof t.name - 1;
    std::memcpy(t.name, name.data(), length);
    t.name[length] = '\0';
    t.named = true;
}

[[gnu::cold, gnu::noinline]] spawn_claim refuse(error why) noexcept { return {task_access::refused(why), nullptr}; }

[[gnu::always_inline]] inline task_block& lay_block(scheduler& s, stack_class c, std::byte* top, std::size_t size,
                                                    std::size_t alignment) noexcept {
    layout const at = lay_out(top, size, alignment);
    auto& t = *::new (static_cast<void*>(at.block)) task_block;
    t.size_class = c;
    t.home = &s;
    t.arena = s.arena;
    t.payload = at.payload;
    t.id = new_id(s);
    // From now on, not from its start: what its arguments' constructors spawn must not take its place.
    ++s.live;
    return t;
}
spawn_claim claimed(task_block& t) noexcept { return {reinterpret_cast<std::uintptr_t>(&t), t.payload}; }
}  // namespace

spawn_claim claim_task(std::size_t size, std::size_t alignment) noexcept {
    scheduler* const s = current_scheduler;
    if (s && s->live < s->places && size <= default_stack_bytes / 4) [[likely]] {
        if (std::byte* const top = s->arena->pool.take_again(default_stack_class)) [[likely]]
            return claimed(lay_block(*s, default_stack_class, top, size, alignment));
    }
    return claim_special_task(nullptr, size, alignment, nullptr);
}

spawn_claim claim_special_task(task_options const* options, std::size_t size, std::size_t alignment,
                               group_state* group) noexcept {
    scheduler* s = current_scheduler;
    if (group && (!s || !s->current || !group->owner)) return refuse(errc::not_in_task);
    if (group && group->ending) return refuse(with_detail(errc::closed, "the group has begun to end"));
    if (!s) [[unlikely]] {
        auto made = need_scheduler();
        if (!made) return refuse(made.error());
        s = *made;
    }
    if (s->live >= s->places) [[unlikely]] {
        if (auto const places = make_places(*s); !places) return refuse(places.error());
    }
    stack_class size_class = default_stack_class;
    bool const bare = options && options->unguarded;
    if (bare || (options && options->stack_size != 0) || size > default_stack_bytes / 4) [[unlikely]] {
        auto const found = bare ? bare_class(s->arena->pool.has_bare(), options->stack_size, size, alignment)
                                : unusual_class(options ? options->stack_size : 0, size, alignment);
        if (!found) return refuse(found.error());
        size_class = *found;
    }
    std::byte* top = s->arena->pool.take_again(size_class);
    if (!top) [[unlikely]] {
        auto const stack = s->arena->pool.carve(size_class);
        if (!stack) return refuse(stack.error());
        top = stack->top;
    }
    task_block& t = lay_block(*s, size_class, top, size, alignment);
    // At once: its arguments may wait while they are moved in, and the group's end waits for them.
    if (group) group_add(*group, t);
    if (options) {
        t.background = options->background;
        if (!options->name.empty()) set_name(t, options->name);
    }
    if (t.background) ++s->live_background;
    return claimed(t);
}

void unclaim_task(task_block* t) noexcept {
    --t->home->live;
    if (t->background) --t->home->live_background;
    if (t->grouped) group_left(*t);
    free_block(*t);
}

void start_special_task(task_block* block, task_ops const* ops) noexcept {
    // Counted back: it holds nothing.
    if (block->background) --block->home->h.holds;
    start_task(block, ops);
    // What joins something that ends never begins.
    if (block->grouped) group_cancels_late(*block);
    if (block->background && block->home->h.run.background_ends) cancel_block(*block, block->id);
}

void start_task(task_block* block, task_ops const* ops) noexcept {
    task_block& t = *block;
    scheduler& s = *t.home;
    t.ops = ops;
    t.state = task_state::fresh;
    ++s.h.holds;
    void* const bottom = stack_pool::bottom_of(t.size_class, t.top());
    void* const start = prepare_stack(s.machine, t.machine, bottom, t.payload, task_main, &t);
    s.h.ready.push_back(ring_node(t), start);
    s.h.rouse();
}

error explained(task_block* block, error e) noexcept {
    if (e != error(errc::task_failed)) return e;
    block->ops->describe(block->payload, [](void* context, char const* what) {
        auto& why = *static_cast<error*>(context);
        if (what[0]) why = with_detail(why, what);
    }, &e);
    return e;
}

told::told(char const* sentence, error const& e) noexcept {
    char const* const more = e.detail();
    text_line(text, sizeof text).put(sentence).put(more[0] ? ": " : "").put(more).string();
}

void leave_failure(task_block& t) noexcept {
    if (t.noted) return group_keeps(t);
    if (t.looked) return;
    t.looked = true;
    auto const failed = t.ops->failure(t.payload);
    if (failed || !is_failure(failed.error())) return;
    unseen_failure what;
    what.task = t.id;
    what.name = task_name(&t);
    what.why = failed.error();
    what.describe = t.ops->describe;
    what.outcome = t.payload;
    report_unseen_failure(what);
}

namespace {
// On the loop's thread, while it lives.
void release_here(task_block& t, std::uint8_t what) noexcept {
    t.held = static_cast<std::uint8_t>(t.held & ~what);
    if (t.held || t.state != task_state::ended) return;
    plain_scope const scope(&t.home->h);   // the hook, or its value, may be the last to own the loop
    leave_if_failed(t);
    if (!t.trivial()) t.ops->drop_outcome(t.payload);
    free_block(t);
}

// The loop is gone, or its door is closed; the outcome goes with the last that holds it, wherever that is. Where the
// loop's end has not counted the block yet, it finds that nobody holds it (end() in scheduler.cpp), and does the rest.
void release_orphan(task_block& t, std::uint8_t what) noexcept {
    auto const others = static_cast<std::uint8_t>(~what);
    std::uint8_t const held = __atomic_fetch_and(&t.held, others, __ATOMIC_ACQ_REL);   // libc++ has no atomic_ref
    if ((held & others) != counted_at_end) return;
    task_arena* const a = t.arena;
    if (t.state == task_state::ended && t.ops) t.ops->drop_outcome(t.payload);
    orphan_released(a);
}
}  // namespace

namespace {
void release_posted(void* block) noexcept { release_here(*static_cast<task_block*>(block), held_by_handle); }
constexpr callable_ops release_ops{[](void*, void*) noexcept {}, release_posted, 0, 0};
}

void drop_handle(task_block* t) noexcept {
    if (!t) return;
    if (current_scheduler && current_scheduler->arena == t->arena) {
        release_here(*t, held_by_handle);
        return;
    }
    // Another thread, or later than the loop. The loop's thread lets go of the block, through a node that was made
    // with it; if its door is closed, nobody else can be looking.
    task_arena* const a = t->arena;
    auto* const note = ::new (static_cast<void*>(t->release_note)) post_node;
    note->ops = &release_ops;
    note->callable = t;
    note->embedded = true;
    if (!push_embedded(*a->door, *note)) release_orphan(*t, held_by_handle);
}

bool keep_task(task_block* t) noexcept {
    bool const here = current_scheduler && current_scheduler->arena == t->arena;
    if (!here && t->arena->orphaned.load(std::memory_order_acquire) == 0) return false;
    if ((t->held & held_by_waits) == 0) t->keepers = 0;
    t->held |= held_by_waits;
    ++t->keepers;
    return true;
}

void let_task_go(task_block* t) noexcept {
    if (--t->keepers != 0) return;
    if (current_scheduler && current_scheduler->arena == t->arena) release_here(*t, held_by_waits);
    else release_orphan(*t, held_by_waits);
}

}}}  // namespace spruce::v0::detail
