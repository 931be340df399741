// What the system knows of the calling thread.
#pragma once

namespace spruce { inline namespace v0 { namespace detail {
// Whether it is the one that main() runs on.
bool on_main_thread() noexcept;
// The number of the core that it runs on just now; -1 where the system does not say. Signal handlers may ask, too.
int core_of_thread() noexcept;
}}}  // namespace spruce::v0::detail
