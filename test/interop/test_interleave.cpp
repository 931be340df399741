// A loop interleaved with a foreign one, here a queue of calls: what drives it, and what wakes it.
#include <atomic>
#include <csignal>
#include <string>
#include <thread>

#include <spruce/spruce.hpp>

#include "../harness/guest_scenes.hpp"
#include "../harness/queue_host.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::is_over;
using harness::queue_host;
using harness::world;

TEST("interleaved, a loop's fds, timers, tasks and calls from other threads run in its host's calls") {
    world w;
    queue_host host;
    loop l(w.options());
    harness::mixed_ride ride(w, l);
    CHECK(!l.running());
    ride.check([&] {
        REQUIRE(l.interleave(host.post()).ok());
        CHECK(l.running() && l.state() == loop_state::running);
    }, [&](auto const& done) { CHECK(host.run(done)); });
    CHECK_EQ(host.most(), 1U);
    CHECK(host.posts() < 400);
    CHECK(l.stop().ok());
    CHECK(l.state() == loop_state::stopping);
    CHECK(host.run(is_over(l)));
    CHECK(l.state() == loop_state::idle);
}

TEST("what plain code of the host changes between two turns wakes the loop that sleeps") {
    world w;
    auto const [out, feed] = w.pipe();
    {
        queue_host host;
        loop l(w.options());
        int ran = 0;
        event go;
        auto waiter = spawn([&]() -> result<void> {
            for (;;) {
                SPRUCE_CHECK(go.wait());
                go.clear();
                ++ran;
            }
        });
        auto far = l.call_later(1h, [&] { ++ran; });
        CHECK(far.rearm(never()));
        REQUIRE(l.interleave(host.post()).ok());
        auto const rest = [&] {
            while (host.step(20ms)) {}
            ran = 0;
        };
        auto const comes = [&](char const* what) {
            bool const came = host.run([&] { return ran == 1; });
            if (!came) harness::fail(__FILE__, __LINE__, what);
            rest();
        };
        rest();
        l.call_soon([&] { ++ran; });
        comes("call_soon");
        l.call_later(1ms, [&] { ++ran; });
        comes("call_later");
        l.call_when_idle([&] { ++ran; });
        comes("call_when_idle");
        spawn([&] { ++ran; });
        comes("spawn");
        go.set();
        comes("an event");
        CHECK(far.rearm(in(0s)));
        comes("rearm");
        auto again = spawn([&]() -> result<void> {
            SPRUCE_CHECK(sleep_for(1ms));
            ++ran;
            return {};
        });
        CHECK(run_now(again).ok());   // it waits for its time, and is the only one who knows of it
        comes("run_now");
        w.write(feed, "x");
        auto r = l.add_reader(out, [&](handler self) {
            ++ran;
            self.cancel();
        });
        REQUIRE(r.ok());
        comes("add_reader");
        auto const posted = l.call_from_thread([&] { ++ran; });
        CHECK(posted.ok());
        comes("call_from_thread");
        auto wake = l.make_waker([&] { ++ran; });
        REQUIRE(wake.ok());
        wake->wake();
        comes("a waker");
        waiter.cancel();
        CHECK(host.run([&] { return waiter.done(); }));
        CHECK(host.most() == 1);
    }
    w.close(out);
    w.close(feed);
}

TEST("a later timer, or one canceled, makes no turn") {
    testing::simulation world(harness::as_asked());
    queue_host host;
    loop l(loop_options{.on = world.on()});
    std::string seen;
    l.call_later(5ms, [&] { seen += 'a'; });
    auto b = l.call_later(2ms, [&] { seen += 'b'; });
    l.call_later(5ms, [&] { seen += 'c'; });
    CHECK(b.cancel());
    REQUIRE(l.interleave(host.post()).ok());
    CHECK(host.run([&] { return seen.size() == 2; }));
    CHECK_EQ(std::string_view(seen), "ac");
    CHECK_EQ(host.posts(), 1);
}

