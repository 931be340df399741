// A forked child that goes on with its thread's loop.
#include <cerrno>
#include <atomic>
#include <csignal>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <tuple>
#include <unistd.h>

#include <spruce/spruce.hpp>

#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

TEST("after a fork the child's loop has its own poller and waker, and the parent's hears nothing of it") {
    if (harness::simulated()) harness::skip("the real kernel's fork");
    world w;
    int out, into;
    std::tie(out, into) = w.pipe();
    {
        loop l(w.options());
        int read = 0, timer = 0, called = 0, heard = 0;
        auto h = l.add_reader(out, [&, from = out] {
            char c;
            if (w.read(from, &c, 1) == 1) ++read;
        });
        auto s = l.add_signal_handler(SIGUSR1, [&] { ++heard; });
        REQUIRE(h.ok() && s.ok());
        l.call_later(1ms, [&] { ++timer; });
        int const pid = ::fork();
        if (pid == 0) {
            bool fine = l.after_fork().ok();
            w.write(into, "c");
            ::kill(::getpid(), SIGUSR1);
            fine = fine && l.remote().call([&] { ++called; }).ok();
            fine = fine && l.run_until([&] { return read == 1 && timer == 1 && called == 1 && heard == 1; }, in(5s)).ok();
            ::_exit(fine ? 0 : 1);
        }
        REQUIRE(pid > 0);
        int status = -1;
        while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        CHECK(l.run_until([&] { return timer == 1; }, in(5s)).ok());
        CHECK_EQ(read, 0);
        CHECK_EQ(called, 0);
        CHECK_EQ(heard, 0);
        w.write(into, "p");
        CHECK(l.run_until([&] { return read == 1; }, in(5s)).ok());
    }
    w.close(out);
    w.close(into);
}

TEST("a forked child that leaves the loop alone disturbs nobody, whatever signals it gets") {
    if (harness::interrupted()) harness::skip("a signal makes a turn, too");
    if (harness::simulated()) harness::skip("the real kernel's fork");
    if (harness::option("signals") == "signalfd") harness::skip("the dispatcher by sigaction");
    world w;
    loop l(w.options());
    int heard = 0;
    auto s = l.add_signal_handler(SIGUSR1, [&] { ++heard; });
    REQUIRE(s.ok());
    int const pid = ::fork();
    if (pid == 0) {
        std::raise(SIGUSR1);
        ::_exit(0);
    }
    REQUIRE(pid > 0);
    int status = -1;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    CHECK(WIFEXITED(status));
    CHECK(l.run_once(in(5ms)) == errc::timed_out);
    CHECK_EQ(heard, 0);
    ::kill(::getpid(), SIGUSR1);
    CHECK(l.run_until([&] { return heard == 1; }, in(5s)).ok());
}

namespace {
bool is_readable(int fd) {
    pollfd p{fd, POLLIN, 0};
    return ::poll(&p, 1, 0) == 1;
}
}  // namespace

TEST("a child gets back the dispositions of signals that only loops of the parent's other threads listened for") {
    if (harness::simulated()) harness::skip("the real kernel's fork");
    world w;
    loop l(w.options());
    std::atomic<int> phase{0};
    std::thread other([&] {
        loop mine;
        auto s = mine.add_signal_handler(SIGUSR2, [] {});
        phase = s.ok() ? 1 : -1;
        while (phase != 2) std::this_thread::yield();
    });
    while (phase == 0) std::this_thread::yield();
    CHECK_EQ(phase.load(), 1);
    int const pid = ::fork();
    if (pid == 0) {
        if (!l.after_fork().ok()) ::_exit(1);
        std::raise(SIGUSR2);   // nobody here listens: it ends the process, as found
        ::_exit(2);
    }
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR2);
    phase = 2;
    other.join();
}

TEST("a child's new loop hears of its signals, and the parent's loop is not woken by them") {
    if (harness::simulated()) harness::skip("the real kernel's fork");
    world w;
    loop l(w.options());
    int heard = 0;
    auto s = l.add_signal_handler(SIGUSR1, [&] { ++heard; });
    REQUIRE(s.ok());
    int const backend = l.backend_fd();
    if (backend < 0) harness::skip("this poller has no fd");
    static_cast<void>(l.run_once(in(0s)));
    bool fine = false;
    // Forked from a thread that has no loop, the child's thread may make one.
    std::thread([&] {
        int const pid = ::fork();
        if (pid == 0) {
            loop mine;
            int here = 0;
            auto h = mine.add_signal_handler(SIGUSR1, [&] { ++here; });
            std::raise(SIGUSR1);
            bool const got = h.ok() && mine.run_until([&] { return here == 1; }, in(5s)).ok();
            ::_exit(got ? 0 : 1);
        }
        int status = 0;
        int ended;
        while ((ended = ::waitpid(pid, &status, 0)) < 0 && errno == EINTR) {}
        fine = ended == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }).join();
    CHECK(fine);
    CHECK(!is_readable(backend));
    CHECK(l.run_once(in(0s)) == errc::timed_out);
    CHECK_EQ(heard, 0);
}

TEST("a child that cannot renew its loop and destroys it takes nothing from its parent's poller") {
    if (harness::simulated()) harness::skip("the real kernel's fork");
    world w;
    loop l(w.options());
    int const backend = l.backend_fd();
    if (backend < 0) harness::skip("this poller has no fd");
    int called = 0;
    event end;
    auto t = spawn([&] {
        cancel_shield shield;
        static_cast<void>(end.wait());
    });
    CHECK(l.run_once(in(0s)).ok());
    CHECK(l.prepare().ok());
    std::thread([&, door = l.remote()] { static_cast<void>(door.call([&] { ++called; })); }).join();
    CHECK(is_readable(backend));
    int const pid = ::fork();
    if (pid == 0) {
        rlimit none{};
        ::setrlimit(RLIMIT_NOFILE, &none);
        bool const failed = !l.after_fork().ok();
        bool const left = l.destroy(in(20ms)) == errc::tasks_left;
        ::_exit(failed && left ? 0 : 1);
    }
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(is_readable(backend));
    CHECK(l.dispatch().ok());
    CHECK_EQ(called, 1);
    end.set();
    CHECK(l.run().ok());
    CHECK(t.done());
}

TEST("after_fork() where nothing forked leaves the calls of other threads alone") {
    world w;
    loop l(w.options());
    int called = 0;
    auto p = l.remote().call([&] { ++called; });
    REQUIRE(p.ok());
    CHECK(l.after_fork().ok());
    CHECK(l.run().ok());
    CHECK_EQ(called, 1);
    errc there{};
    std::thread([&] { if (auto r = l.after_fork(); !r) there = static_cast<errc>(r.error().code()); }).join();
    CHECK(there == errc::wrong_thread);
}
