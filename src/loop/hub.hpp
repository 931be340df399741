// The hub: what a loop is inside. It runs whatever is in the ready ring, and does not know that tasks exist: they
// come in through one extension, a table of functions, and as listeners.
#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include <spruce/loop.hpp>

#include "../base/intrusive_list.hpp"
#include "../sys/kernel_view.hpp"
#include "../timer/wheel.hpp"
#include "fd_table.hpp"
#include "handler_table.hpp"
#include "hub_parts.hpp"
#include "inbox.hpp"
#include "ready_ring.hpp"
#include "spin.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// What the floor above adds to a hub; set when the first task is made.
struct extension {
    // Runs the entry until it gives the thread back. May go on to further entries of the ring by itself, as long as
    // hub.credit.left() lasts and they are its own.
    void (*resume)(hub& h, void* node, void* word) noexcept;
    // How many are left in waits that nothing will end; asked when the hub has run dry.
    std::size_t (*unfinished)(hub& h) noexcept;
    // Cancels those in the background, or all.
    void (*cancel_all)(hub& h, bool background_only) noexcept;
    // From here on none is made.
    void (*close)(hub& h) noexcept;
    // How many have not ended.
    std::size_t (*left)(hub& h, bool background_only) noexcept;
    // The loop ends: what is left is abandoned. `names` gets who they were.
    void (*abandon)(hub& h, char* names, std::size_t room) noexcept;
    void (*after_fork)(hub& h) noexcept;
    bool (*in_task)(hub& h) noexcept;
    // The id of the one that runs; 0: none does.
    std::uint64_t (*running)(hub& h) noexcept;
    bool (*census)(hub& h, census_cursor& cursor) noexcept;
    // For a task that waits for another loop's call: what each wait does first; a wait in which *waiter stands for it,
    // uncancelable or not, null again when it has failed; and its end. The last is that of the task's call.
    result<void> (*begin_wait)() noexcept;
    result<void> (*park_for_call)(void** waiter, deadline dl, bool uncancelable) noexcept;
    void (*wake_for_call)(void* waiter) noexcept;
    void (*end_of_call)() noexcept;
    // Lets the extension's own memory go, after everything else.
    void (*end)(hub& h) noexcept;
};

// Who tells how a run or the loop itself ended; set when somebody asks for it.
struct end_reports {
    void (*stuck)(hub& h, int fd) noexcept;      // run() ends, and tasks are left that nothing can wake
    void (*leaving)(hub& h, int fd) noexcept;    // the loop ends: before any task is canceled
    void (*left)(hub& h, int fd) noexcept;       // … and after the tasks and callbacks are gone
};

// A run inside a host's loop: interop's.
struct guest;
struct guest_calls {
    // Ends it: stops it, and drives what its shutdown takes until `until_ns` at most. The hub is not in a run.
    void (*end)(hub& h, std::int64_t until_ns) noexcept;
    // Whether it has begun to end.
    bool (*stopping)(hub& h) noexcept;
};

struct call_of_task;

// What a task has begun, and others know of, while it waits for something: its wait for what other threads give, for
// several things, a barrier's action that it runs. Its task's wait alone would not tell.
struct outside_wait : list_link {
    explicit outside_wait(void (*how)(outside_wait&) noexcept) noexcept : lose(how) {}
    void (*lose)(outside_wait& self) noexcept;   // its task was abandoned; out of the list already
};

enum class hub_phase : std::uint8_t {
    idle,       // made, not running
    running,    // in run(), run_once(), run_until() or dispatch()
    ending,     // in destroy(): tasks are driven to their end, nothing new is accepted
    ended       // destroyed
};

inline constexpr std::int64_t no_time = std::numeric_limits<std::int64_t>::max();
// The last time that something can be due at; rounded up to any tick it is still a time.
inline constexpr std::int64_t last_time = no_time - (std::int64_t{1} << 33);

struct hub {
    hub(loop& owner, loop_options const& options, kernel& on) noexcept;
    hub(hub const&) = delete;
    hub& operator=(hub const&) = delete;

    // -- hot: touched by every switch
    ready_ring ready;
    turn_credit credit;
    std::int64_t holds = 0;              // what keeps run() alive
    std::int64_t now_ns = 0;             // this turn's time
    std::int64_t seen_ns = 0;            // the latest reading of the clock, by which tasks' scopes are judged
    // The calls of the task that runs that may yet complete without waiting, at least 1
    std::uint32_t calls_left = 1;
    std::uint32_t call_budget;           // what each dispatch has of them
    std::int64_t fresh_ns = 0;           // a reading of this dispatch …
    std::uint64_t fresh_at = ~std::uint64_t{0};   // … if this is its number
    bool dispatching = false;            // a callback or task runs, not plain code
    hub_phase phase = hub_phase::idle;
    run_state run;
    visit_state visiting;
    extension const* ext = nullptr;
    void* ext_state = nullptr;
    report_state reporting;

