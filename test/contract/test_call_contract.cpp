// What the calls of a kernel owe, apart from its pollers: the system's and the simulated one's, side by side.
#include <arpa/inet.h>
#include <csignal>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>

#include "poller_subject.hpp"

using namespace contract;

namespace {
int signals_seen = 0;

struct sockets {
    explicit sockets(subject& of) : s(of), on(of.on()), calls(*of.on().calls) {}
    int socket() { return s.keep(calls.socket(on.context, AF_INET, SOCK_STREAM, 0)); }
    // A listener with room for one that it has not accepted, and its address.
    int listen() {
        int const fd = socket();
        sockaddr_in any{};
        any.sin_family = AF_INET;
        any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(calls.bind(on.context, fd, reinterpret_cast<sockaddr*>(&any), sizeof any) == 0);
        REQUIRE(calls.listen(on.context, fd, 0) == 0);
        unsigned length = sizeof address;
        REQUIRE(calls.getsockname(on.context, fd, reinterpret_cast<sockaddr*>(&address), &length) == 0);
        return fd;
    }
    int connect(int fd) { return calls.connect(on.context, fd, reinterpret_cast<sockaddr*>(&address), sizeof address); }
    int accept(int fd) {
        sockaddr_in from{};
        unsigned length = sizeof from;
        return calls.accept(on.context, fd, reinterpret_cast<sockaddr*>(&from), &length);
    }
    int shutdown(int fd, int how) { return calls.shutdown(on.context, fd, how); }
    int error_of(int fd) {
        int value = -1;
        unsigned length = sizeof value;
        CHECK_EQ(calls.getsockopt(on.context, fd, SOL_SOCKET, SO_ERROR, &value, &length), 0);
        return value;
    }
    ssize recv(int fd) {
        char byte;
        return calls.recv(on.context, fd, &byte, 1);
    }
    ssize send(int fd) { return calls.send(on.context, fd, "x", 1); }
    unsigned ready(int fd) {
        CHECK_EQ(s.change(fd, 1, interest_none, interest_read | interest_write), 0);
        unsigned const is = s.ready(fd, 1);
        CHECK_EQ(s.change(fd, 1, interest_read | interest_write, interest_none), 0);
        return is;
    }
    // One whose connect stays under way for want of room.
    int connecting() {
        for (;;) {
            int const fd = socket();
            CHECK_EQ(connect(fd), -EINPROGRESS);
            // The system's loopback is done at once, or waits.
            if (ready(fd) == 0) return fd;
            REQUIRE(++queued < 8);
        }
    }
    subject& s;
    kernel& on;
    kernel_calls const& calls;
    sockaddr_in address{};
    int queued = 0;
};
}  // namespace

#define KERNEL_TEST(name)                                              \
    static void HARNESS_JOIN(contract_, __LINE__)(subject & s);        \
    CONTRACT_CASE(name, epoll)                                         \
    CONTRACT_CASE(name, simulated)                                     \
    static void HARNESS_JOIN(contract_, __LINE__)(subject & s)

KERNEL_TEST("a socket that is shut down while it connects is told so once, and may connect anew") {
    for (int const how : {SHUT_RD, SHUT_WR, SHUT_RDWR}) {
        sockets n(s);
        n.listen();
        int const c = n.connecting();
        CHECK_EQ(n.shutdown(c, how), 0);
        CHECK_EQ(n.ready(c), unsigned{ready_write | ready_error | ready_hangup});
        // Whoever asks first is told, by whatever it asks.
        if (how == SHUT_RD) CHECK_EQ(n.error_of(c), ECONNRESET);
        if (how == SHUT_WR) CHECK_EQ(n.recv(c), -ECONNRESET);
        if (how == SHUT_RDWR) CHECK_EQ(n.send(c), -ECONNRESET);
        CHECK_EQ(n.ready(c), unsigned{ready_write | ready_hangup});
        CHECK_EQ(n.recv(c), -ENOTCONN);
        CHECK_EQ(n.send(c), -EPIPE);
        CHECK_EQ(n.error_of(c), 0);
        // Nothing of the first attempt arrives any more.
        CHECK_EQ(n.connect(c), -EINPROGRESS);
        CHECK_EQ(n.ready(c), 0U);
        CHECK_EQ(n.connect(c), -EALREADY);
    }
}

