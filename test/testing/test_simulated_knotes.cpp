// When the model of kqueue asks its filters: which edges come again, which do not come at all, and what becomes of a
// registration whose pipe is over. As the BSDs' own kernels do it; where they differ, each its way.
#include <sys/socket.h>

#include "../sys/queue_world.hpp"

namespace {
constexpr unsigned reading = 1, writing = 2;

std::size_t fill(queue_world& w, int fd) {
    std::string const block(4'096, 'x');
    std::size_t all = 0;
    while (auto const took = w.sim.write(fd, block)) all += *took;
    return all;
}
std::size_t read_some(queue_world& w, int fd, std::size_t most = 65'536) {
    std::string room(most, '\0');
    auto const got = w.sim.read(fd, room.data(), room.size());
    return got ? *got : 0;
}
int shutdown(queue_world& w, int fd, int how) { return w.sim.on()->calls->shutdown(&w.kernel_of(), fd, how); }
// The client's and the server's end.
std::pair<int, int> tcp(queue_world& w) {
    int const listener = *w.sim.listen();
    int const client = *w.sim.connect(*w.sim.port_of(listener));
    int const server = *w.sim.accept(listener);
    REQUIRE(w.sim.close(listener).ok());
    return {client, server};
}
// Which filters of an fd tell something now.
unsigned told(queue_world& w, int fd) {
    unsigned which = 0;
    for (auto const& e : w.take())
        if (e.ident == static_cast<std::uintptr_t>(fd)) which |= e.filter == rd ? reading : writing;
    return which;
}
}  // namespace

TEST("model of kqueue: an edge of a pipe comes again after each read that leaves something and each write that leaves room") {
    for (kqueue_of const of : each) {
        queue_world w(of);
        auto const [out, in] = w.pipe();
        CHECK_EQ(w.change(out, rd, add | clear), 0);
        CHECK_EQ(w.change(in, wr, add | clear), 0);
        CHECK_EQ(told(w, in), writing);
        REQUIRE(w.sim.write(in, "abc").ok());
        auto const both = w.take();
        CHECK_EQ(both.size(), 2U);
        CHECK(w.take().empty());
        CHECK_EQ(read_some(w, out, 1), 1U);
        CHECK_EQ(w.take().size(), 2U);
        CHECK_EQ(read_some(w, out), 2U);
        CHECK_EQ(told(w, out), 0U);   // but not when it is empty
        CHECK(fill(w, in) != 0);
        CHECK_EQ(told(w, out), reading);   // nor a write's when it is full
        CHECK(w.take().empty());
    }
}

TEST("model of kqueue: a pipe that is over tells its end again after a read, and, but on FreeBSD, after one for nothing") {
    for (kqueue_of const of : each) {
        queue_world w(of);
        auto const [out, in] = w.pipe();
        CHECK_EQ(w.change(out, rd, add | clear), 0);
        REQUIRE(w.sim.write(in, "abc").ok());
        REQUIRE(w.sim.close(in).ok());
        CHECK_EQ(told(w, out), reading);
        CHECK(w.take().empty());
        CHECK_EQ(read_some(w, out), 3U);
        CHECK_EQ(told(w, out), reading);
        CHECK_EQ(read_some(w, out), 0U);
        CHECK_EQ(told(w, out), of == kqueue_of::freebsd ? 0U : reading);
        CHECK(w.take().empty());
    }
}

TEST("model of kqueue: a full pipe's writer hears nothing of its reader's end but on FreeBSD; its read filter does") {
    for (kqueue_of const of : each) {
        for (unsigned const how : {add, add | clear}) {
            queue_world w(of);
            auto const [out, in] = w.pipe();
            CHECK(fill(w, in) != 0);
            CHECK_EQ(w.change(in, wr, how), 0);
            CHECK_EQ(w.change(in, rd, how), 0);
            CHECK(w.take().empty());
            REQUIRE(w.sim.close(out).ok());
            CHECK_EQ(told(w, in), of == kqueue_of::freebsd ? reading | writing : reading);
            // FreeBSD has dropped the write filter, and makes no other; the others keep it, and tell when they are asked.
            CHECK_EQ(told(w, in), how == add ? reading : 0U);
            CHECK_EQ(w.change(in, wr, how), of == kqueue_of::freebsd ? -EPIPE : 0);
            CHECK_EQ(told(w, in) & writing, of == kqueue_of::freebsd ? 0U : writing);
        }
    }
}

TEST("model of kqueue: a pipe's writer with room is told of its reader's end, on FreeBSD once and on the others as a level") {
    for (kqueue_of const of : each) {
        queue_world w(of);
        auto const [out, in] = w.pipe();
        CHECK_EQ(w.change(in, wr, add), 0);
        CHECK_EQ(told(w, in), writing);
        REQUIRE(w.sim.close(out).ok());
        auto const got = w.take();
        REQUIRE(got.size() == 1);
        CHECK((got[0].flags & kevent_eof) != 0);
        CHECK_EQ(told(w, in), of == kqueue_of::freebsd ? 0U : writing);
        CHECK_EQ(w.change(in, wr, drop), of == kqueue_of::freebsd ? -ENOENT : 0);
    }
}

TEST("model of kqueue: of connections that wait still an accept tells again on FreeBSD, and of none that is left nowhere") {
    for (kqueue_of const of : each) {
        queue_world w(of);
        int const listener = *w.sim.listen();
        CHECK_EQ(w.change(listener, rd, add | clear), 0);
        auto const port = *w.sim.port_of(listener);
        REQUIRE(w.sim.connect(port).ok() && w.sim.connect(port).ok());
        CHECK_EQ(told(w, listener), reading);
        REQUIRE(w.sim.accept(listener).ok());
        CHECK_EQ(told(w, listener), of == kqueue_of::freebsd ? reading : 0U);
        REQUIRE(w.sim.accept(listener).ok());
        CHECK(w.take().empty());
    }
}

TEST("model of kqueue: TCP's end tells the reader only, a reset and a local close both, and own halves that are shut their own") {
    for (kqueue_of const of : each) {
        queue_world w(of);
        auto const watch = [&](int fd) {
            CHECK_EQ(w.change(fd, rd, add | clear), 0);
            CHECK_EQ(w.change(fd, wr, add | clear), 0);
            CHECK_EQ(told(w, fd), writing);
        };
        auto const [client, server] = tcp(w);
        watch(server);
        REQUIRE(w.sim.close(client).ok());
        CHECK_EQ(told(w, server), reading);
        auto const [other, reset] = tcp(w);
        watch(reset);
        REQUIRE(w.sim.reset(other).ok());
        CHECK_EQ(told(w, reset), reading | writing);
        auto const [a, b] = *w.sim.make_socketpair();
        watch(a);
        REQUIRE(w.sim.close(b).ok());
        CHECK_EQ(told(w, a), reading | writing);

        auto const [here, there] = tcp(w);
        watch(here);
        CHECK_EQ(shutdown(w, here, SHUT_WR), 0);
        CHECK_EQ(told(w, here), writing);
        CHECK_EQ(shutdown(w, here, SHUT_RD), 0);
        CHECK_EQ(told(w, here), reading);
        REQUIRE(w.sim.close(there).ok());
    }
}

TEST("model of kqueue: own shutdowns of a full local socket are told to this side, and to the other what follows for it") {
    for (kqueue_of const of : each) {
        queue_world w(of);
        auto const [a, b] = *w.sim.make_socketpair();
        CHECK(fill(w, a) != 0);
        for (int const fd : {a, b}) {
            CHECK_EQ(w.change(fd, rd, add | clear), 0);
            CHECK_EQ(w.change(fd, wr, add | clear), 0);
        }
        CHECK_EQ(w.take().size(), 2U);   // the other may read and write
        CHECK_EQ(shutdown(w, a, SHUT_WR), 0);
        unsigned const reader_of_b = 1, writer_of_a = 2;
        unsigned seen = 0;
        for (auto const& e : w.take()) {
            CHECK((e.flags & kevent_eof) != 0);
            seen |= e.ident == static_cast<std::uintptr_t>(a) && e.filter == wr ? writer_of_a : 0;
            seen |= e.ident == static_cast<std::uintptr_t>(b) && e.filter == rd ? reader_of_b : 0;
        }
        CHECK_EQ(seen, reader_of_b | writer_of_a);
        CHECK_EQ(shutdown(w, a, SHUT_RD), 0);
        CHECK_EQ(told(w, a), reading);
    }
}

TEST("model of kqueue: a queue counts as readable while a level that was told stands in its line, though its cause is gone") {
    for (kqueue_of const of : each) {
        for (unsigned const how : {add, add | clear}) {
            queue_world w(of);
            auto const [out, in] = w.pipe();
            CHECK_EQ(w.change(out, rd, how), 0);
            REQUIRE(w.sim.write(in, "x").ok());
            CHECK_EQ(w.calls.sleep(&w.kernel_of(), w.fd, 1'000), 1);
            CHECK_EQ(told(w, out), reading);
            CHECK_EQ(read_some(w, out), 1U);
            CHECK_EQ(w.calls.sleep(&w.kernel_of(), w.fd, 1'000), how == add ? 1 : 0);
            CHECK(w.take().empty());
            CHECK_EQ(w.calls.sleep(&w.kernel_of(), w.fd, 1'000), 0);
        }
    }
}

TEST("model of kqueue: a read ends before urgent data, and what lies behind it is no news") {
    for (kqueue_of const of : each) {
        queue_world w(of);
        auto const [client, server] = tcp(w);
        CHECK_EQ(w.change(server, rd, add | clear), 0);
        REQUIRE(w.sim.write(client, "abc").ok());
        REQUIRE(w.sim.send_urgent(client).ok());
        REQUIRE(w.sim.write(client, "de").ok());
        CHECK_EQ(told(w, server), reading);
        CHECK_EQ(read_some(w, server), 3U);
        CHECK(w.take().empty());
        CHECK_EQ(read_some(w, server), 2U);
    }
}
