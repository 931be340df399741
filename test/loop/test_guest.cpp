// A loop as the guest of a foreign one, here a bare poll(2): prepare, sleep on the backend's fd, dispatch.
#include <cerrno>
#include <atomic>
#include <poll.h>
#include <string>
#include <thread>
#include <unistd.h>

#include <spruce/spruce.hpp>

#include "../harness/forked.hpp"
#include "../harness/guest_scenes.hpp"
#include "../harness/queue_host.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::can_read;
using harness::queue_host;
using harness::world;

namespace {
// The foreign loop. It knows nothing of its guest but the three calls.
struct host {
    loop& l;
    int backend;
    long turns = 0;
    explicit host(loop& guest) : l(guest), backend(guest.backend_fd()) {
        if (backend < 0) harness::skip("this poller has no fd for a host to poll");
    }
    template <class Done> void run(Done&& done) {
        while (!done()) {
            ++turns;
            auto const until = l.prepare();
            REQUIRE(until.ok());
            pollfd p{backend, POLLIN, 0};
            REQUIRE(::poll(&p, 1, until->poll_timeout_ms()) >= 0 || errno == EINTR);
            REQUIRE(l.dispatch().ok());
        }
    }
};
}  // namespace

TEST("a foreign poll loop drives its guest's fds, timers, tasks and calls from other threads") {
    world w;
    loop l(w.options());
    host h(l);
    harness::mixed_ride ride(w, l);
    ride.check([] {}, [&](auto const& done) { h.run(done); });
    // Nothing is left to wake for but the reader, and the host would sleep for ever.
    auto const until = l.prepare();
    CHECK(until.ok() && *until == never());
    CHECK(!can_read(h.backend));
    CHECK(h.turns < 400);
}

