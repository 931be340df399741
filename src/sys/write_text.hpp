// Text to a file descriptor, past every loop: for what is told when loops hang, and in signal handlers.
#pragma once
#include <cstddef>

namespace spruce { inline namespace v0 { namespace detail {

// All of it, if the descriptor takes it; the thread waits meanwhile. Keeps errno.
void write_text(int fd, char const* text, std::size_t size) noexcept;

}}}  // namespace spruce::v0::detail
