// run(f): a hub, a first task, and the end of both.
#pragma once
#include "task.hpp"

namespace spruce::inline v0 {

namespace detail {
// The error of a run(f) that was stopped: closed, and its detail tells by what.
SPRUCE_API error stopped_run() noexcept;
}  // namespace detail

// The signal that stopped this thread's last loop, or last run(f), by stop_on_signals; 0: none did. It is what tells an end
// that was asked for from a failure: `if (int sig = stop_signal()) die_of(sig);`, with die_of() of process.hpp.
SPRUCE_API int stop_signal() noexcept;

// Makes a loop on this thread, runs f as its first task until nothing is left to do, and destroys the loop.
// Returns: what f gave, if it had ended when the hub ran dry. Errors: those of f; the loop's own (deadlock,
// tasks_left, an errno) if f had not ended, or in place of an ok; closed if the loop was stopped before f ended (detail()
// and stop_signal() tell whether a signal did);
// already_registered if the thread has a loop. Thread: any without a loop; for plain code.
template <class F>
    requires detail::startable<F>
[[nodiscard]] result<detail::started_t<F>> run(loop_options options, F&& f) {
    loop hub(options);
    if (auto fine = hub.status(); !fine) return fine.error();
    auto first = spawn(std::forward<F>(f));
    auto ran = hub.run();
    if (!first.done()) {
        auto const destroyed = hub.destroy(in(options.destroy_grace));
        if (auto refused = first.join(); !refused && refused != error(errc::closed) && ran.ok() && destroyed.ok()) return refused.error();
        if (!ran.ok()) return ran.error();
        return destroyed.ok() ? detail::stopped_run() : destroyed.error();
    }
    auto outcome = std::move(first).get();
    auto const destroyed = hub.destroy(in(options.destroy_grace));
    if (outcome.ok() && !ran.ok()) return ran.error();
    if (outcome.ok() && !destroyed.ok()) return destroyed.error();
    return outcome;
}
template <class F>
    requires detail::startable<F>
[[nodiscard]] result<detail::started_t<F>> run(F&& f) {
    return run(loop_options{}, std::forward<F>(f));
}

}  // namespace spruce::inline v0
