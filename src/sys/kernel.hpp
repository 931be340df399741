// The kernel seam. All that a loop asks of the system goes through the two tables on this page, each a set of
// functions and the context they are given: the calls, and the poller. The real kernel, a simulated one, and one
// that fails the n-th call are different tables; the loop that runs on them is the same code in every build.
//
// What every implementation owes:
//   results     0 or more for success, -errno for failure; errno itself is neither read nor left to the caller.
//   EINTR       is retried inside, once and for all; no caller ever sees it. close() is never retried.
//   fds         every fd made here is close-on-exec and non-blocking from birth.
//   threads     a loop calls its kernel on its own thread; write() to a waker's fd comes from any thread and from
//               signal handlers, so it must be async-signal-safe.
//   ownership   the caller owns fds; close() gives the number back whatever it returns.
#pragma once
#include <cstddef>
#include <cstdint>

#include <spruce/memory.hpp>

struct sockaddr;

namespace spruce { inline namespace v0 {

namespace detail {

using ssize = std::ptrdiff_t;

// One piece of a gathered write; laid out as the system's iovec.
struct io_slice {
    void const* data;
    std::size_t size;
};

// How a child ended, as waitid() says it.
struct child_status {
    bool exited;       // false: killed by a signal
    int code;          // exit code, or the signal's number
};

enum class waker_kind : std::uint8_t { eventfd, pipe };
struct waker_fds {
    int read_fd = -1, write_fd = -1;   // one and the same for an eventfd
};

struct kernel_calls {
    // -- time. The clock that deadlines count on, and the wall's.
    std::int64_t (*monotonic_ns)(void* context) noexcept;
    std::int64_t (*realtime_ns)(void* context) noexcept;

    // -- bytes
    ssize (*read)(void* context, int fd, void* into, std::size_t size) noexcept;
    ssize (*write)(void* context, int fd, void const* from, std::size_t size) noexcept;
    ssize (*writev)(void* context, int fd, io_slice const* slices, int count) noexcept;
    // A stream socket's: like write and writev, but never raises SIGPIPE.
    ssize (*send)(void* context, int fd, void const* from, std::size_t size) noexcept;
    ssize (*sendv)(void* context, int fd, io_slice const* slices, int count) noexcept;
    ssize (*recv)(void* context, int fd, void* into, std::size_t size) noexcept;
    int (*close)(void* context, int fd) noexcept;

    // -- sockets; family, type, levels and options are the system's numbers, type without flags
    int (*socket)(void* context, int family, int type, int protocol) noexcept;
    int (*bind)(void* context, int fd, sockaddr const* address, unsigned length) noexcept;
    int (*listen)(void* context, int fd, int backlog) noexcept;
    int (*accept)(void* context, int fd, sockaddr* address, unsigned* length) noexcept;
    int (*connect)(void* context, int fd, sockaddr const* address, unsigned length) noexcept;   // -EINPROGRESS
    int (*shutdown)(void* context, int fd, int how) noexcept;
    int (*getsockname)(void* context, int fd, sockaddr* address, unsigned* length) noexcept;
    int (*getpeername)(void* context, int fd, sockaddr* address, unsigned* length) noexcept;
    int (*getsockopt)(void* context, int fd, int level, int name, void* value, unsigned* length) noexcept;
    int (*setsockopt)(void* context, int fd, int level, int name, void const* value, unsigned length) noexcept;

    // -- descriptors
    int (*make_pipe)(void* context, int ends[2]) noexcept;
    int (*make_socketpair)(void* context, int ends[2]) noexcept;
    int (*set_nonblocking)(void* context, int fd, bool on) noexcept;
    // What kind of thing an fd is.
    int (*kind_of)(void* context, int fd) noexcept;             // an fd_kind, or -EBADF
    // Of a pipe or a terminal, whose read has just given 0, or -EIO: what end that is, an end_kind.
    int (*end_of)(void* context, int fd, int kind) noexcept;
    int (*make_waker)(void* context, waker_kind wanted, waker_fds* out) noexcept;
    void (*wake)(void* context, int write_fd) noexcept;         // any thread, signal handlers too; never waits
    void (*drain_waker)(void* context, int read_fd) noexcept;

    // -- signals. A port is where the process's dispatcher tells a loop what arrived; see signals.hpp.
    int (*signal_subscribe)(void* context, struct signal_port* port, int signal) noexcept;
    int (*signal_unsubscribe)(void* context, struct signal_port* port, int signal) noexcept;

