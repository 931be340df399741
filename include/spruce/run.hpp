// run(f): a hub, a first task, and the end of both.
#pragma once
#include "task.hpp"

namespace spruce { inline namespace v0 {

namespace detail {
// What run(f) does behind its loop's run(), for any f: destroys the loop. The first gives the error of a run(f) whose
// task had not ended; the second what is wrong with the loop, if its task gave no error.
SPRUCE_API error end_unfinished_run(loop& l, task_block* first, result<void> ran, any_duration grace) noexcept;
SPRUCE_API result<void> end_finished_run(loop& l, result<void> ran, any_duration grace) noexcept;
}  // namespace detail

// The signal that stopped this thread's last loop, or last run(f), by stop_on_signals; 0: none did. It is what tells an
// end that was asked for from a failure: `if (int sig = stop_signal()) die_of(sig);`, with die_of() of process.hpp.
SPRUCE_API int stop_signal() noexcept;

// Makes a loop on this thread, runs f as its first task until nothing is left to do, and destroys the loop.
// Returns: what f gave, if it had ended when the hub ran dry. Errors: those of f; the loop's own (deadlock, tasks_left,
// an errno) if f had not ended, or in place of an ok; closed if the loop was stopped before f ended (detail() and
// stop_signal() tell whether a signal did); already_registered if the thread has a loop. Thread: any without a loop;
// for plain code.
template <class F> [[nodiscard]] result<detail::start_of_t<F>> run(loop_options options, F&& f) {
    loop hub(options);
    if (auto fine = hub.status(); !fine) return fine.error();
    auto first = spawn(std::forward<F>(f));
    auto const ran = hub.run();
    if (!first.done())
        return detail::end_unfinished_run(hub, detail::task_access::block(first), ran, options.destroy_grace);
    auto outcome = std::move(first).get();
    auto const ended = detail::end_finished_run(hub, ran, options.destroy_grace);
    if (outcome.ok() && !ended.ok()) return ended.error();
    return outcome;
}
template <class F>
    requires(!std::is_convertible_v<F, loop_options>)
[[nodiscard]] result<detail::start_of_t<F>> run(F&& f) {
    return run(loop_options{}, std::forward<F>(f));
}

}}  // namespace spruce::v0
