// flags: true
#include <map>
#include <mutex>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "../both_ways.hpp"
#include "epoll.hpp"

namespace {
using clock_type = std::chrono::steady_clock;

// A loop of one's own: a set, an eventfd for calls, and timers.
struct own_loop {
    int set = ::epoll_create1(EPOLL_CLOEXEC), bell = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    epoll_guest* guest = nullptr;
    bool over = false;
    long waits = 0;
    std::multimap<clock_type::time_point, std::function<void()>> timers{};
    std::mutex lock{};
    std::vector<spruce::host_turn> calls{};

    own_loop() {
        epoll_event e{};
        e.events = EPOLLIN;
        ::epoll_ctl(set, EPOLL_CTL_ADD, bell, &e);
    }
    ~own_loop() {
        ::close(bell);
        ::close(set);
    }
    void post(spruce::host_turn turn) {
        std::lock_guard const held(lock);
        calls.push_back(std::move(turn));
        static_cast<void>(::eventfd_write(bell, 1));
    }
    void after(int ms, std::function<void()> f) { timers.emplace(clock_type::now() + std::chrono::milliseconds(ms), std::move(f)); }
    void quit() { over = true; }
    long wakes() const { return waits; }
    void run() {
        for (over = false; !over;) once();
    }
    void once() {
        using std::chrono::ceil, std::chrono::milliseconds;
        int most = -1;
        if (!timers.empty()) {
            auto const left = ceil<milliseconds>(timers.begin()->first - clock_type::now()).count();
            most = left > 0 ? static_cast<int>(left) : 0;
        }
        epoll_event events[8];
        ::epoll_wait(set, events, 8, guest ? guest->timeout_ms(most) : most);
        ++waits;
        if (guest) guest->turn();
        eventfd_t count = 0;
        static_cast<void>(::eventfd_read(bell, &count));
        std::vector<spruce::host_turn> now;
        {
            std::lock_guard const held(lock);
            now.swap(calls);
        }
        for (auto const& turn : now) turn();
        while (!timers.empty() && timers.begin()->first <= clock_type::now()) {
            auto f = std::move(timers.begin()->second);
            timers.erase(timers.begin());
            f();
        }
    }
};
}  // namespace

int main() {
    foreign::checks all("epoll");
    own_loop host;
    {
        spruce::loop loop;
        epoll_guest guest(loop, host.set);
        all.expect(guest.ok(), "its fd is taken by the host's set");
        host.guest = &guest;
        foreign::scenes(all, host, loop, "by fd");
        host.guest = nullptr;
    }
    foreign::scenes_interleaved(all, host);
    return all.code();
}
