// The names and sentences of errno values; strerror() knows a locale and is not safe in threads.
#pragma once

namespace spruce { inline namespace v0 { namespace detail {
// "ECONNREFUSED"; "errno" for a number without a name here. Never null.
char const* errno_name(int value) noexcept;
// A sentence. Never null.
char const* errno_message(int value) noexcept;
}}}  // namespace spruce::v0::detail
