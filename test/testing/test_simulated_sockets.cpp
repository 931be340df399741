#include <cerrno>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <tuple>

#include "simulated_world.hpp"

namespace {
sockaddr_in ipv4(char const* ip, unsigned port) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(static_cast<std::uint16_t>(port));
    ::inet_pton(AF_INET, ip, &a.sin_addr);
    return a;
}
sockaddr_in6 ipv6(char const* ip, unsigned port) {
    sockaddr_in6 a{};
    a.sin6_family = AF_INET6;
    a.sin6_port = htons(static_cast<std::uint16_t>(port));
    ::inet_pton(AF_INET6, ip, &a.sin6_addr);
    return a;
}
template <class A> sockaddr const* generic(A const& a) { return reinterpret_cast<sockaddr const*>(&a); }

struct network : simulated_world {
    using simulated_world::simulated_world;
    int socket(int family = AF_INET) { return calls.socket(on.context, family, SOCK_STREAM, 0); }
    template <class A> int bind(int fd, A const& a) { return calls.bind(on.context, fd, generic(a), sizeof a); }
    template <class A> int connect(int fd, A const& a) { return calls.connect(on.context, fd, generic(a), sizeof a); }
    int listen(int fd, int backlog = 8) { return calls.listen(on.context, fd, backlog); }
    int accept(int fd) { return calls.accept(on.context, fd, nullptr, nullptr); }
    int set(int fd, int level, int name, int value) { return calls.setsockopt(on.context, fd, level, name, &value, sizeof value); }
    int get(int fd, int level, int name) {
        int value = -1;
        unsigned length = sizeof value;
        int const got = calls.getsockopt(on.context, fd, level, name, &value, &length);
        return got < 0 ? got : value;
    }
    int shutdown(int fd, int how) { return calls.shutdown(on.context, fd, how); }
};
constexpr unsigned readable = ready_read, out = ready_write, in_closed = ready_read_closed, hangup = ready_hangup, err = ready_error;
}  // namespace

