// Many descriptors. 4,000 pairs of sockets of which 1, 100 or 1,000 are active: who reads a byte writes one to the
// next pair. And 10 to 19,000 connections of which ten are active, whose other ends another process echoes: what a
// request costs must not depend on how many others there are. Ours, by readers of a loop, beside a bare loop over
// epoll, libuv's polls, libev's and libevent's level-triggered events; nobody is told twice of what is not read.
// links: -levent_core -luv -lev
#include <spruce/spruce.hpp>

#include <memory>
#include <vector>

#include "child.hpp"
#include "floors/load_floor.hpp"
#include "floors/pairs_floor.hpp"

#if __has_include(<uv.h>)
#include <uv.h>
#define HAVE_UV 1
#endif
#if __has_include(<ev.h>)
#include <ev.h>
#define HAVE_EV 1
inline constexpr int ev_reads = EV_READ;   // libevent has a macro of this name, and another value
#endif
#if __has_include(<event2/event.h>)
#include <event2/event.h>
#define HAVE_EVENT 1
#endif

#ifdef HAVE_BARE_SERVERS
namespace {
// Bytes on their way from one descriptor to the next, until so many have been read.
struct relay {
    std::vector<int> reads, writes;   // of each, the end to read from, and the one whose bytes come out there
    long step = 1;                    // which one is next
    long to_send = 0, to_come = 0;

    long size() const noexcept { return static_cast<long>(reads.size()); }
    void send_to(long which) noexcept {
        if (to_send == 0) return;
        --to_send;
        if (::write(writes[static_cast<std::size_t>(which)], "x", 1) != 1) floors::load_failed("write");
    }
    void told(long which) noexcept {
        char some[16];
        ssize_t const got = ::read(reads[static_cast<std::size_t>(which)], some, sizeof some);
        to_come -= got > 0 ? got : 0;
        for (ssize_t i = 0; i < got; ++i) send_to((which + step) % size());
    }
    // So many bytes, `active` of them under way at a time.
    void begin(long bytes, long active) noexcept {
        to_send = to_come = bytes;
        for (long i = 0; i < active; ++i) send_to(i * size() / active);
    }
    bool over() const noexcept { return to_come <= 0; }
};

struct race {
    char const* name;
    relay& of;
    long active, bytes;

