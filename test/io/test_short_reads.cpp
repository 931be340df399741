// Reads that give less than there was room for. Where the system keeps apart what was written, or may begin to do so, such a
// read says nothing of what is left; where it does say that nothing is, the next read is spared.
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "../harness/kernel_between.hpp"
#include "socket_pair.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

namespace {
// Has the reader of a stream over `ends.first` wait for its first byte, so that it is registered, then `send` all at once
// into the other end, and reads until it has `all`.
template <class Send> void reads_all(world& w, harness::owned_pair ends, std::string_view all, Send send) {
    auto r = run(w.options(), [&]() -> result<void> {
        SPRUCE_TRY(auto made, ends.first.adopt());
        task_group members;
        auto reads = members.spawn([&]() -> result<std::string> {
            std::string got;
            char room[64];
            while (got.size() < all.size()) {
                SPRUCE_TRY(std::size_t n, made.read(room, in(2s)));
                got.append(room, n);
            }
            return got;
        });
        SPRUCE_CHECK(sleep_for(1ms));
        send(*ends.second);
        auto got = reads.get();
        CHECK(got.ok());
        if (got) CHECK_EQ(*got, all);
        return {};
    });
    CHECK(r.ok());
}

void send_with_fd(int into, std::string_view text) {
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    iovec piece{const_cast<char*>(text.data()), text.size()};
    msghdr m{};
    m.msg_iov = &piece;
    m.msg_iovlen = 1;
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    cmsghdr* const c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    int const fd = 2;
    std::memcpy(CMSG_DATA(c), &fd, sizeof fd);
    CHECK_EQ(::sendmsg(into, &m, 0), static_cast<ssize_t>(text.size()));
}

void need_real_kernel() {
    if (harness::simulated()) harness::skip("the real kernel's fds");
}
}  // namespace

TEST("what a local socket keeps apart is read to its last byte") {
    testing::simulation sim(harness::as_asked({.keep_apart = true}));
    auto r = run(loop_options{.on = sim.on()}, [&]() -> result<void> {
        SPRUCE_TRY(auto ends, sim.make_socketpair());
        SPRUCE_TRY(auto in_, stream::adopt(ends.first));
        auto reads = spawn([&]() -> result<std::string> {
            std::string got;
            char room[64];
            while (got.size() != 6) {
                SPRUCE_TRY(std::size_t n, in_.read(room, in(2s)));
                got.append(room, n);
            }
            return got;
        });
        SPRUCE_CHECK(sleep_for(1ms));
        for (char const* part : {"ab", "cd", "ef"}) CHECK_EQ(sim.write(ends.second, part).value_or(0), 2U);
        CHECK_EQ(reads.get().value_or("?"), "abcdef");
        CHECK(sim.close(ends.second).ok());
        return {};
    });
    CHECK(r.ok());
}

TEST("descriptors that a local peer sends beside bytes hide none of the bytes behind them") {
    need_real_kernel();
    world w;
    reads_all(w, {w.sockets(), w.on()}, "abcdef", [](int fd) {
        send_with_fd(fd, "ab");
        send_with_fd(fd, "cd");
        CHECK_EQ(::send(fd, "ef", 2, 0), 2);
    });
}

#if defined(SO_PASSCRED)
TEST("credentials that a local socket asks for hide none of the bytes of another writer") {
    need_real_kernel();
    world w;
    auto ends = w.sockets();
    reads_all(w, {ends, w.on()}, "abcd", [&](int fd) {
        CHECK_EQ(::send(fd, "ab", 2, 0), 2);   // without them, and so another's
        int const yes = 1;
        CHECK_EQ(::setsockopt(ends.first, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes), 0);
        CHECK_EQ(::send(fd, "cd", 2, 0), 2);
    });
}
#endif

#if defined(O_DIRECT) && defined(__linux__)
TEST("a packet pipe is read to its last packet, also one that became it after it was adopted") {
    need_real_kernel();
    if (harness::cut_short()) harness::skip("a packet that is cut is lost");
    world w;
    for (bool late : {false, true}) {
        int ends[2];
        REQUIRE(::pipe2(ends, O_NONBLOCK | O_CLOEXEC | (late ? 0 : O_DIRECT)) == 0);
        reads_all(w, harness::owned_pair(ends), "abcdef", [&](int fd) {
            if (late) CHECK_EQ(::fcntl(fd, F_SETFL, O_NONBLOCK | O_DIRECT), 0);
            for (char const* part : {"ab", "cd", "ef"}) CHECK_EQ(::write(fd, part, 2), 2);
        });
    }
}
#endif

