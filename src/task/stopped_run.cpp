// By what a run was stopped, for who has no loop any more to ask.
#include <csignal>

#include <spruce/run.hpp>

#include "../loop/hub.hpp"

namespace spruce { inline namespace v0 {

int stop_signal() noexcept { return detail::last_stop_signal; }

namespace detail {
namespace {
// closed, and its detail tells by what.
error stopped_run() noexcept {
    int const sig = last_stop_signal;
    return with_detail(errc::closed, sig == SIGTERM  ? "stopped by SIGTERM"
                                     : sig == SIGINT ? "stopped by SIGINT"
                                                     : "the loop was stopped");
}
}  // namespace

error end_unfinished_run(loop& l, task_block* first, result<void> ran, any_duration grace) noexcept {
    auto const destroyed = l.destroy(in(grace));
    // The task's own error is that of a spawn that was refused, or of its end by the loop's (closed), which says less.
    auto const refused = first ? join_task(first, {}) : result<void>();
    if (!refused.ok() && refused != error(errc::closed) && ran.ok() && destroyed.ok()) return refused.error();
    if (!ran.ok()) return ran.error();
    return destroyed.ok() ? stopped_run() : destroyed.error();
}
result<void> end_finished_run(loop& l, result<void> ran, any_duration grace) noexcept {
    auto const destroyed = l.destroy(in(grace));
    return ran.ok() ? destroyed : ran;
}
}  // namespace detail

}}  // namespace spruce::v0
