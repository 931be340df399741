// What a task is to the library: a block at the top of its own stack.
#pragma once
#include <cstddef>
#include <cstdint>

#include <spruce/group.hpp>

#include "../base/intrusive_list.hpp"
#include "../context/stack_pool.hpp"
#include "../context/switch.hpp"
#include "../loop/hub.hpp"

namespace spruce::inline v0::detail {

struct scheduler;
struct task_arena;
struct parked;

enum class task_state : std::uint8_t {
    unused,     // the stack is free; nothing else in the block counts
    claimed,    // its payload is under construction
    fresh,      // in the ready ring, never run
    ready,      // in the ready ring, to go on
    running,
    waiting,    // parked; `wait` says for what
    ended       // its outcome stands; a handle keeps the block
};

// From the top of the stack downwards: this block, the payload (callable, arguments, outcome), then frames.
struct task_block : listener {
    task_block() noexcept : listener(nullptr) {}

    // -- one line: what a switch touches
    void* stack_pointer = nullptr;        // while waiting; a ready task's stands in the ring
    scheduler* home = nullptr;            // valid while the loop lives: compare `serial` first
    parked* wait = nullptr;
    std::int64_t scope_due = no_time;     // the earliest deadline of the scopes that count now
    task_state state = task_state::unused;
    bool cancelled = false;               // asked to end
    bool shielded = false;                // does not see it
    bool background = false;
    bool held = false;                    // a handle lives
    bool looked = false;                  // somebody asked how it ended
    bool unheld = false;                  // in a wait that does not keep run() going; it does again once woken
    stack_class size_class{};
    std::uint32_t ignored = 0;            // failing waits since the last real one, while cancelled
    execution machine;                    // its first member still belongs to the line

    // -- the rest
    task_id id;
    task_id cancelled_by;
    std::uint32_t serial = 0;             // of its loop
    task_arena* arena = nullptr;
    task_ops const* ops = nullptr;
    void* payload = nullptr;
    timer* time = nullptr;                // taken at its first timed wait, from what was reserved at its birth
    deadline_scope* scopes = nullptr;     // innermost first; those outside a shield are not in the list
    intrusive_list<parked> joiners;
    intrusive_list<handler_slot> done_handlers;
    group_state* group = nullptr;
    task_block* group_next = nullptr;
    task_block* group_previous = nullptr;
    stack_ref stack{};
    alignas(post_node) std::byte release_note[sizeof(post_node)];   // see drop_handle()
    char name[32] = {};
};

// A wait in progress; lives in the frame of the task that waits. The source keeps a pointer to it until it wakes it
// or abandon() takes it back: of fired, expired and cancelled exactly one happens.
struct parked : list_link {
    enum class how : std::uint8_t {
        waiting,
        fired,        // the source woke it
        failed,       // the source woke it, with an error
        expired,      // the wait's own deadline
        scope,        // a deadline scope around it
        cancelled
    };
    explicit parked(char const* noun_, bool outside_ = false) noexcept : noun(noun_), outside(outside_) {}
    char const* noun;                     // what it waits for, one word, for the census
    bool outside;                         // something outside the process can end it
    bool uncancellable = false;
    how outcome = how::waiting;
    error reason = errc::canceled;        // if failed
    task_block* who = nullptr;
    // Takes the wait out of its source. Called once, and only when the source has not woken it.
    void (*abandon)(parked& self) noexcept = [](parked& self) noexcept { self.unlink(); };
};

// -- what every call that can wait is made of; park.cpp

// The first thing such a call does: fails with canceled if the task is to end, after a polite trip to the back of the
// ready ring. Outside a task it is ok: the call may not have to wait.
result<void> begin_wait() noexcept;
// Parks until wake(), the deadline or cancellation. The caller has registered p with its source already; when park
// fails, p is out of it. not_in_task outside a task (p is abandoned), timed_out, canceled, or what wake_failed() said.
result<void> park(parked& p, deadline dl) noexcept;
// Ends the wait. The source has let go of p already. Thread: the loop's, outside its poll.
void wake(parked& p) noexcept;
void wake_failed(parked& p, error why) noexcept;

}  // namespace spruce::inline v0::detail
