// Running: until nothing holds the loop, for ever, for one turn, until a condition; and as a guest.
#include <cerrno>
#include <cstring>

#include "../base/text_line.hpp"
#include "running_scope.hpp"

namespace spruce { inline namespace v0 { namespace detail {

result<void> runnable(hub* h, error const& status) noexcept {
    if (!h) return status;
    if (h != current_hub) return errc::wrong_thread;
    if (h->phase == hub_phase::running) return with_detail(errc::wrong_state, "the loop runs already");
    if (h->visiting.guest) return with_detail(errc::wrong_state, "the loop is interleaved");
    if (h->phase != hub_phase::idle) return errc::closed;
    if (h->ext && h->ext->in_task(*h)) return with_detail(errc::wrong_state, "a task cannot run its own loop");
    if (h->fds.is_parents()) return with_detail(errc::wrong_state, "in a forked child after_fork() comes first");
    return {};
}

constinit run_filter run_instead = nullptr;

error stuck(hub& h) noexcept {
    if (h.reporting.deadlock_fd >= 0) h.reporting.ends->stuck(h, h.reporting.deadlock_fd);
    char who[120] = "";
    std::size_t used = 0, more = h.ext->left(h, false);
    census_cursor c;
    c.of = &h;
    for (; census_next(c); --more) {
        char one[100];
        text_line text(one, sizeof one - 1);
        text.put(used ? ", '" : "'").put(c.now.name).put("' waits for ").put(c.now.waiting_for).string();
        constexpr std::size_t tail = sizeof ", and 1048576 more";
        std::size_t const size = text.size();
        if (used != 0 && used + size + (more > 1 ? tail : 1) > sizeof who) break;
        std::memcpy(who + used, one, size);
        used += size;
    }
    text_line rest(who + used, sizeof who - used);
    if (more != 0) rest.put(", and ").put(std::uint64_t{more}).put(" more");
    rest.string();
    return with_detail(errc::deadlock, who);
}

namespace {
// Whether what does not keep a run going may end a wait yet: idle callbacks that have not run, and hooks at the end of
// a turn. The latter stay for ever: they get so many turns in which nothing else is left.
bool may_be_woken(hub& h, unsigned& turns) noexcept {
    if (h.run.stop_asked || !h.ext || h.ext->unfinished(h) == 0) return false;
    bool const first = turns++ == 0;   // a signal may have come, too
    return first || !h.idlers.empty() ||
           (turns < turns_for_hooks && !h.hooks[static_cast<int>(hook_point::turn)].empty());
}

// Those in the background end with the run: canceled, and driven until they have.
result<void> end_background(hub& h) noexcept {
    if (!h.ext || h.ext->left(h, true) == 0) return {};
    h.ext->cancel_all(h, true);
    h.run.background_ends = true;   // what joins them now is canceled, too
    std::int64_t const until = h.due_of(in(h.options.destroy_grace));
    int failed;
    do failed = turn(h, until);
    while (failed >= 0 && h.ext->left(h, true) != 0 && h.now_ns < until);
    h.run.background_ends = false;
    return failed < 0 ? result<void>(poller_failed(failed)) : result<void>();
}

result<void> run_hub(hub& h, bool for_ever) noexcept {
    running_scope const scope(h);
    result<void> outcome = start_up(h);
    unsigned dry = 0;
    while (outcome && !h.run.stop_asked) {
        bool const held = for_ever || is_held(h);
        if (held) dry = 0;
        else if (!may_be_woken(h, dry)) break;
        if (int const failed = turn(h, held ? no_time : 0); failed < 0) outcome = poller_failed(failed);
    }
    bool const ran_dry = !h.run.stop_asked && outcome.ok();
    if (auto shut = shut_down(h); !shut && outcome) outcome = shut;
    if (auto background = end_background(h); !background && outcome) outcome = background;
    // What the hooks made is kept for the next run; who still waits then, waits for nothing.
    if (ran_dry && !for_ever && h.ext && h.ext->unfinished(h) != 0 && !is_held(h)) return stuck(h);
    return outcome;
}
}  // namespace

error poller_failed(int failed) noexcept { return with_detail(kernel_error(failed), "the poller"); }

result<void> run_hub_until(hub* on, error const& status, predicate_call done, void* predicate, deadline dl) noexcept {
    SPRUCE_CHECK(runnable(on, status));
    hub& h = *on;
    std::int64_t const until = h.due_of(dl);
    running_scope const scope(h);
    // One that was deleted may have taken with it what the predicate looks at.
    for (bool first = true; h.orphaned || !done(predicate); first = false) {
        if (h.run.stop_asked) return with_detail(errc::closed, "stop()");
        if (!first && until != no_time && h.now_ns >= until) return errc::timed_out;
        if (int const failed = turn(h, until); failed < 0) return poller_failed(failed);
    }
    return {};
}

}}}  // namespace spruce::v0::detail

