// Sockets of the real kernel.
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "native_calls.hpp"

// Where the flag does not exist a socket is made deaf to SIGPIPE at its birth.
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

namespace spruce { inline namespace v0 { namespace detail { namespace native {

namespace {
int settle(int fd) noexcept {
    if (fd < 0) return -errno;
#if defined(SO_NOSIGPIPE)
    int const yes = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &yes, sizeof yes);
#endif
    return fd;
}

[[maybe_unused]] int settle_by_hand(int fd) noexcept {
    if (fd < 0) return -errno;
    if (int const failed = make_ours(fd); failed < 0) {
        ::close(fd);
        return failed;
    }
    return settle(fd);
}
}  // namespace

ssize send(void*, int fd, void const* from, std::size_t size) noexcept {
    return uninterrupted([&]() noexcept { return ::send(fd, from, size, MSG_NOSIGNAL); });
}
ssize sendv(void*, int fd, io_slice const* slices, int count) noexcept {
    msghdr m{};
    m.msg_iov = const_cast<iovec*>(reinterpret_cast<iovec const*>(slices));
    m.msg_iovlen = static_cast<decltype(m.msg_iovlen)>(count);
    return uninterrupted([&]() noexcept { return ::sendmsg(fd, &m, MSG_NOSIGNAL); });
}
ssize recv(void*, int fd, void* into, std::size_t size) noexcept {
    return uninterrupted([&]() noexcept { return ::recv(fd, into, size, 0); });
}

int socket(void*, int family, int type, int protocol) noexcept {
#if defined(SOCK_CLOEXEC) && defined(SOCK_NONBLOCK)
    return settle(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
#else
    return settle_by_hand(::socket(family, type, protocol));
#endif
}

int make_socketpair(void*, int ends[2]) noexcept {
#if defined(SOCK_CLOEXEC) && defined(SOCK_NONBLOCK)
    return ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0 ? 0 : -errno;
#else
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0) return -errno;
    int const first = settle_by_hand(ends[0]);
    int const second = first < 0 ? first : settle_by_hand(ends[1]);
    if (second >= 0) return 0;
    if (first >= 0) ::close(ends[0]);
    else ::close(ends[1]);
    return second;
#endif
}

int bind(void*, int fd, sockaddr const* address, unsigned length) noexcept {
    return ::bind(fd, address, length) == 0 ? 0 : -errno;
}
int listen(void*, int fd, int backlog) noexcept { return ::listen(fd, backlog) == 0 ? 0 : -errno; }

int accept(void*, int fd, sockaddr* address, unsigned* length) noexcept {
    for (;;) {
        socklen_t size = *length;
#if defined(SOCK_CLOEXEC) && defined(SOCK_NONBLOCK) && !defined(__APPLE__)
        int got = ::accept4(fd, address, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (got >= 0) {
            *length = size;
            return settle(got);
        }
        // An old kernel, or a sandbox that does not know the call.
        if (is_refusal(errno)) {
            size = *length;
            got = ::accept(fd, address, &size);
            if (got >= 0) {
                *length = size;
                return settle_by_hand(got);
            }
        }
#else
        int const got = ::accept(fd, address, &size);
        if (got >= 0) {
            *length = size;
            return settle_by_hand(got);
        }
#endif
        if (errno != EINTR) return errno == EWOULDBLOCK ? -EAGAIN : -errno;
    }
}

int connect(void*, int fd, sockaddr const* address, unsigned length) noexcept {
    if (::connect(fd, address, length) == 0) return 0;
    // Interrupted, it goes on by itself; asking again would only be told so.
    return errno == EINTR ? -EINPROGRESS : -errno;
}

int shutdown(void*, int fd, int how) noexcept { return ::shutdown(fd, how) == 0 ? 0 : -errno; }

int getsockname(void*, int fd, sockaddr* address, unsigned* length) noexcept {
    socklen_t size = *length;
    if (::getsockname(fd, address, &size) < 0) return -errno;
    *length = size;
    return 0;
}
int getpeername(void*, int fd, sockaddr* address, unsigned* length) noexcept {
    socklen_t size = *length;
    if (::getpeername(fd, address, &size) < 0) return -errno;
    *length = size;
    return 0;
}
int getsockopt(void*, int fd, int level, int name, void* value, unsigned* length) noexcept {
    socklen_t size = *length;
    if (::getsockopt(fd, level, name, value, &size) < 0) return -errno;
    *length = size;
    return 0;
}
int setsockopt(void*, int fd, int level, int name, void const* value, unsigned length) noexcept {
    return ::setsockopt(fd, level, name, value, length) == 0 ? 0 : -errno;
}

}}}}  // namespace spruce::v0::detail::native
