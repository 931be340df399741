// The loop, also called the hub: one a thread; it waits for the kernel and runs callbacks and tasks in turn.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "detail/callback.hpp"
#include "census.hpp"
#include "error.hpp"
#include "exit_status.hpp"
#include "handler.hpp"
#include "hold_token.hpp"
#include "host_turn.hpp"
#include "loop_options.hpp"
#include "loop_ref.hpp"
#include "loop_state.hpp"
#include "time.hpp"

namespace spruce { inline namespace v0 {

class loop;

// What run_until() can wait for besides a predicate: anything with done().
template <class P>
concept finishes = requires(P const& p) {
    { p.done() } -> std::convertible_to<bool>;
};

namespace detail {
struct loop_access;
// The moments that hooks are for; the phases of each are in the order of their enumerators.
enum class hook_point : std::uint8_t {
    before_start, at_start, after_start, turn, before_shutdown, at_shutdown, after_shutdown, exit
};
inline constexpr int hook_points = 8;

// -- making callbacks; the others: handler.hpp
SPRUCE_API handler arm_hook(hub* on, handler_slot* slot, callable_ops const* ops, hook_point when) noexcept;
SPRUCE_API void set_unhandled(hub* on, handler_slot* slot, callable_ops const* ops) noexcept;
SPRUCE_API void refuse_unhandled(hub* on, error why) noexcept;

// -- a guest of a host: claim (room for post()) and begin
SPRUCE_API result<guest*> claim_guest(hub* on, error const&, std::size_t size, std::size_t align, void** room) noexcept;
SPRUCE_API void unclaim_guest(guest* g) noexcept;
SPRUCE_API result<void> begin_guest(hub* on, guest* g, callable_ops const* post) noexcept;

// -- running
using predicate_call = bool (*)(void* predicate) noexcept;
SPRUCE_API result<void> run_hub_until(hub* on, error const&, predicate_call done, void* of, deadline dl) noexcept;

}  // namespace detail

// The hub. One a thread; all its functions are for that thread, unless they say otherwise. It cannot fail loudly:
// a loop that could not be made answers every call with the reason, which status() gives.
class loop : detail::pinned {
public:
    // Errors: (by status()) already_registered if the thread has a loop, invalid_argument, no_memory, an errno.
    SPRUCE_API explicit loop(loop_options options = {}) noexcept;
    // destroy(in(options.destroy_grace)). Inside one of its callbacks or tasks, or where a callable, a value or a hook
    // of the user's ends within a call of the library, it stops the run, and the loop ends with that run or call. From
    // here on none of its callbacks runs, hooks among them: exit hooks run at once, and all callables but those that
    // are being called are destroyed. Other threads' calls and spawn() give closed. What tasks wait for goes on until
    // they have ended.
    // Thread: the loop's. On another one it ends the program, with the rule in words (a forked child leaves it alone).
    SPRUCE_API ~loop();

    // This thread's loop. The main thread gets one when it asks first, here or by spawn(); a loop made there later is
    // refused. Errors: no_loop on other threads.
    [[nodiscard]] SPRUCE_API static result<loop&> current() noexcept;
    // ok, or why it could not be made.
    [[nodiscard]] result<void> status() const noexcept { return hub_ ? result<void>() : result<void>(status_); }

    // -- callbacks. All give an empty handler, whose error() says why, when refused: full, no_memory, closed.