    // Each contender's readers stand while it runs, and making them is not measured. Our processor time counts: the
    // other ends may be another process.
    template <class Run> double timed(Run&& run) const {
        std::int64_t const begin = measure::cpu_ns();
        of.begin(bytes, active);
        run();
        return static_cast<double>(measure::cpu_ns() - begin) / static_cast<double>(bytes);
    }
    double spruce_round() const {
        spruce::loop hub;
        std::vector<spruce::scoped_handler> all;
        for (long i = 0; i < of.size(); ++i)
            all.emplace_back(*hub.add_reader(of.reads[static_cast<std::size_t>(i)], [this, i] { of.told(i); }));
        return timed([&] { static_cast<void>(hub.run_until([this] { return of.over(); })); });
    }
    double floor_round() const {
        auto const told = [this](long i) { of.told(i); };
        floors::bare_readers all(told);
        for (long i = 0; i < of.size(); ++i) all.add(of.reads[static_cast<std::size_t>(i)], i);
        return timed([&] { all.run([this] { return of.over(); }); });
    }
#ifdef HAVE_UV
    double uv_round() const {
        struct entry {
            uv_poll_t poll;
            relay* of;
            long i;
        };
        uv_loop_t loop;
        uv_loop_init(&loop);
        std::vector<entry> all(of.reads.size());
        for (long i = 0; i < of.size(); ++i) {
            entry& e = all[static_cast<std::size_t>(i)];
            e.of = &of;
            e.i = i;
            e.poll.data = &e;
            uv_poll_init(&loop, &e.poll, of.reads[static_cast<std::size_t>(i)]);
            uv_poll_start(&e.poll, UV_READABLE, [](uv_poll_t* p, int, int) {
                auto& me = *static_cast<entry*>(p->data);
                me.of->told(me.i);
            });
        }
        uv_run(&loop, UV_RUN_NOWAIT);   // it registers in its first turn
        double const value = timed([&] {
            while (!of.over()) uv_run(&loop, UV_RUN_ONCE);
        });
        for (entry& e : all) uv_close(reinterpret_cast<uv_handle_t*>(&e.poll), nullptr);
        uv_run(&loop, UV_RUN_DEFAULT);
        uv_loop_close(&loop);
        return value;
    }
#endif
#ifdef HAVE_EV
    double ev_round() const {
        struct entry {
            ev_io io;
            relay* of;
            long i;
        };
        struct ev_loop* const loop = ev_loop_new(EVBACKEND_EPOLL);
        std::vector<entry> all(of.reads.size());
        for (long i = 0; i < of.size(); ++i) {
            entry& e = all[static_cast<std::size_t>(i)];
            e.of = &of;
            e.i = i;
            e.io.data = &e;
            ev_io_init(&e.io, [](struct ev_loop*, ev_io* w, int) {
                auto& me = *static_cast<entry*>(w->data);
                me.of->told(me.i);
            }, of.reads[static_cast<std::size_t>(i)], ev_reads);
            ev_io_start(loop, &e.io);
        }
        ev_run(loop, EVRUN_NOWAIT);
        double const value = timed([&] {
            while (!of.over()) ev_run(loop, EVRUN_ONCE);
        });
        for (entry& e : all) ev_io_stop(loop, &e.io);
        ev_loop_destroy(loop);
        return value;
    }
#endif
#ifdef HAVE_EVENT
    double event_round() const {
        struct entry {
            struct event* event;
            relay* of;
            long i;
        };
        struct event_base* const base = event_base_new();
        std::vector<entry> all(of.reads.size());
        for (long i = 0; i < of.size(); ++i) {
            entry& e = all[static_cast<std::size_t>(i)];
            e.of = &of;
            e.i = i;
            e.event = event_new(base, of.reads[static_cast<std::size_t>(i)], EV_READ | EV_PERSIST, [](evutil_socket_t, short, void* self) {
                auto& me = *static_cast<entry*>(self);
                me.of->told(me.i);
            }, &e);
            event_add(e.event, nullptr);
        }
        double const value = timed([&] {
            while (!of.over()) event_base_loop(base, EVLOOP_ONCE);
        });
        for (entry& e : all) event_free(e.event);
        event_base_free(base);
        return value;
    }
#endif
    void run(measure::effort const& e) const {
        measure::contest all(name);
        all.enter("spruce", [this] { return spruce_round(); });
        all.enter("floor", [this] { return floor_round(); });
#ifdef HAVE_UV
        all.enter("libuv", [this] { return uv_round(); });
#endif
#ifdef HAVE_EV
        all.enter("libev", [this] { return ev_round(); });
#endif
#ifdef HAVE_EVENT
        all.enter("libevent", [this] { return event_round(); });
#endif
        all.run(e);
    }
};

void pairs(long count, measure::effort const& e) {
    relay all;
    for (long i = 0; i < count; ++i) {
        int ends[2];
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) floors::load_failed("socketpair");
        all.reads.push_back(ends[0]);
        all.writes.push_back(ends[1]);
    }
    race{"pairs_1", all, 1, e.of(20'000, 100)}.run(e);
    race{"pairs_100", all, 100, e.of(40'000, 100)}.run(e);
    race{"pairs_1000", all, 1000, e.of(40'000, 1000)}.run(e);
    for (int const fd : all.reads) ::close(fd);
    for (int const fd : all.writes) ::close(fd);
}

void connections(char const* name, long count, int port, measure::effort const& e) {
    relay all;
    for (long i = 0; i < count; ++i) {
        int const fd = floors::connect_to(port);
        all.reads.push_back(fd);
        char byte = 'x';
        // Now and then the server must be let come by, before its queue is full.
        if (i % 500 == 499 && (::write(fd, &byte, 1) != 1 || ::read(fd, &byte, 1) != 1)) floors::load_failed("connect");
    }
    all.writes = all.reads;
    all.step = count > 100 ? 97 : 3;
    race{name, all, 10, e.of(10'000, 10)}.run(e);
    for (int const fd : all.reads) floors::close_at_once(fd);
}
}  // namespace

int main(int count, char** arguments) {
    measure::pin();
    measure::run_in_batches();
    measure::effort const e(count, arguments);
    long const fds = measure::most_fds();
    measure::child const server(measure::with_listener([](int l) { floors::bare_echo(l); }));
    int const port = static_cast<int>(server.told());
    if (fds < 8'100) std::fprintf(stderr, "skipped  pairs: too few fds are allowed here\n");
    else pairs(4'000, e);
    struct {
        char const* name;
        long count;
    } const growth[] = {{"grow_fds_10", 10}, {"grow_fds_100", 100}, {"grow_fds_1000", 1'000}, {"grow_fds_10000", 10'000}, {"grow_fds_19000", 19'000}};
    for (auto const& g : growth) {
        if (measure::brief(count, arguments) && g.count > 1'000) break;
        if (g.count + 100 > fds) std::fprintf(stderr, "skipped  %s: too few fds are allowed here\n", g.name);
        else connections(g.name, g.count, port, e);
    }
}
#else
int main() {}
#endif
