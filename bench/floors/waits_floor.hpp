// Yardsticks for waits, over the bare tasks: the least that an event, a mutex, a semaphore, a future and a wait for one
// of several need. Nothing fails, times out or dies while it is waited for; nobody looks who owns what. The future's
// block is never on the heap, and only one task waits for it.
#pragma once
#include "tasks_floor.hpp"

#ifdef HAVE_BARE_SWITCH
namespace floors {

// First come, first served.
class bare_line {
public:
    [[gnu::always_inline]] void wait() noexcept {
        member mine;
        mine.next = nullptr;
        *end_ = &mine;
        end_ = &mine.next;
        bare_scheduler::here->park(mine.waiter);
    }
    [[gnu::always_inline]] bool wake() noexcept {
        member* const m = first_;
        if (!m) return false;
        first_ = m->next;
        if (!first_) end_ = &first_;
        bare_scheduler::here->wake(m->waiter);
        return true;
    }

private:
    struct member {
        bare_waiter waiter;
        member* next;
    };
    member* first_ = nullptr;
    member** end_ = &first_;
};

struct bare_event {
    [[gnu::always_inline]] void wait() noexcept {
        if (!is_set) line.wait();
    }
    [[gnu::always_inline]] void set() noexcept {
        is_set = true;
        while (line.wake()) {}
    }
    bare_line line;
    bool is_set = false;
};

// Unlocking hands it to the first in the line.
struct bare_mutex {
    [[gnu::always_inline]] void lock() noexcept {
        if (locked) line.wait();
        else locked = true;
    }
    [[gnu::always_inline]] void unlock() noexcept {
        if (!line.wake()) locked = false;
    }
    bare_line line;
    bool locked = false;
};

struct bare_semaphore {
    [[gnu::always_inline]] void acquire() noexcept {
        if (permits == 0) line.wait();
        else --permits;
    }
    [[gnu::always_inline]] void release() noexcept {
        if (!line.wake()) ++permits;
    }
    bare_line line;
    long permits = 0;
};

struct bare_future {
    [[gnu::always_inline]] long get() noexcept {
        if (!is_set) {
            bare_waiter mine;
            waiter = &mine;
            bare_scheduler::here->park(mine);
        }
        return value;
    }
    [[gnu::always_inline]] void set(long v) noexcept {
        value = v;
        is_set = true;
        if (waiter) bare_scheduler::here->wake(*waiter);
    }
    bare_waiter* waiter = nullptr;
    long value = 0;
    bool is_set = false;
};

// One of several sources: a source is a list of those who wait for it, and the first source to speak wins.
struct bare_choice {
    bare_waiter waiter;
    long winner;
    long value;
};
struct bare_option {
    bare_option* next;
    bare_option* previous;
    bare_choice* of;
    long index;
};
class bare_source {
public:
    [[gnu::always_inline]] void join(bare_option& o, bare_choice& c, long index) noexcept {
        o.of = &c;
        o.index = index;
        o.next = &ends_;
        o.previous = ends_.previous;
        ends_.previous->next = &o;
        ends_.previous = &o;
    }
    [[gnu::always_inline]] static void leave(bare_option& o) noexcept {
        o.next->previous = o.previous;
        o.previous->next = o.next;
    }
    [[gnu::always_inline]] void speak(long value) noexcept {
        bare_option* const o = ends_.next;
        if (o == &ends_ || o->of->winner >= 0) return;
        o->of->winner = o->index;
        o->of->value = value;
        bare_scheduler::here->wake(o->of->waiter);
    }

private:
    bare_option ends_{&ends_, &ends_, nullptr, 0};
};

}  // namespace floors
#endif
