// How streams end, and what only looks like their end.
#include <cerrno>
#include <string>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "socket_pair.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

namespace {
error const reset = error::from_errno(ECONNRESET);

struct connection {
    tcp_stream client, served;
};
result<connection> connected() {
    SPRUCE_TRY(auto listener, tcp_listener::listen("127.0.0.1:0"));
    SPRUCE_TRY(auto client, tcp_stream::connect(listener.local()));
    SPRUCE_TRY(auto served, listener.accept());
    return connection{std::move(client), std::move(served)};
}
// Closes its end so that the other sees a reset.
void break_off(world& w, tcp_stream& s) {
    linger const at_once{1, 0};
    kernel& on = w.on();
    CHECK_EQ(on.calls->setsockopt(on.context, s.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    s.close();
}
}  // namespace

TEST("a reset stays a reset to every read, whoever was told of it first, and to writes") {
    for (bool write_first : {false, true}) {
        world w;
        auto r = run(w.options(), [&]() -> result<void> {
            SPRUCE_TRY(auto both, connected());
            auto& [client, served] = both;
            break_off(w, served);
            SPRUCE_CHECK(sleep_for(1ms));
            char room[16];
            if (write_first) CHECK(client.write("x") == reset);
            for (int i = 0; i != 3; ++i) CHECK(client.read(room) == reset);
            CHECK(client.write("x") == reset);
            CHECK(client.write_some("x") == reset);
            reader lines(client);
            CHECK(lines.read_line() == reset);
            CHECK(lines.read_exactly(1) == reset);
            return {};
        });
        CHECK(r.ok());
    }
}

TEST("what had come before a reset is read before it, also when a write was told of it first") {
    if (harness::cut_short()) harness::skip("it reads all at once");
    world w;
    auto r = run(w.options(), [&]() -> result<void> {
        SPRUCE_TRY(auto both, connected());
        auto& [client, served] = both;
        SPRUCE_CHECK(served.write("half a mess"));
        SPRUCE_CHECK(sleep_for(1ms));
        break_off(w, served);
        SPRUCE_CHECK(sleep_for(1ms));
        CHECK(client.write("x") == reset);
        reader lines(client);
        CHECK(lines.read_line() == reset);
        CHECK_EQ(lines.buffered(), "half a mess");
        CHECK(lines.read_line() == reset);
        return {};
    });
    CHECK(r.ok());
}

TEST("a local socket whose peer left bytes unread says so to every read") {
    world w;
    auto r = run(w.options(), [&]() -> result<void> {
        socket_pair ends(w);
        SPRUCE_TRY(auto a, ends.first());
        SPRUCE_CHECK(a.write("unread"));
        CHECK_EQ(ends.write_second("ab"), 2);
        CHECK_EQ(ends.close_second(), 0);
        char room[16];
        reader in_a(a);
        CHECK_EQ(in_a.read_exactly(2).value_or("?"), "ab");
        for (int i = 0; i != 3; ++i) CHECK(a.read(room) == reset);
        CHECK(in_a.read_some() == reset);
        CHECK(a.write("x") == reset);
        return {};
    });
    CHECK(r.ok());
}

TEST("an end that was read stays the end, though the connection is reset afterwards") {
    world w;
    auto r = run(w.options(), [&]() -> result<void> {
        SPRUCE_TRY(auto both, connected());
        auto& [client, served] = both;
        SPRUCE_CHECK(served.shut_write());
        char room[16];
        CHECK(client.read(room) == errc::end_of_stream);
        break_off(w, served);
        SPRUCE_CHECK(sleep_for(1ms));
        CHECK(!client.write("x").ok());
        for (int i = 0; i != 3; ++i) CHECK(client.read(room) == errc::end_of_stream);
        return {};
    });
    CHECK(r.ok());
}

TEST("a FIFO has no end before a writer has come, and one each time that the last has gone") {
    world w;
    testing::simulation sim(harness::as_asked());
    auto options = w.options();
    if (harness::simulated()) options.on = sim.on();
    struct fifo {
        std::string path;
        ~fifo() {
            if (!path.empty()) ::unlink(path.c_str());
        }
    } named;
    harness::owned_fd read_end;
    if (harness::simulated()) {
        read_end = harness::owned_fd(sim.make_fifo().value_or(-1), *options.on);
    } else {
        std::string const path = "/tmp/spruce-fifo-" + std::to_string(::getpid());
        REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
        named.path = path;
        read_end = harness::owned_fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC), *options.on);
    }
    int const fd = *read_end;
    REQUIRE(fd >= 0);
    auto const open_writer = [&] {
        return harness::simulated() ? sim.open_writer(fd).value_or(-1) : ::open(named.path.c_str(), O_WRONLY | O_CLOEXEC);
    };
    auto r = run(options, [&]() -> result<void> {
        SPRUCE_TRY(auto in_, read_end.adopt());
        kernel& on = *options.on;
        char room[8];
        CHECK(in_.read(room, in(0s)) == errc::timed_out);
        CHECK(in_.read(room, in(1ms)) == errc::timed_out);
        for (int writer = 0; writer != 2; ++writer) {
            task_group members;
            auto reads = members.spawn([&]() -> result<std::string> {
                std::string got;
                char mine[8];
                for (;;) {
                    auto n = in_.read(mine, in(5s));
                    if (n == errc::end_of_stream && (writer == 0 || !got.empty())) return got;
                    if (n == errc::end_of_stream) {   // the first one's: still so until the next comes
                        SPRUCE_CHECK(sleep_for(1ms));
                        continue;
                    }
                    if (!n) return n.error();
                    got.append(mine, *n);
                }
            });
            SPRUCE_CHECK(sleep_for(2ms));
            CHECK(!reads.done());
            harness::owned_fd out(open_writer(), on);
            REQUIRE(*out >= 0);
            SPRUCE_CHECK(sleep_for(2ms));
            CHECK(!reads.done());
            CHECK_EQ(on.calls->write(on.context, *out, "hello", 5), 5);
            SPRUCE_CHECK(sleep_for(1ms));
            CHECK_EQ(out.close(), 0);
            CHECK_EQ(reads.get().value_or("?"), "hello");
        }
        CHECK(in_.read(room) == errc::end_of_stream);
        return {};
    });
    CHECK(r.ok());
}