    // Runs f in the next pass, after what is ready already. Keeps run() alive.
    template <callback F> handler call_soon(F&& f) {
        using held = std::decay_t<F>;
        if constexpr (detail::is_plain<held, F>) {
            handler made;
            void* const room = detail::queue_plain(hub_, status_, &detail::callback_ops<held>, made);
            if (room) ::new (room) held(std::forward<F>(f));
            return made;
        } else {
            auto c = claim<>(f);
            if (!c.room) return detail::refused_handler(c.why);
            return detail::arm_soon(hub_, c.slot, fill<>(c, std::forward<F>(f)));
        }
    }
    // Runs f once, d from now, which is when this is called; at once (next pass) if d is 0 or less, but after those
    // timers that were due before. Keeps run() alive.
    template <callback F> handler call_later(any_duration d, F&& f) {
        return call_timer(in(d), {}, std::forward<F>(f));
    }
    // Runs f once at t; a t in the past is soon. Keeps run() alive.
    template <callback F> handler call_at(any_time_point t, F&& f) { return call_timer(at(t), {}, std::forward<F>(f)); }
    // Runs f every d, first d from now, without drift; beats missed are skipped. Keeps run() alive until canceled.
    // A d of 0 or less is refused: invalid_argument.
    template <callback F> handler call_every(any_duration d, F&& f) {
        if (d <= duration::zero()) return detail::refused_argument("d: 0 or less");
        return call_timer(in(d), d, std::forward<F>(f));
    }
    // Runs f once, when nothing else is ready in a turn. Does not keep run() alive.
    template <callback F> handler call_when_idle(F&& f) {
        auto c = claim<>(f);
        return c.room ? detail::arm_idle(hub_, c.slot, fill<>(c, std::forward<F>(f))) : detail::refused_handler(c.why);
    }
    // Runs f whenever fd can be read without waiting (or is at its end, or has failed), once a turn, until canceled.
    // Keeps run() alive. What cannot be polled (regular files) is always ready. Once f has thrown, which is reported,
    // it is canceled: the fd would be ready for ever. loop_options::keep_failing_fd_callbacks keeps it.
    // Errors: already_registered (one reader an fd), invalid_argument (no such fd), full, no_memory, an errno.
    // Lifetime: cancel it before closing the fd.
    template <callback F> [[nodiscard]] result<handler> add_reader(int fd, F&& f) {
        auto c = claim<>(f);
        if (!c.room) return c.why;
        return detail::arm_fd(hub_, c.slot, fill<>(c, std::forward<F>(f)), fd, false);
    }
    // The same for writing.
    template <callback F> [[nodiscard]] result<handler> add_writer(int fd, F&& f) {
        auto c = claim<>(f);
        if (!c.room) return c.why;
        return detail::arm_fd(hub_, c.slot, fill<>(c, std::forward<F>(f)), fd, true);
    }
    // Runs f on this loop whenever the process gets the signal; arrivals may be coalesced. Many handlers a signal, on
    // many loops. Does not keep run() alive. Each call makes a disposition that others have changed the library's
    // again; the last handler's end restores what was found. Errors: invalid_argument (no such signal, SIGKILL,
    // SIGSTOP, a synchronous fault), full, no_memory, an errno; not_supported with use_signalfd, if a thread does not
    // block the signal or there is no signalfd.
    template <callback F> [[nodiscard]] result<handler> add_signal_handler(int sig, F&& f) {
        auto c = claim<>(f);
        if (!c.room) return c.why;
        return detail::arm_signal(hub_, c.slot, fill<>(c, std::forward<F>(f)), sig);
    }
    // Runs f once with the child's exit status, which it reaps. Keeps run() alive. Errors: invalid_argument (no child
    // of ours), already_registered, full, no_memory, for SIGCHLD those of add_signal_handler(); to f: status_lost.
    template <callback<result<exit_status>> F> [[nodiscard]] result<handler> add_child_handler(int pid, F&& f) {
        auto c = claim<result<exit_status>>(f);
        if (!c.room) return c.why;
        return detail::arm_child(hub_, c.slot, fill<result<exit_status>>(c, std::forward<F>(f)), pid);
    }
    // Cancels the fd's reader (writer). Returns: whether there was one.
    SPRUCE_API bool remove_reader(int fd) noexcept;
    SPRUCE_API bool remove_writer(int fd) noexcept;
    // Cancels all this loop's handlers of the signal. Returns: whether there was one.
    SPRUCE_API bool remove_signal_handlers(int sig) noexcept;

    // -- time
    // The time of this turn; outside one, the time now.
    SPRUCE_API time_point time() const noexcept;
    // Moves a simulated clock, at most to its end. Errors: not_supported (a real kernel), invalid_argument (d < 0).
    SPRUCE_API result<void> advance(any_duration d);

