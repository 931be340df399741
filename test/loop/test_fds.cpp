#include <csignal>
#include <fcntl.h>
#include <pthread.h>
#include <string>
#include <tuple>
#include <unistd.h>

#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

TEST("a reader runs once a turn while there is something to read, and the end counts as something") {
    world w;
    int out, into;
    std::tie(out, into) = w.pipe();
    {
        loop l(w.options());
        int ran = 0;
        std::string got;
        auto h = l.add_reader(out, [&, out = out](handler self) {
            ++ran;
            char c = 0;
            auto const n = w.read(out, &c, 1);
            if (n == 1) got += c;
            else self.cancel();
        });
        REQUIRE(h.ok());
        CHECK_EQ(w.write(into, "abc"), 3);
        l.call_later(1ms, [&, into = into] { w.close(into); });
        REQUIRE(l.run().ok());
        CHECK_EQ(std::string_view(got), "abc");
        CHECK_EQ(ran, 4);
    }
    w.close(out);
}

TEST("a second reader on an fd is refused; removing tells whether there was one") {
    world w;
    int out, into;
    std::tie(out, into) = w.pipe();
    {
        loop l(w.options());
        REQUIRE(l.add_reader(out, [] {}).ok());
        CHECK(l.add_reader(out, [] {}) == errc::already_registered);
        CHECK(l.remove_reader(out));
        CHECK(!l.remove_reader(out));
        CHECK(!l.remove_writer(out));
        CHECK(!l.remove_reader(12345));
        CHECK(!l.remove_reader(-1));
        CHECK(l.add_reader(out, [] {}).ok());
        CHECK(l.remove_reader(out));
        CHECK(l.run().ok());
    }
    w.close(out);
    w.close(into);
}

