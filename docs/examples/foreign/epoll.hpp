// A Spruce loop as a guest of an epoll loop of one's own, without a thread: its fd stands in the set like any other, and it
// says how long the set may sleep. Copy it. With poll(2), kqueue or io_uring it is the same.
//
//     spruce::loop loop;
//     epoll_guest guest(loop, set);
//     for (;;) {
//         epoll_event events[64];
//         int const n = epoll_wait(set, events, 64, guest.timeout_ms(own_timeout_ms));
//         for (int i = 0; i < n; ++i)
//             if (events[i].data.ptr != &guest) handle(events[i]);
//         if (!guest.turn()) break;
//     }
#pragma once
#include <spruce/spruce.hpp>
#include <sys/epoll.h>

class epoll_guest {
public:
    // Thread: the loop's. Lifetime: the loop and the set outlive it. Its events carry its address.
    epoll_guest(spruce::loop& loop, int set) : loop_(loop), set_(set) {
        epoll_event e{};
        e.events = EPOLLIN;
        e.data.ptr = this;
        added_ = ::epoll_ctl(set_, EPOLL_CTL_ADD, loop_.backend_fd(), &e) == 0;
    }
    ~epoll_guest() {
        if (added_) ::epoll_ctl(set_, EPOLL_CTL_DEL, loop_.backend_fd(), nullptr);
    }
    epoll_guest(epoll_guest const&) = delete;
    epoll_guest& operator=(epoll_guest const&) = delete;

    // false: this loop's poller has no fd, or the set did not take it.
    bool ok() const { return added_; }
    // Right before each epoll_wait(): how long it may sleep, at most for as long as the host would.
    int timeout_ms(int most = -1) {
        auto const until = loop_.prepare();
        int const ours = until ? until->poll_timeout_ms() : 0;
        return most < 0 || (ours >= 0 && ours < most) ? ours : most;
    }
    // Right after each: runs what is ready. false: the loop has ended, or its poller has failed.
    bool turn() { return loop_.dispatch().ok(); }

private:
    spruce::loop& loop_;
    int set_;
    bool added_ = false;
};
