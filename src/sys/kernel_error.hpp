// What the kernel's answers are to callers: -errno as an error, and a refusal for want of memory as no_memory, whoever
// it was that refused.
#pragma once
#include <cerrno>

#include <spruce/error.hpp>

namespace spruce::inline v0::detail {

inline error kernel_error(int failed) noexcept {
    return failed == -ENOMEM ? error(errc::no_memory) : error::from_errno(-failed);
}

}  // namespace spruce::inline v0::detail
