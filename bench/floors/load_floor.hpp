// The load for servers: connections that each send a request of so many bytes, wait until as many have come back, and
// send the next. Written for the purpose; it stops the program when anything goes wrong.
#pragma once
#include "echo_floor.hpp"

#ifdef HAVE_BARE_SERVERS
#include <cstdio>
#include <vector>

namespace floors {

[[noreturn]] inline void load_failed(char const* what) noexcept {
    std::perror(what);
    std::exit(1);
}

inline int connect_to(int port) noexcept {
    sockaddr_in const at = here(port);
    int const fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ::connect(fd, reinterpret_cast<sockaddr const*>(&at), sizeof at) != 0) load_failed("connect");
    set_no_delay(fd);
    return fd;
}

// Without the wait for stray packets, which would use up the ports.
inline void close_at_once(int fd) noexcept {
    linger const none{1, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    ::close(fd);
}

class load {
public:
    load(int port, long connections, std::size_t bytes) : bytes_(bytes), room_(bytes + 1, 'x') {
        set_ = ::epoll_create1(EPOLL_CLOEXEC);
        for (long i = 0; i < connections; ++i) {
            int const fd = connect_to(port);
            epoll_event e{};
            e.events = EPOLLIN | EPOLLOUT | EPOLLET;
            e.data.u64 = ends_.size();
            ::epoll_ctl(set_, EPOLL_CTL_ADD, fd, &e);
            ends_.push_back({fd, 0, 0});
        }
    }
    load(load const&) = delete;
    load& operator=(load const&) = delete;
    ~load() {
        for (end const& e : ends_) close_at_once(e.fd);
        ::close(set_);
    }

    // So many requests over all connections, all of them answered.
    void run(long requests) {
        begun_ = ended_ = 0;
        all_ = requests;
        for (end& e : ends_) begin(e);
        epoll_event events[256];
        while (ended_ < all_) {
            int const count = ::epoll_wait(set_, events, 256, 10'000);
            if (count == 0) load_failed("no answer in ten seconds");
            for (int i = 0; i < count; ++i) go_on(ends_[events[i].data.u64]);
        }
    }
    // The same, each connection's next request only when all have been answered: what a server meets in one turn
    // does not depend on the machine then.
    void run_in_waves(long requests) {
        for (auto const wave = static_cast<long>(ends_.size()); requests > 0; requests -= wave) run(requests < wave ? requests : wave);
    }

private:
    struct end {
        int fd;
        std::size_t to_send, to_come;
    };
    void begin(end& e) {
        if (begun_ == all_) return;
        ++begun_;
        e.to_send = e.to_come = bytes_;
        send(e);
    }
    void send(end& e) {
        while (e.to_send != 0) {
            ssize_t const n = ::send(e.fd, room_.data(), e.to_send, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0 && errno == EAGAIN) return;
            if (n <= 0) load_failed("send");
            e.to_send -= static_cast<std::size_t>(n);
        }
    }
    void go_on(end& e) {
        if (e.to_send != 0) send(e);
        while (e.to_come != 0) {
            ssize_t const n = ::recv(e.fd, room_.data(), room_.size(), MSG_DONTWAIT);
            if (n < 0 && errno == EAGAIN) return;
            if (n <= 0) load_failed("the server has closed a connection");
            e.to_come -= static_cast<std::size_t>(n);
            if (e.to_come == 0) {
                ++ended_;
                begin(e);
                return;   // short, so drained
            }
        }
    }

    std::size_t bytes_;
    std::vector<char> room_;
    std::vector<end> ends_;
    int set_ = -1;
    long all_ = 0, begun_ = 0, ended_ = 0;
};

// One connection after another, `at_once` of them waiting to be taken: each is greeted with a byte, and closed.
inline void knock(int port, long times, long at_once) {
    std::vector<int> doors;
    while (times > 0) {
        for (long i = 0; i < at_once && i < times; ++i) doors.push_back(connect_to(port));
        for (int const fd : doors) {
            char byte;
            if (::recv(fd, &byte, 1, 0) != 1) load_failed("no greeting");
            close_at_once(fd);
        }
        times -= static_cast<long>(doors.size());
        doors.clear();
    }
}

}  // namespace floors
#endif