TEST("a simulated connect is under way first, and then done, for both sides") {
    network w;
    int const l = w.socket();
    CHECK_EQ(w.bind(l, ipv4("127.0.0.1", 8'080)), 0);
    CHECK_EQ(w.listen(l), 0);
    CHECK_EQ(w.accept(l), -EAGAIN);
    CHECK_EQ(w.watch(l), 0);
    int const c = w.socket();
    CHECK_EQ(w.watch(c, interest_read | interest_write), 0);
    CHECK_EQ(w.ready(c), out | hangup);   // a socket that was never connected
    CHECK_EQ(w.connect(c, ipv4("127.0.0.1", 8'080)), -EINPROGRESS);
    CHECK_EQ(w.ready(c), out);
    CHECK_EQ(w.ready(l), readable);
    CHECK_EQ(w.get(c, SOL_SOCKET, SO_ERROR), 0);
    int const s = w.accept(l);
    CHECK(s >= 0);
    CHECK_EQ(w.ready(l), 0U);

    sockaddr_in here{}, there{};
    unsigned length = sizeof here;
    CHECK_EQ(w.calls.getsockname(w.on.context, c, reinterpret_cast<sockaddr*>(&here), &length), 0);
    CHECK_EQ(length, sizeof here);
    CHECK_EQ(w.calls.getpeername(w.on.context, s, reinterpret_cast<sockaddr*>(&there), &length), 0);
    CHECK_EQ(here.sin_port, there.sin_port);
    CHECK_EQ(ntohl(here.sin_addr.s_addr), INADDR_LOOPBACK);
    CHECK_EQ(w.calls.getpeername(w.on.context, c, reinterpret_cast<sockaddr*>(&there), &length), 0);
    CHECK_EQ(ntohs(there.sin_port), 8'080);
    CHECK_EQ(w.connect(c, ipv4("127.0.0.1", 8'080)), 0);
    CHECK_EQ(w.connect(c, ipv4("127.0.0.1", 8'080)), -EISCONN);
}

TEST("a simulated connect to where nobody listens is refused, and the poller shows it") {
    network w;
    int const c = w.socket();
    CHECK_EQ(w.connect(c, ipv4("127.0.0.1", 9)), -EINPROGRESS);
    CHECK_EQ(w.watch(c, interest_read | interest_write), 0);
    CHECK_EQ(w.ready(c), readable | out | in_closed | hangup | err);
    CHECK_EQ(w.get(c, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    CHECK_EQ(w.get(c, SOL_SOCKET, SO_ERROR), 0);
    CHECK_EQ(w.ready(c), readable | out | in_closed | hangup);
}

TEST("nobody ever answers from 192.0.2.0/24, and other networks cannot be reached") {
    network w;
    int const c = w.socket(), d = w.socket();
    CHECK_EQ(w.connect(c, ipv4("192.0.2.7", 80)), -EINPROGRESS);
    CHECK_EQ(w.connect(c, ipv4("192.0.2.7", 80)), -EALREADY);
    CHECK_EQ(w.watch(c, interest_read | interest_write), 0);
    CHECK_EQ(w.wait(24h), 0);
    CHECK_EQ(w.connect(d, ipv4("8.8.8.8", 80)), -ENETUNREACH);
    CHECK_EQ(w.bind(d, ipv4("8.8.8.8", 80)), -EADDRNOTAVAIL);
}

TEST("a full backlog keeps further connects under way until there is room") {
    network w;
    int const l = w.socket();
    CHECK_EQ(w.bind(l, ipv4("127.0.0.1", 80)), 0);
    CHECK_EQ(w.listen(l, 1), 0);
    int clients[3];
    for (int& c : clients) {
        c = w.socket();
        CHECK_EQ(w.connect(c, ipv4("127.0.0.1", 80)), -EINPROGRESS);
        CHECK_EQ(w.watch(c, interest_write), 0);
    }
    CHECK_EQ(w.wait(), 2);   // one more than the backlog, as on Linux
    CHECK_EQ(w.ready(clients[2]), 0U);
    CHECK(w.accept(l) >= 0);
    CHECK_EQ(w.ready(clients[2]), out);
    CHECK(w.accept(l) >= 0);
    CHECK(w.accept(l) >= 0);
    CHECK_EQ(w.accept(l), -EAGAIN);
}

TEST("a listener that closes resets whom it had not accepted, and refuses whom it had no room for") {
    network w;
    int const l = w.socket();
    CHECK_EQ(w.bind(l, ipv4("127.0.0.1", 80)), 0);
    CHECK_EQ(w.listen(l, 0), 0);
    int const queued = w.socket(), parked = w.socket();
    CHECK_EQ(w.connect(queued, ipv4("127.0.0.1", 80)), -EINPROGRESS);
    CHECK_EQ(w.connect(parked, ipv4("127.0.0.1", 80)), -EINPROGRESS);
    CHECK(w.sim.close(l).ok());
    CHECK_EQ(w.get(queued, SOL_SOCKET, SO_ERROR), ECONNRESET);
    CHECK_EQ(w.get(parked, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    CHECK_EQ(w.sim.open_fds(), 2U);
}

TEST("a half-closed simulated connection still carries the other direction") {
    network w;
    int c, s;
    std::tie(c, s) = w.connected();
    CHECK_EQ(w.watch(s), 0);
    CHECK_EQ(*w.sim.write(c, "request"), 7U);
    CHECK_EQ(w.shutdown(c, SHUT_WR), 0);
    CHECK_EQ(w.ready(s), readable | in_closed);   // data and its end at once
    CHECK_EQ(w.take(s), "request");
    char b;
    CHECK_EQ(w.calls.recv(w.on.context, s, &b, 1), 0);
    CHECK_EQ(w.failure(w.sim.write(c, "more")), EPIPE);
    CHECK_EQ(*w.sim.write(s, "answer"), 6U);
    CHECK_EQ(w.take(c), "answer");
    CHECK(w.sim.close(s).ok());
    CHECK_EQ(w.watch(c, interest_read), 0);
    CHECK_EQ(w.ready(c), readable | in_closed | hangup);
}

TEST("closing a simulated connection with unread data resets it; what had arrived is still read") {
    network w;
    int c, s;
    std::tie(c, s) = w.connected();
    CHECK_EQ(*w.sim.write(s, "for the client"), 14U);
    CHECK_EQ(*w.sim.write(c, "never read"), 10U);
    CHECK_EQ(w.watch(c, interest_read | interest_write), 0);
    CHECK(w.sim.close(s).ok());
    CHECK_EQ(w.ready(c), readable | out | in_closed | hangup | err);
    CHECK_EQ(w.take(c), "for the client");
    char b;
    CHECK_EQ(w.calls.recv(w.on.context, c, &b, 1), -ECONNRESET);
    CHECK_EQ(w.calls.recv(w.on.context, c, &b, 1), 0);
    CHECK_EQ(w.failure(w.sim.write(c, "x")), EPIPE);
}

TEST("the first write after the peer's close is lost, the next one breaks the pipe") {
    network w;
    int c, s;
    std::tie(c, s) = w.connected();
    CHECK(w.sim.close(s).ok());
    CHECK_EQ(*w.sim.write(c, "lost"), 4U);
    CHECK_EQ(w.failure(w.sim.write(c, "x")), EPIPE);
    char b;
    CHECK_EQ(w.calls.recv(w.on.context, c, &b, 1), 0);
}

TEST("SO_LINGER of 0 and reset() both make the other side see a reset") {
    network w;
    int c, s;
    std::tie(c, s) = w.connected();
    linger const at_once{1, 0};
    CHECK_EQ(w.calls.setsockopt(w.on.context, s, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    CHECK(w.sim.close(s).ok());
    CHECK_EQ(w.get(c, SOL_SOCKET, SO_ERROR), ECONNRESET);
    int c2, s2;
    std::tie(c2, s2) = w.connected();
    CHECK(w.sim.reset(c2).ok());
    char b;
    CHECK_EQ(w.calls.recv(w.on.context, s2, &b, 1), -ECONNRESET);
}

TEST("a simulated socket pushes back when its buffer is full, and is writable again when a third is free") {
    network w({.socket_buffer = 9'000});
    int c, s;
    std::tie(c, s) = w.connected();
    CHECK_EQ(w.fill(c), 9'000U);
    CHECK_EQ(w.watch(c, interest_write | interest_edge), 0);
    CHECK_EQ(w.ready(c), 0U);
    CHECK_EQ(w.take(s, 2'999).size(), 2'999U);
    CHECK_EQ(w.ready(c), 0U);
    CHECK_EQ(w.take(s, 1).size(), 1U);
    CHECK_EQ(w.ready(c), out);
    CHECK_EQ(w.fill(c), 3'000U);
    CHECK_EQ(w.drain(s), 9'000U);
}

TEST("connect() on a simulated socket that was reset says why once, then connects anew; where it had said so it is connected") {
    // As Linux does it, whether the peer had ended its side or not.
    for (bool ended : {false, true}) {
        network w;
        int const l = *w.sim.listen();
        sockaddr_in const to = ipv4("127.0.0.1", *w.sim.port_of(l));
        auto const reset_one = [&](int s) {
            int const peer = *w.sim.accept(l);
            char b;
            if (ended) CHECK(w.sim.shutdown_write(peer).ok());
            if (ended) CHECK_EQ(w.calls.recv(w.on.context, s, &b, 1), 0);
            CHECK(w.sim.reset(peer).ok());
        };
        int const s = w.socket();
        CHECK_EQ(w.connect(s, to), -EINPROGRESS);
        reset_one(s);
        CHECK_EQ(w.connect(s, to), ended ? -EPIPE : -ECONNRESET);
        CHECK_EQ(w.connect(s, to), -EINPROGRESS);
        CHECK_EQ(w.connect(s, to), 0);
        CHECK_EQ(w.connect(s, to), -EISCONN);
        reset_one(s);
        for (int i = 0; i != 2; ++i) CHECK_EQ(w.connect(s, to), -EISCONN);
        CHECK_EQ(w.get(s, SOL_SOCKET, SO_ERROR), ended ? EPIPE : ECONNRESET);
        // Whoever took the error leaves none for connect().
        int const other = w.socket();
        CHECK_EQ(w.connect(other, to), -EINPROGRESS);
        reset_one(other);
        CHECK(w.get(other, SOL_SOCKET, SO_ERROR) != 0);
        CHECK_EQ(w.connect(other, to), -ECONNABORTED);
        CHECK_EQ(w.connect(other, to), -EINPROGRESS);
        int const again = *w.sim.accept(l);
        CHECK_EQ(w.sim.write(again, "on").value_or(0), 2U);
        CHECK_EQ(w.take(other), "on");
        // An accepted one was connected from the first.
        CHECK(w.sim.reset(other).ok());
        CHECK_EQ(w.connect(again, to), -EISCONN);
    }
}

TEST("a simulated connection to itself gets what it sends, and ends itself") {
    network w;
    int const s = w.socket();
    CHECK_EQ(w.bind(s, ipv4("127.0.0.1", 41'000)), 0);
    CHECK_EQ(w.connect(s, ipv4("127.0.0.1", 41'000)), -EINPROGRESS);
    CHECK_EQ(w.connect(s, ipv4("127.0.0.1", 41'000)), 0);
    CHECK_EQ(w.sim.write(s, "me").value_or(0), 2U);
    CHECK_EQ(w.take(s), "me");
    CHECK(w.sim.shutdown_write(s).ok());
    char b;
    CHECK_EQ(w.calls.recv(w.on.context, s, &b, 1), 0);
}

TEST("an accepted simulated connection has what its listener was set to") {
    network w;
    int const l = w.socket();
    CHECK_EQ(w.set(l, SOL_SOCKET, SO_RCVBUF, 3'000), 0);
    CHECK_EQ(w.set(l, SOL_SOCKET, SO_SNDBUF, 5'000), 0);
    CHECK_EQ(w.set(l, SOL_SOCKET, SO_KEEPALIVE, 1), 0);
    CHECK_EQ(w.set(l, IPPROTO_TCP, TCP_NODELAY, 1), 0);
    CHECK_EQ(w.bind(l, ipv4("127.0.0.1", 80)), 0);
    CHECK_EQ(w.listen(l), 0);
    int const c = w.socket();
    CHECK_EQ(w.set(c, SOL_SOCKET, SO_SNDBUF, 2'000), 0);
    CHECK_EQ(w.connect(c, ipv4("127.0.0.1", 80)), -EINPROGRESS);
    int const s = *w.sim.accept(l);
    CHECK_EQ(w.get(s, SOL_SOCKET, SO_RCVBUF), 3'000);
    CHECK_EQ(w.get(s, SOL_SOCKET, SO_SNDBUF), 5'000);
    CHECK_EQ(w.get(s, SOL_SOCKET, SO_KEEPALIVE), 1);
    CHECK_EQ(w.get(s, IPPROTO_TCP, TCP_NODELAY), 1);
    CHECK_EQ(w.fill(c), 5'000U);   // what it may send, and what the other takes
}

TEST("SO_SNDBUF and SO_RCVBUF change what a simulated connection holds") {
    network w;
    int c, s;
    std::tie(c, s) = w.connected();
    CHECK_EQ(w.set(c, SOL_SOCKET, SO_SNDBUF, 2'000), 0);
    CHECK_EQ(w.set(s, SOL_SOCKET, SO_RCVBUF, 3'000), 0);
    CHECK_EQ(w.get(c, SOL_SOCKET, SO_SNDBUF), 2'000);
    CHECK_EQ(w.fill(c), 5'000U);
}

TEST("ports are exclusive unless both sides say otherwise") {
    network w;
    int const a = w.socket(), b = w.socket();
    CHECK_EQ(w.bind(a, ipv4("127.0.0.1", 80)), 0);
    CHECK_EQ(w.bind(a, ipv4("127.0.0.1", 81)), -EINVAL);
    CHECK_EQ(w.bind(b, ipv4("0.0.0.0", 80)), -EADDRINUSE);
    CHECK_EQ(w.bind(b, ipv4("127.0.0.2", 80)), 0);
    int const c = w.socket(), d = w.socket();
    for (int const s : {c, d}) CHECK_EQ(w.set(s, SOL_SOCKET, SO_REUSEADDR, 1), 0);
    CHECK_EQ(w.bind(c, ipv4("127.0.0.1", 90)), 0);
    CHECK_EQ(w.bind(d, ipv4("127.0.0.1", 90)), 0);
    CHECK_EQ(w.listen(c), 0);
    CHECK_EQ(w.listen(d), -EADDRINUSE);
    int const e = w.socket(), f = w.socket();
    for (int const s : {e, f}) {
        CHECK_EQ(w.set(s, SOL_SOCKET, SO_REUSEPORT, 1), 0);
        CHECK_EQ(w.bind(s, ipv4("127.0.0.1", 100)), 0);
        CHECK_EQ(w.listen(s), 0);
    }
    CHECK(w.sim.close(a).ok());
    CHECK(w.sim.listen(80).ok());
}

TEST("an IPv6 listener takes IPv4 as mapped addresses, unless it is told not to") {
    network w;
    int const l = w.socket(AF_INET6);
    CHECK_EQ(w.bind(l, ipv6("::", 80)), 0);
    CHECK_EQ(w.listen(l), 0);
    int const four = w.socket(), six = w.socket(AF_INET6);
    CHECK_EQ(w.connect(four, ipv4("127.0.0.1", 80)), -EINPROGRESS);
    CHECK_EQ(w.connect(six, ipv6("::1", 80)), -EINPROGRESS);
    sockaddr_in6 who{};
    unsigned length = sizeof who;
    CHECK(w.calls.accept(w.on.context, l, reinterpret_cast<sockaddr*>(&who), &length) >= 0);
    CHECK_EQ(length, sizeof who);
    CHECK(IN6_IS_ADDR_V4MAPPED(&who.sin6_addr));
    CHECK(w.calls.accept(w.on.context, l, reinterpret_cast<sockaddr*>(&who), &length) >= 0);
    CHECK(IN6_IS_ADDR_LOOPBACK(&who.sin6_addr));

    int const only = w.socket(AF_INET6), refused = w.socket();
    CHECK_EQ(w.set(only, IPPROTO_IPV6, IPV6_V6ONLY, 1), 0);
    CHECK_EQ(w.bind(only, ipv6("::", 90)), 0);
    CHECK_EQ(w.listen(only), 0);
    CHECK_EQ(w.connect(refused, ipv4("127.0.0.1", 90)), -EINPROGRESS);
    CHECK_EQ(w.get(refused, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
}

TEST("simulated sockets answer wrong calls as real ones do") {
    network w;
    int r, wr;
    std::tie(r, wr) = *w.sim.make_pipe();
    int const s = w.socket();
    char b;
    CHECK_EQ(w.calls.recv(w.on.context, s, &b, 1), -ENOTCONN);
    CHECK_EQ(w.calls.send(w.on.context, s, "x", 1), -EPIPE);
    CHECK_EQ(w.shutdown(s, SHUT_WR), -ENOTCONN);
    CHECK_EQ(w.accept(s), -EINVAL);
    CHECK_EQ(w.accept(r), -ENOTSOCK);
    CHECK_EQ(w.listen(r), -ENOTSOCK);
    CHECK_EQ(w.accept(99'999), -EBADF);
    CHECK_EQ(w.calls.socket(w.on.context, AF_INET, SOCK_DGRAM, 0), -EPROTONOSUPPORT);
    CHECK_EQ(w.calls.socket(w.on.context, 250, SOCK_STREAM, 0), -EAFNOSUPPORT);
    sockaddr_in6 const six = ipv6("::1", 80);
    CHECK_EQ(w.connect(s, six), -EAFNOSUPPORT);
    CHECK_EQ(w.calls.connect(w.on.context, s, generic(six), 4), -EINVAL);
    CHECK_EQ(w.set(s, IPPROTO_TCP, TCP_NODELAY, 1), 0);
    CHECK_EQ(w.get(s, IPPROTO_TCP, TCP_NODELAY), 1);
    CHECK_EQ(w.calls.kind_of(w.on.context, s), int{fd_tcp_socket});
    CHECK_EQ(w.calls.kind_of(w.on.context, wr), int{fd_pipe});
}

TEST("a simulated socket pair is two ways, and each side sees the other's shutdown and close") {
    network w;
    int a, b;
    std::tie(a, b) = *w.sim.make_socketpair();
    CHECK_EQ(*w.sim.write(a, "to b"), 4U);
    CHECK_EQ(*w.sim.write(b, "to a"), 4U);
    CHECK_EQ(w.take(a), "to a");
    CHECK_EQ(w.take(b), "to b");
    CHECK_EQ(w.watch(b, interest_read | interest_write), 0);
    CHECK_EQ(w.shutdown(a, SHUT_WR), 0);
    CHECK_EQ(w.ready(b), readable | out | in_closed);
    CHECK_EQ(*w.sim.write(b, "unread"), 6U);
    CHECK(w.sim.close(a).ok());
    CHECK_EQ(w.ready(b), readable | out | in_closed | hangup | err);
    char c;
    CHECK_EQ(w.calls.recv(w.on.context, b, &c, 1), -ECONNRESET);
    CHECK_EQ(w.calls.recv(w.on.context, b, &c, 1), 0);
}

TEST("with latency a simulated connection takes its time, and keeps its order") {
    network w({.seed = 7, .latency_from = 1ms, .latency_to = 20ms, .segment = 3});   // a seed by which not all come at once
    int const l = *w.sim.listen();
    auto const begin = w.sim.now();
    int const c = *w.sim.connect(*w.sim.port_of(l));
    CHECK_EQ(w.watch(c, interest_read | interest_write | interest_edge), 0);
    CHECK_EQ(w.wait(), 0);
    CHECK_EQ(w.wait_for_ever(), 1);
    CHECK(w.sim.now() - begin >= 1ms && w.sim.now() - begin <= 20ms);
    int const s = *w.sim.accept(l);
    CHECK_EQ(*w.sim.write(s, "in several pieces"), 17U);
    CHECK(w.sim.close(s).ok());
    std::string all;
    int pieces = 0;
    for (;;) {
        char piece[64];
        auto const got = w.sim.read(c, piece, sizeof piece);
        if (got) {
            all.append(piece, *got);
            ++pieces;
        } else if (got == spruce::error(errc::would_wait)) {
            REQUIRE(w.wait_for_ever() == 1);
        } else {
            CHECK(got == spruce::error(errc::end_of_stream));
            break;
        }
    }
    CHECK_EQ(all, "in several pieces");
    CHECK(pieces > 1);
}

TEST("a short simulated write is followed by a new edge") {
    network w({.short_writes = true});
    int c, s;
    std::tie(c, s) = w.connected();
    CHECK_EQ(w.watch(c, interest_read | interest_write | interest_edge), 0);
    CHECK_EQ(w.ready(c), out);
    CHECK_EQ(w.wait(), 0);
    std::string const text(1'000, 't');
    int shorter = 0;
    for (int i = 0; i != 20; ++i) {
        auto const took = w.sim.write(c, text);
        REQUIRE(took.ok());
        if (*took == text.size()) continue;
        ++shorter;
        CHECK_EQ(w.ready(c), out);
    }
    CHECK(shorter > 10);
    CHECK(w.drain(s) > 0);
}
