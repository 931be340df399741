// A thread of the library's own that calls a function again and again, for watching from outside.
#pragma once
#include <cstdint>

namespace spruce { inline namespace v0 { namespace detail {

struct ticker;

// Calls tick(context) every so many nanoseconds on a thread of its own, on which all signals are blocked.
// 0, or -errno (-ENOMEM, -EAGAIN). Thread: any.
int start_ticker(std::int64_t period_ns, void (*tick)(void* context) noexcept, void* context, ticker** out) noexcept;
// Comes back when the last call has. In a forked child, where there is no such thread, it only lets go.
// Not from within tick(): false, and the thread goes on.
bool stop_ticker(ticker* t) noexcept;

}}}  // namespace spruce::v0::detail
