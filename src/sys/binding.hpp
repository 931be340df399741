// How the program's calls of shared libraries find their functions.
#pragma once

namespace spruce { inline namespace v0 { namespace detail {
// Whether all are found when the program begins: it is static, linked with -z now, or has LD_BIND_NOW in its
// environment. Else the first call of each function finds it then, on the caller's stack, of which that may take three
// kilobytes. Asked of the program and of this library; of the environment when it is asked first. Thread: any, while
// none changes that.
bool calls_are_bound() noexcept;
}}}  // namespace spruce::v0::detail
