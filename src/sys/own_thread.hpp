// A thread that runs one function, and can be waited for.
#pragma once

namespace spruce { inline namespace v0 { namespace detail {

struct own_thread;

// Runs run(context) on a thread of its own, with the caller's signal mask. 0, or -errno (-ENOMEM, -EAGAIN). Thread:
// any.
int start_own_thread(void (*run)(void* context) noexcept, void* context, own_thread** out) noexcept;
// Whether the caller is on it.
bool is_own_thread(own_thread const& t) noexcept;
// Waits for its end, and lets go of it. In a forked child, where there is no such thread, it only lets go.
void join_own_thread(own_thread* t) noexcept;
// Lets go of it; it goes on.
void leave_own_thread(own_thread* t) noexcept;

}}}  // namespace spruce::v0::detail
