// A yardstick for servers: TCP over edge-triggered epoll, one loop, no errors told, nobody ever waited for with a
// deadline, nothing canceled. A connection's memory is fixed, and a peer that never reads keeps it for ever.
#pragma once

#if defined(__linux__)
#define HAVE_BARE_SERVERS 1
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace floors {

inline sockaddr_in here(int port) noexcept {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(static_cast<std::uint16_t>(port));
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

// Listens on a port of the system's choice.
inline int listen_anywhere(int& port) noexcept {
    int const listener = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_in at = here(0);
    socklen_t size = sizeof at;
    if (listener < 0 || ::bind(listener, reinterpret_cast<sockaddr*>(&at), size) != 0 || ::listen(listener, 4096) != 0 ||
        ::getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size) != 0)
        std::abort();
    port = ntohs(at.sin_port);
    return listener;
}

inline void set_no_delay(int fd) noexcept {
    int const yes = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

inline constexpr std::size_t echo_room = 65536;   // what one read takes at the most; the same in all servers

struct bare_connection {
    int fd;
    std::size_t begin, end;   // of what was read and is not yet written
    char room[echo_room];

    // What came is sent back. false: it is over.
    bool go_on(std::uint32_t events) noexcept {
        if (begin != end) {
            ssize_t const n = ::send(fd, room + begin, end - begin, MSG_NOSIGNAL);
            if (n < 0) return errno == EAGAIN;
            begin += static_cast<std::size_t>(n);
            if (begin != end) return true;
        }
        for (;;) {
            ssize_t const got = ::recv(fd, room, sizeof room, 0);
            if (got <= 0) return got < 0 && errno == EAGAIN;
            ssize_t const put = ::send(fd, room, static_cast<std::size_t>(got), MSG_NOSIGNAL);
            if (put < 0 && errno != EAGAIN) return false;
            if (put < got) {
                begin = put < 0 ? 0 : static_cast<std::size_t>(put);
                end = static_cast<std::size_t>(got);
                return true;
            }
            // A short read has drained it, unless the peer's end came with it.
            if (static_cast<std::size_t>(got) < sizeof room && (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) == 0) return true;
        }
    }
};

inline int epoll_with(int listener) noexcept {
    int const set = ::epoll_create1(EPOLL_CLOEXEC);
    epoll_event e{};
    e.events = EPOLLIN;
    ::epoll_ctl(set, EPOLL_CTL_ADD, listener, &e);
    return set;
}

[[noreturn]] inline void bare_echo(int listener) noexcept {
    int const set = epoll_with(listener);
    static epoll_event events[1024];
    for (;;) {
        int const count = ::epoll_wait(set, events, 1024, -1);
        for (int i = 0; i < count; ++i) {
            if (auto* const c = static_cast<bare_connection*>(events[i].data.ptr)) {
                if (c->go_on(events[i].events)) continue;
                ::close(c->fd);
                std::free(c);
                continue;
            }
            for (int fd; (fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
                set_no_delay(fd);
                auto* const c = static_cast<bare_connection*>(std::malloc(sizeof(bare_connection)));
                c->fd = fd;
                c->begin = c->end = 0;
                epoll_event e{};
                e.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
                e.data.ptr = c;
                ::epoll_ctl(set, EPOLL_CTL_ADD, fd, &e);
            }
        }
    }
}

// Takes connections, gives each a byte, and closes it.
[[noreturn]] inline void bare_greeter(int listener) noexcept {
    int const set = epoll_with(listener);
    epoll_event e{};
    for (;;) {
        ::epoll_wait(set, &e, 1, -1);
        for (int fd; (fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
            ::send(fd, "x", 1, MSG_NOSIGNAL);
            ::close(fd);
        }
    }
}

}  // namespace floors
#endif