namespace spruce { inline namespace v0 {

using detail::hub;
using detail::hub_phase;

result<void> loop::run() {
    SPRUCE_CHECK(detail::runnable(hub_, status_));
    return detail::run_instead ? detail::run_instead(*hub_, false) : detail::run_hub(*hub_, false);
}

result<void> loop::run_forever() {
    SPRUCE_CHECK(detail::runnable(hub_, status_));
    return detail::run_instead ? detail::run_instead(*hub_, true) : detail::run_hub(*hub_, true);
}

result<void> loop::run_once(deadline dl) {
    SPRUCE_CHECK(detail::runnable(hub_, status_));
    hub& h = *hub_;
    std::int64_t const until = h.due_of(dl);
    std::uint64_t const before = h.credit.dispatches;
    detail::running_scope const scope(h);
    if (int const failed = detail::turn(h, until); failed < 0) return detail::poller_failed(failed);
    if (h.credit.dispatches == before && until != detail::no_time && h.now_ns >= until) return errc::timed_out;
    return {};
}

result<void> loop::stop() noexcept {
    if (!hub_) return status_;
    if (hub_ != detail::current_hub) return errc::wrong_thread;
    if (hub_->in_run()) {
        hub_->run.stop_asked = true;
        hub_->rouse();
        return {};
    }
    // As a guest by its fd it has no run to end; and one that begins next is another, and not what was meant.
    if (hub_->visiting.prepared) return {};
    return detail::with_detail(errc::wrong_state, "the loop does not run");
}

result<void> loop::leave() noexcept {
    auto stopped = stop();
    if (stopped && hub_->in_run()) hub_->run.leave_asked = true;
    return stopped;
}

bool loop::running() const noexcept { return hub_ && hub_->in_run() && hub_->run.start_phases_begun > 1; }

loop_state loop::state() const noexcept {
    if (!hub_ || hub_->phase == hub_phase::ended) return loop_state::ended;
    if (hub_->phase == hub_phase::idle && !hub_->visiting.guest) return loop_state::idle;
    detail::visit_state const& v = hub_->visiting;
    bool const ends = hub_->run.stop_asked || hub_->run.shutting_down || (v.guest && v.calls->stopping(*hub_));
    bool const goes_on = hub_->phase != hub_phase::ending && !ends;
    return goes_on ? loop_state::running : loop_state::stopping;
}

// -- guest

result<deadline> loop::prepare() {
    SPRUCE_CHECK(detail::runnable(hub_, status_));
    hub& h = *hub_;
    h.visiting.prepared = true;
    bool const settled = detail::settle_poller(h);
    // Asleep from here on: whoever posts writes to the fd that the host polls. What came before is seen below.
    h.door->going_to_sleep();
    if (detail::has_ready(h)) return in(duration::zero());
    // Whoever polls the fd hears of what plain code begins meanwhile, and need not ask again after each of its
    // callbacks.
    h.visiting.poll_thread_sleeping = h.visiting.handed_out_backend;
    std::int64_t due = h.timers.next_due_ns();
    if (!settled) {
        std::int64_t const again = h.sys.monotonic_ns() + detail::retry_ns;
        if (again < due) due = again;
    }
    return due == detail::no_time ? never() : at(time_point(duration(due)));
}

result<std::size_t> loop::dispatch(std::size_t max) {
    SPRUCE_CHECK(detail::runnable(hub_, status_));
    hub& h = *hub_;
    detail::running_scope const scope(h);
    h.door->woke_up();
    if (int const failed = detail::poll_phase(h, 0); failed < 0) return detail::poller_failed(failed);
    detail::timer_phase(h);
    // What is ready has a right to half of a small dispatch, so that calls from other threads cannot keep it waiting
    // for ever; the odd one goes to each in turn.
    h.visiting.odd_one_is_posted = !h.visiting.odd_one_is_posted;
    std::size_t const half = max / 2 + (h.visiting.odd_one_is_posted ? 0 : max % 2), ready = h.ready.size();
    std::size_t ran = detail::inbox_phase(h, max - (ready < half ? ready : half));
    std::size_t const budget = max - ran < h.options.turn_budget ? max - ran : h.options.turn_budget;
    ran += detail::ready_phase(h, budget);
    detail::run_hooks(h, detail::hook_point::turn);
    return ran;
}

int loop::backend_fd() {
    if (!hub_) return -1;
    int const fd = hub_->poller->backend_fd(hub_->poller_context);
    if (fd < 0) return -1;
    hub_->visiting.handed_out_backend = true;
    return fd;
}

}}  // namespace spruce::v0
