// The scheduler: the tasks of one hub, and the switches between them.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "../base/prefetch.hpp"
#include "task_block.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// The stacks of a loop's tasks. Outlives the loop while a handle keeps a block: ended tasks' outcomes lie on them.
struct task_arena {
    explicit task_arena(memory_hook memory) noexcept : pool(memory) {}
    stack_pool pool;
    // 0 while the loop lives. At its end the loop adds the number of blocks that handles still keep; each handle's
    // end takes 1 away, wherever it happens: whoever brings it back to 0 frees the arena. (A handle dropped between
    // the loop's last look and the adding makes it negative for a while.)
    std::atomic<std::intptr_t> kept{0};
    std::atomic<std::uint32_t> orphaned{0};   // the loop is gone
    remote* door = nullptr;                   // held; for handles dropped on other threads
    bool abandoned = false;                   // live frames are left: never unmapped
};

// A run_now() in progress: where to go back to when the target parks.
struct return_frame {
    return_frame* outer;
    task_block* caller;      // null: the hub's stack
    void* stack_pointer;
    std::uint32_t credit;    // what the caller's turn still had; meanwhile it is 0, so that leaving takes the slow path
};

// Task-local values by their keys and lists, beyond the first few of each list: no list is walked for one of many.
struct local_table {
    local_value** buckets = nullptr;
    std::size_t size = 0, count = 0;
    bool incomplete = false;              // there was no memory for all
};

struct scheduler {
    explicit scheduler(hub& of) noexcept : h(of) {}
    hub& h;
    task_block* current = nullptr;        // null: the hub, or plain code, runs
    void* hub_stack_pointer = nullptr;
    return_frame* returns = nullptr;
    thread_machine machine;
    execution hub_machine;
    task_arena* arena = nullptr;
    std::size_t live = 0;                 // tasks that have not ended, those under construction included
    std::size_t places = 0;               // so many may be, without looking further; 0 once the loop ends
    std::size_t live_background = 0;
    std::uint64_t next_id = 0, last_id = 0;   // this loop's share of the process's ids
    local_value* locals = nullptr;        // plain code's
    bool locals_over = false;
    local_table locals_far;               // those of long lists
    std::size_t reserved = 0;             // for so many the ready ring and the timers have room
};

extern constinit thread_local scheduler* current_scheduler;

// This thread's scheduler; made with the first task. no_loop, no_memory, closed.
result<scheduler*> need_scheduler() noexcept;
void take_id_share(scheduler& s) noexcept;
inline task_id new_id(scheduler& s) noexcept {
    if (s.next_id == s.last_id) [[unlikely]] take_id_share(s);
    return {s.next_id++};
}
// An id for a scope where no loop is.
task_id new_loose_id() noexcept;

inline void* ring_node(task_block& t) noexcept {
    return reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(static_cast<void*>(&t)) | extension_bit);
}
inline task_block& block_of(void* node) noexcept {
    return *static_cast<task_block*>(reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(node) & ~extension_bit));
}

// Asks for the memory of a task that comes some switches later: its block, the words of its switch, and the frames
// above them.
void prefetch_far(ready_ring& ring) noexcept;
// So many in the ring are more than the caches hold.
inline constexpr std::uint32_t many_ready = 4096;

// The front of the ring, which is not empty, taken out and set running; null if it is not a task, or may not run now.
[[gnu::always_inline]] inline task_block* take_front_task(hub& h, void** word) noexcept {
    if (!h.credit.any()) return nullptr;
    ready_entry const e = h.ready.front();
    if (!is_extension(e.node)) return nullptr;
    h.ready.take();
    ++h.credit.dispatches;
    h.renew_calls();
    task_block& next = block_of(e.node);
    next.state = task_state::running;
    *word = e.word;
    return &next;
}
[[gnu::always_inline]] inline task_block* take_next_task(hub& h, void** word) noexcept {
    return h.ready.empty() ? nullptr : take_front_task(h, word);
}

