#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <new>
#include <pthread.h>
#include <sys/wait.h>
#include <thread>
#include <tuple>
#include <unistd.h>

#include "../../src/context/sanitizers.hpp"
#include <spruce/faults.hpp>

#include "../harness/axes.hpp"
#include "../harness/forked.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

namespace {
loop_options signal_options(world& w) {
    auto o = w.options();
    if (harness::option("signals") == "signalfd") {
        sigset_t all;
        sigemptyset(&all);
        for (int s : {SIGUSR1, SIGUSR2, SIGTERM, SIGINT, SIGCHLD}) sigaddset(&all, s);
        ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
        o.use_signalfd = true;
    }
    return o;
}
bool is_default(int sig) {
    struct sigaction now {};
    ::sigaction(sig, nullptr, &now);
    return now.sa_handler == SIG_DFL;
}
}  // namespace

TEST("several handlers of one signal run, each until it is canceled, and the disposition is put back") {
    if (harness::simulated()) harness::skip("the real kernel's signals");
    world w;
    loop l(signal_options(w));
    int a = 0, b = 0;
    auto first = l.add_signal_handler(SIGUSR1, [&] { ++a; });
    auto second = l.add_signal_handler(SIGUSR1, [&] { ++b; });
    REQUIRE(first.ok() && second.ok());
    CHECK(l.run().ok());   // signals do not hold it
    ::kill(::getpid(), SIGUSR1);
    CHECK(l.run_until([&] { return a == 1 && b == 1; }, in(5s)).ok());
    CHECK(first->cancel());
    CHECK(!first->cancel());
    ::kill(::getpid(), SIGUSR1);
    CHECK(l.run_until([&] { return b == 2; }, in(5s)).ok());
    CHECK_EQ(a, 1);
    CHECK(l.remove_signal_handlers(SIGUSR1));
    CHECK(!l.remove_signal_handlers(SIGUSR1));
    CHECK(is_default(SIGUSR1));
    CHECK(l.add_signal_handler(SIGUSR1, [] {}).ok());
    CHECK(l.destroy().ok());
    CHECK(is_default(SIGUSR1));
}

TEST("signals that do not exist, and faults, are refused by name") {
    world w;
    loop l(w.options());
    for (int bad : {0, -1, 1000, SIGKILL, SIGSTOP, SIGSEGV, SIGFPE}) {
        if (harness::simulated() && bad != 0 && bad != -1 && bad != 1000) continue;
        CHECK(l.add_signal_handler(bad, [] {}) == errc::invalid_argument);
    }
    CHECK(l.run().ok());
}

TEST("signalfd is refused while a thread does not block the signal") {
    if (harness::simulated()) harness::skip("the real kernel's signals");
    world w;
    auto o = w.options();
    o.use_signalfd = true;
    loop l(o);
    CHECK(l.add_signal_handler(SIGUSR1, [] {}) == errc::not_supported);
    CHECK(l.run().ok());
}

TEST("signals go on coming after a ghost made the loop renew its poller") {
    if (harness::simulated()) harness::skip("made with the real kernel's dup()");
    world w;
    int a, b;
    std::tie(a, b) = w.sockets();
    int const twin = ::dup(a);
    {
        loop l(signal_options(w));
        int heard = 0;
        auto sig = l.add_signal_handler(SIGUSR1, [&] { ++heard; });
        auto h = l.add_reader(a, [] {});
        REQUIRE(sig.ok() && h.ok());
        // Closed behind the loop's back, its registration lives on in the duplicate, and reports.
        ::close(a);
        h->cancel();
        w.write(b, "x");
        int turns = 0;
        while (l.run_once(in(20ms)).ok() && turns < 200) ++turns;
        ::kill(::getpid(), SIGUSR1);
        CHECK(l.run_until([&] { return heard == 1; }, in(5s)).ok());
    }
    ::close(twin);
    w.close(b);
}

TEST("each loop hears of a signal on its own thread") {
    if (harness::simulated()) harness::skip("the real kernel's signals");
    if (harness::option("signals") == "signalfd") harness::skip("one signalfd takes the signal from the others");
    world w;
    loop l(w.options());
    int here = 0;
    std::atomic<int> there{0}, ready{0};
    auto mine = l.add_signal_handler(SIGUSR2, [&] { ++here; });
    REQUIRE(mine.ok());
    std::thread other([&] {
        loop second;
        auto theirs = second.add_signal_handler(SIGUSR2, [&] { ++there; });
        CHECK(theirs.ok());
        ready = 1;
        CHECK(second.run_until([&] { return there == 1; }, in(5s)).ok());
    });
    while (!ready) std::this_thread::yield();
    ::kill(::getpid(), SIGUSR2);
    CHECK(l.run_until([&] { return here == 1; }, in(5s)).ok());
    other.join();
    CHECK_EQ(there.load(), 1);
}

