// The hot paths, one at a time, so that their instructions and system calls can be counted: tools/count-instructions.
//     hot_paths                      what it was compiled with, then the names of the paths
//     hot_paths NAME REPETITIONS     goes that path so often
#include <spruce/spruce.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/socket.h>
#include <unistd.h>

#include "child.hpp"
#include "floors/load_floor.hpp"

namespace {
using std::chrono_literals::operator""h;

void yields(spruce::loop& hub, long n) {
    auto const half = [n] {
        for (long i = 0; i < n / 2; ++i) static_cast<void>(spruce::yield());
    };
    spruce::spawn(half);
    spruce::spawn(half);
    static_cast<void>(hub.run());
}
void spawns(spruce::loop& hub, long n) {
    spruce::spawn([n] {
        for (long i = 0; i < n; ++i) static_cast<void>(spruce::spawn([] {}).join());
    });
    static_cast<void>(hub.run());
}
void channels(spruce::loop& hub, std::size_t places, long n) {
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
void rendezvous(spruce::loop& hub, long n) { channels(hub, 0, n); }
void buffered(spruce::loop& hub, long n) { channels(hub, 128, n); }

void timers(spruce::loop& hub, long n) {
    for (long i = 0; i < n; ++i) hub.call_later(1h, [] {}).cancel();
}
struct next_call {
    spruce::loop& hub;
    long* left;
    void operator()() const {
        if (--*left > 0) hub.call_soon(*this);
    }
};
void calls(spruce::loop& hub, long n) {
    hub.call_soon(next_call{hub, &n});
    static_cast<void>(hub.run());
}

// One task waits, the other wakes it and lets it run.
template <class A, class B> void pair(spruce::loop& hub, long n, A&& waits, B&& wakes) {
    spruce::spawn([&] {
        for (long i = 0; i < n; ++i) waits(i);
    });
    spruce::spawn([&] {
        for (long i = 0; i < n; ++i) {
            wakes(i);
            static_cast<void>(spruce::yield());
        }
    });
    static_cast<void>(hub.run());
}
void waits_for_2(spruce::loop& hub, long n) {
    spruce::channel<long> c;
    pair(hub, n, [&](long) { static_cast<void>(spruce::wait_any(c, spruce::in(1h))); },
        [&](long i) { static_cast<void>(c.try_send(static_cast<long>(i))); });
}
void waits_for_8(spruce::loop& hub, long n) {
    spruce::event e[8];
    pair(hub, n, [&](long) { static_cast<void>(spruce::wait_any(e[0], e[1], e[2], e[3], e[4], e[5], e[6], e[7])); },
        [&](long i) {
            e[i & 7].set();
            e[i & 7].clear();
        });
}
void events(spruce::loop& hub, long n) {
    spruce::event e;
    pair(hub, n, [&](long) { static_cast<void>(e.wait()); },
        [&](long) {
            e.set();
            e.clear();
        });
}
void futures(spruce::loop& hub, long n) {
    spruce::promise<long>* now = nullptr;
    pair(hub, n, [&](long) {
        spruce::promise<long> mine;
        now = &mine;
        static_cast<void>(mine.get_future().get());
    }, [&](long i) { static_cast<void>(now->set(i)); });
}
void mutexes(spruce::loop& hub, long n) {
    spruce::mutex m;
    auto const body = [&] {
        auto held = m.lock();
        static_cast<void>(spruce::yield());   // the other comes, too
        for (long i = 0; i < n / 2; ++i) {
            held->unlock();
            held = m.lock();
        }
    };
    spruce::spawn(body);
    spruce::spawn(body);
    static_cast<void>(hub.run());
}
void permits(spruce::loop& hub, long n) {
    spruce::semaphore here(1), there(0);
    auto const body = [n](spruce::semaphore& mine, spruce::semaphore& other) {
        for (long i = 0; i < n / 2; ++i) {
            mine.acquire()->keep();
            static_cast<void>(other.release());
        }
    };
    spruce::spawn([&] { body(here, there); });
    spruce::spawn([&] { body(there, here); });
    static_cast<void>(hub.run());
}

// Requests of one connection that are echoed: a write, a read and a wait of each end. The buffers are longer, so that a
// read that comes short tells that there is no more.
void echoes(spruce::loop& hub, long n) {
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

// A hundred pairs of sockets, each of whose readers passes a byte on to the next.
void passes_on(spruce::loop& hub, long n) {
    constexpr std::size_t pairs = 100;
    static int ends[pairs][2];
    for (auto& e : ends)
        if (::socketpair(AF_UNIX, SOCK_STREAM, 0, e) != 0) std::abort();
    long to_send = n, to_come = n;
    auto const send = [&](std::size_t i) {
        if (to_send > 0 && ::write(ends[i][1], "x", 1) == 1) --to_send;
    };
    for (std::size_t i = 0; i < pairs; ++i) {
        static_cast<void>(hub.add_reader(ends[i][0], [&, i] {
            char byte;
            if (::read(ends[i][0], &byte, 1) == 1 && --to_come == 0) static_cast<void>(hub.stop());
            send((i + 1) % pairs);
        }));
        send(i);
    }
    static_cast<void>(hub.run());
}

#ifdef HAVE_BARE_SERVERS
// TCP echo by one task a connection, of which so many send at a time. The load is another process, and not counted.
void serves(spruce::loop& hub, int connections, long n) {
    auto door = spruce::tcp_listener::listen("127.0.0.1:0");
    measure::pin();   // whoever sends does so before the other runs, or afterwards: the same in each run
    measure::run_in_batches();
    measure::child const client([&](measure::teller const&) {
        floors::load(door->local().port(), connections, 64).run_in_waves(n);
    });
    auto const serve = [](spruce::tcp_stream s) {
        char room[1024];
        while (auto const got = s.read(room)) static_cast<void>(s.write({room, *got}));
    };
    spruce::spawn([&] {
        spruce::task_group all;
        for (int i = 0; i < connections; ++i) all.spawn(serve, std::move(*door->accept()));
        static_cast<void>(all.join());
    });
    static_cast<void>(hub.run());
}
// Connections, 32 waiting at a time: each is taken by a task of its own, greeted, and closed.
void greets(spruce::loop& hub, long n) {
    auto door = spruce::tcp_listener::listen("127.0.0.1:0");
    measure::pin();
    measure::run_in_batches();
    measure::child const client([&](measure::teller const&) { floors::knock(door->local().port(), n, 32); });
    spruce::spawn([&] {
        for (long i = 0; i < n; ++i)
            spruce::spawn([s = std::move(*door->accept())]() mutable { static_cast<void>(s.write("x")); });
    });
    static_cast<void>(hub.run());
}
void serves_1(spruce::loop& hub, long n) { serves(hub, 1, n); }
void serves_64(spruce::loop& hub, long n) { serves(hub, 64, n); }
#endif

struct path {
    char const* name;
    void (*go)(spruce::loop&, long);
};
constexpr path paths[] = {
    {"yield", yields},
    {"spawn_join", spawns},
    {"channel_unbuffered", rendezvous},
    {"channel_128", buffered},
    {"timer_add_cancel", timers},
    {"call_soon", calls},
    {"wait_any_2", waits_for_2},
    {"wait_any_8", waits_for_8},
    {"event_wait", events},
    {"future_wait", futures},
    {"mutex_hand_over", mutexes},
    {"semaphore_hand_over", permits},
    {"readers_100", passes_on},
    {"echo", echoes},
#ifdef HAVE_BARE_SERVERS
    {"tcp_echo_1", serves_1},
    {"tcp_echo_64", serves_64},
    {"tcp_accept_32", greets},
#endif
};
}  // namespace

int main(int count, char** arguments) {
    if (count != 3) {
#if defined(__clang__)
        std::printf("clang-%d\n", __clang_major__);
#else
        std::printf("gcc-%d\n", __GNUC__);
#endif
        for (path const& p : paths) std::printf("%s\n", p.name);
        return count == 1 ? 0 : 2;
    }
    for (path const& p : paths) {
        if (std::strcmp(p.name, arguments[1]) != 0) continue;
        spruce::loop hub;
        p.go(hub, std::atol(arguments[2]));
        return 0;
    }
    std::fprintf(stderr, "hot_paths: no path %s\n", arguments[1]);
    return 2;
}
