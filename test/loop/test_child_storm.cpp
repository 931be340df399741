// Children by the hundred beside a thread that reaps whatever it finds, and forks beside timers and fds.
#include <atomic>
#include <cerrno>
#include <csignal>
#include <memory>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <tuple>
#include <unistd.h>
#include <vector>

#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
int no_child_fd(void*, int) noexcept { return -ENOSYS; }

// Takes children that are others' to reap, in fits: now and then it leaves them alone until others had their turn.
struct thief {
    std::atomic<bool> over{false};
    std::atomic<long> turns{0};
    long stolen = 0;
    std::thread runs{[this] {
        harness::random random(harness::seed());
        while (!over) {
            int status;
            if (::waitpid(-1, &status, WNOHANG) > 0) ++stolen;
            else std::this_thread::yield();
            if (!random.chance(1)) continue;
            for (long const before = turns; turns == before && !over;) std::this_thread::yield();
        }
    }};
    ~thief() {
        over = true;
        runs.join();
        while (::waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {}
    }
};

void reap_beside_a_thief(bool by_signal) {
    if (harness::simulated()) harness::skip("the real kernel's children");
    harness::world w;
    kernel on = w.on();
    detail::kernel_calls calls = *on.calls;
    if (by_signal) calls.open_child = no_child_fd;
    on.calls = &calls;
    auto options = w.options();
    options.on = &on;
    loop l(options);
    REQUIRE(l.status().ok());
    harness::random random(harness::seed());
    long known = 0, lost = 0, refused = 0, wrong = 0, pending = 0;
    long const all = harness::nightly() ? 10'000 : 1'000;
    {
        thief t;
        for (long n = 0; n != all; ++n) {
            int const code = static_cast<int>(random.below(200));
            bool const killed = random.chance(20);
            int const pid = ::fork();
            REQUIRE(pid >= 0);
            if (pid == 0) {
                if (killed) ::raise(SIGKILL);
                ::_exit(code);
            }
            auto ran = std::make_shared<int>(0);
            auto made = l.add_child_handler(pid, [&, ran, code, killed](result<exit_status> s) {
                --pending;
                wrong += ++*ran != 1;
                if (s.ok()) {
                    ++known;
                    wrong += killed ? s->signal() != SIGKILL : s->code() != code;
                } else {
                    ++lost;
                    wrong += s != errc::status_lost;
                }
            });
            if (made.ok()) {
                ++pending;
            } else {
                ++refused;   // it was gone before it had a handler
                wrong += made != errc::invalid_argument;
            }
            if (!random.chance(50)) continue;
            static_cast<void>(l.run_once(in(0s)));
            ++t.turns;
        }
        // Whoever has a handler is told, one way or the other.
        CHECK(l.run_until([&] { return pending == 0; }, in(30s)).ok());
    }
    CHECK_EQ(wrong, 0L);
    CHECK_EQ(known + lost + refused, all);
    CHECK(known != 0);
    CHECK(lost + refused != 0);
}
}  // namespace

TEST_FOR(300, "a thousand children beside a thread that reaps any: each ends with its status, or status_lost, and none hangs") {
    reap_beside_a_thief(false);
}
TEST_FOR(300, "the same without child fds, by SIGCHLD alone") { reap_beside_a_thief(true); }

TEST_FOR(300, "a thousand forks beside timers and fds: beats and bytes go on, in the children that ask for a loop as well") {
    if (harness::simulated()) harness::skip("the real kernel's fork()");
    harness::world w;
    int out, into;
    std::tie(out, into) = w.pipe();
    bool mine = false;   // in a child
    long beats = 0, forks = 0, ended = 0, wrong = 0;
    std::uint64_t written = 0, read = 0;
    long const all = harness::nightly() ? 10'000 : 1'000;
    {
        loop l(w.options());
        REQUIRE(l.status().ok());
        harness::random random(harness::seed());
        handler far = l.call_later(1h, [&] { ++wrong; });
        handler const beat = l.call_every(200us, [&] {
            ++beats;
            if (mine) return;
            for (std::uint64_t n = random.below(4); n != 0; --n)
                if (w.write(into, {reinterpret_cast<char const*>(&written), sizeof written}) == sizeof written) ++written;
        });
        auto reader = l.add_reader(out, [&] {
            std::uint64_t got;
            while (w.read(out, reinterpret_cast<char*>(&got), sizeof got) == sizeof got) wrong += got != read++;
        });
        REQUIRE(beat.active() && reader.ok());
        while (forks != all) {
            bool const lives_on = random.chance(5);
            int const pid = ::fork();
            REQUIRE(pid >= 0);
            if (pid == 0) {
                ::alarm(20);
                if (!lives_on) ::_exit(3);
                // A loop of its own, with the timers it had; the pipe is the parent's.
                mine = true;
                if (!l.after_fork() || !l.remove_reader(out)) ::_exit(1);
                long const before = beats;
                if (!l.run_until([&] { return beats > before + 2; }, in(10s)).ok()) ::_exit(2);
                ::_exit(3);
            }
            ++forks;
            auto made = l.add_child_handler(pid, [&](result<exit_status> s) {
                ++ended;
                wrong += !s.ok() || s->code() != 3;
            });
            wrong += !made.ok();
            if (forks - ended > 20) CHECK(l.run_until([&] { return forks - ended < 10; }, in(20s)).ok());
            else static_cast<void>(l.run_once(in(0s)));
        }
        CHECK(l.run_until([&] { return ended == forks && read == written; }, in(20s)).ok());
        far.cancel();
    }
    CHECK_EQ(wrong, 0L);
    CHECK(beats > 10);
    CHECK(read > 10);
    w.close(out);
    w.close(into);
}