    // -- running. All: wrong_state inside a run or a task.
    // Runs until nothing holds it, or stop(). Errors: deadlock if tasks are left in waits that nothing can end
    // (detail() names the first); an errno if the poller failed: then it may be run again. Before it is called a
    // deadlock, idle callbacks run while there are any, and on_turn() hooks get 1,000 turns with nothing else left.
    [[nodiscard]] SPRUCE_API result<void> run();
    // Runs until stop(), with nothing to do if need be.
    [[nodiscard]] SPRUCE_API result<void> run_forever();
    // One turn, which waits for something to do until the deadline. Errors: timed_out if nothing came.
    [[nodiscard]] SPRUCE_API result<void> run_once(deadline dl = {});
    // Runs until p() is true, stop() or the deadline, but for one turn at least unless p() is true at once.
    // Errors: timed_out; closed if it was stopped first, or deleted: then p is not asked any more.
    template <class P>
        requires(std::predicate<P&> && !finishes<P>)
    [[nodiscard]] result<void> run_until(P&& p, deadline dl = {}) {
        using predicate = std::remove_reference_t<P>;
        if constexpr (std::is_function_v<predicate>) return run_until(std::add_pointer_t<predicate>(p), dl);
        else return detail::run_hub_until(
            hub_, status_,
            [](void* q) noexcept -> bool {
                bool yes = false;
                detail::call_guarded([&] { yes = static_cast<bool>((*static_cast<predicate*>(q))()); });
                return yes;
            },
            const_cast<void*>(static_cast<void const*>(std::addressof(p))), dl);
    }
    // The same for a task or a future: until it is done.
    template <finishes P> [[nodiscard]] result<void> run_until(P const& p, deadline dl = {}) {
        return detail::run_hub_until(
            hub_, status_, [](void* q) noexcept -> bool { return static_cast<P const*>(q)->done(); },
            const_cast<void*>(static_cast<void const*>(std::addressof(p))), dl);
    }
    // Ends the run after the current turn; what is pending is kept for the next. Between prepare() and dispatch() there
    // is none, and it does nothing, nor to a run that begins then. Errors: wrong_state outside.
    SPRUCE_API result<void> stop() noexcept;
    // The same, and no shutdown hook runs any more, but the rest of a phase that has begun.
    SPRUCE_API result<void> leave() noexcept;
    // The signal that last came by stop_on_signals; 0: none. Also of an ended loop. See stop_signal() in run.hpp.
    int stop_signal() const noexcept { return stop_signal_; }
    // Cancels all tasks, drives whole turns, at least one, until they have ended, and drops all callbacks. Afterwards
    // every call gives closed. Tasks that are left at the deadline are abandoned: those that are ready run once more,
    // all are taken out of what they wait for, and none ever runs again; as docs/cancellation.md says.
    // Errors: tasks_left (detail() names them); wrong_state inside a run or a task, or while a callable, a value or a
    // hook of the user's ends within a call of the library; wrong_thread; closed the second time.
    [[nodiscard]] SPRUCE_API result<void> destroy(deadline dl = {});
    // Keeps run() alive until the token dies. One taken while shutdown hooks run delays the next phase and the end; one
    // taken in the first phase of start hooks, the next phase.
    [[nodiscard]] SPRUCE_API hold_token hold() noexcept;
    // Whether a run is under way; not yet while it is in its first start phase, `before`, and what that delays.
    SPRUCE_API bool running() const noexcept;
    SPRUCE_API loop_state state() const noexcept;
    // -- hooks. All run in the order they were given, each time, until canceled; none can wait, or holds run().

