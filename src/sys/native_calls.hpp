// The real kernel's calls, one function each; kernel_native.cpp puts them into the table. kernel.hpp says what each
// of them owes.
#pragma once
#include <cerrno>
#include <climits>

#include "kernel.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// Repeats a call while signals interrupt it; its result, or -errno.
template <class F> auto uninterrupted(F&& call) noexcept -> decltype(call()) {
    for (;;) {
        auto const got = call();
        if (got >= 0) return got;
        if (errno != EINTR) return static_cast<decltype(call())>(-errno);
    }
}

namespace native {
std::int64_t monotonic_ns(void*) noexcept;
std::int64_t realtime_ns(void*) noexcept;
ssize read(void*, int fd, void* into, std::size_t size) noexcept;
ssize write(void*, int fd, void const* from, std::size_t size) noexcept;
ssize writev(void*, int fd, io_slice const* slices, int count) noexcept;
ssize send(void*, int fd, void const* from, std::size_t size) noexcept;
ssize sendv(void*, int fd, io_slice const* slices, int count) noexcept;
ssize recv(void*, int fd, void* into, std::size_t size) noexcept;
int close(void*, int fd) noexcept;
int socket(void*, int family, int type, int protocol) noexcept;
int bind(void*, int fd, sockaddr const* address, unsigned length) noexcept;
int listen(void*, int fd, int backlog) noexcept;
int accept(void*, int fd, sockaddr* address, unsigned* length) noexcept;
int connect(void*, int fd, sockaddr const* address, unsigned length) noexcept;
int shutdown(void*, int fd, int how) noexcept;
int getsockname(void*, int fd, sockaddr* address, unsigned* length) noexcept;
int getpeername(void*, int fd, sockaddr* address, unsigned* length) noexcept;
int getsockopt(void*, int fd, int level, int name, void* value, unsigned* length) noexcept;
int setsockopt(void*, int fd, int level, int name, void const* value, unsigned length) noexcept;
int make_pipe(void*, int ends[2]) noexcept;
int make_socketpair(void*, int ends[2]) noexcept;
int set_nonblocking(void*, int fd, bool on) noexcept;
int kind_of(void*, int fd) noexcept;
int end_of(void*, int fd, int kind) noexcept;
int make_waker(void*, waker_kind wanted, waker_fds* out) noexcept;
void wake(void*, int write_fd) noexcept;
void drain_waker(void*, int read_fd) noexcept;
int open_child(void*, int pid) noexcept;
int reap_child(void*, int pid, int child_fd, child_status* out) noexcept;
}  // namespace native

// Whether a call is not to be had here, whatever it is asked: an older system, or a sandbox, which is free to choose
// the error.
inline bool is_refusal(int error) noexcept {
    return error == ENOSYS || error == EPERM || error == EACCES || error == EOPNOTSUPP;
}

// For poll() and its like: the timeout in milliseconds, rounded up, so that none ends early; -1 for ever.
inline int poll_timeout_ms(std::int64_t timeout_ns) noexcept {
    if (timeout_ns <= 0) return timeout_ns < 0 ? -1 : 0;
    std::int64_t const up = (timeout_ns - 1) / 1'000'000 + 1;
    return up > INT_MAX ? INT_MAX : static_cast<int>(up);
}

// Makes an fd close-on-exec and non-blocking, where it could not be born so. 0, or -errno.
int make_ours(int fd) noexcept;

int make_epoll_poller(memory_hook memory, kernel::made_poller* out) noexcept;
int make_poll_poller(memory_hook memory, kernel::made_poller* out) noexcept;

}}}  // namespace spruce::v0::detail