TEST("bad fds are refused by name") {
    world w;
    loop l(w.options());
    CHECK(l.add_reader(-1, [] {}) == errc::invalid_argument);
    CHECK(l.add_reader(9'999, [] {}) == errc::invalid_argument);
    CHECK(l.add_reader(2'000'000, [] {}) == errc::full);
    CHECK(l.run().ok());
}

TEST("a reader and a writer share an fd, each with its own end") {
    world w;
    int a, b;
    std::tie(a, b) = w.sockets();
    {
        loop l(w.options());
        int read = 0, wrote = 0;
        auto r = l.add_reader(a, [&](handler self) {
            ++read;
            self.cancel();
        });
        auto s = l.add_writer(a, [&, b = b](handler self) {
            ++wrote;
            if (wrote == 2) {
                self.cancel();
                w.write(b, "x");
            }
        });
        REQUIRE(r.ok() && s.ok());
        CHECK(l.run().ok());
        CHECK_EQ(read, 1);
        CHECK_EQ(wrote, 2);
    }
    w.close(a);
    w.close(b);
}

TEST("a reader removed after its event was collected does not run") {
    world w;
    int a_out, a_in;
    std::tie(a_out, a_in) = w.pipe();
    int b_out, b_in;
    std::tie(b_out, b_in) = w.pipe();
    {
        loop l(w.options());
        int ran = 0;
        auto first = l.add_reader(a_out, [&, b = b_out, a = a_out] {
            ++ran;
            l.remove_reader(a);
            l.remove_reader(b);
        });
        auto second = l.add_reader(b_out, [&, b = b_out, a = a_out] {
            ++ran;
            l.remove_reader(a);
            l.remove_reader(b);
        });
        REQUIRE(first.ok() && second.ok());
        w.write(a_in, "x");
        w.write(b_in, "x");
        CHECK(l.run().ok());
        CHECK_EQ(ran, 1);
    }
    for (int fd : {a_out, a_in, b_out, b_in}) w.close(fd);
}

TEST("an fd number closed and given out again in one callback gets no event of its former owner") {
    world w;
    int a, b;
    std::tie(a, b) = w.sockets();
    {
        loop l(w.options());
        int old_ran = 0, new_ran = 0;
        int fresh_other = -1, fresh = -1;
        auto h = l.add_reader(a, [&, a = a](handler self) {
            ++old_ran;
            self.cancel();
            w.close(a);
            int x, y;
            std::tie(x, y) = w.sockets();
            fresh = x == a ? x : y == a ? y : -1;
            fresh_other = x == a ? y : x;
            REQUIRE(fresh == a);
            auto again = l.add_reader(fresh, [&](handler me) {
                ++new_ran;
                me.cancel();
            });
            REQUIRE(again.ok());
            l.call_later(5ms, [&] { w.write(fresh_other, "x"); });
        });
        REQUIRE(h.ok());
        w.write(b, "x");
        REQUIRE(l.run().ok());
        CHECK_EQ(old_ran, 1);
        CHECK_EQ(new_ran, 1);
        w.close(fresh);
        w.close(fresh_other);
    }
    w.close(b);
}

TEST("hang-up wakes the reader, and with nobody left to tell the loop does not spin") {
    if (harness::interrupted()) harness::skip("turns are counted, and a signal makes one");
    world w;
    int a, b;
    std::tie(a, b) = w.sockets();
    {
        loop l(w.options());
        int ran = 0;
        auto h = l.add_reader(a, [&](handler self) {
            ++ran;
            self.cancel();
        });
        REQUIRE(h.ok());
        w.close(b);
        CHECK(l.run().ok());
        CHECK_EQ(ran, 1);
        int turns = 0;
        l.call_later(20ms, [] {});
        while (l.run_once(in(20ms)).ok() && turns < 100) ++turns;
        CHECK(turns < 10);
    }
    w.close(a);
}

TEST("what cannot be polled is always ready, and goes on sharing the loop") {
    if (harness::simulated()) {
        testing::simulation world(harness::as_asked());
        auto file = world.make_file("hello");
        REQUIRE(file.ok());
        {
            loop l(loop_options{.on = world.on()});
            int ran = 0;
            bool other = false;
            auto h = l.add_reader(*file, [&](handler self) {
                if (++ran == 5) self.cancel();
            });
            REQUIRE(h.ok());
            l.call_soon([&] { other = true; });
            CHECK(l.run().ok());
            CHECK_EQ(ran, 5);
            CHECK(other);
        }
        CHECK(world.close(*file).ok());
        return;
    }
    world w;
    int const fd = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    {
        loop l(w.options());
        int ran = 0;
        auto h = l.add_reader(fd, [&](handler self) {
            if (++ran == 5) self.cancel();
        });
        REQUIRE(h.ok());
        CHECK(l.run().ok());
        CHECK_EQ(ran, 5);
        CHECK(l.add_reader(fd, [](handler self) { self.cancel(); }).ok());
        CHECK(l.run().ok());
    }
    ::close(fd);
}

TEST("a ghost, closed while a duplicate lives, does not keep the loop busy") {
    if (harness::interrupted()) harness::skip("turns are counted, and a signal makes one");
    if (harness::simulated()) harness::skip("made with the real kernel's dup()");
    world w;
    int a, b;
    std::tie(a, b) = w.sockets();
    int const twin = ::dup(a);
    {
        loop l(w.options());
        int ran = 0;
        bool closed = false;
        auto h = l.add_reader(a, [&] { ++ran; });
        REQUIRE(h.ok());
        l.call_soon([&, a = a, b = b] {
            // Closed behind the loop's back, its registration lives on in the duplicate.
            closed = ::close(a) == 0;
            h->cancel();
            w.write(b, "x");
        });
        l.call_later(20ms, [] {});
        int turns = 0;
        while (l.run_once(in(30ms)).ok() && turns < 200) ++turns;
        REQUIRE(closed);
        CHECK_EQ(ran, 0);
        CHECK(turns < 20);
    }
    ::close(twin);
    w.close(b);
}

TEST("after a ghost was laid the loop still hears of signals, wakes and other fds") {
    if (harness::simulated()) harness::skip("made with the real kernel's dup()");
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    world w;
    auto [a, b] = w.sockets();
    auto [out, in] = w.pipe();
    int const twin = ::dup(a);
    {
        auto o = w.options();
        o.use_signalfd = true;
        loop l(o);
        int heard = 0, read = 0, posted = 0;
        auto s = l.add_signal_handler(SIGUSR1, [&] { ++heard; });
        if (!s.ok()) harness::skip("no signalfd here");
        auto h = l.add_reader(a, [] {});
        auto r = l.add_reader(out, [&](handler self) {
            ++read;
            self.cancel();
        });
        REQUIRE(h.ok() && r.ok());
        CHECK(l.run_once(spruce::in(0s)) == errc::timed_out);
        ::close(a);
        h->cancel();
        w.write(b, "x");
        static_cast<void>(l.run_once(spruce::in(0s)));
        ::kill(::getpid(), SIGUSR1);
        CHECK(l.run_until([&] { return heard == 1; }, spruce::in(10s)).ok());
        w.write(in, "x");
        CHECK(l.call_from_thread([&] { ++posted; }).ok());
        CHECK(l.run_until([&] { return read == 1 && posted == 1; }, spruce::in(10s)).ok());
    }
    ::close(twin);
    for (int fd : {b, out, in}) w.close(fd);
}
