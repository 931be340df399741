// What the kernel's answers are to callers: -errno as an error, and a refusal for want of memory as no_memory, whoever
// it was that refused.
#pragma once
#include <cerrno>

#include <spruce/error.hpp>

namespace spruce { inline namespace v0 { namespace detail {

inline error kernel_error(int failed) noexcept {
    return failed == -ENOMEM ? error(errc::no_memory) : error::from_errno(-failed);
}

// The errno of a call. What only a sandbox, or a system without the call, says of it names the call: whoever denies it
// must be told of that.
inline error call_error(int failed, char const* call) noexcept {
    error const e = error::from_errno(-failed);
    return failed == -EPERM || failed == -EACCES || failed == -ENOSYS ? with_detail(e, call) : e;
}

}}}  // namespace spruce::v0::detail
