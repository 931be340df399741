// The hot paths, one at a time, so that their instructions and system calls can be counted: tools/count-instructions.
//     hot_paths                      what it was compiled with, then the names of the paths
//     hot_paths NAME REPETITIONS     goes that path so often
#include "hot_path_list.hpp"

#include <cstdio>
#include <cstring>
#include <sys/socket.h>
#include <unistd.h>

#include "child.hpp"
#include "floors/load_floor.hpp"

namespace {
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

// Those with sockets that stay, or with another process.
constexpr hot_paths::path socket_paths[] = {
    {"readers_100", passes_on},
#ifdef HAVE_BARE_SERVERS
    {"tcp_echo_1", serves_1},
    {"tcp_echo_64", serves_64},
    {"tcp_accept_32", greets},
#endif
};

hot_paths::path const* find(char const* name) {
    for (hot_paths::path const& p : hot_paths::paths)
        if (std::strcmp(p.name, name) == 0) return &p;
    for (hot_paths::path const& p : socket_paths)
        if (std::strcmp(p.name, name) == 0) return &p;
    return nullptr;
}
}  // namespace

int main(int count, char** arguments) {
    if (count != 3) {
#if defined(__clang__)
        std::printf("clang-%d\n", __clang_major__);
#else
        std::printf("gcc-%d\n", __GNUC__);
#endif
        for (hot_paths::path const& p : hot_paths::paths) std::printf("%s\n", p.name);
        for (hot_paths::path const& p : socket_paths) std::printf("%s\n", p.name);
        return count == 1 ? 0 : 2;
    }
    if (hot_paths::path const* const p = find(arguments[1])) {
        // The time does not count: how many of the wheel's ticks pass meanwhile is the machine's affair.
        // Under Valgrind all takes fifty times as long, which is to change nothing.
        spruce::loop hub({.turn_time = std::chrono::hours(1), .tick = std::chrono::hours(1)});
        p->go(hub, std::atol(arguments[2]));
        return 0;
    }
    std::fprintf(stderr, "hot_paths: no path %s\n", arguments[1]);
    return 2;
}
