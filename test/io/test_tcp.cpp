#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <sys/resource.h>
#include <vector>
#include <fcntl.h>
#include <unistd.h>

#include <spruce/faults.hpp>

#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

TEST("addresses are read and written alike, and what is wrong with one is said") {
    for (char const* good : {"127.0.0.1:80", "[::1]:8080", "0.0.0.0:0", "/run/x.sock", "@abstract", "255.255.255.255:65535"}) {
        auto a = address::parse(good);
        CHECK(a.ok());
        if (a) CHECK_EQ(a->text(), good);
    }
    CHECK_EQ(address::parse("localhost:1")->text(), "127.0.0.1:1");
    CHECK_EQ(address::parse("*:1")->text(), "0.0.0.0:1");
    CHECK_EQ(address::parse(":1")->text(), "0.0.0.0:1");
    CHECK_EQ(address::parse("[::1]:443")->port(), 443);
    for (char const* bad : {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:8x", "::1:80", "[::1:80", "[::g]:80", "example.org:80", "1.2.3:80",
                            "127.0.0.1:-1", "[]:1", "[fe80::1%nowhere]:1"}) {
        auto a = address::parse(bad);
        CHECK(a == errc::invalid_argument);
        if (!a) CHECK(a.error().detail()[0] != '\0');
    }
    using namespace std::string_view_literals;
    for (std::string_view const hidden : {"127.0.0.1\0x:80"sv, "[::1\0x]:80"sv, "/a\0b"sv})
        CHECK(address::parse(hidden) == errc::invalid_argument);
    CHECK(address::parse("/" + std::string(200, 'x')) == errc::too_long);
    CHECK_EQ(address().text(), "");
    CHECK_EQ(address().port(), 0);
}

TEST("addresses of IPv6 are written as the system writes them") {
    // Runs of zeros of every length at every place, and what could be taken for an IPv4 address.
    for (unsigned pattern = 0; pattern < 0x100; ++pattern) {
        for (unsigned filling : {0xffffu, 0x1u, 0xab0u}) {
            unsigned char bytes[16] = {};
            for (unsigned i = 0; i != 8; ++i) {
                if ((pattern >> i & 1) == 0) continue;
                bytes[2 * i] = static_cast<unsigned char>(filling >> 8);
                bytes[2 * i + 1] = static_cast<unsigned char>(filling & 0xff);
            }
            char theirs[INET6_ADDRSTRLEN + 8] = "[";
            ::inet_ntop(AF_INET6, bytes, theirs + 1, INET6_ADDRSTRLEN);
            std::strcat(theirs, "]:443");
            auto const ours = address::parse(theirs);
            CHECK(ours.ok());
            if (ours) CHECK_EQ(std::string_view(ours->text()), std::string_view(theirs));
        }
    }
}

TEST("many clients talk to one server, each byte comes back") {
    world w;
    auto r = run(w.options(), []() -> result<void> {
        SPRUCE_TRY(auto listener, tcp_listener::listen("127.0.0.1:0"));
        CHECK(listener.local().port() != 0);
        auto server = spawn([&] {
            while (auto peer = listener.accept()) {
                spawn([](tcp_stream s) {
                    char room[1024];
                    while (auto n = s.read(room))
                        if (!s.write(std::string_view(room, *n))) break;
                }, std::move(*peer));
            }
        });
        task_group clients;
        int fine = 0;
        for (int c = 0; c != 50; ++c) {
            clients.spawn([&, c]() -> result<void> {
                SPRUCE_TRY(auto s, tcp_stream::connect(listener.local(), in(5s)));
                CHECK(s.peer().port() == listener.local().port());
                CHECK(s.local().port() != 0);
                SPRUCE_CHECK(s.no_delay(true));
                reader back(s);
                for (int i = 0; i != 20; ++i) {
                    std::string const line = "client " + std::to_string(c) + " line " + std::to_string(i);
                    SPRUCE_CHECK(s.write(line + "\n"));
                    SPRUCE_TRY(auto got, back.read_line(in(5s)));
                    CHECK_EQ(got, std::string_view(line));
                }
                ++fine;
                return {};
            });
        }
        SPRUCE_CHECK(clients.join());
        CHECK_EQ(fine, 50);
        listener.close();
        SPRUCE_CHECK(server.join());
        CHECK(listener.accept() == errc::closed);
        return {};
    });
    CHECK(r.ok());
}

TEST("a refused connection names the address, and leaves nothing open") {
    world w;
    auto r = run(w.options(), []() -> result<void> {
        std::string there;
        {
            SPRUCE_TRY(auto listener, tcp_listener::listen("127.0.0.1:0"));
            there = listener.local().text();
        }
        auto none = tcp_stream::connect(there, in(5s));
        CHECK(none == error::from_errno(ECONNREFUSED));
        CHECK_EQ(none.error().detail(), std::string_view(there));
        CHECK(tcp_stream::connect("nonsense") == errc::invalid_argument);
        CHECK(tcp_stream::connect("/run/x.sock") == errc::invalid_argument);
        return {};
    });
    CHECK(r.ok());
}

TEST("a port that is taken says EADDRINUSE; with reuse_port two may share it") {
    world w;
    auto r = run(w.options(), []() -> result<void> {
        SPRUCE_TRY(auto first, tcp_listener::listen("127.0.0.1:0"));
        auto second = tcp_listener::listen(first.local().text());
        CHECK(second == error::from_errno(EADDRINUSE));
        if (!second) CHECK_EQ(second.error().detail(), std::string_view(first.local().text()));
        SPRUCE_TRY(auto a, tcp_listener::listen("127.0.0.1:0", {.reuse_port = true}));
        CHECK(tcp_listener::listen(a.local().text(), {.reuse_port = true}).ok());
        return {};
    });
    CHECK(r.ok());
}

TEST("accept and connect give up at their deadlines, or when canceled") {
    testing::simulation sim(harness::as_asked());
    auto r = run(loop_options{.on = sim.on()}, [&]() -> result<void> {
        SPRUCE_TRY(auto listener, tcp_listener::listen("127.0.0.1:0"));
        CHECK(listener.accept(in(1ms)) == errc::timed_out);
        auto waits = spawn([&] { return listener.accept().error() == errc::canceled; });
        CHECK(yield().ok());
        CHECK(listener.accept() == errc::already_registered);
        waits.cancel();
        CHECK(waits.get().value_or(false));
        CHECK(tcp_stream::connect("192.0.2.1:80", in(1s)) == errc::timed_out);   // never answers
        auto lost = spawn([] { return tcp_stream::connect("192.0.2.1:80").error() == errc::canceled; });
        CHECK(yield().ok());
        lost.cancel();
        CHECK(lost.get().value_or(false));
        return {};
    });
    CHECK(r.ok());
    CHECK_EQ(sim.open_fds(), 0U);
}

TEST("closing a listener wakes its accept with closed") {
    world w;
    auto r = run(w.options(), []() -> result<void> {
        auto listener = std::make_unique<tcp_listener>(*tcp_listener::listen("127.0.0.1:0"));
        auto waits = spawn([&] { return listener->accept().error() == errc::closed; });
        CHECK(yield().ok());
        listener.reset();
        CHECK(waits.get().value_or(false));
        return {};
    });
    CHECK(r.ok());
}

TEST("without fds accept waits, without spinning, and goes on when there are some") {
    if (harness::simulated()) harness::skip("the real kernel's limit of fds");
    world w;
    loop l(w.options());
    int told = 0;
    l.on_unhandled([&](unhandled const& u) {
        ++told;
        CHECK(u.reason == error::from_errno(EMFILE));
    });
    auto t = spawn([&]() -> result<void> {
        SPRUCE_TRY(auto listener, tcp_listener::listen("127.0.0.1:0"));
        SPRUCE_TRY(auto client, tcp_stream::connect(listener.local(), in(5s)));
        std::vector<int> all;
        for (int fd; (fd = ::fcntl(0, F_DUPFD_CLOEXEC, 0)) >= 0;) all.push_back(fd);
        auto accepted = spawn([&] { return listener.accept(in(10s)).ok(); });
        REQUIRE(sleep_for(100ms).ok());   // all those fds are nobody's else
        CHECK(!accepted.done());
        CHECK(listener.setbacks() >= 2 && listener.setbacks() <= 15);
        for (int fd : all) ::close(fd);
        CHECK(accepted.join(in(200ms)).ok());
        CHECK(accepted.get().value_or(false));
        return {};
    });
    rlimit few{64, 64};
    rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    few.rlim_max = before.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &few);
    CHECK(l.run().ok());
    ::setrlimit(RLIMIT_NOFILE, &before);
    CHECK(t.get().ok());
    CHECK_EQ(told, 1);
}

