// A task's wait for one of its own fds.
#pragma once
#include <spruce/io.hpp>

#include "../task/task_block.hpp"

namespace spruce::inline v0::detail {

// ok, or why this thread cannot use the stream now: closed, wrong_thread.
result<void> usable(stream_core const& c) noexcept;

// Waits until the poller says that the fd is ready again. `dl` becomes absolute at the first wait, so that a call
// which waits several times has one deadline. After `closed` the stream itself may be gone: touch nothing of it.
result<void> wait_ready(stream_core const& c, bool write, char const* noun, deadline& dl) noexcept;

}  // namespace spruce::inline v0::detail
