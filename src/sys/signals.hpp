// Signals of the process, told to loops. One dispatcher owns the dispositions; a loop has one port, where the
// dispatcher leaves what arrived and wakes the loop. See docs/signals.md.
#pragma once
#include <atomic>
#include <cstdint>

#include "kernel.hpp"

namespace spruce { inline namespace v0 { namespace detail {

inline constexpr int signal_limit = 128;   // signals are 1 to at most 127 on all systems we know

// Where one loop hears of its signals. Written by the signal handler on any thread; read by the loop.
// Lifetime: from signal_subscribe() to the last signal_unsubscribe(), which returns only when no handler on any
// thread still looks at the port.
struct signal_port {
    std::atomic<std::uint32_t> pending[signal_limit / 32] = {};   // bit set: arrived since it was last taken
    kernel const* on = nullptr;                                   // whose wake() is called …
    int write_fd = -1;                                            // … on this fd, after a bit was set
    // The loop's poller reports signals: the handler leaves this port alone
    std::atomic<unsigned> by_poller{0};
    // Signalfd instead of sigaction, where every thread blocks the signal
    bool use_signalfd = false;
    int signal_fd = -1;                                           // then: the fd to poll; read by signal_take() …
    bool signal_fd_ready = false;                                 // … once the poller has reported it
    std::uint32_t by_fd[signal_limit / 32] = {};                  // the signals it stands for
};

// Whether a loop may handle the signal: it exists, is not SIGKILL, SIGSTOP or a fault, and not the C library's own.
bool can_be_handled(int signal) noexcept;
// The same, of the real kernel. 0; -EINVAL: !can_be_handled(); -EPERM: signalfd while a thread does not block the
// signal: the process would die of it. A port that listens already may ask again: the disposition is looked at each
// time, and made ours if it is somebody else's by now. Thread: any.
int dispatcher_subscribe(void* context, signal_port* port, int signal) noexcept;
int dispatcher_unsubscribe(void* context, signal_port* port, int signal) noexcept;
// Whether the program itself handles or ignores the signal. Thread: any.
bool handled_elsewhere(int signal) noexcept;
// In a forked child: the parent's loops are none of ours, their ports are forgotten, and their fds not written to. What
// came to the child since the fork goes to our port, or has its effect now if only others' ports listened for it.
void dispatcher_after_fork(signal_port* ours) noexcept;

// Takes one arrived signal's number from the port, or 0. Loop's thread. With signalfd it reads the fd.
int signal_take(signal_port& port) noexcept;

}}}  // namespace spruce::v0::detail
