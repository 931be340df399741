// Tasks in every state, for a debugger to find. Each stands in functions with names of their own. When all are there,
// one of them calls stop_here(). Before that, some look at their own frames with the unwinder of exceptions.
// With an argument the program aborts there.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <unwind.h>

#include <spruce/spruce.hpp>

using namespace spruce;
using namespace std::chrono_literals;

namespace known {
std::atomic<int> walked{0}, wrong{0};
std::atomic<bool> there{false};
bool aborts = false;
event never;

// How many frames there are to the end; -1 if that is not where the walk ends.
[[gnu::noinline]] int frames() {
    int count = 0;
    auto const ended = _Unwind_Backtrace([](_Unwind_Context* at, void* to) {
        if (_Unwind_GetIP(at) != 0) ++*static_cast<int*>(to);
        return *static_cast<int*>(to) > 1000 ? _URC_NORMAL_STOP : _URC_NO_REASON;
    }, &count);
    return ended == _URC_END_OF_STACK ? count : -1;
}

// Two more frames for two more calls, and a clean end.
void compare(int shallow, int deep, int calls) {
    ++walked;
    if (shallow <= 0 || deep - shallow != calls) {
        ++wrong;
        std::printf("%d frames, then %d for %d more calls\n", shallow, deep, calls);
    }
}

[[gnu::noinline]] void keep() { asm volatile("" : : : "memory"); }
[[gnu::noinline]] void stop_here() {
    if (aborts) std::abort();
    keep();
}

[[gnu::noinline]] int wait_at_the_bottom(int local_of_the_waiter) {
    int const count = frames();
    static_cast<void>(never.wait());
    keep();
    return count + 0 * local_of_the_waiter;
}
[[gnu::noinline]] void wait_deeply(int depth, int shallow) {
    if (depth == 0) {
        compare(shallow, frames(), 6);
        wait_at_the_bottom(4711);
    } else {
        wait_deeply(depth - 1, shallow);
    }
    keep();
}
[[gnu::noinline]] void nap() {
    static_cast<void>(sleep_for(1h));
    keep();
}
[[gnu::noinline]] void go_round() {
    static_cast<void>(yield());
    keep();
}
[[gnu::noinline]] void never_runs() { keep(); }
[[gnu::noinline]] void elsewhere() {
    static_cast<void>(sleep_for(1h));
    keep();
}
[[gnu::noinline]] void run_in_turn() {
    stop_here();
    keep();
}
[[gnu::noinline]] void call_now() {
    auto runner = spawn({.name = "runner"}, run_in_turn);
    static_cast<void>(run_now(runner));
    keep();
}
[[gnu::noinline]] void catches() {
#if SPRUCE_EXCEPTIONS
    try {
        throw 1;
    } catch (int) {
        nap();
    }
#else
    nap();
#endif
    keep();
}

// Waits at the bottom of so many calls; each frame is walked after the wait, too.
[[gnu::noinline]] int walk_around(int depth) {
    int const count = depth == 0 ? frames() : walk_around(depth - 1);
    static_cast<void>(yield());
    keep();
    return count;
}
}  // namespace known

int main(int count, char**) {
    using namespace known;
    aborts = count > 1;
    std::thread other([] {
        static_cast<void>(run([] {
            auto t = spawn({.name = "elsewhere"}, elsewhere);
            auto last = spawn([] { there = true; });
            return t.join();
        }));
    });
    other.detach();
    while (!there) std::this_thread::yield();
    auto const r = run([] {
        auto walker = spawn({.name = "walker"}, [] {
            int const shallow = walk_around(0);
            for (int const depth : {1, 2, 50}) compare(shallow, walk_around(depth), depth);
        });
        static_cast<void>(walker.join());
        auto waiter = spawn({.name = "waiter"}, [] { wait_deeply(5, frames()); });
        auto sleeper = spawn({.name = "a sleeper"}, nap);
        auto small = spawn({.name = "small one", .unguarded = true}, nap);
        auto catcher = spawn({.name = "catcher", .stack_size = 16 << 10}, catches);
        auto ended = spawn({.name = "ended"}, never_runs);
        static_cast<void>(ended.join());
        auto caller = spawn({.name = "caller"}, call_now);
        auto yielder = spawn({.name = "yielder"}, go_round);
        static_cast<void>(run_now(yielder));
        auto fresh = spawn({.name = "fresh one"}, never_runs);
        static_cast<void>(caller.join());
        std::printf("%d walks, %d wrong\n", walked.load(), wrong.load());
        std::fflush(stdout);
        std::_Exit(wrong == 0 ? 0 : 1);
    });
    return r.ok() ? 0 : 2;
}
