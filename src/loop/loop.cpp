// Making a loop and ending it.
#include <spruce/loop.hpp>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <new>
#include <utility>

#include <spruce/verify.hpp>

#include "../sys/threads.hpp"
#include "never_run.hpp"
#include "plain_scope.hpp"

namespace spruce { inline namespace v0 { namespace detail {

constinit thread_local hub* current_hub = nullptr;
constinit thread_local int last_stop_signal = 0;

// What the floor of loops alone may do with one.
struct loop_access {
    static void end(loop& l) noexcept {
        l.status_ = errc::closed;
        l.hub_ = nullptr;
    }
};

namespace {
constinit std::atomic<std::uint32_t> serials{0};
constinit std::atomic<std::uint32_t> living{0};

std::uint32_t next_serial() noexcept {
    std::uint32_t n;
    do n = serials.fetch_add(1, std::memory_order_relaxed) + 1;
    while (n <= 2);   // 1 and 2 stand in empty handlers
    return n;
}

std::int64_t hub_clock(void* context) noexcept {
    return static_cast<hub*>(context)->read_clock();
}

result<void> check(loop_options const& o) noexcept {
    if (o.turn_budget == 0) return with_detail(errc::invalid_argument, "turn_budget: at least 1");
    if (duration(o.turn_time) > std::chrono::hours(264))
        return with_detail(errc::invalid_argument, "turn_time: more than eleven days");
    if (o.call_budget == 0) return with_detail(errc::invalid_argument, "call_budget: at least 1");
    if (o.tick.count() <= 0) return with_detail(errc::invalid_argument, "tick: more than 0");
    if (o.inbox == 0) return with_detail(errc::invalid_argument, "inbox: at least 1");
    if (o.spin.count() < 0) return with_detail(errc::invalid_argument, "spin: negative");
    if (o.spin > std::chrono::seconds(1)) return with_detail(errc::invalid_argument, "spin: at most a second");
    if (o.destroy_grace.count() < 0) return with_detail(errc::invalid_argument, "destroy_grace: negative");
    if ((o.memory.allocate == nullptr) != (o.memory.release == nullptr))
        return with_detail(errc::invalid_argument, "memory: both functions, or none");
    return {};
}

void free_hub(hub* h) noexcept {
    if (h->poller) h->poller->close(h->poller_context);
    if (h->wake.write_fd >= 0 && h->wake.write_fd != h->wake.read_fd) h->sys.close(h->wake.write_fd);
    if (h->wake.read_fd >= 0) h->sys.close(h->wake.read_fd);
    if (h->door) release(h->door);
    memory_hook const memory = h->options.memory;
    h->~hub();
    release(memory, h, sizeof(hub), alignof(hub));
    living.fetch_sub(1, std::memory_order_relaxed);
}

// The kernel's side: a poller, a waker in it, and the door. An error, or canceled for none.
result<void> open_hub(hub& h) noexcept {
    kernel::made_poller made;
    int const got = h.on.make_poller(h.on.context, static_cast<int>(h.options.poller), h.options.memory, &made);
    if (got == -ENOSYS || got == -EPERM || got == -EACCES)
        return with_detail(errc::not_supported, "poller: this system has none of that kind, or refuses it");
    if (got < 0) return with_detail(kernel_error(got), "the poller");
    h.poller = made.calls;
    h.poller_context = made.context;
    if (int const failed = h.sys.make_waker(h.on.preferred_waker, &h.wake); failed < 0)
        return with_detail(kernel_error(failed), "the waker: eventfd() and pipe()");
    if (int const failed = watch_waker(h); failed < 0)
        return with_detail(kernel_error(failed), "the waker in the poller");
    h.door = make_remote(h.on, h.options.inbox);
    if (!h.door) return errc::no_memory;
    h.door->owner = &h;
    h.door->wake_fd = h.wake.write_fd;
    h.fds.attach(h.on.calls, h.on.context, h.poller, h.poller_context);
    if (!h.ready.reserve(16)) return errc::no_memory;
    h.hole.state = slot_state::canceled;
    h.hole.again = true;   // it stays where it is when slots are swept
    h.now_ns = h.read_clock();
    h.timers.start(h.now_ns);
    return {};
}

result<void> renew_in_child(hub& h) noexcept {
    if (h.visiting.guest) h.visiting.calls->end(h, 0);   // the thread that sleeps is the parent's
    // Nothing of the parent's is touched: its set, its waker and its pipe are let go by number, not emptied.
    if (int const failed = h.poller->renew(h.poller_context, true); failed < 0)
        return with_detail(kernel_error(failed), "the poller");
    waker_fds fresh;
    if (int const failed = h.sys.make_waker(h.on.preferred_waker, &fresh); failed < 0)
        return with_detail(kernel_error(failed), "the waker: eventfd() and pipe()");
    // A child that has closed what it inherited may have been given the same numbers again.
    auto const is_fresh = [&](int fd) { return fd == fresh.read_fd || fd == fresh.write_fd; };
    if (!is_fresh(h.wake.read_fd)) h.sys.close(h.wake.read_fd);
    if (h.wake.write_fd != h.wake.read_fd && !is_fresh(h.wake.write_fd)) h.sys.close(h.wake.write_fd);
    h.wake = fresh;
    h.door->wake_fd = h.wake.write_fd;
    h.signals.port.write_fd = h.wake.write_fd;
    if (int const failed = watch_waker(h); failed < 0) return kernel_error(failed);
    // What comes between these two is heard of twice rather than not at all.
    static_cast<void>(rewatch_signals(h));   // tried again before each wait
    if (!h.on.simulated) dispatcher_after_fork(&h.signals.port);
    rewatch_children(h);
    inbox_after_fork(*h.door);
    lose_awaited_calls(h);
    // … and what was registered under them before is the parent's affair.
    char const* const evicted = h.fds.evict(fresh.read_fd);
    char const* const other = fresh.write_fd != fresh.read_fd ? h.fds.evict(fresh.write_fd) : nullptr;
    h.fds.after_fork();
    h.fds.register_all();
    if (h.ext) h.ext->after_fork(h);
    tell_evicted(h, fresh.read_fd, evicted);
    tell_evicted(h, fresh.write_fd, other);
    return {};
}
}  // namespace

result<void> end_hub(hub& h, deadline dl) noexcept {
    // From here on nobody begins it anew, nor ends it a second time: destructors of what it holds are the user's code.
    h.phase = hub_phase::ending;
    // A child's destructors have turns to wait in, too; but not on what it shares with its parent.
    // Where it cannot have its own (no fd left), the tasks get none: they are abandoned.
    bool const can_turn = !h.fds.is_parents() || renew_in_child(h).ok();
    std::int64_t const until = h.due_of(dl);
    if (h.visiting.guest) h.visiting.calls->end(h, until);
    if (h.reporting.leak_fd >= 0) h.reporting.ends->leaving(h, h.reporting.leak_fd);
    h.signals.of_thread.begin();
    result<void> outcome;
    if (h.ext) {
        h.ext->cancel_all(h, false);
        // One turn at least, however late it is: most of them only have to be told. A poller that fails once is asked
        // again, and the rest of the turn is had without it.
        int refusals = 0;
        for (bool first = true; can_turn && refusals != 16 && h.ext->left(h, false) != 0; first = false) {
            h.now_ns = h.read_clock();
            if (!first && h.now_ns >= until) break;
            if (turn(h, until) < 0) {
                ++refusals;
                turn_without_poll(h);
            } else {
                refusals = 0;
            }
        }
        // Those that were woken in time take what they were woken for.
        if (can_turn && h.ext->left(h, false) != 0) ready_phase(h, h.ready.size(), false);
        if (h.ext->left(h, false) != 0) {
            char names[120];
            h.ext->abandon(h, names, sizeof names);
            take_back_awaited_calls(h);
            outcome = with_detail(errc::tasks_left, names);
        }
    }
    h.run.exits_begun = true;
    run_hooks(h, hook_point::exit);
    // Callables first, while the hub still answers: their destructors may cancel, post and close.
    drop_handlers(h, whose_callbacks::users_and_tasks);
    close_remote(*h.door);
    if (h.reporting.leak_fd >= 0) h.reporting.ends->left(h, h.reporting.leak_fd);
    h.reporting.unhandled_hook = nullptr;
    drop_handlers(h, whose_callbacks::all);   // also the hooks that tasks were abandoned in
    h.signals.of_thread.end();
    if (h.ext) h.ext->end(h);
    h.phase = hub_phase::ended;
    current_hub = nullptr;
    thread_clock = {};
    if (!h.orphaned) loop_access::end(h.owner);
    free_hub(&h);
    return outcome;
}

void orphan(hub& h) noexcept {
    if (std::exchange(h.orphaned, true)) return;
    h.run.stop_asked = true;
    if (h.ext) h.ext->close(h);
    close_to_calls(*h.door);
    if (!std::exchange(h.run.exits_begun, true)) run_hooks(h, hook_point::exit, whose_callbacks::users);
    drop_handlers(h, whose_callbacks::users);
    if (handler_slot* const hook = std::exchange(h.reporting.unhandled_hook, nullptr)) drop_unhandled(h, *hook);
}

void end_orphan(hub& h) noexcept { static_cast<void>(end_hub(h, in(h.options.destroy_grace))); }

hub::hub(loop& o, loop_options const& opts, kernel& k) noexcept
    : ready(opts.memory),
      call_budget(opts.call_budget < UINT32_MAX ? static_cast<std::uint32_t>(opts.call_budget) : UINT32_MAX),
      on(k),
      sys(k),
      fds(opts.memory, opts.max_fds),
      timers(opts.memory, opts.tick),
      handlers(opts.memory, opts.max_timers),
      owner(o),
      options(opts),
      serial(next_serial()),
      spin(k.simulated ? 0 : opts.spin.count()) {}

std::uint32_t living_loops() noexcept { return living.load(std::memory_order_relaxed); }

}}}  // namespace spruce::v0::detail

