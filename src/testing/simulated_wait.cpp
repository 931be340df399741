// How a poller of the simulated kernel waits: for what is ready, for the clock, which jumps, or for real, until
// somebody rings.
#include <cerrno>
#include <limits>

#include <sched.h>

#include <spruce/verify.hpp>

#include "simulated_poller.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
constexpr std::int64_t for_ever = std::numeric_limits<std::int64_t>::max();

std::int64_t end_of_wait(simulated_kernel& k, std::int64_t timeout_ns) noexcept {
    if (timeout_ns < 0) return for_ever;
    std::int64_t const now = k.now_ns.load(std::memory_order_relaxed), grain = k.options.poll_grain.count();
    if (timeout_ns >= for_ever - now) return for_ever;
    std::int64_t const end = now + timeout_ns;
    std::int64_t const over = grain > 0 ? end % grain : 0;
    return over == 0 || end > for_ever - grain ? end : end + (grain - over);
}

// Jumps to what comes first: this wait's end, something under way, or the end of another loop's wait. False: there
// is nothing to jump to, or time is held.
bool jump(simulated_sleeper& p, std::int64_t end_ns) noexcept {
    simulated_kernel& k = p.kernel;
    if (k.holds.load(std::memory_order_seq_cst) > 0) return false;
    std::int64_t const now = k.now_ns.load(std::memory_order_relaxed), next = next_delivery_ns(k);
    std::int64_t to = next < end_ns ? next : end_ns;
    for (simulated_bell const& bell : k.bells)
        if (bell.sleeper && bell.sleeper->sleeps_until_ns > now && bell.sleeper->sleeps_until_ns < to)
            to = bell.sleeper->sleeps_until_ns;
    if (to == for_ever) return false;
    move_clock(k, to);
    return true;
}

// Sleeps for real; comes back with the lock held again. False: stuck.
bool sleep(simulated_sleeper& p, std::int64_t end_ns) noexcept {
    simulated_kernel& k = p.kernel;
    if (prepare_bell(*p.bell) < 0) {
        // The real kernel has no fd left to sleep on: look again and again.
        k.unlock();
        ::sched_yield();
        k.lock();
        return true;
    }
    p.sleeps_until_ns = end_ns;
    p.bell->asleep.store(1, std::memory_order_seq_cst);
    // What was done before others could see us asleep, must be seen now.
    collect_wakes(k);
    bool rung = true;
    bool const may_jump = k.holds.load(std::memory_order_seq_cst) <= 0;
    if (p.ready.empty() && (!may_jump || end_ns == for_ever)) {
        std::int64_t const longest =
            may_jump && !p.patient && k.options.stuck_after != duration::max() ? k.options.stuck_after.count() : -1;
        k.unlock();
        rung = sleep_on(*p.bell, longest);
        k.lock();
    }
    p.bell->asleep.store(0, std::memory_order_seq_cst);
    p.sleeps_until_ns = 0;
    return rung;
}
}  // namespace

namespace {
struct looker {
    bool (*is_ready)(simulated_watch_ready& link) noexcept;
};
int look(simulated_sleeper& p, void* by, int) noexcept {
    while (simulated_watch_ready* const link = p.ready.take_front()) {
        if (!static_cast<looker*>(by)->is_ready(*link)) continue;
        p.ready.push_front(*link);
        return 1;
    }
    return 0;
}
}  // namespace

int sleep_until_ready(simulated_sleeper& p, bool (*is_ready)(simulated_watch_ready& link) noexcept,
                      std::int64_t timeout_ns) noexcept {
    looker by{is_ready};
    p.patient = true;   // a host may do nothing for as long as it likes, and wake its guest then
    int const got = wait_on(p, look, &by, 1, timeout_ns);
    p.patient = false;
    return got;
}

int wait_on(simulated_sleeper& p, int (*take)(simulated_sleeper& on, void* into, int room) noexcept, void* into,
            int room, std::int64_t timeout_ns) noexcept {
    simulated_kernel& k = p.kernel;
    if (room <= 0) return -EINVAL;
    std::int64_t const end = end_of_wait(k, timeout_ns);
    bool rung = true;
    for (;;) {
        collect_wakes(k);
        if (int const count = take(p, into, room); count != 0) return count;
        if (end_children(k)) continue;
        if (timeout_ns == 0) return 0;
        if (k.now_ns.load(std::memory_order_relaxed) >= end) return 0;
        if (jump(p, end)) continue;
        SPRUCE_VERIFY(rung || k.holds.load(std::memory_order_seq_cst) > 0,
                      "a loop on a simulated kernel waits for ever: nothing is ready or under way there, it has no "
                      "timer, and no other thread woke it for simulation_options::stuck_after");
        rung = sleep(p, end);
    }
}

void leave_parents(simulated_kernel& k) noexcept {
    // The world was copied with the process, but its bells are shared with the parent, and its lock may have been
    // held by a thread that is not here.
    k.locked.store(0, std::memory_order_relaxed);
    for (simulated_bell& bell : k.bells) close_bell(bell);
}

}}}  // namespace spruce::v0::detail
