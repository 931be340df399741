// Signals and children among the conditions of a wait.
#include <csignal>
#include <unistd.h>

#include <spruce/spruce.hpp>

#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

TEST("a signal that comes between two waits is not lost") {
    if (harness::simulated()) harness::skip("the real kernel's signals");
    world w;
    auto r = run(w.options(), [&]() -> result<void> {
        {
            signaled usr(SIGUSR1);
            SPRUCE_TRY(auto none, wait_any(usr, in(0s)));
            CHECK(none.timed_out());
            ::kill(::getpid(), SIGUSR1);
            CHECK(sleep_for(5ms).ok());
            SPRUCE_TRY(auto won, wait_any(usr, in(10s)));
            CHECK(won.is(usr));
            SPRUCE_TRY(auto once, wait_any(usr, in(5ms)));
            CHECK(once.timed_out());
            event e;
            spawn([&] { ::kill(::getpid(), SIGUSR1); });
            SPRUCE_TRY(auto again, wait_any(e, usr));
            CHECK_EQ(again.index(), 1U);
        }
        CHECK(wait_any(signaled(0)) == errc::invalid_argument);
        CHECK(wait_any(signaled(SIGSEGV)) == errc::invalid_argument);
        return {};
    });
    CHECK(r.ok());
}

TEST("a child's exit status is there for every wait, also when the child ended between two") {
    if (harness::simulated()) harness::skip("children of the real kernel");
    world w;
    auto r = run(w.options(), [&]() -> result<void> {
        int const pid = ::fork();
        if (pid == 0) ::_exit(7);
        exited gone(pid);
        SPRUCE_TRY(auto won, wait_any(gone, in(10s)));
        CHECK_EQ(won.get<0>()->code(), 7);
        SPRUCE_TRY(auto again, wait_any(gone));
        CHECK_EQ(again.get<0>()->code(), 7);
        int const other = ::fork();
        if (other == 0) {
            ::pause();
            ::_exit(0);
        }
        exited killed(other);
        SPRUCE_TRY(auto none, wait_any(killed, in(0s)));
        CHECK(none.timed_out());
        ::kill(other, SIGKILL);
        CHECK(sleep_for(5ms).ok());
        SPRUCE_TRY(auto dead, wait_any(killed));
        CHECK_EQ(dead.get<0>()->signal(), SIGKILL);
        CHECK(wait_any(exited(pid)) == errc::invalid_argument);
        return {};
    });
    CHECK(r.ok());
}