TEST("no call from another thread is lost between prepare() and the host's sleep") {
    world w;
    loop l(w.options());
    host h(l);
    harness::no_call_is_lost(l, harness::nightly() ? 2'000'000 : 20'000, [&](auto const& done) { h.run(done); });
}

TEST("prepare() says when the next thing is due: at once, at a time, or never") {
    testing::simulation world(harness::as_asked());
    loop l(loop_options{.on = world.on()});
    CHECK(*l.prepare() == never());
    handler h = l.call_later(5ms, [] {});
    auto const until = l.prepare();
    REQUIRE(until.ok());
    CHECK(until->remaining() >= 5ms && until->remaining() <= 5ms + 65'536ns);
    CHECK_EQ(*l.dispatch(), 0U);
    handler soon = l.call_soon([] {});
    CHECK(l.prepare()->remaining() == 0ns);
    CHECK(soon.cancel());
    CHECK(l.dispatch().ok());   // it may have to step over what was canceled
    l.call_when_idle([] {});
    CHECK(l.prepare()->remaining() == 0ns);
    CHECK_EQ(*l.dispatch(), 1U);
    CHECK(l.prepare()->remaining() > 0ns);
    CHECK(h.cancel());
    CHECK(*l.prepare() == never());
    // What cannot be polled is always ready.
    auto const file = world.make_file("x");
    auto r = l.add_reader(*file, [] {});
    REQUIRE(r.ok());
    CHECK(l.prepare()->remaining() == 0ns);
    CHECK(*l.dispatch() >= 1);
    CHECK(r->cancel());
    CHECK_EQ(*l.dispatch(), 0U);
    CHECK(*l.prepare() == never());
    CHECK(l.destroy().ok());
    CHECK(world.close(*file).ok());
}

TEST("dispatch() runs what is due and never waits, as the clock stands") {
    testing::simulation world(harness::as_asked());
    loop l(loop_options{.on = world.on()});
    int ran = 0;
    l.call_later(5ms, [&] { ++ran; });
    for (int i = 0; i != 4; ++i) {
        CHECK(l.prepare().ok());
        CHECK_EQ(*l.dispatch(), 0U);
        CHECK(l.advance(1ms).ok());
    }
    CHECK_EQ(ran, 0);
    CHECK(l.advance(1ms + 65'536ns).ok());
    CHECK(l.prepare()->remaining() == 0ns);
    CHECK_EQ(*l.dispatch(), 1U);
    CHECK_EQ(ran, 1);
}

TEST("dispatch(max) runs no more than that, keeps the order, and prepare() tells of the rest") {
    world w;
    loop l(w.options());
    std::string seen;
    for (char c = 'a'; c != 'k'; ++c) l.call_soon([&seen, c] { seen += c; });
    for (char c = 'k'; c != 'n'; ++c) CHECK(l.call_from_thread([&seen, c] { seen += c; }).ok());
    CHECK_EQ(*l.dispatch(0), 0U);
    std::size_t all = 0;
    for (int i = 0; i != 20 && all != 13; ++i) {
        CHECK(l.prepare()->remaining() == 0ns);
        std::size_t const ran = *l.dispatch(3);
        CHECK(ran >= 1 && ran <= 3);
        all += ran;
        CHECK_EQ(seen.size(), all);
    }
    CHECK_EQ(all, 13U);
    // Each kind in its own order.
    std::string soon, posted;
    for (char const c : seen) (c < 'k' ? soon : posted) += c;
    CHECK_EQ(std::string_view(soon), "abcdefghij");
    CHECK_EQ(std::string_view(posted), "klm");
    CHECK(*l.prepare() == never());
    CHECK_EQ(*l.dispatch(3), 0U);
}

TEST("one dispatch is one turn: callbacks that queue others do not keep the host from its own work") {
    world w;
    loop l(w.options());
    long ran = 0;
    struct again {
        loop& l;
        long& ran;
        void operator()() const {
            ++ran;
            l.call_soon(again{l, ran});
        }
    };
    l.call_soon(again{l, ran});
    for (int i = 0; i != 3; ++i) {
        long const before = ran;
        std::size_t const now = *l.dispatch();
        CHECK(now >= 1 && now <= 256);
        CHECK_EQ(ran - before, static_cast<long>(now));
    }
}

TEST("what is registered outside a run is polled after prepare()") {
    world w;
    auto const [out, in] = w.pipe();
    {
        loop l(w.options());
        host h(l);
        int read = 0;
        // A reader made, dropped and made again; the last counts.
        CHECK(l.add_reader(out, [] { CHECK(false); }).ok());
        CHECK(l.remove_reader(out));
        auto r = l.add_reader(out, [&](handler self) {
            ++read;
            self.cancel();
        });
        REQUIRE(r.ok());
        CHECK(l.prepare().ok());
        CHECK(!can_read(h.backend));
        w.write(in, "x");
        CHECK(can_read(h.backend));
        CHECK_EQ(*l.dispatch(), 1U);
        CHECK_EQ(read, 1);
        // Nobody reads any more: after prepare() the fd does not wake the host, though there is something left.
        CHECK(l.prepare().ok());
        CHECK(!can_read(h.backend));
    }
    w.close(out);
    w.close(in);
}

TEST("a wake-up is told to the host once, and is over after dispatch()") {
    world w;
    loop l(w.options());
    host h(l);
    int woken = 0;
    auto wake = l.make_waker([&] { ++woken; });
    REQUIRE(wake.ok());
    CHECK(*l.prepare() == never());
    CHECK(!can_read(h.backend));
    for (int i = 0; i != 5; ++i) wake->wake();
    CHECK(can_read(h.backend));
    CHECK(l.dispatch().ok());
    CHECK_EQ(woken, 1);
    CHECK(*l.prepare() == never());
    CHECK(!can_read(h.backend));
}

TEST("the backend's number stays when a ghost makes the loop begin a new set") {
    if (harness::simulated()) harness::skip("made with the real kernel's dup()");
    world w;
    auto const [a, b] = w.sockets();
    auto const [out, in] = w.pipe();
    int const twin = ::dup(a);
    {
        loop l(w.options());
        host h(l);
        int read = 0;
        auto ghost = l.add_reader(a, [] { CHECK(false); });
        auto r = l.add_reader(out, [&, out = out] {
            char c = 0;
            read += w.read(out, &c, 1) == 1;
        });
        REQUIRE(ghost.ok() && r.ok());
        CHECK(l.prepare().ok());
        CHECK(l.dispatch().ok());
        ::close(a);
        ghost->cancel();
        w.write(b, "x");
        for (int i = 0; i != 3; ++i) {
            CHECK(l.prepare().ok());
            CHECK(l.dispatch().ok());
        }
        CHECK_EQ(l.backend_fd(), h.backend);
        CHECK(!can_read(h.backend));
        w.write(in, "y");
        CHECK(can_read(h.backend));
        h.run([&] { return read == 1; });
    }
    ::close(twin);
    for (int const fd : {b, out, in}) w.close(fd);
}

TEST("as a guest a loop can be stopped between prepare() and dispatch(), and run by itself at any time between") {
    world w;
    loop l(w.options());
    CHECK(l.stop() == errc::wrong_state);
    CHECK(l.prepare().ok());
    CHECK(l.stop().ok());
    CHECK(l.dispatch().ok());
    CHECK(l.stop() == errc::wrong_state);
    CHECK(l.leave() == errc::wrong_state);
    bool ran = false;
    l.call_soon([&] {
        ran = true;
        CHECK(l.prepare() == errc::wrong_state);
        CHECK(l.dispatch() == errc::wrong_state);
        CHECK(l.running());
    });
    CHECK(l.prepare().ok());
    CHECK(l.run().ok());
    CHECK(ran);
    ran = false;
    l.call_soon([&] {
        ran = true;
        CHECK(l.dispatch() == errc::wrong_state);
        CHECK(l.run_once() == errc::wrong_state);
    });
    CHECK_EQ(*l.dispatch(), 1U);
    CHECK(ran);
    CHECK(l.destroy().ok());
    CHECK(l.prepare() == errc::closed);
    CHECK(l.dispatch() == errc::closed);
    CHECK_EQ(l.backend_fd(), -1);
}

TEST("a stop() after prepare() ends no run that begins instead of the dispatch()") {
    world w;
    for (bool const leaves : {false, true}) {
        loop l(w.options());
        int shut = 0, ran = 0;
        l.on_shutdown(shutdown_phase::during, [&] { ++shut; });
        auto const stopped_between = [&] {
            CHECK(l.prepare().ok());
            CHECK((leaves ? l.leave() : l.stop()).ok());
        };
        auto soon = [&] {
            CHECK(l.state() == loop_state::running);
            ++ran;
        };
        l.call_soon(soon);
        stopped_between();
        CHECK(l.run().ok());
        CHECK(ran == 1 && shut == 1);
        l.call_soon(soon);
        stopped_between();
        CHECK(l.run_until([&] { return ran == 2; }, in(10s)).ok());
        l.call_soon(soon);
        stopped_between();
        CHECK_EQ(l.dispatch().value_or(0), 1U);
        queue_host host;
        stopped_between();
        REQUIRE(l.interleave(host.post()).ok());
        CHECK(l.running() && l.state() == loop_state::running && shut == 1);
        l.call_soon(soon);
        CHECK(host.run([&] { return ran == 4; }));
        CHECK(l.stop().ok());
        CHECK(host.run([&] { return !l.running(); }));
        CHECK_EQ(shut, 2);
    }
}

TEST("tasks of a guest wait and wake between the host's turns, and are driven to their end by destroy()") {
    testing::simulation world(harness::as_asked());
    loop l(loop_options{.on = world.on()});
    std::string seen;
    auto t = spawn([&] {
        seen += 'a';
        CHECK(sleep_for(1ms).ok());
        seen += 'b';
        CHECK(sleep_for(1h) == errc::canceled);
        seen += 'c';
    });
    CHECK(l.prepare()->remaining() == 0ns);
    CHECK(*l.dispatch() >= 1);
    CHECK_EQ(std::string_view(seen), "a");
    CHECK(l.advance(2ms).ok());
    CHECK(l.dispatch().ok());
    CHECK_EQ(std::string_view(seen), "ab");
    CHECK(l.destroy(in(1s)).ok());
    CHECK_EQ(std::string_view(seen), "abc");
    CHECK(t.done());
}

TEST("what plain code begins after prepare() makes the host's fd readable, and nothing else does") {
    world w;
    loop l(w.options());
    host h(l);
    auto const asleep = [&] {
        REQUIRE(l.dispatch().ok());
        REQUIRE(l.prepare().ok());
        CHECK(!can_read(h.backend));
    };
    asleep();
    int ran = 0;
    handler later = l.call_later(1h, [&] { ++ran; });
    CHECK(can_read(h.backend));      // the host sleeps for longer than that, perhaps
    asleep();
    CHECK(l.call_soon([&] { ++ran; }).active());
    CHECK(can_read(h.backend));
    REQUIRE(l.dispatch().ok());
    CHECK_EQ(ran, 1);
    asleep();
    spawn([&] { ++ran; });
    CHECK(can_read(h.backend));
    REQUIRE(l.dispatch().ok());
    CHECK_EQ(ran, 2);
    event woken;
    spawn([&] { static_cast<void>(woken.wait()), ++ran; });
    REQUIRE(l.dispatch().ok());
    asleep();
    woken.set();
    CHECK(can_read(h.backend));
    REQUIRE(l.dispatch().ok());
    CHECK_EQ(ran, 3);
    asleep();
    later.cancel();                      // this takes away, and brings nothing sooner
    CHECK(!can_read(h.backend));
}

TEST("what plain code of a forked child begins does not wake the parent's host") {
    if (harness::simulated()) harness::skip("forks with the real kernel");
    world w;
    loop l(w.options());
    host h(l);
    REQUIRE(l.dispatch().ok());
    REQUIRE(l.prepare().ok());
    auto const child = harness::forked([&] {
        static_cast<void>(l.call_later(1h, [] {}));
        static_cast<void>(l.call_soon([] {}));
    });
    CHECK_EQ(child.status, 0);
    CHECK(!can_read(h.backend));
    CHECK(l.call_soon([] {}).active());
    CHECK(can_read(h.backend));   // its own does
}