    // -- children
    int (*open_child)(void* context, int pid) noexcept;         // an fd readable once it ended; -ENOSYS: use SIGCHLD
    // 1 and its status if it ended (reaped), 0 if it still runs, -ECHILD if it is not ours or was reaped elsewhere.
    int (*reap_child)(void* context, int pid, int child_fd, child_status* out) noexcept;
};

enum fd_kind : int {
    fd_tcp_socket = 1,         // TCP over IP
    fd_stream_socket,          // a local one, or one of another protocol
    fd_packet_socket,          // a connection that keeps packets apart
    fd_other_socket,           // without a connection
    fd_pipe, fd_tty, fd_file, fd_other
};

enum class end_kind : int {
    none,      // more may come: to a FIFO that no writer has opened yet; to a terminal whose reads take what is there
    typed,     // an end of file typed at a terminal
    gone       // the other side is gone
};

// -- the poller
// Our own records, which no system's header shapes: kqueue, epoll and poll translate from and to them.
enum interest : std::uint8_t {
    interest_none = 0,
    interest_read = 1,
    interest_write = 2,
    interest_edge = 4          // report changes only; for fds whose readiness we keep in user space
};
enum readiness : std::uint8_t {
    ready_read = 1,
    ready_write = 2,
    ready_read_closed = 4,     // the peer sends no more (RDHUP, EV_EOF of a read filter); data may still be pending
    ready_hangup = 8,          // both directions are over
    ready_error = 16,          // an error is pending; the next call on the fd tells which
    ready_signal = 32,         // of no fd: `fd` is the number of a signal that has arrived …
    ready_child = 64,          // … or the pid of a child that has ended
    ready_urgent = 128         // with interest_edge: urgent data; a read ends before it, though more lies behind
};
struct poll_change {
    int fd;
    std::uint32_t generation;  // comes back in the events of this registration
    std::uint8_t before;       // the interest registered until now: interest_none for a new fd
    std::uint8_t wanted;       // interest_none: take it out
    int result;                // out: 0, or -errno (-EPERM: cannot be polled, and is always ready)
};
struct poll_event {
    int fd;
    std::uint32_t generation;
    std::uint8_t ready;
};

struct poller_calls {
    char const* name;          // "epoll", "poll", "kqueue", "simulated"
    // Whether edge-triggered registrations must be armed again, once they have reported, by a change whose `before`
    // and `wanted` are the same. Where the kernel reports edges by itself such a change is nothing. It cannot fail.
    bool needs_rearm;
    // Applies all changes, in order; each says how it went. Never waits. A number may have been closed, and given out
    // again, behind the loop's back: what `before` says is then wrong, and `wanted` holds all the same.
    void (*change)(void* context, poll_change* changes, std::size_t count) noexcept;
    // Up to `room` events; -errno on failure. timeout_ns: 0 polls, negative waits for ever; may come back late by
    // grain_ns and never early but for events. Spurious returns of 0 before the timeout are allowed.
    int (*wait)(void* context, poll_event* events, int room, std::int64_t timeout_ns) noexcept;
    // An fd that is readable when wait() would give events; -ENOSYS where there is none.
    int (*backend_fd)(void* context) noexcept;
    // Drops every registration and starts anew (a ghost cannot be taken out otherwise; a child after fork must not
    // share). The caller registers again what it still wants. If backend_fd() was handed out its number stays,
    // except after fork.
    int (*renew)(void* context, bool after_fork) noexcept;
    void (*close)(void* context) noexcept;
    std::int64_t (*grain_ns)(void* context) noexcept;
    // Signals and children as events of this poller; null where it knows none. To be asked for again after renew().
    // 0, or -errno. A signal is told though its disposition stays what it is: somebody must see to that.
    int (*watch_signal)(void* context, int signal, bool on) noexcept = nullptr;
    // A child's end is told once, perhaps a little before its status can be had. Whatever the failure, look for the
    // status afterwards: -ESRCH is also said of a child that has ended.
    int (*watch_child)(void* context, int pid, bool on) noexcept = nullptr;
    // wait() in two parts, for a loop whose thread is not the one that sleeps; null where there is no such thing.
    // lie_down() is called on the loop's thread, after which sleep() may be called on one other: it blocks until wait()
    // would give events, or for so long, and takes none. 0, or -errno; -EINTR is passed on. Meanwhile the loop's thread
    // may do everything but wait(), renew() and close(); what it changes then need not be seen before the next
    // lie_down().
    int (*lie_down)(void* context) noexcept = nullptr;
    int (*sleep)(void* context, std::int64_t timeout_ns) noexcept = nullptr;
    // Whether a read of a TCP socket that gives fewer bytes than it asked for says that none are left, as long as
    // neither the end, an error nor urgent data was reported: then the next bytes are news, and are reported. Not where
    // urgent data is not reported (kqueue): a read ends before it, and what lies behind it is no news.
    bool short_reads_tell = false;
    // Whether backend_fd() and sleep() still count a level that was reported, until wait() has found its cause gone:
    // whoever goes by them makes a wait for nothing after each. So the loop's own waker is an edge there.
    bool levels_linger = false;
};
}  // namespace detail

// A kernel to run a loop on: the calls, and how to make a poller on it. Lifetime: outlives its loops.
struct kernel {
    detail::kernel_calls const* calls;
    void* context;
    // Makes the poller that was asked for (a spruce::poller as a number; 0 the best one). 0, or -errno:
    // -ENOSYS when this kernel has none of that kind.
    struct made_poller {
        detail::poller_calls const* calls = nullptr;
        void* context = nullptr;
    };
    int (*make_poller)(void* context, int which, memory_hook memory, made_poller* out) noexcept;
    // Virtual time: moves the clock by hand. -ENOSYS on the real kernel.
    int (*advance)(void* context, std::int64_t ns) noexcept;
    bool simulated;
    // Which waker its loops ask for; a kernel that cannot make it gives the other.
    detail::waker_kind preferred_waker = detail::waker_kind::eventfd;
};

namespace detail {
// The real one.
SPRUCE_API kernel& native_kernel() noexcept;
// For tests: put before each loop's kernel when the loop is made, if set.
using kernel_filter = kernel* (*)(kernel& of) noexcept;
extern SPRUCE_API constinit kernel_filter kernel_in_front;
}  // namespace detail
}}  // namespace spruce::v0
