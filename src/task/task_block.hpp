// What a task is to the library: a block at the top of its own stack.
#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>

#include <spruce/group.hpp>
#include <spruce/detail/task_outcome.hpp>
#include <spruce/wait_point.hpp>

#include "../base/intrusive_list.hpp"
#include "../context/stack_pool.hpp"
#include "../context/switch.hpp"
#include "../loop/hub.hpp"

namespace spruce { inline namespace v0 { namespace detail {

struct scheduler;
struct task_arena;
struct local_value;
struct parked;

enum class task_state : std::uint8_t {
    unused,     // the stack is free; nothing else in the block counts
    claimed,    // its payload is under construction
    fresh,      // in the ready ring, never run
    ready,      // in the ready ring: woken, and `wait` is what it waited for
    yielded,    // in the ready ring, or on its way back to the thread: it waited for nothing
    running,
    waiting,    // parked; `wait` says for what
    abandoned,  // its loop has ended without it: in no line, and never to run again
    ended       // its outcome stands; a handle keeps the block
};

// What keeps a task's block, and its outcome: bits.
enum : std::uint8_t {
    held_by_handle = 1,   // a handle lives
    held_by_waits = 2,    // so many as `keepers` says have waited for its outcome, and have not taken it yet
    counted_at_end = 4    // the loop's end has looked at the block: who holds it then is counted by its arena
};

// The callbacks for a task's end. Most tasks have none.
using done_handlers = intrusive_list<handler_slot>;

// From the top of the stack downwards: this block, the payload (callable, arguments, outcome), then frames.
// A birth writes the first two lines of the cache only; a switch touches the first alone.
struct alignas(sizeof(void*) == 8 ? 64 : 16) task_block : listener {
    task_block() noexcept : listener(nullptr) {}

    // -- what a switch touches
    void* stack_pointer;                  // while waiting; a ready task's stands in the ring
    scheduler* home;                      // valid while the loop lives: compare `arena` first
    parked* wait;                         // while waiting
    std::int64_t look_at = no_time;       // before this time no wait need look at what is said below of its end
    task_state state = task_state::claimed;
    bool canceled = false;               // asked to end
    bool shielded = false;                // does not see it
    bool looked = false;                  // somebody asked how it ended
    bool unheld = false;                  // in a wait that does not keep run() going; it does again once woken
    bool named = false;                   // `name` is
    bool locals_over = false;             // no more of them are made
    std::uint8_t end = 0;                 // task_end's bits, once it has
    std::uint32_t ignored = 0;            // failing waits since the last real one, while canceled
    std::uint8_t held = held_by_handle;   // as long as it is not 0, the block stays after the task's end
    // What makes an end one that not every task has.
    bool background : 1 = false;
    bool grouped : 1 = false;
    bool watched : 1 = false;             // `handlers_room` holds a list
    bool paced : 1 = false;               // each yield() is a pause, as `pace_ns` says
    bool with_group : 1 = false;          // its group has canceled it
    // Its group keeps its error, and reports it unless somebody looks; `group` stands
    bool noted : 1 = false;
    bool placed : 1 = false;              // `ring_place` is known
    bool in_call : 1 = false;             // `call` is
    stack_class size_class{};
    [[no_unique_address]] execution machine;

    // -- what its birth and its end touch besides
    union { task_id id; };                // (a union leaves it as it is until it is given)
    task_arena* arena;
    task_ops const* ops = nullptr;
    timer* time = nullptr;                // taken at its first timed wait, from what was reserved at its birth
    parked* joiners = nullptr;            // the first of a ring
    local_value* locals = nullptr;        // its own values, the latest first
    deadline_scope* scopes = nullptr;     // innermost first; those outside a shield are not in the list
    void* payload;

    // -- the rest, each written by who needs it
    std::int64_t scope_due;               // if there are scopes: see due()
    group_state* group;                   // as `grouped` says
    task_block* group_next;
    task_block* group_previous;
    union { task_id canceled_by; };      // if `canceled`
    std::uint32_t keepers;                // as `held` says
    std::int64_t pace_ns;                 // if `paced`: how long; its complement, as long as it is to stand still
    alignas(done_handlers) std::byte handlers_room[sizeof(done_handlers)];
    std::uint32_t ring_place;             // if `placed`: where it once stood in the ready ring
    void* call;                           // if `in_call`: of which function's, or pool's, it is the task
    alignas(post_node) std::byte release_note[sizeof(post_node)];   // see drop_handle()
    char name[stall_watch::name_bytes];

