// A yardstick for many descriptors: a bare loop over epoll that calls a function for each that can be read. No edges, no
// bounds, nobody can leave; a number that is closed and given out again would be mistaken.
#pragma once

#if defined(__linux__)
#include <sys/epoll.h>
#include <unistd.h>

namespace floors {

template <class F> class bare_readers {
public:
    explicit bare_readers(F told) : told_(told), set_(::epoll_create1(EPOLL_CLOEXEC)) {}
    bare_readers(bare_readers const&) = delete;
    bare_readers& operator=(bare_readers const&) = delete;
    ~bare_readers() { ::close(set_); }
    void add(int fd, long which) noexcept {
        epoll_event e{};
        e.events = EPOLLIN;
        e.data.u64 = static_cast<std::uint64_t>(which);
        ::epoll_ctl(set_, EPOLL_CTL_ADD, fd, &e);
    }
    // Until done() says so.
    template <class Done> void run(Done done) {
        epoll_event events[128];   // as many as ours takes
        while (!done()) {
            int const count = ::epoll_wait(set_, events, 128, -1);
            for (int i = 0; i < count; ++i) told_(static_cast<long>(events[i].data.u64));
        }
    }

private:
    F told_;
    int set_;
};

}  // namespace floors
#endif
