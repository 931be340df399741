// What the system knows of the calling thread.
#pragma once

namespace spruce::inline v0::detail {
// Whether it is the one that main() runs on.
bool on_main_thread() noexcept;
}  // namespace spruce::inline v0::detail