    // -- the kernel
    kernel& on;
    kernel_view sys;                     // its calls
    poller_calls const* poller = nullptr;
    void* poller_context = nullptr;
    fd_table fds;
    wheel timers;
    handler_table handlers;
    waker_fds wake;
    remote* door = nullptr;
    signal_state signals;

    // -- the rest
    loop& owner;
    loop_options options;
    std::uint32_t serial = 0;            // names this loop in handlers; never reused within 2^32 loops
    bool ghosts_seen = false;
    bool orphaned = false;               // its loop was deleted inside a run, or a call, with whose end it ends
    bool waker_watched = false;          // the poller has it; not where it refused
    delayed delays = delayed::nothing;   // what a hold that is taken now delays
    std::int64_t tokens[3] = {};         // those of `holds` that are tokens, by what they delay
    intrusive_list<handler_slot> idlers, children, hooks[hook_points];
    intrusive_list<call_of_task> calls_awaited;   // of other loops, by this one's tasks
    intrusive_list<outside_wait> outside_waits;
    handler_slot hole;                   // stands in the ready ring for what was taken out of it
    std::uint32_t plain_calls = 0;       // calls in plain code that may run the user's: see plain_scope.hpp
    std::size_t canceled_in_ring = 0;    // slots that were canceled while queued, and wait for their entries
    spin_policy spin;
    poll_event events[128];

    // Plain code made something ready, or due, that whoever sleeps for this loop does not know of.
    void rouse() noexcept {
        if (visiting.poll_thread_sleeping) [[unlikely]] rouse_sleeper();
    }
    // Counts a call of the task that runs, which completes without waiting. false: it was this dispatch's last.
    bool count_call() noexcept { return --calls_left != 0; }
    // Counts n calls more, but for the last: of one that takes as long as so many.
    void count_calls(std::size_t n) noexcept { calls_left = n < calls_left ? calls_left - std::uint32_t(n) : 1; }
    void renew_calls() noexcept { calls_left = call_budget; }
    std::int64_t read_clock() noexcept { return seen_ns = sys.monotonic_ns(); }

    void rouse_sleeper() noexcept;
    // Whether a run is under way, in a turn of it or between two.
    bool in_run() const noexcept { return phase == hub_phase::running || visiting.guest; }

    // The time now, read afresh, whatever this dispatch has read before.
    std::int64_t read_now() noexcept {
        fresh_at = credit.dispatches - 1;
        return fresh_now();
    }
    // The time now, read at most once a dispatch; plain code always reads afresh.
    std::int64_t fresh_now() noexcept {
        if (dispatching && fresh_at == credit.dispatches) return fresh_ns;
        fresh_ns = read_clock();
        fresh_at = credit.dispatches;
        return fresh_ns;
    }
    // When a deadline is, on this clock; no_time for never. Of several that count from one reading.
    std::int64_t due_of(deadline dl) noexcept {
        if (dl.how() == deadline::kind::never) return no_time;
        if (dl.how() == deadline::kind::absolute) return dl.ns() < last_time ? dl.ns() : last_time;
        std::int64_t const from = fresh_now();
        return dl.ns() < last_time - from ? from + dl.ns() : last_time;
    }
    // The same for what waits now, for a scope around waits, and for timers: counted from now, whatever this dispatch
    // has done since it last asked.
    std::int64_t due_from_now(deadline dl) noexcept {
        if (dl.how() == deadline::kind::relative) fresh_at = credit.dispatches - 1;
        return due_of(dl);
    }
};

// The hub of this thread, or null.
extern SPRUCE_API constinit thread_local hub* current_hub;
// The signal that stopped this thread's last loop by stop_on_signals, or 0.
extern constinit thread_local int last_stop_signal;
// How many loops the process has, on all threads.
std::uint32_t living_loops() noexcept;

// -- a turn, phase by phase (see docs/loop.md); turn.cpp
// Polls until something is there, or until `until_ns`; 0 polls only. Returns 0 or -errno.
int poll_phase(hub& h, std::int64_t until_ns) noexcept;
void timer_phase(hub& h) noexcept;
std::size_t inbox_phase(hub& h, std::size_t most) noexcept;
std::size_t ready_phase(hub& h, std::size_t most, bool timed = true) noexcept;
// So old a turn begins nothing new (but eight calls and eight entries), so that timers, fds and signals come.
inline std::int64_t turn_limit_ns(hub const& h) noexcept { return duration(h.options.turn_time).count(); }
// Registers the waker with a poller that does not have it. 0 or -errno; then the hub sleeps for no more than
// `retry_ns` at a time, and tries again.
int watch_waker(hub& h) noexcept;
inline constexpr std::int64_t retry_ns = 10'000'000;
// Tells the poller what it does not know yet. false: it refused some of it for now.
bool settle_poller(hub& h) noexcept;
// All of them, waiting for something to do until `until_ns` at most.
int turn(hub& h, std::int64_t until_ns) noexcept;
void turn_without_poll(hub& h) noexcept;
// Whether something would run at once.
bool has_ready(hub& h) noexcept;
// Whether anything keeps run() going.
bool is_held(hub& h) noexcept;

