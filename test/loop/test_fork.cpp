// A process that forks with a loop in it: after after_fork() the child has a loop of its own, and the parent's goes on.
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <poll.h>
#include <pthread.h>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <spruce/spruce.hpp>

#include "../../src/context/sanitizers.hpp"
#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

namespace {
// Runs f in a forked child, and waits. Whether f said true.
template <class F> bool in_child(F&& f) {
    int const pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        ::alarm(15);   // a child that hangs is not to outlive its test
        ::_exit(f() ? 0 : 1);
    }
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0) {}
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
void need_real_kernel() {
    if (harness::simulated()) harness::skip("the real kernel's fork()");
}
}  // namespace

TEST("readers, timers and what is ready go on in a forked child, and in the parent as if nothing was") {
    need_real_kernel();
    world w;
    auto const [out, in] = w.pipe();
    {
        loop l(w.options());
        std::string got;
        int beats = 0, soon = 0;
        auto r = l.add_reader(out, [&, out = out] {
            char c = 0;
            if (w.read(out, &c, 1) == 1) got += c;
        });
        REQUIRE(r.ok());
        l.call_every(1ms, [&] { ++beats; });
        CHECK(l.run_until([&] { return beats == 2; }, spruce::in(10s)).ok());
        l.call_soon([&] { ++soon; });
        CHECK(in_child([&, in = in] {
            if (!l.after_fork()) return false;
            w.write(in, "c");
            return l.run_until([&] { return got == "c" && soon == 1 && beats >= 5; }, spruce::in(10s)).ok();
        }));
        CHECK_EQ(std::string_view(got), "");
        CHECK_EQ(soon, 0);
        w.write(in, "p");
        CHECK(l.run_until([&] { return got == "p" && soon == 1 && beats >= 5; }, spruce::in(10s)).ok());
    }
    w.close(out);
    w.close(in);
}

TEST("what a child removes, adds and destroys is its own; the parent's registrations stay") {
    need_real_kernel();
    world w;
    auto const [out, in] = w.pipe();
    auto const [other_out, other_in] = w.pipe();
    {
        loop l(w.options());
        int ran = 0, other = 0;
        auto r = l.add_reader(out, [&](handler self) {
            ++ran;
            self.cancel();
        });
        REQUIRE(r.ok());
        static_cast<void>(l.run_once(spruce::in(0s)));
        CHECK(in_child([&, out = out, other_out = other_out, other_in = other_in] {
            if (!l.after_fork() || !l.remove_reader(out)) return false;
            auto mine = l.add_reader(other_out, [&](handler self) {
                ++other;
                self.cancel();
            });
            if (!mine) return false;
            w.write(other_in, "x");
            return l.run().ok() && other == 1 && ran == 0 && l.destroy().ok();
        }));
        w.write(in, "p");
        CHECK(l.run().ok());
        CHECK_EQ(ran, 1);
        CHECK_EQ(other, 0);
    }
    for (int const fd : {out, in, other_out, other_in}) w.close(fd);
}

TEST("a child that only destroys the loop, without after_fork(), takes nothing from its parent") {
    need_real_kernel();
    world w;
    auto const [out, in] = w.pipe();
    {
        loop l(w.options());
        int ran = 0;
        auto r = l.add_reader(out, [&](handler self) {
            ++ran;
            self.cancel();
        });
        REQUIRE(r.ok());
        static_cast<void>(l.run_once(spruce::in(0s)));
        CHECK(in_child([&] { return l.destroy().ok(); }));
        w.write(in, "p");
        CHECK(l.run().ok());
        CHECK_EQ(ran, 1);
    }
    w.close(out);
    w.close(in);
}

TEST("a child that closes its streams and destroys the loop, without after_fork(), leaves its parent's alone") {
    need_real_kernel();
    world w;
    loop l(w.options());
    std::string got;
    {
        auto ends = make_pipe();
        REQUIRE(ends.ok());
        auto reads = spawn([&] {
            char room[8];
            for (;;) {
                auto const n = ends->read_end.read(room);
                if (!n) return;
                got.append(room, *n);
            }
        });
        CHECK(l.run_until([] { return false; }, spruce::in(1ms)) == errc::timed_out);
        CHECK(in_child([&] {
            if (l.run() != errc::wrong_state || l.prepare() != errc::wrong_state) return false;
            ends->read_end.close();
            ends->write_end.close();
            return l.destroy(spruce::in(1s)).ok() && reads.done();
        }));
        CHECK(ends->write_end.write("p").ok());
        CHECK(l.run_until([&] { return got == "p"; }, spruce::in(10s)).ok());
        ends->write_end.close();
        CHECK(l.run().ok());
        CHECK(reads.done());
    }
}

