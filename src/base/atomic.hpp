// The atomics of what several threads share: std::atomic. A test may put its own in their place before anything is
// included, and then run the very same code through every order of its steps: test/atomics does.
#pragma once
#include <atomic>

namespace spruce { inline namespace v0 { namespace detail {
#ifdef SPRUCE_TEST_ATOMIC
template <class T> using atomic = SPRUCE_TEST_ATOMIC<T>;
#else
template <class T> using atomic = std::atomic<T>;
#endif
}}}  // namespace spruce::v0::detail
