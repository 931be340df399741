// What a hub's thread does about signals while it runs.
#pragma once
#include <csignal>

namespace spruce { inline namespace v0 { namespace detail {

// From begin() to end(): SIGPIPE is blocked (a write to a dead pipe says EPIPE instead of ending the process; one that
// is pending afterwards is ours, and eaten), and there is an alternate stack for signal handlers, since a task's own
// may be too small for the processor's state (AVX-512 pushes 12 KiB). Both are put back as they were. Nests.
class hub_thread_signals {
public:
    void begin() noexcept;
    void end() noexcept;
    // The memory of the stack, kept from one run to the next, is given back.
    ~hub_thread_signals();

private:
    unsigned depth_ = 0;
    bool blocked_pipe_ = false;      // we did
    bool pending_pipe_ = false;      // one was pending already: not ours to eat
    bool gave_stack_ = false;        // it is in place
    void* stack_ = nullptr;
    unsigned long stack_bytes_ = 0;
};

}}}  // namespace spruce::v0::detail
