// Plain code that waits for its guest by running the host.
#include <atomic>
#include <cerrno>
#include <memory>
#include <poll.h>
#include <thread>

#include <spruce/spruce.hpp>

#include "../harness/axes.hpp"
#include "../harness/queue_host.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::queue_host;
using harness::world;

TEST("plain code runs the host until a task or a future of its guest's is done, and has its value") {
    world w;
    queue_host host;
    loop l(w.options());
    auto const step = [&] { host.step(); };
    REQUIRE(l.interleave(host.post()).ok());
    auto t = spawn([]() -> result<int> {
        SPRUCE_CHECK(sleep_for(1ms));
        return 3;
    });
    CHECK(run_host_until(t, step).ok());
    CHECK_EQ(t.get().value_or(0), 3);
    promise<int> p;
    future<int> f = p.get_future();
    std::thread other([&, ref = l.remote()] { CHECK(ref.call([&] { CHECK(p.set(7).ok()); }).ok()); });
    auto const waited = run_host_until(f, step);
    other.join();
    REQUIRE(waited.ok() && f.done());
    // What is done costs no step.
    CHECK(run_host_until(f, [] { return false; }, in(0s)).ok());
    CHECK(l.running());
}

TEST("waiting by running the host ends at the deadline, with the guest's run, and with the host") {
    world w;
    queue_host host;
    loop l(w.options());
    auto const step = [&] { host.step(); };
    event never_set;
    auto t = spawn([&] { return never_set.wait(); });
    REQUIRE(l.interleave(host.post()).ok());
    CHECK(run_host_until(t, step, in(1ms)) == errc::timed_out);
    CHECK(run_host_until(t, step, in(0s)) == errc::timed_out);
    CHECK(run_host_until(t, step, at(loop_clock::now())) == errc::timed_out);
    CHECK(run_host_until(t, [] { return false; }) == errc::closed);
    l.call_later(1ms, [&] { CHECK(l.stop().ok()); });
    CHECK(run_host_until(t, step) == errc::closed);
    CHECK(!l.running());
    never_set.set();
    CHECK(l.run().ok());
    CHECK(t.done());
}

TEST("waiting by running the host ends with a run that began meanwhile, and with the loop, wherever its memory went") {
    world w;
    for (bool const destroyed : {false, true}) {
        queue_host host;
        auto l = std::make_unique<loop>(w.options());
        promise<int> never_kept;
        int steps = 0;
        auto waited = run_host_until(never_kept.get_future(), [&] {
            if (++steps == 1) {
                CHECK(l->interleave(host.post()).ok());
            } else if (steps == 2) {
                if (destroyed) l.reset();
                else CHECK(l->stop().ok());
            } else {
                REQUIRE(host.step());
            }
        });
        CHECK(waited == errc::closed);
        CHECK(steps <= 4);
    }
}

TEST("a callback and a task cannot wait by running the host") {
    world w;
    queue_host host;
    loop l(w.options());
    int refused = 0;
    auto done = spawn([] {});
    auto const tries = [&] { refused += run_host_until(done, [] { return false; }) == errc::wrong_state; };
    l.call_soon(tries);
    auto t = spawn(tries);
    REQUIRE(l.interleave(host.post()).ok());
    CHECK(run_host_until(t, [&] { host.step(); }).ok());
    CHECK_EQ(refused, 2);
    std::thread([&] { CHECK(run_host_until(done, [] {}) == errc::no_loop); }).join();
}

TEST("a guest by its fd is waited for in the same way: the step is a turn of it") {
    world w;
    loop l(w.options());
    int const backend = l.backend_fd();
    if (backend < 0) harness::skip("this poller has no fd for a host to poll");
    auto t = spawn([]() -> result<int> {
        SPRUCE_CHECK(sleep_for(1ms));
        return 3;
    });
    auto const step = [&] {
        auto const until = l.prepare();
        REQUIRE(until.ok());
        pollfd one{backend, POLLIN, 0};
        REQUIRE(::poll(&one, 1, until->poll_timeout_ms()) >= 0 || errno == EINTR);
        return l.dispatch().ok();
    };
    CHECK(run_host_until(t, step, in(10s)).ok());
    CHECK_EQ(t.get().value_or(0), 3);
    event never_set;
    auto u = spawn([&] { return never_set.wait(); });
    CHECK(run_host_until(u, step, in(2ms)) == errc::timed_out);
    CHECK(l.destroy().ok());
}