TEST("a hook that is told that accept waits may end the listener") {
    world w;
    testing::faulty_kernel faulty(&w.on());
    auto options = w.options();
    options.on = faulty.on();
    loop l(options);
    std::optional<tcp_listener> listener;
    l.on_unhandled([&](unhandled const&) { listener.reset(); });
    auto t = spawn([&]() -> result<void> {
        SPRUCE_TRY(auto made, tcp_listener::listen("127.0.0.1:0"));
        listener.emplace(std::move(made));
        SPRUCE_TRY(auto client, tcp_stream::connect(listener->local(), in(5s)));
        faulty.fail_call(1, EMFILE);   // the first call is accept()
        CHECK(listener->accept(in(5s)) == errc::closed);
        CHECK_EQ(std::string_view(faulty.struck() ? faulty.struck() : ""), "accept");
        return {};
    });
    CHECK(l.run().ok());
    CHECK(t.get().ok());
    CHECK(!listener);
}

TEST("data and its end that come in one event are both delivered") {
    world w;
    auto r = run(w.options(), []() -> result<void> {
        SPRUCE_TRY(auto listener, tcp_listener::listen("127.0.0.1:0"));
        for (int i = 0; i != 20; ++i) {
            SPRUCE_TRY(auto client, tcp_stream::connect(listener.local(), in(5s)));
            SPRUCE_TRY(auto peer, listener.accept(in(5s)));
            auto reads = spawn([&]() -> result<std::string> {
                std::string got;
                char room[4096];
                for (;;) {
                    auto n = peer.read(room, in(5s));
                    if (n == errc::end_of_stream) return got;
                    if (!n) return n.error();
                    got.append(room, *n);
                }
            });
            SPRUCE_CHECK(yield());
            SPRUCE_CHECK(client.write("all of it"));
            client.close();
            SPRUCE_TRY(auto got, reads.get());
            CHECK_EQ(std::string_view(got), "all of it");
        }
        return {};
    });
    CHECK(r.ok());
}