// -- callbacks
// Puts an armed slot into the ready ring.
inline void make_ready(hub& h, handler_slot& s) noexcept {
    s.state = slot_state::queued;
    h.ready.push_back(&s, nullptr);
    h.rouse();
}
void run_slot(hub& h, handler_slot& s) noexcept;
// The same for what most callbacks are: called once, and gone, whether it is canceled meanwhile or not.
inline bool is_due_soon(handler_slot const& s) noexcept {
    return s.kind == slot_kind::soon && s.state == slot_state::queued;
}
inline void run_soon(hub& h, handler_slot& s) noexcept {
    s.state = slot_state::running;
    h.holds -= s.holds;
    s.holds = false;
    callback_argument<> argument{handler_access::name(h.serial, s)};
    s.ops->run(s.callable, &argument);
    h.handlers.dispose(s);
}
bool cancel_slot(hub& h, handler_slot& s) noexcept;
// Gives back what the slot's kind holds: its timer, its place at the fd, its signal.
void detach_slot(hub& h, handler_slot& s) noexcept;
void add_hold(hub& h, handler_slot& s) noexcept;
void drop_hold(hub& h, handler_slot& s) noexcept;
void expire_slot(hub& h, handler_slot& s) noexcept;
// The users' alone; or those that tasks wait for, too; or, with the hooks for the unhandled, all.
enum class whose_callbacks : std::uint8_t { users, users_and_tasks, all };
void drop_handlers(hub& h, whose_callbacks which) noexcept;

// -- signals and children
// Listens for a signal that can_be_handled(), and looks again at how, where it listens already. 0, or -errno.
int subscribe_signal(hub& h, int signal) noexcept;
// What that failure is to whoever wanted the signal.
error signal_refused(hub const& h, int failed) noexcept;
// Tells the poller of the port's signalfd, if there is one and it doesn't know it.
int watch_signal_fd(hub& h) noexcept;
void drop_signal(hub& h, int signal) noexcept;
// What a poller that was renewed must be told again. 0, or -errno: tried again before each wait.
int rewatch_signals(hub& h) noexcept;
void rewatch_children(hub& h) noexcept;
// The poller says so.
void signal_told(hub& h, int signal) noexcept;
void child_told(hub& h, int pid) noexcept;
void signal_phase(hub& h) noexcept;
void reap_children(hub& h) noexcept;
void detach_child(hub& h, handler_slot& s) noexcept;
result<exit_status> child_outcome(handler_slot const& s) noexcept;

// In a forked child: the loops that its tasks wait for are the parent's.
void lose_awaited_calls(hub& h) noexcept;
// The tasks that wait for calls of other loops were abandoned: calls that have not begun never do.
void take_back_awaited_calls(hub& h) noexcept;

// Tells the unhandled hook, or stderr.
void tell_unhandled(hub* h, unhandled const& what) noexcept;
// The same of what fd_table::evict() found, if anything: whose rule was broken, and by what.
void tell_evicted(hub& h, int fd, char const* had) noexcept;
// Destroys a hook that counts no more; one that is being called when the last such call is over.
void drop_unhandled(hub& h, handler_slot& hook) noexcept;
// All of them, or the users' alone.
void run_hooks(hub& h, hook_point when, whose_callbacks which = whose_callbacks::all) noexcept;
// The hooks of a run's beginning and end, phase by phase, with the turns for what delays them.
result<void> start_up(hub& h) noexcept;
result<void> shut_down(hub& h) noexcept;
// How many turns a run makes for the hooks at their ends, when nothing else could end what its tasks wait for.
inline constexpr unsigned turns_for_hooks = 1'000;
error poller_failed(int failed) noexcept;
// For tests: who makes the runs of this process instead, if set.
using run_filter = result<void> (*)(hub& h, bool for_ever) noexcept;
extern SPRUCE_API constinit run_filter run_instead;
// The error of a run that ended because its tasks wait for each other. run(f) has destroyed the loop when that is
// looked at: who waits for what is said here, as far as there is room.
error stuck(hub& h) noexcept;
// Why the hub cannot be run from here, or ok.
result<void> runnable(hub* h, error const& status) noexcept;
// The same three in parts, for who cannot do turns within: the hooks of one phase, and whether a hold delays what is
// next.
void run_start_phase(hub& h, int phase) noexcept;
void run_shutdown_phase(hub& h, int phase) noexcept;
inline bool is_delayed(hub& h, delayed what) noexcept {
    return h.tokens[static_cast<int>(what)] != 0 && !h.run.stop_asked;
}
// The end of a hub, as destroy() says: afterwards it is gone, and its loop, if there is one yet, knows that.
result<void> end_hub(hub& h, deadline dl) noexcept;
// Its loop was deleted inside a run, or a call: no callback of the user's runs any more. Tasks go on, to be ended by
// end_orphan(), which that run or call comes to.
void orphan(hub& h) noexcept;
void end_orphan(hub& h) noexcept;

// Timers' owners are told apart by their lowest bit: handler slots, and listeners with it set.
inline void* timer_owner(listener& l) noexcept {
    return reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(&l) | 1);
}

}}}  // namespace spruce::v0::detail