    bool succeeded() const noexcept { return (end & end_succeeded) != 0; }
    bool trivial() const noexcept { return (end & end_trivial) != 0; }
    std::byte* top() noexcept { return reinterpret_cast<std::byte*>(this + 1); }
    // After each change of what it is made of: that it is asked to end, and a deadline of the scopes around it. A paced
    // task has to look at each yield().
    void look_again() noexcept {
        look_at = (canceled && !shielded) || paced ? std::numeric_limits<std::int64_t>::min() : due();
    }
    // The earliest deadline of the scopes that count now.
    std::int64_t due() const noexcept { return scopes ? scope_due : no_time; }
    // Made when the first is added.
    done_handlers& handlers() noexcept {
        if (!watched) {
            ::new (static_cast<void*>(handlers_room)) done_handlers;
            watched = true;
        }
        return *std::launder(reinterpret_cast<done_handlers*>(handlers_room));
    }
};

// The name it has, in the 32 bytes of its block; null while nobody has given it one, or asked.
inline char const* given_name(task_block const& t) noexcept { return t.named ? t.name : nullptr; }

// A wait in progress; lives in the frame of the task that waits. The source keeps a pointer to it until it wakes it
// or abandon() takes it back: of fired, expired and canceled exactly one happens. The map of a wait:
//
//   begin_wait()       the call fails here, with nothing done, if the task is to end
//   line.push_back(p)  the source keeps p: the outcome is `waiting`
//   park(p, deadline)  arms the task's timer and leaves: the task's state is `waiting`
//   then one of these, and the task is in the ready ring, with an outcome that stays:
//     wake(p)          fired, or failed with a reason: the source has taken p out of its line before
//     expired()        expired (its own deadline) or scope (that of a scope around it): calls p.abandon(p)
//     cancel_block()   canceled: calls p.abandon(p), which takes p out of the line
//   park() returns     ok; or the error that the outcome stands for, by failure_of()
//
// A task that its loop's end abandons runs none of this: p.abandon(p) is called once, and it never runs again.
struct parked : list_link {
    enum class how : std::uint8_t {
        waiting,
        fired,        // the source woke it
        failed,       // the source woke it, with an error
        expired,      // the wait's own deadline
        scope,        // a deadline scope around it
        canceled
    };
    explicit parked(char const* noun_, bool outside_ = false) noexcept : noun(noun_), outside(outside_) {}
    char const* noun;                     // what it waits for, one word, for the census
    bool outside;                         // something outside the process can end it
    bool uncancelable = false;
    bool reserves = false;                // in a wait for all: something of its source is kept aside
    bool spoken_for = false;              // such a wait would take from it, or give to it, and nothing more
    bool aside = false;                   // of a condition: its line has told it, or has nothing for it
    bool pending = false;                 // … its task was woken for that, and has not looked yet
    how outcome = how::waiting;
    error reason = errc::canceled;        // if failed
    task_block* who = nullptr;            // null of a condition's place in a line
    wait_point* point = nullptr;          // … which has this one to fire
    std::int64_t since_ns = 0;            // the turn's time when it began
    // Takes the wait out of its source. Called once, and only when the source has not woken it. And once of a wait that
    // has fired, but whose task is abandoned before it could run: what that was handed goes to others (it may still
    // stand in a line, where the source put it after the wait was over).
    void (*abandon)(parked& self) noexcept = [](parked& self) noexcept { self.unlink(); };
};

// -- what every call that can wait is made of; park.cpp

// The first thing such a call does: fails with canceled if the task is to end, after a polite trip to the back of the
// ready ring. Outside a task it is ok: the call may not have to wait.
result<void> begin_wait() noexcept;
// Parks until wake(), the deadline or cancellation. The caller has registered p with its source already; when park
// fails, p is out of it. not_in_task outside a task (p is abandoned), timed_out, canceled, or what wake_failed() said.
result<void> park(parked& p, deadline dl) noexcept;
// The same for the task that runs, where neither a deadline nor a scope's counts.
result<void> park_untimed(scheduler& s, task_block& self, parked& p) noexcept;
// The same until that time, which has not come; no_time: never.
result<void> park_until(scheduler& s, task_block& self, parked& p, std::int64_t due) noexcept;
// Ends the wait. The source has let go of p already. Thread: the loop's, outside its poll.
void wake(parked& p) noexcept;
void wake_failed(parked& p, error why) noexcept;

// How long each yield() of a task pauses, and whether it comes back at all for now.
struct pace {
    std::int64_t interval_ns = 0;
    bool active = true;
};
pace pace_of(task_block const& t) noexcept;
// From now on; a pause under way counts anew, from when it began.
void set_pace(task_block& t, pace p) noexcept;

}}}  // namespace spruce::v0::detail