TEST("in virtual time an interleaved loop's timers run as in a run of its own") {
    std::string seen[2];
    for (int guest = 0; guest != 2; ++guest) {
        testing::simulation world(harness::as_asked());
        queue_host host;
        loop l(loop_options{.on = world.on()});
        auto const began = l.time();
        auto note = [&, guest](char c) {
            seen[guest] += c;
            seen[guest] += std::to_string((l.time() - began).count());
        };
        l.call_every(3ms, [&](handler self) {
            note('e');
            if (l.time() - began > 20ms) self.cancel();
        });
        l.call_later(7ms, [&] { note('l'); });
        auto t = spawn([&] {
            for (int i = 0; i != 4; ++i) {
                static_cast<void>(sleep_for(4ms));
                note('t');
            }
        });
        l.call_later(40ms, [&] { CHECK(l.stop().ok()); });
        if (guest == 0) {
            CHECK(l.run().ok());
        } else {
            REQUIRE(l.interleave(host.post()).ok());
            CHECK(host.run(is_over(l)));
        }
        CHECK(t.done());
    }
    CHECK(seen[0].size() > 50);
    CHECK_EQ(std::string_view(seen[0]), std::string_view(seen[1]));
}

TEST("no call from another thread is lost between two turns") {
    world w;
    queue_host host;
    loop l(w.options());
    REQUIRE(l.interleave(host.post()).ok());
    harness::no_call_is_lost(l, harness::nightly() ? 1'000'000 : 10'000, [&](auto const& done) { CHECK(host.run(done)); });
    CHECK_EQ(host.most(), 1U);
}

TEST("an fd that is closed under its reader ends no guest, nor makes it turn round and round") {
    if (harness::simulated()) harness::skip("the real kernel's close()");
    world w;
    auto const [a, b] = w.sockets();
    auto const [out, in] = w.pipe();
    {
        queue_host host;
        loop l(w.options());
        int told = 0, read = 0;
        auto gone = l.add_reader(a, [&](handler self) {
            ++told;
            self.cancel();
        });
        auto r = l.add_reader(out, [&, out = out] {
            char c = 0;
            read += w.read(out, &c, 1) == 1;
        });
        REQUIRE(gone.ok() && r.ok());
        REQUIRE(l.interleave(host.post()).ok());
        w.close(a);
        for (int i = 1; i != 4; ++i) {
            w.write(in, "x");
            CHECK(host.run([&] { return read == i; }));
        }
        while (host.step(20ms)) {}
        CHECK(host.posts() < 12);
        CHECK(told <= 1);
    }
    for (int const fd : {b, out, in}) w.close(fd);
}

TEST("a signal handler made in a guest's first turn stands over what the host put there at its start, which comes back") {
    if (harness::simulated()) harness::skip("the process's own signals");
    world w;
    queue_host host;
    static std::atomic<int> hosts{0};
    hosts = 0;
    int ours = 0;
    {
        loop l(w.options());
        l.call_soon([&] { CHECK(l.add_signal_handler(SIGUSR1, [&] { ++ours; }).ok()); });
        REQUIRE(l.interleave(host.post()).ok());
        host.wait_for_posts(1);
        ::signal(SIGUSR1, [](int) { ++hosts; });   // as hosts do that begin now
        CHECK(host.step());
        ::raise(SIGUSR1);
        CHECK(host.run([&] { return ours == 1; }));
        CHECK_EQ(hosts.load(), 0);
    }
    ::raise(SIGUSR1);
    CHECK_EQ(hosts.load(), 1);
    CHECK_EQ(ours, 1);
    ::signal(SIGUSR1, SIG_DFL);
}

#if SPRUCE_EXCEPTIONS
TEST("a callback or a task that throws is told to the hook, and the guest lives on") {
    world w;
    queue_host host;
    loop l(w.options());
    std::string told;
    l.on_unhandled([&](unhandled const& u) { told += u.what; });
    l.call_soon([] { throw 1; });
    spawn([] { throw std::runtime_error("from a task"); });
    REQUIRE(l.interleave(host.post()).ok());
    bool ran = false;
    CHECK(host.run([&] { return told.find("from a task") != told.npos; }));
    l.call_later(1ms, [&] { ran = true; });
    CHECK(host.run([&] { return ran; }));
    CHECK(told.find("not a std::exception") != told.npos);
}
#endif