TEST("packet sockets are read packet by packet, to the last, and written likewise") {
    need_real_kernel();
    if (harness::cut_short()) harness::skip("a packet that is cut is lost");
    for (int type : {SOCK_SEQPACKET, SOCK_DGRAM}) {
        world w;
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, type, 0, ends) == 0);
        harness::owned_pair pair(ends);
        auto r = run(w.options(), [&]() -> result<void> {
            SPRUCE_TRY(auto in_, pair.first.adopt());
            SPRUCE_TRY(auto out, pair.second.adopt());
            task_group members;
            auto reads = members.spawn([&]() -> result<std::string> {
                std::string got;
                char room[64];
                for (int i = 0; i != 3; ++i) {
                    SPRUCE_TRY(std::size_t n, in_.read(room, in(2s)));
                    got.append(room, n).append("|");
                }
                return got;
            });
            SPRUCE_CHECK(sleep_for(1ms));
            SPRUCE_CHECK(out.write("ab"));
            CHECK_EQ(out.write_some("cde").value_or(0), 3U);
            const_bytes const parts[] = {"f", "", "gh"};
            SPRUCE_CHECK(out.write(parts));   // one packet, too
            CHECK_EQ(reads.get().value_or("?"), "ab|cde|fgh|");
            return {};
        });
        CHECK(r.ok());
    }
}

TEST("a terminal's lines come one by one, to the last") {
    need_real_kernel();
    world w;
    int const master = ::posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || ::grantpt(master) != 0 || ::unlockpt(master) != 0) harness::skip("no pseudo-terminals here");
    int const slave = ::open(::ptsname(master), O_RDWR | O_NOCTTY);
    REQUIRE(slave >= 0);
    reads_all(w, harness::owned_pair({slave, master}), "one\ntwo\nthree\n", [](int fd) { CHECK_EQ(::write(fd, "one\ntwo\nthree\n", 14), 14); });
}

namespace {
// How many reads ten messages take, of a reader that is faster than its writer.
long reads_of_ten(harness::kernel_between& k, stream& from, stream& to) {
    auto const count = [&k] { return k.times("read") + k.times("recv"); };
    long const before = count();
    for (int i = 0; i != 10; ++i) {
        auto reads = spawn([&] {
            char room[64];
            return from.read(room);
        });
        CHECK(yield().ok());   // it waits before anything comes
        CHECK(to.write("hello").ok());
        CHECK_EQ(reads.get().value_or(0), 5U);
    }
    return count() - before;
}
}  // namespace

TEST("a short read spares the next one: of TCP, where urgent data is marked, and of our own pipes") {
    if (harness::cut_short()) harness::skip("it counts reads");
    world w;
    harness::kernel_between k(w.on());
    auto options = w.options();
    options.on = k.on();
    auto r = run(options, [&]() -> result<void> {
        SPRUCE_TRY(auto pipe, make_pipe());
        CHECK_EQ(reads_of_ten(k, pipe.read_end, pipe.write_end), 11);   // the first looks
        SPRUCE_TRY(auto listener, tcp_listener::listen("127.0.0.1:0"));
        SPRUCE_TRY(auto client, tcp_stream::connect(listener.local()));
        SPRUCE_TRY(auto served, listener.accept());
        CHECK_EQ(reads_of_ten(k, served, client), harness::kqueue() ? 20 : 11);
        CHECK_EQ(reads_of_ten(k, client, served), harness::kqueue() ? 20 : 11);
        // The same socket, adopted, is what it was; the same pipe may have been changed by whoever had it.
        SPRUCE_TRY(int const socket, served.release());
        harness::owned_fd fd(socket, w.on());
        SPRUCE_TRY(auto again, fd.adopt());
        CHECK_EQ(reads_of_ten(k, again, client), harness::kqueue() ? 20 : 11);
        SPRUCE_TRY(int const read_end, pipe.read_end.release());
        harness::owned_fd end(read_end, w.on());
        SPRUCE_TRY(auto adopted, end.adopt());
        CHECK_EQ(reads_of_ten(k, adopted, pipe.write_end), 20);
        return {};
    });
    CHECK(r.ok());
}
