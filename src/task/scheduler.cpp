// The switches between tasks, and a scheduler's life.
#include "scheduler.hpp"

#include <new>

#include "../base/text_line.hpp"

namespace spruce { inline namespace v0 { namespace detail {

constinit thread_local scheduler* current_scheduler = nullptr;

// -- ids: the process hands out shares, so that a spawn counts without touching what others touch

namespace {
constinit std::atomic<std::uintptr_t> id_shares{0};
constexpr std::uint64_t share_size = std::uint64_t{1} << (sizeof(void*) >= 8 ? 20 : 12);

}  // namespace

void take_id_share(scheduler& s) noexcept {
    std::uint64_t const share = id_shares.fetch_add(1, std::memory_order_relaxed);
    s.next_id = share * share_size + 1;
    s.last_id = s.next_id + share_size - 1;
}

task_id new_loose_id() noexcept {
    static constinit thread_local std::uint64_t next = 0, last = 0;
    if (next == last) {
        next = id_shares.fetch_add(1, std::memory_order_relaxed) * share_size + 1;
        last = next + share_size - 1;
    }
    return {next++};
}

// -- switching

namespace {
[[gnu::noinline]] void return_to_caller(scheduler& s, task_block* self, void** save) noexcept {
    return_frame& f = *s.returns;
    s.returns = f.outer;
    s.h.credit.restore(f.credit);
    s.current = f.caller;
    execution& to = f.caller ? f.caller->machine : s.hub_machine;
    if (f.caller) f.caller->state = task_state::running;
    if (self) switch_to(s.machine, self->machine, to, save, f.stack_pointer);
}
}  // namespace

// One switch is over long before memory could come, so this asks for what comes eight later.
[[gnu::noinline]] void prefetch_far(ready_ring& ring) noexcept {
    ready_entry const& e = ring.ahead(8);
    auto const* const words = static_cast<char const*>(e.word);
    prefetch_for_write(e.node);
    prefetch_for_write(words);
    prefetch_for_write(words + 128);
    prefetch_for_write(words + 192);
    prefetch_for_write(words + 256);
}

[[gnu::noinline]] void leave_for_caller(scheduler& s, task_block& self, void** save) noexcept {
    if (s.returns) return return_to_caller(s, &self, save);
    s.current = nullptr;
    switch_to(s.machine, self.machine, s.hub_machine, save, s.hub_stack_pointer);
}

void make_ready(scheduler& s, task_block& t) noexcept {
    make_ready_here(s, t);
    s.h.rouse();
}

namespace {
// The end of a task's stack: whoever comes next gets the thread, and nobody comes back here.
[[noreturn]] void leave_for_good(scheduler& s, execution& self) noexcept {
    void* word;
    if (task_block* const next = take_next_task(s.h, &word)) {
        s.current = next;
        if (s.h.ready.size() > many_ready) [[unlikely]] prefetch_far(s.h.ready);
        switch_final(s.machine, self, next->machine, word);
    }
    if (s.returns) {
        return_frame& f = *s.returns;
        s.returns = f.outer;
        s.h.credit.restore(f.credit);
        s.current = f.caller;
        if (f.caller) f.caller->state = task_state::running;
        switch_final(s.machine, self, f.caller ? f.caller->machine : s.hub_machine, f.stack_pointer);
    }
    s.current = nullptr;
    switch_final(s.machine, self, s.hub_machine, s.hub_stack_pointer);
}

// `special`: it may be in a group, in the background, or have callbacks for its end.
template <bool special> [[gnu::always_inline]] inline void end_task(scheduler& s, task_block& t) noexcept {
    hub& h = s.h;
    [[maybe_unused]] bool first_failure = false;
    if (special && t.grouped && !t.succeeded()) first_failure = group_hears(t);
    if (!t.held) {
        // Nobody will ask. Its destructor, and the hook, may wait as any code of the task: it has not ended yet.
        leave_if_failed(t);
        if (!t.trivial()) t.ops->drop_outcome(t.payload);
    }
    // The last of its own code has run.
    if (is_bare(t.size_class) && !stack_pool::is_intact(t.size_class, t.top())) [[unlikely]] stack_outgrown(t);
    t.state = task_state::ended;
    --s.live;
    --h.holds;
    if (special && t.background) {
        --s.live_background;
        ++h.holds;
    }
    if (t.time) [[unlikely]] {
        h.timers.give_back(t.time);
        t.time = nullptr;
    }
    // In the order they came: those who join, then the callbacks.
    while (parked* const p = t.joiners) {
        t.joiners = p->linked() ? static_cast<parked*>(p->next) : nullptr;
        if (t.joiners) p->unlink();
        p->outcome = parked::how::fired;
        if (p->who) [[likely]] make_ready_here(s, *p->who);
        else p->point->fire();
    }
    if (special && t.watched) {
        while (handler_slot* const slot = t.handlers().take_front()) make_ready(h, *slot);
    }
    if (special && t.grouped) group_ended(t, first_failure);
    if (!t.held) free_block(t);
}
[[gnu::noinline]] void end_special_task(scheduler& s, task_block& t) noexcept { end_task<true>(s, t); }
}  // namespace

void task_main(void* block) noexcept {
    auto& t = *static_cast<task_block*>(block);
    scheduler& s = *t.home;
    arrived(s.machine, t.machine);
    if (t.canceled) {
        t.ops->drop_start(t.payload, t.canceled_by);
    } else {
        t.end = static_cast<std::uint8_t>(t.ops->run(t.payload));
    }
    t.locals_over = true;   // its outcome's destructor and the hook run here yet, and nobody would end what they make
    if (t.locals) [[unlikely]] end_locals(s.h, t.locals);
    if (t.grouped || t.background || t.watched) end_special_task(s, t);
    else end_task<false>(s, t);
    // The block may be free by now; its memory is not anybody else's before the switch.
    leave_for_good(s, t.machine);
}

// -- the extension: what the hub knows of tasks

namespace {
void resume(hub& h, void* node, void* word) noexcept {
    auto& s = *static_cast<scheduler*>(h.ext_state);
    task_block& t = block_of(node);
    t.state = task_state::running;
    s.current = &t;
    h.renew_calls();
    if (h.reporting.watch) [[unlikely]] h.reporting.watch->begin_task(t.id.value, given_name(t), false);
    switch_to(s.machine, s.hub_machine, t.machine, &s.hub_stack_pointer, word);
}

// With those whose arguments are on their way: they may wait while they are moved in.
template <class F> void for_each_live(scheduler& s, F&& f) noexcept {
    s.arena->pool.for_each([&](stack_class, stack_ref stack) {
        task_block& t = *reinterpret_cast<task_block*>(stack.top - sizeof(task_block));
        if (t.state != task_state::unused && t.state != task_state::ended) f(t);
    });
}

}  // namespace

bool is_alive(task_id id) noexcept {
    bool found = false;
    if (current_scheduler) {
        for_each_live(*current_scheduler, [&](task_block const& t) {
            if (t.state < task_state::abandoned && t.id == id) found = true;
        });
    }
    return found;
}

namespace {
std::size_t unfinished(hub& h) noexcept {
    auto& s = *static_cast<scheduler*>(h.ext_state);
    return s.live - s.live_background;
}

void cancel_all(hub& h, bool background_only) noexcept {
    auto& s = *static_cast<scheduler*>(h.ext_state);
    if (!background_only) s.places = 0;
    for_each_live(s, [&](task_block& t) {
        if (!background_only || t.background) cancel_block(t, t.id);
    });
}

void close(hub& h) noexcept { static_cast<scheduler*>(h.ext_state)->places = 0; }

std::size_t left(hub& h, bool background_only) noexcept {
    auto& s = *static_cast<scheduler*>(h.ext_state);
    return background_only ? s.live_background : s.live;
}

// It will never run again. Whoever had it in a line forgets it; what it was handed, and could not take yet, goes to
// others. (One whose arguments are on their way stands in none, and stays without a handle.)
void leave_behind(hub& h, task_block& t) noexcept {
    if (t.state == task_state::claimed) return;
    task_state const was = std::exchange(t.state, task_state::abandoned);
    if (t.time) h.timers.disarm(*t.time);
    if (was != task_state::waiting && was != task_state::ready) return;
    parked& p = *t.wait;
    if (p.outcome == parked::how::waiting || p.outcome == parked::how::fired) p.abandon(p);
}

// Their stacks stay as they are, mapped for ever: pointers into them may stand anywhere.
void abandon(hub& h, char* names, std::size_t room) noexcept {
    auto& s = *static_cast<scheduler*>(h.ext_state);
    text_line all(names, room);
    for_each_live(s, [&](task_block& t) { all.put(all.size() ? ", " : "").put(task_name(&t)); });
    all.string();
    s.arena->abandoned = true;
    // First all leave their lines, so that what is given back goes to none of them.
    for_each_live(s, [&](task_block& t) {
        if (t.state == task_state::waiting) leave_behind(h, t);
    });
    // Conditions are left by their own code, and messages die, which may be users': it may wake some that are left.
    while (outside_wait* const w = h.outside_waits.take_front()) w->lose(*w);
    for_each_live(s, [&](task_block& t) {
        if (t.state != task_state::abandoned) leave_behind(h, t);
    });
    while (outside_wait* const w = h.outside_waits.take_front()) w->lose(*w);
}

void after_fork(hub&) noexcept {}

bool in_task(hub& h) noexcept { return static_cast<scheduler*>(h.ext_state)->current != nullptr; }
std::uint64_t running(hub& h) noexcept {
    task_block const* const t = static_cast<scheduler*>(h.ext_state)->current;
    return t ? t->id.value : 0;
}

bool census(hub& h, census_cursor& c) noexcept {
    auto& s = *static_cast<scheduler*>(h.ext_state);
    stack_pool const& pool = s.arena->pool;
    stack_pool::cursor at{c.slab, c.place};
    stack_class size_class{};
    stack_ref stack{};
    while (pool.next(at, &size_class, &stack)) {
        task_block& t = *reinterpret_cast<task_block*>(stack.top - sizeof(task_block));
        if (t.state <= task_state::claimed || t.state == task_state::ended) continue;
        char const* const state = t.state == task_state::fresh     ? "fresh"
                                  : t.state == task_state::waiting ? "waiting"
                                  : t.state == task_state::running ? "running"
                                  : t.state == task_state::abandoned ? "abandoned"
                                                                     : "ready";
        parked const* const wait = t.state == task_state::waiting ? t.wait : nullptr;
        c.now = {t.id, task_name(&t), state, wait ? wait->noun : "",
                 time_point(duration(wait ? wait->since_ns : h.now_ns)), pool.high_water(size_class, stack),
                 bytes_of(size_class)};
        c.slab = at.slab;
        c.place = at.place;
        return true;
    }
    return false;
}

// -- waiting for another loop's call

result<void> park_for_call(void** waiter, deadline dl, bool uncancelable) noexcept {
    struct waiting : parked {
        explicit waiting(void** at) noexcept : parked("call", true), place(at) {
            *at = static_cast<parked*>(this);
            abandon = [](parked& self) noexcept { *static_cast<waiting&>(self).place = nullptr; };
        }
        void** place;
    } p(waiter);
    p.uncancelable = uncancelable;
    return park(p, dl);
}
void wake_for_call(void* waiter) noexcept { wake(*static_cast<parked*>(waiter)); }

void free_arena(task_arena* a) noexcept {
    release(a->door);
    if (a->abandoned) a->pool.abandon();
    a->~task_arena();
    release({}, a, sizeof(task_arena), alignof(task_arena));
}

void end(hub& h) noexcept {
    auto* const s = static_cast<scheduler*>(h.ext_state);
    task_arena* const a = s->arena;
    s->locals_over = true;
    end_locals(h, s->locals);
    end_local_table(*s);
    current_scheduler = nullptr;
    h.ext = nullptr;
    h.ext_state = nullptr;
    std::intptr_t kept = 0;
    a->pool.for_each([&](stack_class, stack_ref stack) {
        task_block& t = *reinterpret_cast<task_block*>(stack.top - sizeof(task_block));
        // One that is still under construction has no handle yet, and never will.
        if (t.state <= task_state::claimed) return;
        // On another thread its handle may be dropped just now (release_orphan).
        if (__atomic_fetch_or(&t.held, counted_at_end, __ATOMIC_ACQ_REL) != 0) ++kept;
        else if (t.state == task_state::ended && t.ops) t.ops->drop_outcome(t.payload);
    });
    machine_end(s->machine);
    s->~scheduler();
    release(h.options.memory, s, sizeof(scheduler), alignof(scheduler));
    // From here on handles free their blocks by themselves, on whatever thread they die.
    a->orphaned.store(1, std::memory_order_release);
    if (a->kept.fetch_add(kept, std::memory_order_acq_rel) + kept == 0)
        free_arena(a);
}
}  // namespace

void orphan_released(task_arena* a) noexcept {
    if (a->kept.fetch_sub(1, std::memory_order_acq_rel) == 1) free_arena(a);
}

extension const task_extension{resume,     unfinished,    cancel_all,    close,       left,
                               abandon,    after_fork,    in_task,       running,     census,
                               begin_wait, park_for_call, wake_for_call, end_of_call, end};

result<scheduler*> need_scheduler() noexcept {
    if (current_scheduler) return current_scheduler;
    SPRUCE_TRY(loop& here, loop::current());
    hub& h = *here.impl();
    if (h.phase >= hub_phase::ending || h.orphaned) return errc::closed;
    SPRUCE_CHECK(switch_supported());
    void* const room = allocate(h.options.memory, sizeof(scheduler), alignof(scheduler));
    void* const arena = room ? allocate({}, sizeof(task_arena), alignof(task_arena)) : nullptr;
    if (!arena) {
        release(h.options.memory, room, sizeof(scheduler), alignof(scheduler));
        return errc::no_memory;
    }
    auto* const s = ::new (room) scheduler(h);
    s->arena = ::new (arena) task_arena(memory_hook{});
    s->arena->door = h.door;
    retain(h.door);
    machine_begin(s->machine, s->hub_machine);
    h.ext = &task_extension;
    h.ext_state = s;
    current_scheduler = s;
    return s;
}

}}}  // namespace spruce::v0::detail