// Where there is none: back to who resumed us.
void leave_for_caller(scheduler& s, task_block& self, void** save) noexcept;
// Gives the thread to whatever comes next; the stack pointer goes to *save. Comes back when somebody resumes `self`.
// Inlined into the few functions that park, which are noinline: each frame between the switch and its user is a line
// of the cache more for every task.
[[gnu::always_inline]] inline void leave_for(scheduler& s, task_block& self, void** save, task_block& next,
                                             void* word) noexcept {
    hub& h = s.h;
    s.current = &next;
    if (h.ready.size() > many_ready) [[unlikely]] prefetch_far(h.ready);
    else prefetch_for_write(h.ready.front().word);
    switch_to(s.machine, self.machine, next.machine, save, word);
}
[[gnu::always_inline]] inline void leave(scheduler& s, task_block& self, void** save) noexcept {
    void* word;
    if (task_block* const next = take_next_task(s.h, &word)) [[likely]] return leave_for(s, self, save, *next, word);
    leave_for_caller(s, self, save);
}
// Puts a parked task into the ready ring: from within another one, where nobody sleeps for the loop; from anywhere.
[[gnu::always_inline]] inline void make_ready_here(scheduler& s, task_block& t) noexcept {
    t.state = task_state::ready;
    if (t.unheld) {
        t.unheld = false;
        ++s.h.holds;
    }
    s.h.ready.push_back(ring_node(t), t.stack_pointer);
}
void make_ready(scheduler& s, task_block& t) noexcept;
// wake(), for where it is most of the work.
[[gnu::always_inline]] inline void wake_inline(parked& p) noexcept {
    p.outcome = parked::how::fired;
    if (!p.who) [[unlikely]] return p.point->fire();
    scheduler& s = *p.who->home;
    make_ready_here(s, *p.who);
    s.h.rouse();
}
// To the back of the ready ring, and on with the next. The switch writes the stack pointer straight into the ring.
[[gnu::always_inline]] inline void go_round(scheduler& s, task_block& self) noexcept {
    self.state = task_state::yielded;
    void** const save = s.h.ready.push_back_for(ring_node(self));
    void* word;
    task_block* const next = take_front_task(s.h, &word);
    if (!next) [[unlikely]] return leave_for_caller(s, self, save);
    if (next == &self) return;   // it was alone, and goes on
    leave_for(s, self, save, *next, word);
}
// The entry of every task's stack.
void task_main(void* block) noexcept;

