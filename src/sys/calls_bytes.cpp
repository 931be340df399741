// Time, bytes, pipes and wakers of the real kernel.
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/eventfd.h>
#include <sys/syscall.h>
#endif

#include "native_calls.hpp"

namespace spruce { inline namespace v0 { namespace detail {

int make_ours(int fd) noexcept {
    int const status = ::fcntl(fd, F_GETFL);
    if (status < 0 || ::fcntl(fd, F_SETFL, status | O_NONBLOCK) < 0 || ::fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    return 0;
}

namespace native {

namespace {
std::int64_t clock_ns(clockid_t which) noexcept {
    timespec t{};
    ::clock_gettime(which, &t);
    return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}
static_assert(sizeof(io_slice) == sizeof(iovec));
iovec const* as_iovec(io_slice const* slices) noexcept { return reinterpret_cast<iovec const*>(slices); }
}  // namespace

std::int64_t monotonic_ns(void*) noexcept { return clock_ns(CLOCK_MONOTONIC); }
std::int64_t realtime_ns(void*) noexcept { return clock_ns(CLOCK_REALTIME); }

ssize read(void*, int fd, void* into, std::size_t size) noexcept {
    return uninterrupted([&]() noexcept { return ::read(fd, into, size); });
}
ssize write(void*, int fd, void const* from, std::size_t size) noexcept {
    return uninterrupted([&]() noexcept { return ::write(fd, from, size); });
}
ssize writev(void*, int fd, io_slice const* slices, int count) noexcept {
    return uninterrupted([&]() noexcept { return ::writev(fd, as_iovec(slices), count); });
}

int close(void*, int fd) noexcept {
    // Never again, whatever it says: the number is free by now, and may be somebody else's.
    return ::close(fd) == 0 ? 0 : -errno;
}

namespace {
// Not by the C library: glibc's pipe() is a pipe2().
int plain_pipe(int ends[2]) noexcept {
#if defined(__linux__) && defined(SYS_pipe)
    return static_cast<int>(::syscall(SYS_pipe, ends));
#else
    return ::pipe(ends);
#endif
}
}  // namespace

int make_pipe(void*, int ends[2]) noexcept {
#if !defined(__APPLE__)
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0) return 0;
    if (!is_refusal(errno)) return -errno;
#endif
    if (plain_pipe(ends) < 0) return -errno;
    for (int i = 0; i != 2; ++i) {
        if (int const failed = make_ours(ends[i]); failed < 0) {
            ::close(ends[0]);
            ::close(ends[1]);
            return failed;
        }
    }
    return 0;
}

int set_nonblocking(void*, int fd, bool on) noexcept {
    int const status = ::fcntl(fd, F_GETFL);
    if (status < 0) return -errno;
    int const wanted = on ? status | O_NONBLOCK : status & ~O_NONBLOCK;
    return wanted == status || ::fcntl(fd, F_SETFL, wanted) >= 0 ? 0 : -errno;
}

namespace {
// -1: not known.
int socket_option(int fd, int name) noexcept {
    int value = -1;
    socklen_t size = sizeof value;
    return ::getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

// -ENOTSOCK, or whatever else it says. Of a family that is no IP's, or a protocol of streams beside TCP (MPTCP, SCTP),
// less is known.
int kind_of_socket(int fd) noexcept {
    int const type = socket_option(fd, SO_TYPE);
    if (type < 0) return -errno;
    if (type != SOCK_STREAM) return type == SOCK_SEQPACKET ? fd_packet_socket : fd_other_socket;
#if defined(SO_PROTOCOL)
    if (socket_option(fd, SO_PROTOCOL) != IPPROTO_TCP) return fd_stream_socket;
    sockaddr_storage own{};
    socklen_t size = sizeof own;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size) == 0 &&
        (own.ss_family == AF_INET || own.ss_family == AF_INET6))
        return fd_tcp_socket;
#endif
    return fd_stream_socket;
}
}  // namespace

int kind_of(void*, int fd) noexcept {
    struct stat s {};
    if (::fstat(fd, &s) < 0) {
        if (!is_refusal(errno)) return -errno;
        int const kind = kind_of_socket(fd);
        return kind >= 0 || kind == -EBADF ? kind : fd_other;
    }
    if (S_ISSOCK(s.st_mode)) {
        int const kind = kind_of_socket(fd);
        return kind >= 0 ? kind : fd_other_socket;
    }
    if (S_ISFIFO(s.st_mode)) return fd_pipe;
    if (S_ISREG(s.st_mode)) return fd_file;
    return S_ISCHR(s.st_mode) && ::isatty(fd) ? fd_tty : fd_other;
}

int end_of(void*, int fd, int kind) noexcept {
    constexpr int none = static_cast<int>(end_kind::none), gone = static_cast<int>(end_kind::gone);
    pollfd p{fd, POLLIN, 0};
    if (uninterrupted([&]() noexcept { return ::poll(&p, 1, 0); }) < 0) return gone;
    bool const hung_up = (p.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
    // A FIFO that a writer has opened, filled and left since the read has more to give.
    if (kind != fd_tty) return hung_up && (p.revents & POLLIN) == 0 ? gone : none;
    termios t{};
    if (hung_up || ::tcgetattr(fd, &t) < 0) return gone;
    return (t.c_lflag & ICANON) != 0 ? static_cast<int>(end_kind::typed) : none;
}

int make_waker(void* context, waker_kind wanted, waker_fds* out) noexcept {
#if defined(__linux__)
    if (wanted == waker_kind::eventfd) {
        int const fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (fd >= 0) {
            out->read_fd = out->write_fd = fd;
            return 0;
        }
        // Refused by a strict sandbox: a pipe does the same.
        if (!is_refusal(errno) && errno != EINVAL) return -errno;
    }
#else
    static_cast<void>(wanted);
#endif
    int ends[2];
    if (int const failed = make_pipe(context, ends); failed < 0) return failed;
    out->read_fd = ends[0];
    out->write_fd = ends[1];
    return 0;
}

// May run in a signal handler. Eight bytes do for both: an eventfd adds them up, a pipe carries them. One that is full
// wakes as well as it ever will.
void wake(void*, int write_fd) noexcept {
    int const kept = errno;
    std::uint64_t const one = 1;
    while (::write(write_fd, &one, sizeof one) < 0 && errno == EINTR) {}
    errno = kept;
}

void drain_waker(void*, int read_fd) noexcept {
    std::uint64_t room[64];
    for (;;) {
        ssize const got = ::read(read_fd, room, sizeof room);
        if (got < 0 && errno == EINTR) continue;
        if (got < static_cast<ssize>(sizeof room)) return;   // an eventfd gives eight bytes, an emptied pipe fewer
    }
}

}  // namespace native
}}}  // namespace spruce::v0::detail
