// Hooks: what runs at the beginning and the end of a run, after each turn, and when the loop ends; and the holds that
// delay their phases.
#include <atomic>
#include <cstdlib>

#include "never_run.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
intrusive_list<handler_slot>& hooks_of(hub& h, hook_point when) noexcept { return h.hooks[static_cast<int>(when)]; }
hook_point phase_of(hook_point first, int phase) noexcept { return hook_point(static_cast<int>(first) + phase); }
}  // namespace

handler arm_hook(hub* on, handler_slot* s, callable_ops const* ops, hook_point when) noexcept {
    s->ops = ops;
    s->kind = slot_kind::hook;
    s->number = static_cast<int>(when);
    s->state = slot_state::armed;
    hooks_of(*on, when).push_back(*s);
    // A start hook that comes too late for this run has its first go now, and its place in the next one.
    if (when <= hook_point::after_start && on->in_run() && s->number < on->run.start_phases_begun)
        make_ready(*on, *s);
    return handler_access::name(on->serial, *s);
}

void run_hooks(hub& h, hook_point when, whose_callbacks which) noexcept {
    auto& hooks = hooks_of(h, when);
    if (hooks.empty()) return;
    intrusive_list<handler_slot> now;
    hooks.splice_to(now);
    bool const was_dispatching = std::exchange(h.dispatching, true);   // exit() may be called by a callback
    while (handler_slot* const s = now.take_front()) {
        hooks.push_back(*s);
        if (s->state == slot_state::queued) continue;   // it is in the ready ring, and runs from there
        if (which == whose_callbacks::users && s->lasts) continue;
        ++h.credit.dispatches;
        if (h.reporting.watch) h.reporting.watch->begin(*s);
        run_slot(h, *s);
    }
    if (h.reporting.watch) h.reporting.watch->end();
    h.dispatching = was_dispatching;
}

void run_start_phase(hub& h, int phase) noexcept {
    h.run.start_phases_begun = static_cast<std::uint8_t>(phase + 1);
    // A hold of the later phases is one for the run, as most are.
    h.delays = phase == 0 ? delayed::start : delayed::nothing;
    run_hooks(h, phase_of(hook_point::before_start, phase));
}

void run_shutdown_phase(hub& h, int phase) noexcept {
    if (phase == 0) {
        h.run.shutting_down = true;
        h.delays = delayed::shutdown;
        h.run.stop_asked = h.orphaned;   // then nobody is left to release a hold
    }
    if (phase != 3 && !h.run.leave_asked) return run_hooks(h, phase_of(hook_point::before_shutdown, phase));
    h.run.shutting_down = false;
    h.delays = delayed::nothing;
}

namespace {
// Turns, as long as somebody holds back what comes next and nobody has asked to stop.
void wait_for_holds(hub& h, delayed what, result<void>& outcome) noexcept {
    while (is_delayed(h, what) && outcome)
        if (int const failed = turn(h, no_time); failed < 0) outcome = poller_failed(failed);
}
}  // namespace

result<void> start_up(hub& h) noexcept {
    result<void> outcome;
    for (int phase = 0; phase != 3; ++phase) {
        run_start_phase(h, phase);
        if (phase == 0) wait_for_holds(h, delayed::start, outcome);
    }
    return outcome;
}

result<void> shut_down(hub& h) noexcept {
    result<void> outcome;
    for (int phase = 0; phase == 0 || h.run.shutting_down; ++phase) {
        run_shutdown_phase(h, phase);
        if (h.run.shutting_down) wait_for_holds(h, delayed::shutdown, outcome);
    }
    return outcome;
}

namespace {
constinit std::atomic<int> told_exit{0};

// On whatever thread calls exit(). Nobody comes back to a run that called it: its tasks cannot be ended.
void at_exit() {
    hub* const h = current_hub;
    if (!h || !h->run.ends_at_exit || h->fds.is_parents()) return;
    tell_never_run(*h);
    // An orphaned one has no owner to ask; it is inside a run.
    if (h->orphaned || h->owner.destroy(in(h->options.destroy_grace)) == errc::wrong_state)
        run_hooks(*h, hook_point::exit);
}
}  // namespace

}}}  // namespace spruce::v0::detail

namespace spruce { inline namespace v0 {

using detail::hub;

result<void> loop::destroy_at_exit() noexcept {
    if (!hub_) return status_;
    if (hub_ != detail::current_hub) return errc::wrong_thread;
    if (detail::told_exit.load(std::memory_order_relaxed) == 0) {
        if (std::atexit(detail::at_exit) != 0) return errc::no_memory;
        detail::told_exit.store(1, std::memory_order_relaxed);   // told twice does no harm
    }
    hub_->run.ends_at_exit = true;
    return {};
}

hold_token loop::hold() noexcept {
    if (!hub_ || hub_ != detail::current_hub) return {};
    ++hub_->holds;
    ++hub_->tokens[static_cast<int>(hub_->delays)];
    return hold_token(hub_->serial, hub_->delays);
}

void hold_token::release() noexcept {
    std::uint32_t const of = std::exchange(loop_, 0);
    hub* const h = detail::current_hub;
    if (of == 0 || !h || h->serial != of) return;
    --h->holds;
    --h->tokens[static_cast<int>(delays_)];
    h->rouse();
}

}}  // namespace spruce::v0
