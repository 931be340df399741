// Whether this process is still the one that made something, known without a system call.
#pragma once
#include <cstdint>

namespace spruce { inline namespace v0 { namespace detail {

// A number that is another one in a forked child than in its parent. Thread: any.
std::uint32_t fork_mark() noexcept;

}}}  // namespace spruce::v0::detail