    // Runs f at the start of each run() or run_forever(), before the first turn; if its phase has begun in a run that
    // goes on, in the next pass as well. The same without a phase is `during`. A hold() taken while the phase `before`
    // goes on, by its hooks or by what they spawned, puts off the other phases until it is gone: meanwhile the loop
    // works. stop() ends the delay; the hooks of the other phases still run.
    // Errors: those of callbacks; invalid_argument (no such phase).
    template <callback F> handler on_start(start_phase phase, F&& f) {
        return hook(static_cast<int>(phase), detail::hook_point::before_start, std::forward<F>(f));
    }
    template <callback F> handler on_start(F&& f) { return on_start(start_phase::during, std::forward<F>(f)); }
    // Runs f at the end of each turn, of run() or dispatch(). It makes no turns: a loop that sleeps has none.
    template <callback F> handler on_turn(F&& f) { return hook(0, detail::hook_point::turn, std::forward<F>(f)); }
    // Runs f at the end of each run. What it spawns with a hold() delays the next phase until all such holds are gone;
    // stop() ends the delays, leave() the shutdown. Errors: as on_start().
    template <callback F> handler on_shutdown(shutdown_phase phase, F&& f) {
        return hook(static_cast<int>(phase), detail::hook_point::before_shutdown, std::forward<F>(f));
    }
    // Runs f once, when the loop ends: in destroy() or ~loop(), after the tasks have ended and before the callbacks go.
    // Nothing new is taken then (closed). Where ~loop() cannot end the tasks yet, in a run, it runs before it returns.
    template <callback F> handler on_exit(F&& f) { return hook(0, detail::hook_point::exit, std::forward<F>(f)); }
    // From now on, when the process ends by exit() or main()'s return on this thread, the loop is destroyed first if
    // it was not; the main thread's, made implicitly, has no other end. Where exit() is called inside a run, only the
    // exit hooks run, at once. Errors: closed, wrong_thread, no_memory.
    SPRUCE_API result<void> destroy_at_exit() noexcept;
    // f gets exceptions that escape from callbacks and tasks, and errors that were not looked at; instead of the line
    // on stderr. The last one given counts. What f throws is lost. Where there is no memory for f, the hook before it
    // is notified. Called by a task, f may wait; what others report meanwhile calls it again, on their stacks.
    template <std::invocable<unhandled const&> F> void on_unhandled(F&& f) {
        using held = std::decay_t<F>;
        auto c = detail::claim_handler(hub_, status_, sizeof(held), alignof(held));
        if (c.room) {
            construct<held>(c, std::forward<F>(f));
            detail::set_unhandled(hub_, c.slot, &detail::unhandled_ops<held>);
        } else {
            detail::refuse_unhandled(hub_, c.why);
        }
    }
    // The tasks that have not ended.
    census_range census() const noexcept { return census_range(hub_); }

    // The callbacks that may still run: timers, readers, writers and all others, also those that a run in progress has
    // queued. Not the loop's own, and not what tasks and streams wait for.
    callback_range callbacks() const noexcept { return callback_range(hub_); }

    // -- other threads
    // The thread-safe handle, for other threads. Of a loop that has ended, or could not be made, an empty one.
    SPRUCE_API loop_ref remote() const noexcept;
    // remote().call(f): may be called on any thread, but only while this object surely lives.
    template <class F> requires std::invocable<std::decay_t<F>&>
    [[nodiscard]] result<posted> call_from_thread(F&& f) const {
        if (!hub_) return status_;
        return remote().call(std::forward<F>(f));
    }
    // A waker that runs f on this loop. Errors: no_memory, closed, wrong_thread.
    template <class F> requires std::invocable<std::decay_t<F>&>
    [[nodiscard]] result<waker> make_waker(F&& f) {
        using held = std::decay_t<F>;
        void* room = nullptr;
        auto node = detail::make_waker_node(hub_, status_, sizeof(held), alignof(held), &room);
        if (!node) return node.error();
        detail::move_in<held>(room, std::forward<F>(f), [&] { detail::unclaim_post(*node); });
        detail::arm_waker(*node, &detail::plain_ops<held>);
        return waker(*node);
    }

    // -- guest of another loop, without a thread
    // Says until when the host may sleep; the host polls backend_fd() for reading meanwhile. What plain code begins
    // from here on makes that readable. Errors: wrong_state inside a run, or while the loop is interleaved.
    [[nodiscard]] SPRUCE_API result<deadline> prepare();
    // Runs what is ready, up to `max` callbacks and task turns. Returns: how many ran. Errors: wrong_state, an errno.
    [[nodiscard]] SPRUCE_API result<std::size_t> dispatch(std::size_t max = SIZE_MAX);
    // The fd to poll, or -1 where the poller has none. Lifetime: the loop's; its number stays.
    SPRUCE_API int backend_fd();