TEST("a fork inside a callback: the run goes on in both, each with its own events") {
    need_real_kernel();
    if (!harness::option("host").empty()) harness::skip("a guest's run ends in the child");
    world w;
    int status = -1;
    {
        loop l(w.options());
        int pid = -1, after = 0;
        l.call_soon([&] {
            pid = ::fork();
            if (pid == 0) {
                ::alarm(15);
                if (!l.after_fork()) ::_exit(1);
            }
            l.call_later(2ms, [&] { ++after; });
        });
        l.call_soon([&] { ++after; });
        bool const fine = l.run().ok() && after == 2;
        if (pid == 0) ::_exit(fine && l.destroy().ok() ? 0 : 1);
        CHECK(fine);
        REQUIRE(pid > 0);
        while (::waitpid(pid, &status, 0) < 0) {}
    }
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST("a fork inside a task: tasks go on in both, and wake from their own sleeps") {
    need_real_kernel();
    if (!harness::option("host").empty()) harness::skip("a guest's run ends in the child");
    if (SPRUCE_TSAN) harness::skip("a child forked on a task's stack is no thread that the sanitizer knows");
    world w;
    int pid = -1, status = -1;
    auto const r = run(w.options(), [&]() -> result<int> {
        auto sleeper = spawn([] {
            static_cast<void>(sleep_for(2ms));
            return 20;
        });
        SPRUCE_CHECK(yield());
        pid = ::fork();
        if (pid == 0) {
            ::alarm(15);
            if (!loop::current()->after_fork()) ::_exit(1);
        }
        auto more = spawn([] {
            static_cast<void>(yield());
            return 1;
        });
        return sleeper.get().value_or(0) + more.get().value_or(0);
    });
    bool const fine = r.value_or(0) == 21;
    if (pid == 0) ::_exit(fine ? 0 : 1);
    CHECK(fine);
    REQUIRE(pid > 0);
    while (::waitpid(pid, &status, 0) < 0) {}
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST("a signal to a child is the child's: its handlers run, the parent's do not") {
    need_real_kernel();
    for (bool const by_fd : {false, true}) {
        world w;
        auto o = w.options();
        o.use_signalfd = by_fd;
        if (by_fd) {
            sigset_t set;
            sigemptyset(&set);
            sigaddset(&set, SIGUSR1);
            ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
        }
        loop l(o);
        int heard = 0;
        auto h = l.add_signal_handler(SIGUSR1, [&] { ++heard; });
        if (!h.ok() && by_fd) break;   // no signalfd here
        REQUIRE(h.ok());
        CHECK(in_child([&] {
            if (!l.after_fork()) return false;
            ::kill(::getpid(), SIGUSR1);
            if (!l.run_until([&] { return heard == 1; }, spruce::in(10s))) return false;
            return l.remove_signal_handlers(SIGUSR1) && l.destroy().ok();
        }));
        static_cast<void>(l.run_once(spruce::in(0s)));
        CHECK_EQ(heard, 0);
        ::kill(::getpid(), SIGUSR1);
        CHECK(l.run_until([&] { return heard == 1; }, spruce::in(10s)).ok());
    }
}

TEST("calls that were pending at the fork are the parent's; what the child's threads post is the child's") {
    need_real_kernel();
    world w;
    loop l(w.options());
    int ours = 0, theirs = 0, woken = 0;
    auto wake = l.make_waker([&] { ++woken; });
    REQUIRE(wake.ok());
    REQUIRE(l.call_from_thread([&] { ++ours; }).ok());
    wake->wake();
    CHECK(in_child([&] {
        if (!l.after_fork()) return false;
        if (!l.run_until([&] { return ours != 0; }, spruce::in(5ms)).ok() && ours != 0) return false;
        std::thread other([ref = l.remote(), &theirs] { static_cast<void>(ref.call([&] { ++theirs; })); });
        bool const came = l.run_until([&] { return theirs == 1; }, spruce::in(10s)).ok();
        other.join();
        wake->wake();
        return came && l.run_until([&] { return woken == 1; }, spruce::in(10s)).ok() && ours == 0;
    }));
    CHECK(l.run_until([&] { return ours == 1 && woken == 1; }, spruce::in(10s)).ok());
    CHECK_EQ(theirs, 0);
}

TEST("a fork while other threads post leaves the child nothing to wait for") {
    need_real_kernel();
    if (SPRUCE_TSAN || SPRUCE_ASAN)
        harness::skip("the sanitizer's own locks, which another thread may hold at the fork, are not the child's to free");
    world w;
    loop l(w.options());
    std::atomic<bool> enough{false};
    std::atomic<long> posted{0};
    long ran = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i != 2; ++i)
        threads.emplace_back([&, ref = l.remote()] {
            while (!enough) posted += ref.call([&] { ++ran; }).ok();
        });
    for (int i = 0; i != 20; ++i) {
        static_cast<void>(l.run_once(spruce::in(0s)));
        // No more memory than the library's own is asked for in the child: another thread may hold the heap's lock.
        CHECK(in_child([&] {
            if (!l.after_fork()) return false;
            long const before = ran;
            return l.run().ok() && ran == before && l.destroy().ok();
        }));
    }
    enough = true;
    for (auto& t : threads) t.join();
    CHECK(l.run_until([&] { return ran == posted; }, spruce::in(10s)).ok());
}

TEST("a child's backend fd is its own, and tells of the child's events only") {
    need_real_kernel();
    world w;
    auto const [out, in] = w.pipe();
    {
        loop l(w.options());
        int const backend = l.backend_fd();
        if (backend >= 0) {
            auto r = l.add_reader(out, [&, out = out] {
                char c = 0;
                w.read(out, &c, 1);
            });
            REQUIRE(r.ok());
            auto const readable = [](int fd) {
                pollfd p{fd, POLLIN, 0};
                return ::poll(&p, 1, 0) == 1;
            };
            CHECK(in_child([&, in = in] {
                if (!l.after_fork()) return false;
                int const mine = l.backend_fd();
                if (mine < 0 || readable(mine)) return false;
                // A call on this loop wakes its own set alone.
                auto const p = l.prepare();
                if (!p || !l.remote().call([] {}).ok() || !readable(mine)) return false;
                if (!l.dispatch().ok() || readable(mine)) return false;
                w.write(in, "x");
                return readable(mine) && l.dispatch().ok() && !readable(mine);
            }));
            CHECK(!readable(backend));
            w.write(in, "p");
            CHECK(readable(backend));
            CHECK(l.dispatch().ok());
        } else {
            CHECK_EQ(backend, -1);
        }
    }
    w.close(out);
    w.close(in);
}