KERNEL_TEST("a shutdown of a socket that was never connected is refused, and shows nevertheless") {
    sockets n(s);
    for (int const how : {SHUT_RD, SHUT_WR, SHUT_RDWR}) {
        int const fd = n.socket();
        CHECK_EQ(n.shutdown(fd, how), -ENOTCONN);
        unsigned const in = how == SHUT_WR ? 0U : unsigned{ready_read | ready_read_closed};
        CHECK_EQ(n.ready(fd), ready_write | ready_hangup | in);
        CHECK_EQ(n.recv(fd), how == SHUT_WR ? -ENOTCONN : 0);
        CHECK_EQ(n.send(fd), -EPIPE);
    }
}

KERNEL_TEST("a write to a broken pipe or socket raises SIGPIPE for the thread that writes; a send raises nothing") {
    struct sigaction counting {}, before {};
    counting.sa_handler = [](int) { ++signals_seen; };
    ::sigaction(SIGPIPE, &counting, &before);
    kernel& on = s.on();
    auto const [reader, writer] = s.pipe();
    auto const [near, far] = s.sockets();
    s.close(reader);
    s.close(far);
    spruce::detail::io_slice const slice{"x", 1};
    signals_seen = 0;
    CHECK_EQ(on.calls->write(on.context, writer, "x", 1), -EPIPE);
    CHECK_EQ(signals_seen, 1);
    CHECK_EQ(on.calls->writev(on.context, writer, &slice, 1), -EPIPE);
    CHECK_EQ(signals_seen, 2);
    CHECK_EQ(on.calls->write(on.context, near, "x", 1), -EPIPE);
    CHECK_EQ(signals_seen, 3);
    CHECK_EQ(on.calls->send(on.context, near, "x", 1), -EPIPE);
    CHECK_EQ(on.calls->sendv(on.context, near, &slice, 1), -EPIPE);
    CHECK_EQ(signals_seen, 3);
    ::sigaction(SIGPIPE, &before, nullptr);
}

KERNEL_TEST("an fd made to block waits: a read for bytes, a write for room until all is written, an accept for a connect") {
    if (harness::interrupted()) harness::skip("its calls block, and are interrupted");
    kernel& on = s.on();
    kernel_calls const& calls = *on.calls;
    pair_of const pipe = s.pipe();
    int const reader = pipe.a, writer = pipe.b;
    sockets n(s);
    int const l = n.listen(), c = n.socket();
    for (int const fd : {reader, writer, l, c}) CHECK_EQ(calls.set_nonblocking(on.context, fd, false), 0);
    // More than the pipe holds, so that the writer waits for the reader, and the reader at the end for the writer.
    std::vector<char> const sent(1'000'000, 'x');
    std::thread other([&] {
        spruce::detail::io_slice const parts[] = {{sent.data(), 1}, {sent.data() + 1, sent.size() - 1}};
        CHECK_EQ(calls.writev(on.context, writer, parts, 2), static_cast<ssize>(sent.size()));
        CHECK_EQ(n.connect(c), 0);
    });
    std::vector<char> got(sent.size());
    for (std::size_t have = 0; have != got.size();) {
        ssize const took = calls.read(on.context, reader, got.data() + have, 5'000 < got.size() - have ? 5'000 : got.size() - have);
        REQUIRE(took > 0);
        have += static_cast<std::size_t>(took);
    }
    CHECK(got == sent);
    s.keep(n.accept(l));
    other.join();
    // And not any more, once it is made not to.
    CHECK_EQ(calls.set_nonblocking(on.context, reader, true), 0);
    char byte;
    CHECK_EQ(calls.read(on.context, reader, &byte, 1), -EAGAIN);
}
