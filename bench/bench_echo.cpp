// TCP echo: the server's processor time for one request. Ours is one task a connection; beside it the floor, a bare
// loop over edge-triggered epoll, libuv, libev, libevent and asio (echo_servers.hpp). Each server is a process; the
// load, our own, is this one, on the same core: servers and load do not run at the same time, and do not share a clock.
// links: -levent_core -luv -lev
#include <spruce/spruce.hpp>

#include <memory>
#include <vector>

#include "child.hpp"
#include "echo_servers.hpp"
#include "floors/load_floor.hpp"

#ifdef HAVE_BARE_SERVERS
namespace {
void spruce_echo(measure::teller const& tell) {
    spruce::loop hub;
    spruce::spawn([&] {
        auto door = spruce::tcp_listener::listen("127.0.0.1:0", {.backlog = 4096});
        tell(door->local().port());
        while (auto peer = door->accept())
            spruce::spawn([s = std::move(*peer)]() mutable {
                static_cast<void>(s.no_delay(true));
                char room[floors::echo_room];
                while (auto const got = s.read(room))
                    if (!s.write({room, *got})) break;
            });
    });
    static_cast<void>(hub.run());
}

struct server {
    char const* whose;
    std::unique_ptr<measure::child> process;
    int port;
};

void race(char const* name, std::vector<server> const& servers, long connections, std::size_t bytes, long requests, measure::effort const& e) {
    if (connections * static_cast<long>(servers.size()) + 64 > measure::most_fds()) {
        std::fprintf(stderr, "skipped  %s: too few fds are allowed here\n", name);
        return;
    }
    std::vector<std::unique_ptr<floors::load>> loads;   // every server's connections stay open until all are through
    measure::contest all(name);
    for (server const& s : servers) {
        floors::load& load = *loads.emplace_back(std::make_unique<floors::load>(s.port, connections, bytes));
        all.enter(s.whose, [&s, &load, requests] {
            std::int64_t const begin = s.process->cpu_ns();
            load.run(requests);
            return static_cast<double>(s.process->cpu_ns() - begin) / static_cast<double>(requests);
        });
    }
    all.run(e);
}
}  // namespace

int main(int count, char** arguments) {
    measure::pin();
    measure::run_in_batches();
    measure::effort const e(count, arguments);
    std::vector<server> servers;
    auto const enter = [&](char const* whose, std::function<void(measure::teller const&)> const& body) {
        auto process = std::make_unique<measure::child>(body);
        int const port = static_cast<int>(process->told());
        servers.push_back({whose, std::move(process), port});
    };
    enter("spruce", spruce_echo);
    enter("floor", measure::with_listener([](int l) { floors::bare_echo(l); }));
#ifdef HAVE_UV
    enter("libuv", measure::with_listener(peers::uv_echo));
#endif
#ifdef HAVE_EV
    enter("libev", measure::with_listener(peers::ev_echo));
#endif
#ifdef HAVE_EVENT
    enter("libevent", measure::with_listener(peers::event_echo));
#endif
#ifdef HAVE_ASIO
    enter("asio", measure::with_listener(peers::asio_echo));
#endif
    race("echo_1", servers, 1, 64, e.of(6'000, 10), e);
    race("echo_64", servers, 64, 64, e.of(20'000, 64), e);
    race("echo_1000", servers, measure::brief(count, arguments) ? 100 : 1000, 64, e.of(20'000, 100), e);
    race("echo_64_of_64k", servers, 64, 65536, e.of(2'500, 64), e);
}
#else
int main() {}
#endif
