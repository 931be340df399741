// A yardstick for tasks: a ring of {task, saved stack pointer}, a free list of stacks whose tops lie on different
// lines of the cache, and the bare switch. No cancellation, no waits, no results, no guards, no bounds: one thread,
// no more than 2^18 tasks, and stacks that are never given back.
#pragma once
#include "switch_floor.hpp"

#ifdef HAVE_BARE_SWITCH
namespace floors {

struct bare_task {
    void (*run)(void*);
    void* argument;
    bare_task* next_free;
};

// One who is parked, in its own frame.
struct bare_waiter {
    bare_task* who;
    void* stack_pointer;
};

class bare_scheduler {
public:
    static inline bare_scheduler* here = nullptr;   // whom the entries of stacks belong to
    bare_scheduler() : ring_(reinterpret_cast<entry*>(map_pages(sizeof(entry) * ring_size))) {}

    // To the back of the ring; comes back in its turn.
    [[gnu::always_inline]] void yield() noexcept {
        entry& mine = ring_[tail_++ & (ring_size - 1)];
        mine.who = current_;
        entry const next = ring_[head_++ & (ring_size - 1)];
        current_ = next.who;
        __builtin_prefetch(ring_[(head_ + 5) & (ring_size - 1)].stack_pointer, 1);
        bare_switch(&mine.stack_pointer, next.stack_pointer);
    }
    // Goes on when it is woken. Somebody else must be in the ring.
    [[gnu::always_inline]] void park(bare_waiter& mine) noexcept {
        mine.who = current_;
        entry const next = ring_[head_++ & (ring_size - 1)];
        current_ = next.who;
        bare_switch(&mine.stack_pointer, next.stack_pointer);
    }
    [[gnu::always_inline]] void wake(bare_waiter const& w) noexcept {
        ring_[tail_++ & (ring_size - 1)] = {w.who, w.stack_pointer};
    }
    [[gnu::always_inline]] void spawn(void (*run)(void*), void* argument) noexcept {
        bare_task* t = free_;
        if (t) free_ = t->next_free;
        else t = carve();
        t->run = run;
        t->argument = argument;
        auto const top = reinterpret_cast<std::uintptr_t>(t) & ~std::uintptr_t{63};
        ring_[tail_++ & (ring_size - 1)] = {t, bare_stack(reinterpret_cast<void*>(top), begin)};
        ++live;
    }
    long live = 0;

private:
    struct entry {
        bare_task* who;
        void* stack_pointer;
    };
    static constexpr std::uint32_t ring_size = 1 << 18;
    static constexpr std::size_t stack_bytes = 8192, stacks_a_slab = 4096, colours = 16;

    static void begin() {
        bare_scheduler& s = *here;
        bare_task* const me = s.current_;
        me->run(me->argument);
        // Its stack is used until the switch below, and by nobody else before.
        me->next_free = s.free_;
        s.free_ = me;
        --s.live;
        entry const next = s.ring_[s.head_++ & (ring_size - 1)];
        s.current_ = next.who;
        void* nowhere;
        bare_switch(&nowhere, next.stack_pointer);
        __builtin_unreachable();
    }
    [[gnu::noinline]] bare_task* carve() noexcept {
        if (carved_ % stacks_a_slab == 0) slab_ = map_pages(stack_bytes * stacks_a_slab);
        char* const end = slab_ + (carved_ % stacks_a_slab + 1) * stack_bytes;
        return reinterpret_cast<bare_task*>(end - (carved_++ % colours + 1) * 64);
    }

    entry* ring_;
    std::uint32_t head_ = 0, tail_ = 0;
    bare_task* current_ = nullptr;   // null: who called first
    bare_task* free_ = nullptr;
    char* slab_ = nullptr;
    std::size_t carved_ = 0;
};

}  // namespace floors
#endif
