// The hot paths, one at a time, for counting what each needs: instructions and system calls (hot_paths.cpp), and memory
// (a test). Each is gone so often as it is told.
#pragma once
#include "wait_paths.hpp"

#include <cstdlib>
#include <sys/socket.h>

namespace hot_paths {
using std::chrono_literals::operator""h;

inline void yields(spruce::loop& hub, long n) {
    auto const half = [n] {
        for (long i = 0; i < n / 2; ++i) static_cast<void>(spruce::yield());
    };
    spruce::spawn(half);
    spruce::spawn(half);
    static_cast<void>(hub.run());
}
inline void spawns(spruce::loop& hub, long n) {
    spruce::spawn([n] {
        for (long i = 0; i < n; ++i) static_cast<void>(spruce::spawn([] {}).join());
    });
    static_cast<void>(hub.run());
}
inline void channels(spruce::loop& hub, std::size_t places, long n) {
    spruce::channel<long> c(places);
    spruce::spawn([&] {
        for (long i = 0; i < n; ++i) static_cast<void>(c.send(i));
        c.close();
    });
    spruce::spawn([&] {
        while (c.receive()) {}
    });
    static_cast<void>(hub.run());
}
inline void rendezvous(spruce::loop& hub, long n) { channels(hub, 0, n); }
inline void buffered(spruce::loop& hub, long n) { channels(hub, 128, n); }

inline void timers(spruce::loop& hub, long n) {
    for (long i = 0; i < n; ++i) hub.call_later(1h, [] {}).cancel();
}
struct next_call {
    spruce::loop& hub;
    long* left;
    void operator()() const {
        if (--*left > 0) hub.call_soon(*this);
    }
};
inline void calls(spruce::loop& hub, long n) {
    hub.call_soon(next_call{hub, &n});
    static_cast<void>(hub.run());
}

struct next_post {
    spruce::loop_ref door;
    long* left;
    void operator()() const {
        if (--*left > 0) static_cast<void>(door.call(*this));
    }
};
inline void posts(spruce::loop& hub, long n) {
    static_cast<void>(hub.remote().call(next_post{hub.remote(), &n}));
    static_cast<void>(hub.run());
}

// Requests of one connection that are echoed: a write, a read and a wait of each end. The buffers are longer, so that a
// read that comes short tells that there is no more.
inline void echoes(spruce::loop& hub, long n) {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) std::abort();
    spruce::spawn([&] {
        auto server = spruce::stream::adopt(fds[0]);
        char buffer[256];
        while (auto const got = server->read(buffer)) static_cast<void>(server->write({buffer, *got}));
    });
    spruce::spawn([&] {
        auto client = spruce::stream::adopt(fds[1]);
        char buffer[256] = {};
        for (long i = 0; i < n; ++i) {
            static_cast<void>(client->write({buffer, 64}));
            static_cast<void>(client->read(buffer));
        }
    });
    static_cast<void>(hub.run());
}

struct path {
    char const* name;
    void (*go)(spruce::loop&, long);
};
inline constexpr path paths[] = {
    {"yield", yields},
    {"spawn_join", spawns},
    {"channel_unbuffered", rendezvous},
    {"channel_128", buffered},
    {"timer_add_cancel", timers},
    {"call_soon", calls},
    {"loop_ref_call", posts},
    {"wait_any_2", [](spruce::loop& hub, long n) { ::paths::any_of_2(hub, n); }},
    {"wait_any_8", [](spruce::loop& hub, long n) { ::paths::any_of_8(hub, n); }},
    {"event_wait", ::paths::events},
    {"future_wait", [](spruce::loop& hub, long n) { ::paths::futures(hub, n); }},
    {"mutex_hand_over", ::paths::mutexes},
    {"semaphore_hand_over", ::paths::permits},
    {"echo", echoes},
};
}  // namespace hot_paths
