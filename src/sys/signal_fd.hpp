// Signals through an fd instead of handlers, for programs in which every thread blocks them.
#pragma once
#include "signals.hpp"

namespace spruce { inline namespace v0 { namespace detail {
// 0; -EPERM if a thread does not block the signal (it would be acted upon there, and the process might die of it);
// -ENOSYS where the system has no such fds, or a sandbox refuses them.
int signal_fd_add(signal_port& port, int signal) noexcept;
void signal_fd_remove(signal_port& port, int signal) noexcept;
int signal_fd_take(signal_port& port) noexcept;
}}}  // namespace spruce::v0::detail
