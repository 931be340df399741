// By what a run was stopped, for who has no loop any more to ask.
#include <csignal>

#include <spruce/run.hpp>

#include "../loop/hub.hpp"

namespace spruce::inline v0 {

int stop_signal() noexcept { return detail::last_stop_signal; }

namespace detail {
error stopped_run() noexcept {
    int const sig = last_stop_signal;
    return with_detail(errc::closed, sig == SIGTERM ? "stopped by SIGTERM" : sig == SIGINT ? "stopped by SIGINT" : "the loop was stopped");
}
}  // namespace detail

}  // namespace spruce::inline v0