TEST("a connection that meets itself where nobody listens is refused, and leaves nothing") {
    testing::simulation sim(harness::as_asked());
    auto r = run(loop_options{.on = sim.on()}, [&]() -> result<void> {
        // The model gives ports in order: the next is the one that is asked for.
        std::uint16_t next = 0;
        {
            SPRUCE_TRY(auto listener, tcp_listener::listen("127.0.0.1:0"));
            next = listener.local().port();
        }
        for (char const* host : {"127.0.0.1:", "0.0.0.0:", "[::1]:"}) {
            std::string const there = host + std::to_string(++next);
            auto none = tcp_stream::connect(there);
            CHECK(none == error::from_errno(ECONNREFUSED));
            if (!none) CHECK_EQ(none.error().detail(), std::string_view(there));
        }
        // With a listener the same port is a server's.
        std::string const there = "127.0.0.1:" + std::to_string(++next);
        SPRUCE_TRY(auto listener, tcp_listener::listen(there));
        CHECK(tcp_stream::connect(there).ok());
        return {};
    });
    CHECK(r.ok());
    CHECK_EQ(sim.open_fds(), 0U);
}

TEST("connections to a port of the system's own choice never meet themselves") {
    if (harness::simulated() || harness::option("transfers") != "") harness::skip("the real kernel's ports, once");
    world w;
    auto r = run(w.options(), []() -> result<void> {
        std::string there;
        {
            SPRUCE_TRY(auto listener, tcp_listener::listen("127.0.0.1:0"));
            there = listener.local().text();
        }
        // Linux tries every second port in order, so that this meets it if anything does.
        for (int i = 0; i != 15'000; ++i) {
            auto none = tcp_stream::connect(there);
            if (none.ok()) {
                CHECK(none->local().port() != none->peer().port());
                break;   // somebody listens there now
            }
            if (!(none == error::from_errno(ECONNREFUSED))) return none.error();
        }
        return {};
    });
    CHECK(r.ok());
}

TEST("connections over IPv6 are accepted, and know both ends") {
    world w;
    auto r = run(w.options(), []() -> result<void> {
        for (char const* host : {"[::1]:0", "[::]:0"}) {
            auto listener = tcp_listener::listen(host);
            if (listener == error::from_errno(EADDRNOTAVAIL) || listener == error::from_errno(EAFNOSUPPORT)) harness::skip("no IPv6 here");
            if (!listener) return listener.error();
            std::string const there = "[::1]:" + std::to_string(listener->local().port());
            SPRUCE_TRY(auto client, tcp_stream::connect(there));
            SPRUCE_TRY(auto served, listener->accept(in(5s)));
            CHECK_EQ(served.local().text(), std::string_view(there));
            CHECK_EQ(client.peer().text(), std::string_view(there));
            CHECK_EQ(served.peer().text(), std::string_view(client.local().text()));
            SPRUCE_CHECK(client.write("over six"));
            reader in_served(served);
            CHECK_EQ(in_served.read_exactly(8).value_or("?"), "over six");
        }
        return {};
    });
    CHECK(r.ok());
}

TEST("an address of any length is read or refused, and looked at no further than its end") {
    // Each in memory of its own, just as long, so that a sanitizer sees what goes too far.
    for (std::string_view whole : {"255.255.255.255:65535000000", "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255%lo000000000000000000]:65535",
                                   "[fe80::1%00000000000000000000000000000001]:80", "localhost:80", "*:80", ":80", "1.2.3.4.5.6.7.8.9.10.11:1",
                                   "/run/a/path", "@name"}) {
        for (std::size_t from = 0; from <= whole.size(); ++from) {
            for (std::size_t to = from; to <= whole.size(); ++to) {
                std::size_t const n = to - from;
                auto const exact = std::make_unique<char[]>(n);
                std::memcpy(exact.get(), whole.data() + from, n);
                auto const got = address::parse(std::string_view(exact.get(), n));
                if (got) CHECK(address::parse(got->text()).ok());
                else CHECK(got == errc::invalid_argument || got == errc::too_long);
            }
        }
    }
}

TEST("a local address has 107 bytes at most") {
    for (std::size_t n = 1; n <= 130; ++n) {
        for (char const first : {'/', '@'}) {
            auto const exact = std::make_unique<char[]>(n);
            std::memset(exact.get(), 'x', n);
            exact[0] = first;
            std::string_view const text(exact.get(), n);
            auto const got = address::parse(text);
            if (n <= 107) CHECK(got.ok());
            else CHECK(got == errc::too_long);
            if (got) CHECK_EQ(std::string_view(got->text()), text);
        }
    }
}
