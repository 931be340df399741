// The order of things within a turn, errors on fds, interrupted waits, the clock, and what is nobody's business.
#include <atomic>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <poll.h>
#include <pthread.h>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include "../../src/sys/kernel.hpp"
#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

namespace {
// Until the loop's clock has moved on.
void let_pass(loop& l, duration d) {
    if (l.advance(d).ok()) return;
    for (time_point const until = loop_clock::now() + d; loop_clock::now() < until;) std::this_thread::yield();
}
void fill(world& w, int fd) {
    std::string const much(4096, 'x');
    while (w.write(fd, much) > 0) {}
    while (w.write(fd, "x") > 0) {}
}
template <class F> concept call_soon_takes = requires(loop& l, F f) { l.call_soon(f); };
}  // namespace

TEST("a turn's order: calls from threads, what was ready, fds, timers; the idle ones when nothing else is") {
    if (harness::interrupted() || harness::spoilt_kernel()) harness::skip("an interrupted poll is a turn without fds");
    world w;
    int from, into;
    std::tie(from, into) = w.pipe();
    {
        loop l(w.options());
        std::string seen;
        l.call_when_idle([&] { seen += 'i'; });
        l.call_later(1ms, [&] {
            seen += 't';
            l.call_soon([&] { seen += 'n'; });   // the next turn's
        });
        auto reader = l.add_reader(from, [&](handler self) {
            seen += 'f';
            self.cancel();
        });
        REQUIRE(reader.ok());
        REQUIRE(w.write(into, "x") == 1);
        auto t = spawn([&] { seen += 'k'; });
        l.call_soon([&] { seen += 'r'; });
        REQUIRE(l.remote().call([&] { seen += 'p'; }).ok());
        let_pass(l, 3ms);
        CHECK(l.run_once(in(1s)).ok());
        CHECK_EQ(std::string_view(seen).substr(0, 5), "pkrft");
        CHECK(l.run().ok());
        CHECK_EQ(std::string_view(seen).substr(0, 6), "pkrftn");
        for (int i = 0; i != 3; ++i) static_cast<void>(l.run_once(in(0s)));
        CHECK_EQ(std::string_view(seen), "pkrftni");
    }
    w.close(from);
    w.close(into);
}

TEST("an error on an fd is told to its reader and its writer, though there is nothing to read and no room to write") {
    world w;
    int a, b;
    std::tie(a, b) = w.sockets();
    {
        loop l(w.options());
        int reads = 0, writes = 0;
        fill(w, a);
        auto r = l.add_reader(a, [&](handler self) {
            ++reads;
            self.cancel();
        });
        auto s = l.add_writer(a, [&](handler self) {
            ++writes;
            CHECK(w.write(a, "x") < 0);   // its own call says what is wrong
            self.cancel();
        });
        REQUIRE(r.ok() && s.ok());
        l.call_later(5ms, [&] {
            CHECK_EQ(reads + writes, 0);
            w.close(std::exchange(b, -1));
        });
        CHECK(l.run().ok());
        CHECK_EQ(reads, 1);
        CHECK_EQ(writes, 1);
    }
    if (b >= 0) w.close(b);
    w.close(a);
    int from, into;
    std::tie(from, into) = w.pipe();
    {
        loop l(w.options());
        fill(w, into);
        int told = 0;
        auto s = l.add_writer(into, [&](handler self) {
            ++told;
            self.cancel();
        });
        REQUIRE(s.ok());
        l.call_later(5ms, [&] {
            CHECK_EQ(told, 0);
            w.close(std::exchange(from, -1));
        });
        CHECK(l.run().ok());
        CHECK_EQ(told, 1);
    }
    if (from >= 0) w.close(from);
    w.close(into);
}

TEST("a handler is no callback: call_soon() takes functions only") {
    CHECK(!callback<handler>);
    CHECK(!callback<scoped_handler>);
    CHECK(!call_soon_takes<handler>);
    CHECK(call_soon_takes<void (*)()>);
    CHECK(call_soon_takes<void (*)(handler)>);
}

