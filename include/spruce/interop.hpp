// For plain code of a host whose guest a loop is: waiting for something of the guest's, in blocking style.
#pragma once
#include <concepts>
#include <type_traits>

#include "loop.hpp"

namespace spruce { inline namespace v0 {

namespace detail {
// Whether this thread's plain code may wait by running its host.
SPRUCE_API result<void> may_run_host(hub* h, error const& why_none) noexcept;
}  // namespace detail

// Runs the host until p is done: step() is to let the host handle what it has, as it always does, and to wait for
// something if there is nothing. So the host's window stays alive, and the guest goes on, while plain code waits for a
// task or a future. step() gives void, or false when the host is ending; other values are not looked at. What it throws
// comes out of here. The loop is interleaved, or a guest by its fd, whose turns step() makes.
// Errors: timed_out; closed when the guest's run ended, or the host, and p is not done; wrong_state in a task or
// callback of the loop's; no_loop; full, no_memory (no timer for the deadline).
template <finishes P, std::invocable Step>
[[nodiscard]] result<void> run_host_until(P const& p, Step&& step, deadline dl = {}) {
    SPRUCE_TRY(loop& here, loop::current());
    SPRUCE_CHECK(detail::may_run_host(here.impl(), errc::closed));
    bool was_running = here.running();
    loop_ref const door = here.remote();   // step() may end the loop itself
    bool expired = false;
    scoped_handler timer;   // so that the host comes out of a step that has nothing else to do
    if (dl != never() && !p.done()) {
        handler const made = dl.how() == deadline::kind::relative
                                 ? here.call_later(duration(dl.ns()), [&] { expired = true; })
                                 : here.call_at(time_point(duration(dl.ns())), [&] { expired = true; });
        if (!made) return made.error();
        timer = scoped_handler(made);
    }
    while (!p.done()) {
        if (expired) return errc::timed_out;
        if (!door.alive() || (was_running && !here.running())) return errc::closed;
        was_running = here.running();
        if constexpr (std::is_same_v<std::invoke_result_t<Step&>, bool>) {
            if (!step() && !p.done()) return errc::closed;
        } else {
            static_cast<void>(step());
        }
    }
    return {};
}
}}  // namespace spruce::v0