TEST("stop_on_signals ends the run by SIGTERM and SIGINT") {
    if (harness::simulated()) harness::skip("the real kernel's signals");
    for (int const sig : {SIGTERM, SIGINT}) {
        world w;
        auto o = signal_options(w);
        o.stop_on_signals = true;
        loop l(o);
        l.call_soon([=] { ::kill(::getpid(), sig); });
        CHECK(l.run_forever().ok());
    }
    CHECK(is_default(SIGTERM));
}

TEST("a loop tells which signal stopped it, also once it has ended, and none if it was stopped otherwise") {
    if (harness::simulated()) harness::skip("the real kernel's signals");
    world w;
    auto o = signal_options(w);
    o.stop_on_signals = true;
    loop l(o);
    l.call_soon([&] { CHECK(l.stop().ok()); });
    CHECK(l.run_forever().ok());
    CHECK_EQ(l.stop_signal(), 0);
    for (int const sig : {SIGINT, SIGTERM}) {
        l.call_soon([=] { ::kill(::getpid(), sig); });
        CHECK(l.run_forever().ok());
        CHECK_EQ(l.stop_signal(), sig);
    }
    CHECK(l.destroy().ok());
    CHECK_EQ(l.stop_signal(), SIGTERM);
}

TEST("a signal that comes while a loop ends that one of its callbacks destroyed does not touch it") {
    if (harness::simulated()) harness::skip("the real kernel's signals");
    world w;
    auto o = signal_options(w);
    o.stop_on_signals = true;
    alignas(loop) unsigned char room[sizeof(loop)];
    loop* const l = ::new (static_cast<void*>(room)) loop(o);
    bool slept = false;
    spawn([&] {
        cancel_shield const shield;
        slept = this_task::sleep_for(10ms).ok();
    });
    l->call_soon([&] {
        l->~loop();
        std::memset(room, 0xa5, sizeof room);
        ::kill(::getpid(), SIGTERM);
    });
    CHECK(l->run().ok());
    CHECK(slept);
    bool touched = false;
    for (unsigned char const c : room) touched |= c != 0xa5;
    CHECK(!touched);
}

TEST("a program that a signal stopped dies of it once it has tidied up, and what stdio held is written") {
    if (harness::simulated()) harness::skip("the real kernel's signals");
    for (int const sig : {SIGTERM, SIGINT}) {
        auto const child = harness::forked([sig] {
            static char room[256];
            std::setvbuf(stderr, room, _IOFBF, sizeof room);
            int stopped_by = 0;
            {
                loop l(loop_options{.stop_on_signals = true});
                l.call_soon([=] { ::kill(::getpid(), sig); });
                if (!l.run_forever()) ::_exit(1);
                stopped_by = l.stop_signal();
            }
            std::fputs("tidied up", stderr);
            // A handler or a mask of the program's own does not keep it from dying.
            ::signal(stopped_by, [](int) {});
            sigset_t all;
            sigfillset(&all);
            ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
            die_of(stopped_by);
        });
        CHECK(WIFSIGNALED(child.status) && WTERMSIG(child.status) == sig);
        CHECK(child.says("tidied up"));
    }
    // What ends nobody, or is none, is told by the exit code.
    for (int const sig : {SIGCHLD, 99}) {
        auto const child = harness::forked([sig] { die_of(sig); });
        CHECK(WIFEXITED(child.status) && WEXITSTATUS(child.status) == 128 + sig);
    }
}

TEST("stop_on_signals leaves SIGINT to a program that handles or ignores it, and takes SIGTERM in any case") {
    if (harness::simulated()) harness::skip("the real kernel's signals");
    static std::atomic<int> handled{0};
    world w;
    auto o = signal_options(w);
    o.stop_on_signals = true;
    for (bool const ignored : {false, true}) {
        handled = 0;
        ::signal(SIGINT, ignored ? SIG_IGN : [](int) { ++handled; });
        ::signal(SIGTERM, [](int) {});
        loop l(o);
        bool went_on = false;
        l.call_soon([&] {
            ::kill(::getpid(), SIGINT);
            l.call_later(1ms, [&] {
                went_on = true;
                ::kill(::getpid(), SIGTERM);
            });
        });
        CHECK(l.run_forever().ok());
        CHECK(went_on);
        if (!o.use_signalfd) CHECK_EQ(handled.load(), ignored ? 0 : 1);
    }
}

