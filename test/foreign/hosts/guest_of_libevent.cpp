// flags: pkg-config --cflags --libs libevent_core libevent_pthreads
#include <event2/thread.h>
#include <memory>
#include <utility>

#include "../both_ways.hpp"
#include "libevent.hpp"

namespace {
struct event_host {
    event_base* base = event_base_new();
    bool over = false;
    long waits = 0;

    ~event_host() { event_base_free(base); }
    void post(spruce::host_turn turn) {
        // Started by the thread that sleeps, called by the one that runs the base.
        once(0, [t = std::move(turn)] { t(); });
    }
    void after(long ms, std::function<void()> f) { once(ms, std::move(f)); }
    void once(long ms, std::function<void()> f) {
        timeval const in{ms / 1'000, ms % 1'000 * 1'000};
        event_base_once(base, -1, EV_TIMEOUT, [](evutil_socket_t, short, void* at) {
            auto* const call = static_cast<std::function<void()>*>(at);
            (*call)();
            delete call;
        }, new std::function<void()>(std::move(f)), &in);
    }
    void quit() {
        over = true;
        event_base_loopbreak(base);
    }
    void run() {
        for (over = false; !over;) once();
    }
    void once() {
        event_base_loop(base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY);
        ++waits;
    }
    long wakes() const { return waits; }
};
}  // namespace

int main() {
    foreign::checks all("libevent");
    evthread_use_pthreads();
    event_host host;
    {
        spruce::loop loop;
        auto guest = std::make_unique<libevent_guest>(loop, host.base);
        all.expect(guest->ok(), "the loop's fd is watched");
        foreign::without_fd<libevent_guest>(all, host.base);
        foreign::scenes(all, host, loop, "by fd");
        loop.call_soon([&] {
            guest.reset();
            host.quit();
        });
        host.run();
        all.expect(!guest, "by fd: the guest ends in a turn of its own");
        all.expect(loop.destroy(spruce::in(std::chrono::seconds(1))).ok(), "the loop ends");
    }
    foreign::scenes_interleaved(all, host);
    return all.code();
}
