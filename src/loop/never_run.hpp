// A report at the program's end, of a loop that was never run.
#pragma once
#include "hub.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// One line on stderr if the loop was never run, and something waits for that.
void tell_never_run(hub& h) noexcept;
// From now on the main thread's implicit loop is told of so at exit.
void watch_for_exit() noexcept;
// Whether it is the main thread's loop that nobody made.
bool is_implicit(loop const& l) noexcept;

}}}  // namespace spruce::v0::detail