    // -- guest of another loop, with a thread
    // Runs the loop inside a host's, until stop(). A thread of the library's sleeps in the kernel for this loop; when
    // there is something to do it calls post(turn), which is to hand the turn to the host: the host calls turn() on the
    // loop's thread, once, and everything of this loop runs in there. At most one turn is with the host at any time,
    // and none while there is nothing to do. Start hooks run before this returns, or, where they delay each other, in
    // turns; shutdown hooks, with what delays them, and the end of the background tasks come in turns as well. post is
    // called on that thread, and must not wait for the loop's. If it gives false or an error, or throws, or lets go of
    // the turn, it is reported to the unhandled hook, in the next turn that runs or at the loop's end, and it is called
    // again after 1 ms, then 2, up to 1 s. Other values that it may give are not looked at. A poller that refuses for
    // want of memory is reported once and asked again each 10 ms; any other error is reported, and ends the run as
    // stop() does. The loop's end is the guest's: destroy() or ~loop() stop it if need be, and bring its shutdown to an
    // end by turns of their own, so that the host may end first. Meanwhile run(), dispatch() and the like are
    // wrong_state.
    // Errors: wrong_thread; wrong_state inside a run or a task, or when it is interleaved already; closed after the
    // loop's end; not_supported where the poller cannot be slept on; no_memory, an errno (no thread).
    // Lifetime: post is called until the run has ended, and destroyed then, on the loop's thread. After after_fork() in
    // a child the loop is not interleaved.
    template <class F>
        requires std::invocable<std::decay_t<F>&, host_turn>
    result<void> interleave(F&& post) {
        using held = std::decay_t<F>;
        void* room = nullptr;
        auto made = detail::claim_guest(hub_, status_, sizeof(held), alignof(held), &room);
        if (!made) return made.error();
        detail::move_in<held>(room, std::forward<F>(post), [&] { detail::unclaim_guest(*made); });
        return detail::begin_guest(hub_, *made, &detail::post_ops<held>);
    }

    // In a forked child, before anything else there: a fresh poller, waker and inbox. Handlers and tasks go on in both;
    // calls from other threads that were pending are the parent's alone. Signals since the fork go to the child's
    // handlers now, or, if only other threads' loops had any, act as without. Until then the child's loop cannot be run
    // (wrong_state), and destructors touch nothing of the parent's. Where nothing was forked it does nothing.
    // Errors: an errno, no_memory; wrong_thread; after one it can be called again.
    SPRUCE_API result<void> after_fork();

    detail::hub* impl() const noexcept { return hub_; }   // for the library's own floors

private:
    template <class... A, class F> detail::slot_claim claim(F const&) noexcept {
        using held = std::decay_t<F>;
        return detail::claim_handler(hub_, status_, sizeof(held), alignof(held));
    }
    template <class held, class F> void construct(detail::slot_claim& c, F&& f) {
        detail::move_in<held>(c.room, std::forward<F>(f), [&] { detail::unclaim_handler(hub_, c.slot); });
    }
    template <class... A, class F> detail::callable_ops const* fill(detail::slot_claim& c, F&& f) {
        using held = std::decay_t<F>;
        construct<held>(c, std::forward<F>(f));
        return &detail::callback_ops<held, A...>;
    }
    template <class F> handler call_timer(deadline due, duration period, F&& f) {
        auto c = claim<>(f);
        if (!c.room) return detail::refused_handler(c.why);
        return detail::arm_timer(hub_, c.slot, fill<>(c, std::forward<F>(f)), due, period);
    }
    template <class F> handler hook(int phase, detail::hook_point first, F&& f) {
        if (phase > 2) return detail::refused_argument("phase: there is none such");
        auto c = claim<>(f);
        if (!c.room) return detail::refused_handler(c.why);
        auto const when = detail::hook_point(static_cast<int>(first) + phase);
        return detail::arm_hook(hub_, c.slot, fill<>(c, std::forward<F>(f)), when);
    }

    friend struct detail::loop_access;
    detail::hub* hub_ = nullptr;
    error status_ = errc::no_loop;
    int stop_signal_ = 0;
};

}}  // namespace spruce::v0
