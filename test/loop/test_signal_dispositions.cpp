// What others do to a signal's disposition while loops listen for it, which signals there are, and what comes to a forked
// child before it has a loop of its own.
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <pthread.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <spruce/faults.hpp>

#include "../../src/context/sanitizers.hpp"
#include "../harness/axes.hpp"
#include "../harness/forked.hpp"
#include "../harness/owned_fd.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

namespace {
void need_sigaction() {
    if (harness::simulated()) harness::skip("the real kernel's signals");
    if (harness::option("signals") == "signalfd") harness::skip("the dispatcher by sigaction");
}
struct sigaction disposition(int sig) {
    struct sigaction now {};
    ::sigaction(sig, nullptr, &now);
    return now;
}
int wait_for(int pid) {
    int status = -1;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    return status;
}
bool ended_well(int pid) {
    int const status = wait_for(pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
void block(std::initializer_list<int> signals) {
    sigset_t set;
    sigemptyset(&set);
    for (int const s : signals) sigaddset(&set, s);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}
}  // namespace

TEST("a handler that is added once somebody has changed the disposition is heard, and so are those before it") {
    need_sigaction();
    world w;
    for (auto const theirs : {SIG_DFL, SIG_IGN, +[](int) {}}) {
        loop l(w.options());
        int first = 0, second = 0;
        REQUIRE(l.add_signal_handler(SIGURG, [&] { ++first; }).ok());
        ::signal(SIGURG, theirs);
        REQUIRE(l.add_signal_handler(SIGURG, [&] { ++second; }).ok());
        ::kill(::getpid(), SIGURG);
        CHECK(l.run_until([&] { return first == 1 && second == 1; }, in(5s)).ok());
        CHECK(l.remove_signal_handlers(SIGURG));
        CHECK(disposition(SIGURG).sa_handler == theirs);   // as it was found last
        ::signal(SIGURG, SIG_DFL);
    }
}

TEST("another loop's handler mends the disposition for all") {
    need_sigaction();
    world w;
    loop l(w.options());
    int here = 0;
    REQUIRE(l.add_signal_handler(SIGURG, [&] { ++here; }).ok());
    ::signal(SIGURG, SIG_DFL);
    std::thread([] {
        world mine;
        loop other(mine.options());
        int there = 0;
        REQUIRE(other.add_signal_handler(SIGURG, [&] { ++there; }).ok());
        ::kill(::getpid(), SIGURG);
        CHECK(other.run_until([&] { return there == 1; }, in(5s)).ok());
    }).join();
    CHECK(l.run_until([&] { return here == 1; }, in(5s)).ok());
}

TEST("signals are taken with SA_RESTART and SA_ONSTACK, also when others have put them back without") {
    need_sigaction();
    world w;
    {
        loop l(w.options());
        REQUIRE(l.add_signal_handler(SIGURG, [] {}).ok());
        CHECK((disposition(SIGURG).sa_flags & SA_RESTART) != 0);
        CHECK((disposition(SIGURG).sa_flags & SA_ONSTACK) != 0);
        CHECK((disposition(SIGURG).sa_flags & static_cast<int>(SA_RESETHAND)) == 0);
        struct sigaction mean = disposition(SIGURG);
        mean.sa_flags = static_cast<int>(SA_RESETHAND);
        ::sigaction(SIGURG, &mean, nullptr);
        int heard = 0;
        REQUIRE(l.add_signal_handler(SIGURG, [&] { ++heard; }).ok());
        CHECK_EQ(disposition(SIGURG).sa_flags & (SA_RESTART | SA_ONSTACK), SA_RESTART | SA_ONSTACK);
        for (int i = 1; i != 3; ++i) {
            ::kill(::getpid(), SIGURG);
            CHECK(l.run_until([&] { return heard == i; }, in(5s)).ok());
        }
    }
    CHECK(disposition(SIGURG).sa_handler == SIG_DFL);
}

TEST("a read in plain code that a signal interrupts goes on, since the signal is taken with SA_RESTART") {
    need_sigaction();
    if (harness::interrupted()) harness::skip("the signals of that axis are not");
    world w;
    loop l(w.options());
    REQUIRE(l.add_signal_handler(SIGURG, [] {}).ok());
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    pthread_t const reader = ::pthread_self();
    std::thread other([&] {
        block({SIGURG});
        for (int i = 0; i != 50; ++i) {
            ::pthread_kill(reader, SIGURG);
            std::this_thread::sleep_for(200us);
        }
        CHECK_EQ(::write(ends[1], "x", 1), 1);
    });
    char c = 0;
    CHECK_EQ(::read(ends[0], &c, 1), 1);   // without SA_RESTART: EINTR
    other.join();
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST("children's ends are heard by SIGCHLD though somebody has put it back to default") {
    need_sigaction();
    for (bool const also_handler : {false, true}) {
        world w;
        auto o = w.options();
        testing::faulty_kernel old(o.on);
        old.refuse(testing::faulty_kernel::refuse_child_fds);
        o.on = old.on();
        loop l(o);
        int heard = 0, first_code = -1, second_code = -1;
        if (also_handler) REQUIRE(l.add_signal_handler(SIGCHLD, [&] { ++heard; }).ok());
        int ends[2];
        REQUIRE(::pipe(ends) == 0);
        harness::owned_pair gate(ends);
        int const first = ::fork();
        if (first == 0) {
            gate.second.close();
            char c;
            static_cast<void>(!::read(*gate.first, &c, 1));
            ::_exit(3);
        }
        CHECK(l.add_child_handler(first, [&](result<exit_status> s) { first_code = s.ok() ? s->code() : -2; }).ok());
        ::signal(SIGCHLD, SIG_DFL);
        gate.second.close();   // it ends, and nothing says so
        siginfo_t ended{};
        while (::waitid(P_PID, static_cast<id_t>(first), &ended, WEXITED | WNOWAIT) < 0 && errno == EINTR) {}
        gate.first.close();
        REQUIRE(::pipe(ends) == 0);
        harness::owned_pair again(ends);
        int const second = ::fork();
        if (second == 0) {
            again.second.close();
            char c;
            static_cast<void>(!::read(*again.first, &c, 1));
            ::_exit(4);
        }
        CHECK(l.add_child_handler(second, [&](result<exit_status> s) { second_code = s.ok() ? s->code() : -2; }).ok());
        scoped_handler const ends_second(l.call_later(2ms, [&] { again.second.close(); }));
        CHECK(l.run_until([&] { return first_code == 3 && second_code == 4; }, in(5s)).ok());
        again.first.close();
        if (also_handler) CHECK(heard != 0);
    }
    CHECK(disposition(SIGCHLD).sa_handler == SIG_DFL);
}

TEST("a signalfd is looked at again for each handler: a thread that does not block the signal by then is refused") {
    if (harness::simulated()) harness::skip("the real kernel's signals");
    block({SIGUSR1});
    world w;
    auto o = w.options();
    o.use_signalfd = true;
    loop l(o);
    int heard = 0;
    REQUIRE(l.add_signal_handler(SIGUSR1, [&] { ++heard; }).ok());
    std::atomic<int> phase{0};
    std::thread other([&] {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
        phase = 1;
        while (phase != 2) std::this_thread::yield();
    });
    while (phase != 1) std::this_thread::yield();
    CHECK(l.add_signal_handler(SIGUSR1, [] {}) == errc::not_supported);
    phase = 2;
    other.join();
    CHECK(l.add_signal_handler(SIGUSR1, [] {}).ok());
    ::kill(::getpid(), SIGUSR1);
    CHECK(l.run_until([&] { return heard == 1; }, in(5s)).ok());   // the refusal took nothing away
}

TEST("the same numbers are refused with and without signalfd, on every kernel, and refused ones change nothing") {
    for (bool const by_fd : {false, true}) {
        world w;
        auto o = w.options();
        o.use_signalfd = by_fd;
        loop l(o);
        for (int const bad : {-1, 0, SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, 32, 33, 65, 66, 96, 127, 128, 1000, INT_MAX, INT_MIN}) {
            auto const r = l.add_signal_handler(bad, [] {});
            CHECK(r == errc::invalid_argument);
            CHECK(!r.ok() && std::strstr(r.error().detail(), "sig") != nullptr);
            CHECK(!l.remove_signal_handlers(bad));
        }
    }
}

TEST("signals of 32 and above are heard, each as itself, by sigaction and by signalfd") {
    for (bool const by_fd : {false, true}) {
        int const numbers[] = {SIGRTMIN, SIGRTMIN + 1, 63, SIGRTMAX};
        if (by_fd) {
            if (harness::simulated()) break;
            for (int const n : numbers) block({n});
        }
        world w;
        auto o = w.options();
        o.use_signalfd = by_fd;
        testing::simulation sim(harness::as_asked());
        if (harness::simulated()) o.on = sim.on();
        loop l(o);
        int heard[4] = {}, low = 0;
        for (int i = 0; i != 4; ++i) REQUIRE(l.add_signal_handler(numbers[i], [&heard, i] { ++heard[i]; }).ok());
        if (!by_fd) REQUIRE(l.add_signal_handler(SIGHUP, [&] { ++low; }).ok());
        for (int i = 0; i != 4; ++i) {
            if (harness::simulated()) sim.raise_signal(numbers[i]);
            else ::kill(::getpid(), numbers[i]);
            CHECK(l.run_until([&] { return heard[i] == 1; }, in(5s)).ok());
            int all = low;
            for (int const n : heard) all += n;
            CHECK_EQ(all, i + 1);
        }
        // Several at once come in the order of their numbers, and one that is removed comes no more.
        CHECK(l.remove_signal_handlers(numbers[1]));
        if (!by_fd && !harness::simulated()) ::signal(numbers[1], SIG_IGN);
        for (int i = 3; i >= 0; --i) {
            if (harness::simulated()) sim.raise_signal(numbers[i]);
            else if (!by_fd || i != 1) ::kill(::getpid(), numbers[i]);
        }
        CHECK(l.run_until([&] { return heard[0] == 2 && heard[2] == 2 && heard[3] == 2; }, in(5s)).ok());
        CHECK_EQ(heard[1], 1);
    }
}

TEST("a child's handler by SIGCHLD says what is missing where signalfd is asked for and SIGCHLD is not blocked") {
    if (harness::simulated()) harness::skip("the real kernel's children");
    if (harness::option("signals") == "signalfd") harness::skip("it is blocked there");
    world w;
    auto o = w.options();
    o.use_signalfd = true;
    testing::faulty_kernel old(o.on);
    old.refuse(testing::faulty_kernel::refuse_child_fds);
    o.on = old.on();
    loop l(o);
    int const child = ::fork();
    if (child == 0) ::_exit(0);
    CHECK(l.add_child_handler(child, [](result<exit_status>) {}) == errc::not_supported);
    CHECK(l.run().ok());   // nothing holds it
    wait_for(child);
}

TEST("a signalfd that has nothing to read, though it was said to have, ends the look and is asked again") {
    if (harness::simulated()) harness::skip("the real kernel's signals");
    block({SIGUSR1});
    world w;
    auto o = w.options();
    o.use_signalfd = true;
    loop l(o);
    int heard = 0;
    REQUIRE(l.add_signal_handler(SIGUSR1, [&] { ++heard; }).ok());
    for (int round = 1; round != 4; ++round) {
        // Taken by somebody else after the poller has seen it: the read gives nothing.
        l.call_soon([] {
            ::kill(::getpid(), SIGUSR1);
            sigset_t set;
            sigemptyset(&set);
            sigaddset(&set, SIGUSR1);
            int taken = 0;
            ::sigwait(&set, &taken);
        });
        CHECK(l.run_once(in(0s)).ok());
        static_cast<void>(l.run_once(in(0s)));
        CHECK_EQ(heard, round - 1);
        ::kill(::getpid(), SIGUSR1);
        CHECK(l.run_until([&] { return heard == round; }, in(5s)).ok());
    }
}

// -- between fork() and after_fork()
namespace {
void need_fork() {
    if (harness::simulated()) harness::skip("the real kernel's fork()");
}
loop_options plain_or_fd(world& w, std::initializer_list<int> signals) {
    auto o = w.options();
    if (harness::option("signals") == "signalfd") {
        block(signals);
        o.use_signalfd = true;
    }
    return o;
}
}  // namespace

TEST("a signal between fork() and after_fork() is the child's: its handler runs there once, and the parent's does not") {
    need_fork();
    world w;
    loop l(plain_or_fd(w, {SIGUSR1, SIGTERM, SIGUSR2}));
    int usr = 0, term = 0, other = 0;
    REQUIRE(l.add_signal_handler(SIGUSR1, [&] { ++usr; }).ok());
    REQUIRE(l.add_signal_handler(SIGTERM, [&] { ++term; }).ok());
    REQUIRE(l.add_signal_handler(SIGUSR2, [&] { ++other; }).ok());
    int const pid = ::fork();
    if (pid == 0) {
        ::alarm(15);
        ::kill(::getpid(), SIGUSR1);
        ::kill(::getpid(), SIGTERM);
        bool fine = l.after_fork().ok() && l.run_until([&] { return usr == 1 && term == 1; }, in(5s)).ok();
        fine = fine && l.after_fork().ok() && l.run_once(in(0s)) == errc::timed_out && usr == 1 && term == 1 && other == 0;
        ::kill(::getpid(), SIGUSR1);
        fine = fine && l.run_until([&] { return usr == 2; }, in(5s)).ok();
        ::_exit(fine ? 0 : 1);
    }
    CHECK(ended_well(pid));
    CHECK(l.run_once(in(0s)) == errc::timed_out || harness::interrupted());
    CHECK_EQ(usr + term + other, 0);
}

TEST("SIGTERM before after_fork() stops the child's run, where stop_on_signals asks for it") {
    need_fork();
    world w;
    auto o = plain_or_fd(w, {SIGTERM, SIGINT});
    o.stop_on_signals = true;
    loop l(o);
    for (int const sig : {SIGTERM, SIGINT}) {
        int const pid = ::fork();
        if (pid == 0) {
            ::alarm(15);
            ::raise(sig);
            bool const fine = l.after_fork().ok() && l.run_forever().ok() && l.stop_signal() == sig;
            ::_exit(fine ? 0 : 1);
        }
        CHECK(ended_well(pid));
    }
    CHECK_EQ(l.stop_signal(), 0);
}

TEST("what had come to the parent at the fork, and waits, is not the child's") {
    need_fork();
    if (harness::option("signals") == "signalfd") harness::skip("what waits is the kernel's there, and never a child's");
    world w;
    loop l(w.options());
    int heard = 0;
    REQUIRE(l.add_signal_handler(SIGUSR1, [&] { ++heard; }).ok());
    ::kill(::getpid(), SIGUSR1);
    int const pid = ::fork();
    if (pid == 0) {
        ::alarm(15);
        bool const fine = l.after_fork().ok() && l.run_until([&] { return heard != 0; }, in(5ms)) == errc::timed_out;
        ::_exit(fine ? 0 : 1);
    }
    CHECK(ended_well(pid));
    CHECK(l.run_until([&] { return heard == 1; }, in(5s)).ok());
}

TEST("a signal that only another thread's loop listened for does in the child what it would have done without") {
    need_fork();
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
    int const pid = ::fork();
    if (pid == 0) {
        ::raise(SIGUSR2);
        static_cast<void>(l.after_fork());
        ::_exit(0);
    }
    int const status = wait_for(pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR2);
    phase = 2;
    other.join();
}

TEST("a child that makes a new loop instead hears there of what came before") {
    need_fork();
    need_sigaction();
    world w;
    loop l(w.options());
    REQUIRE(l.add_signal_handler(SIGTERM, [] {}).ok());
    std::thread([&] {
        int const pid = ::fork();
        if (pid == 0) {
            ::alarm(15);
            ::raise(SIGTERM);
            loop mine(loop_options{.stop_on_signals = true});
            ::_exit(mine.run_forever().ok() && mine.stop_signal() == SIGTERM ? 0 : 1);
        }
        CHECK(ended_well(pid));
    }).join();
}

TEST("a grandchild does not hear of what came to the child") {
    need_fork();
    need_sigaction();
    world w;
    loop l(w.options());
    int heard = 0;
    REQUIRE(l.add_signal_handler(SIGUSR1, [&] { ++heard; }).ok());
    int const pid = ::fork();
    if (pid == 0) {
        ::alarm(15);
        ::raise(SIGUSR1);
        int const grandchild = ::fork();
        if (grandchild == 0) {
            bool const fine = l.after_fork().ok() && l.run_until([&] { return heard != 0; }, in(5ms)) == errc::timed_out;
            ::_exit(fine ? 0 : 1);
        }
        bool const fine = ended_well(grandchild) && l.after_fork().ok() && l.run_until([&] { return heard == 1; }, in(5s)).ok();
        ::_exit(fine ? 0 : 1);
    }
    CHECK(ended_well(pid));
}

TEST("a child of vfork() that is to exec dies of a signal as if nobody listened, and its parent hears nothing") {
    need_fork();
    need_sigaction();
    if (SPRUCE_TSAN || SPRUCE_ASAN) harness::skip("a child in its parent's memory, which the sanitizer counts");
    world w;
    loop l(w.options());
    int heard = 0;
    REQUIRE(l.add_signal_handler(SIGTERM, [&] { ++heard; }).ok());
    int const pid = ::vfork();
    if (pid == 0) {
        ::kill(::getpid(), SIGTERM);
        ::_exit(0);
    }
    int const status = wait_for(pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    CHECK(l.run_once(in(0s)) == errc::timed_out || harness::interrupted());
    CHECK_EQ(heard, 0);
    ::kill(::getpid(), SIGTERM);
    CHECK(l.run_until([&] { return heard == 1; }, in(5s)).ok());
}

// -- the dispatcher's lock
TEST("forks while another thread holds the dispatcher's lock leave the children able to add, to remove and to go on") {
    need_fork();
    need_sigaction();
    if (SPRUCE_TSAN || SPRUCE_ASAN)
        harness::skip("the sanitizer's own locks, which another thread may hold at the fork, are not the child's to free");
    world w;
    loop l(w.options());
    int heard = 0;
    REQUIRE(l.add_signal_handler(SIGUSR1, [&] { ++heard; }).ok());
    std::atomic<bool> enough{false};
    // Most of its time it holds the lock, and now and then it waits in there for handlers.
    std::thread other([&] {
        loop mine;
        while (!enough) {
            static_cast<void>(mine.add_signal_handler(SIGUSR1, [] {}));
            mine.remove_signal_handlers(SIGUSR1);
        }
    });
    for (int i = 0; i != 60; ++i) {
        int const pid = ::fork();
        REQUIRE(pid >= 0);
        if (pid == 0) {
            ::alarm(10);
            bool fine = true;
            if (i % 3 == 0) {
                fine = l.after_fork().ok();
                ::kill(::getpid(), SIGUSR1);
                fine = fine && l.run_until([&] { return heard == 1; }, in(5s)).ok();
            } else if (i % 3 == 1) {
                fine = l.remove_signal_handlers(SIGUSR1);
            } else {
                fine = l.add_signal_handler(SIGUSR2, [] {}).ok();
            }
            ::_exit(fine ? 0 : 1);
        }
        CHECK(ended_well(pid));
    }
    enough = true;
    other.join();
}