namespace {
std::atomic<int> interruptions{0};
}
TEST("signals that interrupt the loop's wait do not end the run, nor are they errors") {
    if (harness::simulated()) harness::skip("the real kernel's signals");
    world w;
    struct sigaction on {}, before {};
    on.sa_handler = [](int) { interruptions.fetch_add(1); };   // without SA_RESTART
    REQUIRE(::sigaction(SIGUSR2, &on, &before) == 0);
    int from, into;
    std::tie(from, into) = w.pipe();
    {
        loop l(w.options());
        int read = 0;
        auto h = l.add_reader(from, [&](handler self) {
            char c;
            while (w.read(from, &c, 1) == 1) ++read;
            if (read == 20) self.cancel();
        });
        REQUIRE(h.ok());
        pthread_t const loops = ::pthread_self();
        std::thread other([&] {
            for (int i = 1; i <= 200; ++i) {
                ::pthread_kill(loops, SIGUSR2);
                while (interruptions.load() < i) std::this_thread::yield();
                if (i % 10 == 0) CHECK_EQ(w.write(into, "x"), 1);
            }
        });
        CHECK(l.run().ok());
        other.join();
        CHECK_EQ(read, 20);
        CHECK_EQ(interruptions.load(), 200);
    }
    ::sigaction(SIGUSR2, &before, nullptr);
    w.close(from);
    w.close(into);
}

TEST("the clock is the system's monotonic one, with a loop and without") {
    if (harness::simulated()) harness::skip("the real kernel's clock");
    auto const monotonic = [] {
        timespec t{};
        ::clock_gettime(CLOCK_MONOTONIC, &t);
        return time_point(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
    };
    auto const between = [&](auto&& read) {
        time_point const before = monotonic(), told = read(), after = monotonic();
        return before <= told && told <= after;
    };
    CHECK(between([] { return loop_clock::now(); }));
    world w;
    loop l(w.options());
    CHECK(between([] { return loop_clock::now(); }));
    CHECK(between([&] { return l.time(); }));
    l.call_soon([&] { CHECK(between([] { return loop_clock::now(); })); });
    CHECK(l.run().ok());
}

TEST("only children with a handler are reaped; others are left to who waits for them") {
    for (bool const by_signal : {false, true}) {
        testing::simulation world(harness::as_asked({.refuse_child_fds = by_signal}));
        loop l(loop_options{.on = world.on()});
        auto own = world.spawn_child();
        auto others = world.spawn_child();
        REQUIRE(own.ok() && others.ok());
        int ended = 0;
        auto h = l.add_child_handler(*own, [&](result<exit_status>) { ++ended; });
        REQUIRE(h.ok());
        l.call_later(1ms, [&] {
            CHECK(world.end_child(*others, 4).ok());
            CHECK(world.end_child(*own, 3).ok());
        });
        CHECK(l.run().ok());
        CHECK_EQ(ended, 1);
        CHECK(world.steal_status(*others).ok());        // still there to be reaped
        CHECK(world.steal_status(*own) == error::from_errno(ESRCH));
    }
    if (harness::simulated()) return;
    world w;
    loop l(w.options());
    int const others = ::fork();
    if (others == 0) ::_exit(4);
    int const own = ::fork();
    if (own == 0) ::_exit(3);
    // Both have ended when the loop looks.
    siginfo_t info{};
    for (int const pid : {others, own})
        while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) < 0 && errno == EINTR) {}
    int code = -1;
    auto h = l.add_child_handler(own, [&](result<exit_status> s) { code = s.ok() ? s->code() : -2; });
    REQUIRE(h.ok());
    CHECK(l.run().ok());
    CHECK_EQ(code, 3);
    int status = 0;
    int got;
    while ((got = ::waitpid(others, &status, 0)) < 0 && errno == EINTR) {}
    CHECK_EQ(got, others);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 4);
}

