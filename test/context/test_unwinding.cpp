// A profiler that looks at the stack at any moment: the unwinder, called from a signal while tasks switch, comes to an
// end at the first frame of a task, or of the program.
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <memory>
#include <pthread.h>
#include <thread>
#include <unwind.h>
#include <vector>

#include "../../src/context/switch.hpp"
#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;

#if !SPRUCE_SWITCH_UCONTEXT
extern "C" void spruce_first_entry() noexcept;

namespace {
struct samples {
    std::atomic<long> taken{0}, in_tasks{0}, outside{0}, lost{0}, deepest{0};
    void* task_end = nullptr;      // where a task's stack ends for an unwinder
    void* program_end = nullptr;   // where the program's does
};
samples* into = nullptr;

struct trace {
    long frames = 0;
    void* last = nullptr;   // the outermost function
};
trace look() {
    trace t;
    _Unwind_Backtrace([](_Unwind_Context* at, void* out) {
        auto& seen = *static_cast<trace*>(out);
        seen.last = reinterpret_cast<void*>(_Unwind_GetRegionStart(at));
        // A stack that does not end is as bad as one that is lost.
        return ++seen.frames == 200 ? _URC_END_OF_STACK : _URC_NO_REASON;
    }, &t);
    return t;
}

void on_signal(int) {
    int const kept = errno;
    samples& s = *into;
    trace const t = look();
    ++s.taken;
    if (t.frames > s.deepest) s.deepest = t.frames;
    if (t.last == s.task_end) ++s.in_tasks;
    else if (t.last == s.program_end) ++s.outside;
    else ++s.lost;
    errno = kept;
}

// Some frames to go through, with a switch below them.
[[gnu::noinline]] long descend(int depth, harness::random& random) {
    long volatile here = depth;
    if (depth != 0) return descend(depth - 1, random) + here;
    for (std::uint64_t n = random.below(4); n != 0; --n) static_cast<void>(yield());
    return here;
}

// Sends the signal to this thread, n times, a thousand times a second, while work() runs again and again.
template <class Work> void sample(int n, Work work) {
    std::atomic<bool> stop{false};
    std::thread profiler([&, target = ::pthread_self()] {
        timespec const beat{0, 1'000'000};
        for (; n != 0; --n) {
            ::nanosleep(&beat, nullptr);
            ::pthread_kill(target, SIGPROF);
        }
        stop = true;
    });
    work(stop);
    profiler.join();
}

// Code without any task or switch: functions that begin and end. An unwinder that loses its way from here cannot be
// asked about switches. LLVM's, version 14, does from one sample in five: at the first instruction of a function, and
// between its last ones, it goes by the rules of the instruction before.
[[gnu::noinline]] long descend_plainly(int depth) {
    long volatile here = depth;
    return depth == 0 ? here : descend_plainly(depth - 1) + here;
}
void plain_code(std::atomic<bool>& stop) {
    for (int n = 0; !stop.load(std::memory_order_relaxed); n = (n + 1) % 12) static_cast<void>(descend_plainly(n));
}
}  // namespace

TEST_FOR(180, "the unwinder, called a thousand times a second while tasks switch, always finds the end of the stack") {
    if (SPRUCE_TSAN) harness::skip("the thread sanitizer holds signals back");
    samples s;
    into = &s;
    s.program_end = look().last;
    REQUIRE(s.program_end != nullptr);
    s.task_end = reinterpret_cast<void*>(&spruce_first_entry);
    struct sigaction act {};
    act.sa_handler = on_signal;
    act.sa_flags = SA_RESTART;
    struct sigaction before {};
    REQUIRE(::sigaction(SIGPROF, &act, &before) == 0);
    sample(1'000, plain_code);
    if (s.lost != 0) {
        static char why[128];
        std::snprintf(why, sizeof why, "this unwinder loses its way in code without tasks: %ld of %ld samples", s.lost.load(), s.taken.load());
        ::sigaction(SIGPROF, &before, nullptr);
        harness::skip(why);
    }
    CHECK(s.outside == s.taken);
    s.taken = s.outside = 0;

    harness::world w;
    {
        loop l(w.options());
        std::atomic<bool>* end_of_work = nullptr;
        trace whole;
        for (int i = 0; i != 40; ++i) {
            spawn([&, i] {
                harness::random random(harness::seed() + static_cast<std::uint64_t>(i));
                if (i == 0) whole = look();
                while (!end_of_work->load(std::memory_order_relaxed)) {
                    descend(static_cast<int>(random.below(12)), random);
                    if (random.chance(2)) spawn([&] { static_cast<void>(yield()); });
                    if (i % 8 == 0 && random.chance(20)) static_cast<void>(sleep_for(100us));
                }
            });
        }
        sample(harness::nightly() ? 60'000 : 5'000, [&](std::atomic<bool>& over) {
            end_of_work = &over;
            CHECK(l.run().ok());
        });
        CHECK(whole.last == s.task_end);
    }
    ::sigaction(SIGPROF, &before, nullptr);
    CHECK(s.taken > 100);
    CHECK(s.in_tasks > s.taken / 10);
    CHECK_EQ(s.lost.load(), 0L);
    CHECK(s.deepest < 100);
}
#endif
