// A forked child that goes on with its thread's loop.
#include <csignal>
#include <sys/wait.h>
#include <tuple>
#include <unistd.h>

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
        CHECK_EQ(::waitpid(pid, &status, 0), pid);
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
    CHECK_EQ(::waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    CHECK(l.run_once(in(5ms)) == errc::timed_out);
    CHECK_EQ(heard, 0);
    ::kill(::getpid(), SIGUSR1);
    CHECK(l.run_until([&] { return heard == 1; }, in(5s)).ok());
}