TEST("an fd that is closed under its reader stops neither the loop nor its guesthood, and makes neither spin") {
    if (harness::interrupted()) harness::skip("turns are counted, and a signal makes one");
    for (bool const guest : {false, true}) {
        if (guest && harness::simulated()) break;
        world w;
        int a, b, from, into;
        std::tie(a, b) = w.sockets();
        std::tie(from, into) = w.pipe();
        {
            loop l(w.options());
            int const backend = guest ? l.backend_fd() : -1;
            if (guest && backend < 0) {
                for (int const fd : {a, b, from, into}) w.close(fd);
                break;
            }
            int read = 0, turns = 0;
            auto lost = l.add_reader(a, [&](handler self) { self.cancel(); });
            auto other = l.add_reader(from, [&] {
                char c;
                while (w.read(from, &c, 1) == 1) ++read;
            });
            REQUIRE(lost.ok() && other.ok());
            l.call_soon([&] { w.close(std::exchange(a, -1)); });
            for (duration const when : {10ms, 20ms, 30ms})
                l.call_later(when, [&] { CHECK_EQ(w.write(into, "x"), 1); });
            while (read != 3 && turns < 1000) {
                ++turns;
                if (!guest) {
                    static_cast<void>(l.run_once());
                    continue;
                }
                auto const until = l.prepare();
                REQUIRE(until.ok());
                pollfd p{backend, POLLIN, 0};
                REQUIRE(::poll(&p, 1, until->poll_timeout_ms()) >= 0 || errno == EINTR);
                REQUIRE(l.dispatch().ok());
            }
            CHECK_EQ(read, 3);
            CHECK(turns < 100);
        }
        for (int const fd : {a, b, from, into})
            if (fd >= 0) w.close(fd);
    }
}

TEST("tasks that yield for ever keep fds, timers, signals and calls waiting for a few budgets of turns at most") {
    if (harness::interrupted() || harness::spoilt_kernel()) harness::skip("an interrupted poll is a turn without fds");
    world w;
    int from, into;
    std::tie(from, into) = w.pipe();
    {
        auto o = w.options();
        o.turn_budget = 16;
        loop l(o);
        long rounds = 0, begun = -1;
        bool over = false;
        int came = 0;
        for (int i = 0; i != 10; ++i)
            spawn([&] {
                while (!over && yield()) ++rounds;
            });
        auto const in_time = [&] {
            CHECK(rounds - begun <= 4 * 16);
            ++came;
        };
        auto reader = l.add_reader(from, [&](handler self) {
            in_time();
            self.cancel();
        });
        REQUIRE(reader.ok());
        auto const awaken = l.make_waker(in_time);
        REQUIRE(awaken.ok());
        spawn([&] {
            for (int i = 0; i != 100; ++i) CHECK(yield().ok());
            CHECK_EQ(came, 0);
            begun = rounds;
            l.call_later(1ms, in_time);
            let_pass(l, 3ms);
            CHECK_EQ(w.write(into, "x"), 1);
            CHECK(l.remote().call(in_time).ok());
            awaken->wake();
            l.call_soon(in_time);
            for (int i = 0; i != 20 && came != 5; ++i) CHECK(yield().ok());
            CHECK_EQ(came, 5);
            over = true;
        });
        CHECK(l.run().ok());
        CHECK(begun > 0);
    }
    w.close(from);
    w.close(into);
}

namespace {
void (*plain_wake)(void*, int) noexcept;
std::atomic<int> wakes{0};
}
TEST("a thousand calls to a loop that sleeps cost one wake-up, and run in their order, in one turn if it has the time") {
    if (!harness::option("host").empty()) harness::skip("a guest's own thread is woken, too");
    world w;
    kernel k = w.on();
    detail::kernel_calls calls = *k.calls;
    plain_wake = calls.wake;
    calls.wake = [](void* context, int fd) noexcept {
        wakes.fetch_add(1);
        plain_wake(context, fd);
    };
    k.calls = &calls;
    auto o = w.options();
    o.on = &k;
    loop l(o);
    REQUIRE(l.prepare().ok());   // asleep from here on
    int ran = 0;
    bool in_order = true;
    std::thread([&, door = l.remote()] {
        for (int i = 0; i != 1000; ++i) CHECK(door.call([&, i] { in_order = in_order && ran++ == i; }).ok());
    }).join();
    CHECK_EQ(wakes.load(), 1);
    int turns = 0;
    for (; ran != 1000 && turns != 1000; ++turns) CHECK(l.dispatch().ok());
    CHECK_EQ(ran, 1000);
    CHECK_EQ(wakes.load(), 1);
    if (harness::simulated()) CHECK_EQ(turns, 1);   // its clock stands still meanwhile
    CHECK(in_order);
    // Awake it needs none.
    l.call_soon([&] { CHECK(l.remote().call([&] { ++ran; }).ok()); });
    CHECK(l.run().ok());
    CHECK_EQ(ran, 1001);
    CHECK_EQ(wakes.load(), 1);
}
