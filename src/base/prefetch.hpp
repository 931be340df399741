// Asks for a cache line before it is needed.
#pragma once

namespace spruce { inline namespace v0 { namespace detail {
// A hint, for memory that will be written soon. Any address is allowed, null and foreign ones too.
inline void prefetch_for_write(void const* address) noexcept { __builtin_prefetch(address, 1); }
}}}  // namespace spruce::v0::detail