// Whether the next wait may fail, or a yield() be more than one. The latest reading of the clock does: it costs
// nothing, and begin_wait() makes a new one each so many calls.
[[gnu::always_inline]] inline bool must_look(scheduler const& s, task_block const& t) noexcept {
    return t.look_at <= s.h.seen_ns;
}
// Whether the next wait fails.
inline bool must_end(scheduler const& s, task_block const& t) noexcept {
    return must_look(s, t) && ((t.canceled && !t.shielded) || t.due() <= s.h.seen_ns);
}
// Whether begin_wait() is ok, as it nearly always is; inline, for what is called often.
[[gnu::always_inline]] inline bool may_wait() noexcept {
    scheduler const* const s = current_scheduler;
    return !s || !s->current || !must_end(*s, *s->current);
}
// The dispatch has had its calls: others run before the next one begins.
void take_turn(scheduler& s, task_block& t) noexcept;
// The last thing that a call does which may wait and did not have to: after so many of them others run. It touches
// nothing of its source any more, which others may end meanwhile.
[[gnu::always_inline]] inline void count_call() noexcept {
    scheduler* const s = current_scheduler;
    if (s && s->current && !s->h.count_call()) [[unlikely]] take_turn(*s, *s->current);
}
template <class R> [[gnu::always_inline]] inline R at_once(R outcome) noexcept {
    count_call();
    return outcome;
}
// The same where something is left to be done after the call: false if that is the dispatch's last, which is to go
// another way.
[[gnu::always_inline]] inline bool count_call_unless_last() noexcept {
    scheduler* const s = current_scheduler;
    if (!s || !s->current) return true;
    if (s->h.calls_left <= 1) [[unlikely]] return false;
    --s->h.calls_left;
    return true;
}
// How the wait ended, for who waited.
error failure_of(task_block& t, parked& p) noexcept;
[[gnu::always_inline]] inline result<void> park_untimed_here(scheduler& s, task_block& t, parked& p) noexcept {
    if (!p.outside && !t.background) {
        t.unheld = true;
        --s.h.holds;
    }
    t.ignored = 0;
    p.who = &t;
    p.since_ns = s.h.now_ns;
    t.wait = &p;
    t.state = task_state::waiting;
    leave(s, t, &t.stack_pointer);
    if (p.outcome == parked::how::fired) [[likely]] return {};
    return failure_of(t, p);
}
// park(), with the switch in the function around it, which is noinline. Each `ret` between a switch and its user is one
// that the processor predicts wrongly: it remembers the calls of the task before.
[[gnu::always_inline]] inline result<void> park_here(parked& p, deadline dl) noexcept {
    scheduler* const s = current_scheduler;
    task_block* const t = s ? s->current : nullptr;
    if (t && dl.how() == deadline::kind::never && (t->look_at == no_time || p.uncancelable)) [[likely]]
        return park_untimed_here(*s, *t, p);
    return park(p, dl);
}
// by: the operation that was canceled: the task itself, or the one that this is a consequence of.
bool cancel_block(task_block& t, task_id by) noexcept;
// Of a wait that a cancellation has ended, or a scope's deadline: which operation that was.
task_id cause_of(task_block const& t, parked const& p) noexcept;
// Whether this loop has such a task, which has not ended and may still run. Looks at all of them.
bool is_alive(task_id id) noexcept;
void group_add(group_state& g, task_block& t) noexcept;
// The member was never made: its group goes on without it.
void group_left(task_block& t) noexcept;
// It has joined the group, which may be ending: then it is canceled.
void group_cancels_late(task_block& t) noexcept;
// Its group has the error of a member at its end: whether that is its first. The member's value may go then.
bool group_hears(task_block& t) noexcept;
// The member has ended: it leaves the group, with what group_hears() said.
void group_ended(task_block& t, bool first_failure) noexcept;
// The last handle of the member whose error its group keeps is gone: the group is to report it, unless somebody looked.
void group_keeps(task_block& t) noexcept;
// A task ended with an error, and its last handle is gone: it is reported, unless somebody looked.
void leave_failure(task_block& t) noexcept;
inline void leave_if_failed(task_block& t) noexcept {
    if (!t.succeeded() && t.ops) leave_failure(t);
}
// What the ended task remembers of its error, or its exception's text, becomes the detail of the task `to`, too.
// The error's sentence, and its detail if there is one.
struct told {
    explicit told(char const* sentence, error const& e) noexcept;
    char text[256];
};
// Ends the program, which a task that grew beyond its stack without a guard has damaged, with the task's name.
[[noreturn]] void stack_outgrown(task_block& t) noexcept;
inline void free_block(task_block& t) noexcept {
    stack_class const size_class = t.size_class;
    std::byte* const top = t.top();
    task_arena* const a = t.arena;
    // Its walkers look at this even now; a destructor would make it a store that nobody reads, which compilers drop.
    static_assert(std::is_trivially_destructible_v<task_block>);
    t.state = task_state::unused;
    a->pool.give(size_class, top);
}
// Destroys a list of task-local values, the latest first.
void end_locals(hub& h, local_value*& first) noexcept;
void end_local_table(scheduler& s) noexcept;

// The loop has ended, and one handle less keeps its arena.
void orphan_released(task_arena* a) noexcept;

extern extension const task_extension;

}}}  // namespace spruce::v0::detail
