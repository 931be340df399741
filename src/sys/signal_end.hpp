// The end of the process by a signal.
#pragma once

namespace spruce { inline namespace v0 { namespace detail {
// By its default action; by an exit code of 128 + signal where that does not end it.
[[noreturn]] void end_by_signal(int signal) noexcept;
}}}  // namespace spruce::v0::detail