TEST("a FIFO's writer that comes and goes without a byte is its end") {
    testing::simulation sim(harness::as_asked());
    auto r = run(loop_options{.on = sim.on()}, [&]() -> result<void> {
        SPRUCE_TRY(int const fifo, sim.make_fifo());
        SPRUCE_TRY(auto in_, stream::adopt(fifo));
        auto reads = spawn([&] {
            char room[8];
            return in_.read(room);
        });
        SPRUCE_CHECK(sleep_for(1ms));
        CHECK(!reads.done());
        SPRUCE_TRY(int const writer, sim.open_writer(fifo));
        SPRUCE_CHECK(sleep_for(1ms));
        CHECK(!reads.done());
        CHECK(sim.open_writer(fifo) == error::from_errno(EINVAL));
        CHECK(sim.close(writer).ok());
        CHECK(reads.get() == errc::end_of_stream);
        return {};
    });
    CHECK(r.ok());
}

namespace {
struct terminal {
    harness::owned_fd master{::posix_openpt(O_RDWR | O_NOCTTY)};
    harness::owned_fd slave;
    terminal() {
        if (harness::simulated()) harness::skip("the real kernel's terminals");
        if (*master < 0 || ::grantpt(*master) != 0 || ::unlockpt(*master) != 0) harness::skip("no pseudo-terminals here");
        slave = harness::owned_fd(::open(::ptsname(*master), O_RDWR | O_NOCTTY));
        REQUIRE(*slave >= 0);
    }
};
}  // namespace

TEST("a terminal whose other side has gone has ended, after what had come") {
    terminal t;
    world w;
    auto r = run(w.options(), [&]() -> result<void> {
        SPRUCE_TRY(auto master, t.master.adopt());
        task_group members;
        auto reads = members.spawn([&]() -> result<std::string> {
            std::string got;
            char room[8];
            for (;;) {
                auto n = master.read(room, in(5s));
                if (n == errc::end_of_stream) return got;
                if (!n) return n.error();
                got.append(room, *n);
            }
        });
        SPRUCE_CHECK(sleep_for(1ms));
        CHECK_EQ(::write(*t.slave, "bye", 3), 3);
        SPRUCE_CHECK(sleep_for(1ms));
        t.slave.close();
        CHECK_EQ(reads.get().value_or("?"), "bye");
        char room[8];
        CHECK(master.read(room) == errc::end_of_stream);
        return {};
    });
    CHECK(r.ok());
}

TEST("a terminal's line that was hung up has ended; one whose reads take what is there has not") {
    terminal t;
    world w;
    auto r = run(w.options(), [&]() -> result<void> {
        termios raw{};
        REQUIRE(::tcgetattr(*t.slave, &raw) == 0);
        ::cfmakeraw(&raw);
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;
        REQUIRE(::tcsetattr(*t.slave, TCSANOW, &raw) == 0);
        SPRUCE_TRY(auto slave, t.slave.adopt());
        char room[8];
        CHECK(slave.read(room, in(1ms)) == errc::timed_out);   // the system's read gives 0 bytes
        task_group members;
        auto reads = members.spawn([&] {
            char mine[8];
            return slave.read(mine, in(5s));
        });
        SPRUCE_CHECK(sleep_for(1ms));
        CHECK(!reads.done());
        CHECK_EQ(::write(*t.master, "x", 1), 1);
        CHECK_EQ(reads.get().value_or(0), 1U);
        t.master.close();
        CHECK(slave.read(room, in(5s)) == errc::end_of_stream);
        return {};
    });
    CHECK(r.ok());
}

TEST("an end of file that is typed at a terminal ends one read") {
    if (harness::cut_short()) harness::skip("it reads a line at once");
    terminal t;
    world w;
    auto r = run(w.options(), [&]() -> result<void> {
        SPRUCE_TRY(auto slave, t.slave.adopt());
        char room[8];
        CHECK_EQ(::write(*t.master, "\x04", 1), 1);
        CHECK(slave.read(room, in(5s)) == errc::end_of_stream);
        CHECK_EQ(::write(*t.master, "on\n", 3), 3);
        CHECK_EQ(slave.read(room, in(5s)).value_or(0), 3U);
        return {};
    });
    CHECK(r.ok());
}