TEST("a handler of another loop's does not make SIGINT the program's own") {
    if (harness::simulated()) harness::skip("the real kernel's signals");
    world w;
    auto o = signal_options(w);
    if (o.use_signalfd) harness::skip("the kernel gives a signal to one reader");
    o.stop_on_signals = true;
    std::atomic<bool> listening{false};
    loop_ref door;
    std::thread other([&] {
        world of_its_own;
        loop l(of_its_own.options());
        CHECK(l.add_signal_handler(SIGINT, [] {}).ok());
        door = l.remote();
        listening = true;
        CHECK(l.run_forever().ok());
    });
    while (!listening) std::this_thread::yield();
    {
        loop l(o);
        l.call_soon([] { ::kill(::getpid(), SIGINT); });
        CHECK(l.run_forever().ok());
    }
    CHECK(door.stop().ok());
    other.join();
}

TEST("a hub's thread does not die of a broken pipe, and leaves no SIGPIPE behind") {
    world w;
    int out, into;
    std::tie(out, into) = w.pipe();
    w.close(out);
    loop l(w.options());
    l.call_soon([&, into = into] { CHECK_EQ(w.write(into, "x"), -EPIPE); });
    CHECK(l.run().ok());
    sigset_t pending;
    ::sigpending(&pending);
    CHECK_EQ(sigismember(&pending, SIGPIPE), 0);
    CHECK(is_default(SIGPIPE));
    w.close(into);
}

TEST("a child's exit status comes once: its code, or the signal that killed it") {
    if (harness::simulated()) harness::skip("the real kernel's children");
    world w;
    loop l(signal_options(w));
    int const exits = ::fork();
    if (exits == 0) ::_exit(7);
    int const sleeps = ::fork();
    if (sleeps == 0) {
        ::pause();
        ::_exit(0);
    }
    int code = -2, sig = -2;
    auto a = l.add_child_handler(exits, [&](result<exit_status> s) { code = s.ok() ? s->code() : -3; });
    auto b = l.add_child_handler(sleeps, [&](result<exit_status> s) { sig = s.ok() ? s->signal() : -3; });
    REQUIRE(a.ok() && b.ok());
    CHECK(l.add_child_handler(sleeps, [](result<exit_status>) {}) == errc::already_registered);
    l.call_later(5ms, [&] { ::kill(sleeps, SIGKILL); });
    CHECK(l.run().ok());
    CHECK_EQ(code, 7);
    CHECK_EQ(sig, SIGKILL);
    CHECK(l.add_child_handler(exits, [](result<exit_status>) {}) == errc::invalid_argument);
    CHECK(l.add_child_handler(-1, [](result<exit_status>) {}) == errc::invalid_argument);
    CHECK(l.add_child_handler(1, [](result<exit_status>) {}) == errc::invalid_argument);
}

TEST("a child reaped by somebody else is told as status_lost; with and without child fds") {
    for (bool const by_signal : {false, true}) {
        testing::simulation world(harness::as_asked({.refuse_child_fds = by_signal}));
        loop l(loop_options{.on = world.on()});
        auto pid = world.spawn_child();
        auto other = world.spawn_child();
        REQUIRE(pid.ok() && other.ok());
        bool lost = false;
        int code = -1;
        auto h = l.add_child_handler(*pid, [&](result<exit_status> s) { lost = s == errc::status_lost; });
        auto g = l.add_child_handler(*other, [&](result<exit_status> s) { code = s.ok() ? s->code() : -2; });
        REQUIRE(h.ok() && g.ok());
        l.call_later(1ms, [&] {
            CHECK(world.end_child(*other, 3).ok());
            CHECK(world.end_child(*pid, 0).ok());
            CHECK(world.steal_status(*pid).ok());
        });
        CHECK(l.run().ok());
        CHECK(lost);
        CHECK_EQ(code, 3);
    }
}

TEST("a child that ended before anybody asked, and before any loop was there, is told nevertheless, by child fds and without") {
    if (harness::simulated()) harness::skip("the real kernel's children");
    for (bool const by_signal : {false, true}) {
        int const child = ::fork();
        if (child == 0) ::_exit(5);
        siginfo_t ended{};
        int waited;
        do waited = ::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT);
        while (waited < 0 && errno == EINTR);
        REQUIRE(waited == 0);
        world w;
        auto o = signal_options(w);
        testing::faulty_kernel old(o.on);
        if (by_signal) old.refuse(testing::faulty_kernel::refuse_child_fds);
        o.on = old.on();
        loop l(o);
        int code = -2;
        CHECK(l.add_child_handler(child, [&](result<exit_status> s) { code = s.ok() ? s->code() : -3; }).ok());
        CHECK(l.run().ok());
        CHECK_EQ(code, 5);
    }
}
