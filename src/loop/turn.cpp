// A turn of the hub: poll, timers, inbox, then the ready ring. docs/loop.md has a section for each phase.
#include <cerrno>
#include <utility>

#include "../base/relax.hpp"
#include "../sys/threads.hpp"
#include "hub.hpp"

namespace spruce { inline namespace v0 { namespace detail {

bool has_ready(hub& h) noexcept {
    return !h.ready.empty() || h.fds.any_unpollable() || !h.idlers.empty() || h.door->has_work();
}

bool is_held(hub& h) noexcept { return h.holds > 0 || h.door->pending(); }

int watch_waker(hub& h) noexcept {
    // As an edge it is drained to the end all the same.
    int const wanted = h.poller->levels_linger ? interest_read | interest_edge : interest_read;
    poll_change c{h.wake.read_fd, 0, interest_none, static_cast<std::uint8_t>(wanted), 0};
    h.poller->change(h.poller_context, &c, 1);
    h.waker_watched = c.result == 0;
    return c.result;
}

bool settle_poller(hub& h) noexcept {
    bool const heard = h.waker_watched || watch_waker(h) == 0;
    bool const signals = h.signals.watched ? watch_signal_fd(h) == 0 : rewatch_signals(h) == 0;
    return h.fds.flush() && heard && signals;
}

namespace {
// Nothing is to be told to the poller: the usual turn.
bool is_settled(hub const& h) noexcept {
    signal_state const& s = h.signals;
    return h.waker_watched && s.watched && s.watched_fd == s.port.signal_fd && !h.fds.any_changes();
}

// A ghost reports for ever and cannot be taken out: its number was closed while a duplicate lives. The only way to
// be rid of it is a new set.
void drop_stale_registrations(hub& h) noexcept {
    h.ghosts_seen = false;
    if (h.poller->renew(h.poller_context, false) < 0) return;   // as before; tried again at the next ghost
    // What the new set refuses is tried again before each wait.
    static_cast<void>(watch_waker(h));
    static_cast<void>(rewatch_signals(h));
    rewatch_children(h);
    h.fds.register_all();
}

void take_events(hub& h, int count) noexcept {
    for (int i = 0; i != count; ++i) {
        poll_event const& e = h.events[i];
        if (i + 6 < count) h.fds.foresee(h.events[i + 3].fd, h.events[i + 6].fd);
        if ((e.ready & (ready_signal | ready_child)) != 0) {
            if ((e.ready & ready_signal) != 0) signal_told(h, e.fd);
            else child_told(h, e.fd);
            continue;
        }
        if (e.fd == h.wake.read_fd) {
            h.sys.drain_waker(h.wake.read_fd);
            continue;
        }
        if (e.fd == h.signals.watched_fd) {
            h.signals.port.signal_fd_ready = true;   // read by signal_phase()
            continue;
        }
        if (!h.fds.dispatch(e)) h.ghosts_seen = true;
    }
    if (h.ghosts_seen) drop_stale_registrations(h);
}

constexpr int event_room = static_cast<int>(sizeof hub::events / sizeof hub::events[0]);

// Waits awake for a call from another thread, which has_work() sees, and asks the poller now and then. Returns: how
// many events it had, or -errno. Leaves the time in h.now_ns.
[[gnu::noinline]] int wait_awake(hub& h, std::int64_t until_ns) noexcept {
    int count = 0;
    bool came = false;
    for (std::int64_t end = 0;;) {
        for (int looks = 0; looks != 32 && !came; ++looks) {
            came = h.door->has_work();
            if (!came) relax_processor();
        }
        if (!came) count = h.poller->wait(h.poller_context, h.events, event_room, 0);
        h.now_ns = h.read_clock();
        if (came || count < 0) break;
        h.spin.polled(h.now_ns);
        if (end == 0) end = h.now_ns + h.spin.most_ns();
        if (count > 0 || h.now_ns >= end || h.now_ns >= until_ns) break;
    }
    h.spin.waited(came ? spin_end::call : count != 0 || h.now_ns >= until_ns ? spin_end::other : spin_end::in_vain);
    return count;
}

int after_poll(hub& h, int count) noexcept {
    if (count < 0) return count == -EINTR ? 0 : count;
    take_events(h, count);
    if (h.fds.any_unpollable()) h.fds.notify_unpollable();
    if (h.signals.port_open) signal_phase(h);
    return 0;
}
}  // namespace

int poll_phase(hub& h, std::int64_t until_ns) noexcept {
    bool const settled = is_settled(h) || settle_poller(h);
    std::int64_t timeout = 0;
    std::int64_t const began = h.now_ns;
    if (settled && until_ns > h.now_ns && h.spin.pays()) {
        int const count = wait_awake(h, until_ns);
        bool const ready = has_ready(h);
        // Between two calls that come at once the poller need not be asked each time.
        if (count != 0 || ((ready || h.now_ns >= until_ns) && h.spin.has_polled(h.now_ns))) return after_poll(h, count);
        if (ready) until_ns = 0;
    }
    if (until_ns != 0) {
        // From here on whoever posts must wake us; what was posted before is seen by has_ready().
        h.door->going_to_sleep();
        if (has_ready(h)) until_ns = 0;
    }
    if (until_ns == no_time) {
        timeout = -1;
    } else if (until_ns != 0) {
        std::int64_t const now = h.sys.monotonic_ns();
        timeout = until_ns > now ? until_ns - now : 0;   // the difference to the beginning of time is no number
    }
    if (!settled && (timeout < 0 || timeout > retry_ns)) timeout = retry_ns;
    int const count = h.poller->wait(h.poller_context, h.events, event_room, timeout);
    bool const called = !h.door->woke_up();
    h.now_ns = h.read_clock();
    if (count >= 0) h.spin.polled(h.now_ns);
    if (until_ns != 0) {
        std::int64_t const slept = h.now_ns - began;
        h.spin.slept(slept, called && slept < h.spin.most_ns() &&
                                h.door->waker_core.load(std::memory_order_relaxed) != core_of_thread());
    }
    return after_poll(h, count);
}

void timer_phase(hub& h) noexcept {
    h.timers.expire(h.now_ns, [&h](timer& t) {
        auto const owner = reinterpret_cast<std::uintptr_t>(t.owner);
        if ((owner & 1) != 0) {
            auto& l = *reinterpret_cast<listener*>(owner & ~std::uintptr_t{1});
            l.notify(l, notify_expired);
        } else {
            expire_slot(h, *static_cast<handler_slot*>(t.owner));
        }
    });
}

namespace {
// Calls and entries may take as long as they like, so that their number is no bound of a turn: they run in parts, the
// first of so many, each next one of no more than fit in what is left of the turn's time.
constexpr std::uint32_t first_entries = 8;
std::uint32_t next_part(std::uint32_t ran, std::uint32_t left, std::int64_t taken_ns, std::int64_t limit_ns) noexcept {
    std::int64_t const fitting =
        taken_ns < limit_ns / 4 ? 3 * std::int64_t{ran} : ran * (16 * (limit_ns - taken_ns) / taken_ns) / 16;
    if (fitting >= left) return left;
    return fitting > 0 ? static_cast<std::uint32_t>(fitting) : 1;
}
}  // namespace

std::size_t inbox_phase(hub& h, std::size_t most) noexcept {
    if (h.door->stop_asked.load(std::memory_order_relaxed) != 0 &&
        h.door->stop_asked.exchange(0, std::memory_order_acq_rel) != 0)
        h.run.stop_asked = true;
    if (!h.door->pending()) return 0;
    h.dispatching = true;
    // Those that are there now; what they post themselves comes with the next turn.
    std::size_t const there = h.door->inside() / 2;
    std::int64_t const limit = turn_limit_ns(h);
    auto left = static_cast<std::uint32_t>(most < there ? most : there);
    std::uint32_t ran = 0;
    for (std::uint32_t part = left < first_entries ? left : first_entries; part != 0;) {
        auto const some = static_cast<std::uint32_t>(run_posts(*h.door, part, h.credit.dispatches, h.reporting.watch));
        ran += some;
        left -= some;
        if (some != part || left == 0) break;
        std::int64_t const taken = h.read_clock() - h.now_ns;
        if (taken >= limit) break;
        part = next_part(ran, left, taken, limit);
    }
    h.dispatching = false;
    h.spin.took(ran);
    return ran;
}

namespace {
// The same where somebody watches: the hub sees each entry, and says what it is. (What is watched no more goes on so
// until the end of the phase.)
[[gnu::noinline, gnu::cold]] void run_watched(hub& h) noexcept {
    for (unsigned n = 1; h.credit.withheld != 0 && !h.ready.empty(); ++n) {
        if (n % first_entries == 0 && h.read_clock() - h.now_ns >= turn_limit_ns(h)) break;
        ready_entry const e = h.ready.take();
        --h.credit.withheld;
        ++h.credit.dispatches;
        if (is_extension(e.node)) {
            h.ext->resume(h, e.node, e.word);
        } else {
            auto& s = *static_cast<handler_slot*>(e.node);
            if (h.reporting.watch && &s != &h.hole) h.reporting.watch->begin(s);
            run_slot(h, s);
        }
    }
    if (h.reporting.watch) h.reporting.watch->end();
}

void run_entries(hub& h) noexcept {
    while (h.credit.any() && !h.ready.empty()) {
        ready_entry const e = h.ready.take();
        ++h.credit.dispatches;
        if (is_extension(e.node)) {
            h.ext->resume(h, e.node, e.word);
        } else {
            auto& s = *static_cast<handler_slot*>(e.node);
            if (is_due_soon(s)) run_soon(h, s);
            else run_slot(h, s);
        }
    }
}
}  // namespace

std::size_t ready_phase(hub& h, std::size_t most, bool timed) noexcept {
    if (most != 0 && h.ready.empty() && !h.idlers.empty()) {
        // Nothing else is ready in this turn: the idle ones' moment. Those added meanwhile wait for the next.
        intrusive_list<handler_slot> now;
        h.idlers.splice_to(now);
        while (handler_slot* const s = now.take_front()) make_ready(h, *s);
    }
    // More than fit never run in one turn.
    auto const budget = most > UINT32_MAX ? UINT32_MAX : static_cast<std::uint32_t>(most);
    std::int64_t const limit = turn_limit_ns(h);
    std::uint32_t left = h.reporting.watch ? 0 : budget;   // of the credit, ungiven
    h.credit.turn_over = false;
    h.credit.forfeited = 0;
    h.credit.withheld = budget - left;
    h.dispatching = true;
    std::uint32_t part = timed && left > first_entries ? first_entries : left;
    for (;;) {
        h.credit.set(part);
        left -= part;
        run_entries(h);
        if (left == 0 || h.credit.turn_over || h.ready.empty()) break;
        if (h.reporting.watch) [[unlikely]] {   // from now on
            h.credit.withheld += std::exchange(left, 0);
            break;
        }
        std::int64_t const taken = h.read_clock() - h.now_ns;
        if (taken >= limit) break;
        part = next_part(budget - left, left, taken, limit);
    }
    if (h.credit.withheld != 0) [[unlikely]] run_watched(h);
    h.dispatching = false;
    std::size_t const ran = budget - left - h.credit.left() - h.credit.withheld - h.credit.forfeited;
    h.credit.set(0);
    h.credit.withheld = 0;
    return ran;
}

void turn_without_poll(hub& h) noexcept {
    timer_phase(h);
    inbox_phase(h, h.options.inbox);
    ready_phase(h, h.options.turn_budget);
    if (!h.hooks[static_cast<int>(hook_point::turn)].empty()) run_hooks(h, hook_point::turn);
}

namespace {
// Before a turn that has nothing to do but calls, and fewer than is hoped for: until there are twice as many as that,
// by which it is seen that there could be more, or half of what the inbox holds. (Looked for seldom: to look is what
// costs the senders.)
[[gnu::noinline]] void rest(hub& h, std::int64_t until_ns) noexcept {
    if (!h.ready.empty() || h.fds.any_unpollable() || !h.idlers.empty() ||
        h.door->stop_asked.load(std::memory_order_relaxed) != 0)
        return;
    std::size_t const quarter = h.options.inbox / 4;
    std::size_t const enough = quarter < h.spin.hoped() ? quarter : h.spin.hoped();
    if (h.door->inside() / 2 >= enough) return;
    std::int64_t const due = h.timers.next_due_ns();
    if ((due < until_ns ? due : until_ns) < h.sys.monotonic_ns() + spin_policy::rest_within_ns) return;
    h.spin.rested();
    unsigned left = h.spin.hoped() * spin_policy::steps_each;
    do {
        for (unsigned some = 0; some != 24 && left != 0; ++some, --left) relax_processor();
    } while (left != 0 && h.door->inside() / 2 < 2 * enough);
    if (!h.door->pending()) h.spin.took(0);
}
}  // namespace

int turn(hub& h, std::int64_t until_ns) noexcept {
    if (until_ns != 0) {
        if (h.spin.hoped() != 0) [[unlikely]] rest(h, until_ns);
        std::int64_t const due = has_ready(h) ? 0 : h.timers.next_due_ns();
        if (due < until_ns) until_ns = due;
    }
    if (int const failed = poll_phase(h, until_ns); failed < 0) return failed;
    turn_without_poll(h);
    return 0;
}

}}}  // namespace spruce::v0::detail
