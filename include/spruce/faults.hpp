// For tests: a kernel whose n-th call fails, and whose reads and writes may be short. It stands before another kernel,
// real or simulated, and passes on all it doesn't spoil. With every n in turn a test shows that each failure is an
// error to a caller, that nothing leaks, and that the loop goes on. docs/testing.md has an example.
#pragma once
#include <cstddef>
#include <cstdint>

#include "config.hpp"

namespace spruce { inline namespace v0 {
struct kernel;
namespace detail {
struct faulty_state;
}
}}  // namespace spruce::v0

namespace spruce { inline namespace v0 { namespace testing {

// Counted, and made to fail, is every call that can: all that make, connect or configure fds, that move bytes, that
// subscribe to signals and children, and those of the poller. Not counted: the clock, wake-ups, and what gives things
// back (close, unsubscribe, a watch taken out or armed again), which cannot fail in a way that matters.
//
// Thread: that of its loops, one at a time. Lifetime: outlives its loops; the kernel below outlives it.
class faulty_kernel : detail::pinned {
public:
    // Before the real kernel, or the one given: simulation::on().
    SPRUCE_API explicit faulty_kernel(kernel* below = nullptr) noexcept;
    SPRUCE_API ~faulty_kernel();

    // The kernel for loop_options::on. Never null.
    SPRUCE_API kernel* on() noexcept;

    // The n-th counted call from now on fails, once; 1 is the next, 0 none. With errno_value, or where that is 0 with
    // one that the call gives in real life.
    SPRUCE_API void fail_call(std::uint64_t n, int errno_value = 0) noexcept;
    // How many calls were counted since it was made, or since the last fail_call().
    SPRUCE_API std::uint64_t calls() const noexcept;
    // The name of the call that failed; null if none has since the last fail_call().
    SPRUCE_API char const* struck() const noexcept;

    // Reads and writes move at most so many bytes a call; 0: as many as they can. The rest is announced by a new
    // event, as a kernel does that was short for a reason.
    SPRUCE_API void limit_transfers(std::size_t bytes) noexcept;

    // What old kernels and strict containers refuse: wakers by eventfd (a pipe is taken), fds of children (SIGCHLD is),
    // and the epoll poller (poll is).
    enum refusal : unsigned { refuse_nothing = 0, refuse_eventfd = 1, refuse_child_fds = 2, refuse_epoll = 4 };
    SPRUCE_API void refuse(unsigned refusals) noexcept;

private:
    detail::faulty_state& state() const noexcept;
    alignas(16) mutable unsigned char state_[160];
};

}}}  // namespace spruce::v0::testing