namespace spruce { inline namespace v0 {

using detail::hub;
using detail::hub_phase;

loop::loop(loop_options options) noexcept {
    if (detail::current_hub) {
        status_ = detail::with_detail(errc::already_registered, "this thread has a loop");
        return;
    }
    if (auto fine = detail::check(options); !fine) {
        status_ = fine.error();
        return;
    }
    kernel* on = options.on ? options.on : &detail::native_kernel();
    if (detail::kernel_in_front) on = detail::kernel_in_front(*on);
    void* const block = detail::allocate(options.memory, sizeof(hub), alignof(hub));
    if (!block) {
        status_ = errc::no_memory;
        return;
    }
    hub_ = ::new (block) hub(*this, options, *on);
    detail::living.fetch_add(1, std::memory_order_relaxed);
    if (auto opened = detail::open_hub(*hub_); !opened) {
        status_ = opened.error();
        detail::free_hub(std::exchange(hub_, nullptr));
        return;
    }
    detail::current_hub = hub_;
    detail::thread_clock = {detail::hub_clock, hub_};
    detail::last_stop_signal = 0;
    if (!options.stop_on_signals) return;
    for (int const sig : {SIGINT, SIGTERM}) {
        // Ctrl-C is often the program's own, or ignored by who started it in the background.
        if (sig == SIGINT && !on->simulated && detail::handled_elsewhere(sig)) continue;
        auto made = add_signal_handler(sig, [h = hub_, sig] {
            h->run.stop_asked = true;
            detail::last_stop_signal = sig;
            if (!h->orphaned) h->owner.stop_signal_ = sig;   // else there is no loop any more
        });
        if (made) detail::keep_for_tasks(*made);   // as long as they are to end, the signal does not kill the process
        if (made) continue;
        error const why = made.error();
        static_cast<void>(destroy());   // there is nothing in it yet
        status_ = why;
        return;
    }
}

loop::~loop() {
    if (!hub_) return;
    hub& h = *hub_;
    if (&h != detail::current_hub) {
        // In a forked child its thread may not have come along, and nothing of the parent's is touched.
        SPRUCE_VERIFY(h.fds.is_parents(),
                      "a loop is destroyed on its own thread: this is another one; ask it to stop() by a loop_ref");
        return;
    }
    // Inside its own run: that ends after this turn, and the hub with it. Or inside a call on it, which ends it, too.
    if (destroy(in(h.options.destroy_grace)) == errc::wrong_state && hub_) detail::orphan(h);
}

result<void> loop::destroy(deadline dl) {
    if (!hub_) return status_;
    hub& h = *hub_;
    if (&h != detail::current_hub) return errc::wrong_thread;
    if (h.phase != hub_phase::idle || h.plain_calls != 0 || (h.ext && h.ext->in_task(h)))
        return detail::with_detail(errc::wrong_state, "the loop runs");
    return detail::end_hub(h, dl);   // in which this object itself may go
}

namespace {
// The main thread's loop that nobody made: made in place when it is first asked for, and destroyed by destroy().
// No static destructor: at exit the process's end takes everything back.
alignas(loop) constinit unsigned char implicit_room[sizeof(loop)] = {};
}  // namespace

bool detail::is_implicit(loop const& l) noexcept { return static_cast<void const*>(&l) == implicit_room; }

result<loop&> loop::current() noexcept {
    if (detail::current_hub) {
        if (detail::current_hub->orphaned) return errc::closed;
        return detail::current_hub->owner;
    }
    if (!detail::on_main_thread()) return errc::no_loop;
    auto* const made = ::new (static_cast<void*>(implicit_room)) loop;
    if (auto fine = made->status(); !fine) return fine.error();
    detail::watch_for_exit();
    return *made;
}

time_point loop::time() const noexcept {
    if (!hub_) return time_point{};
    return time_point(
        duration(hub_->phase == hub_phase::running ? hub_->now_ns : hub_->sys.monotonic_ns()));
}

result<void> loop::advance(any_duration d) {
    if (!hub_) return status_;
    if (hub_ != detail::current_hub) return errc::wrong_thread;
    if (d.count() < 0) return detail::with_detail(errc::invalid_argument, "d: negative");
    int const got = hub_->on.advance(hub_->on.context, d.count());
    if (got == -ENOSYS) return detail::with_detail(errc::not_supported, "the real kernel's clock moves by itself");
    if (got < 0) return detail::kernel_error(got);
    return {};
}

loop_ref loop::remote() const noexcept { return loop_ref(hub_ ? hub_->door : nullptr); }

result<void> loop::after_fork() {
    if (!hub_) return status_;
    hub& h = *hub_;
    if (&h != detail::current_hub) return errc::wrong_thread;
    if (!h.fds.is_parents()) return {};   // nothing is shared, and nothing to be thrown away
    detail::plain_scope const scope;      // the parent's calls end here, and a guest's post
    return detail::renew_in_child(h);
}

}}  // namespace spruce::v0

namespace spruce { inline namespace v0 { namespace detail {
bool census_next(census_cursor& cursor) noexcept {
    hub* const h = cursor.of;
    return h && h == current_hub && h->ext && h->ext->census(*h, cursor);
}
}}}  // namespace spruce::v0::detail
