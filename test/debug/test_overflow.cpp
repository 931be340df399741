// The report of a stack that overflowed: each form is named, and nothing else is.
#include <alloca.h>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "../../src/sys/mapping.hpp"
#include "../../src/task/scheduler.hpp"
#include "../harness/axes.hpp"
#include "../harness/forked.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
[[gnu::noinline]] int recurse(int n) {
    char volatile frame[512];
    frame[0] = static_cast<char>(n);
    return n == 0 ? 0 : recurse(n - 1) + frame[0];
}
void overflow() { static_cast<void>(recurse(1'000'000)); }

[[gnu::noinline]] void large_frame() {
    char volatile frame[22'000];
    frame[0] = 1;
    asm volatile("" : : "r"(frame) : "memory");
}

// Goes down until no more than `left` bytes of the stack are left, and calls f there.
template <class F> [[gnu::noinline]] int go_deep(std::size_t left, F const& f) {
    char volatile here[64];
    here[0] = 1;
    auto& t = *detail::current_scheduler->current;
    auto const bottom = reinterpret_cast<std::uintptr_t>(detail::stack_pool::bottom_of(t.size_class, t.top()));
    if (reinterpret_cast<std::uintptr_t>(here) - bottom <= left) f();
    else go_deep(left, f);
    return here[0];
}

// Runs f in a task of that name, with the report on.
template <class F> void in_task(task_options o, F f) {
    auto const reports = debug::report_overflows();
    REQUIRE(reports.ok());
    harness::world world;
    static_cast<void>(run(world.options(), [&] {
        auto neighbour = spawn({.name = "neighbour", .stack_size = o.stack_size}, [] { return sleep_for(1s).ok(); });
        auto t = spawn(o, f);
        static_cast<void>(t.join());
    }));
    CHECK(false);
}

// The process's mappings, with light guards or without.
struct guards {
    explicit guards(bool light) : light_(light) { detail::set_process_mappings({&calls, this}); }
    ~guards() { detail::set_process_mappings(real_); }
    guards(guards const&) = delete;
    guards& operator=(guards const&) = delete;

    detail::mapping_table real_ = detail::process_mappings();
    bool light_;
    static guards& self(void* at) { return *static_cast<guards*>(at); }
    static detail::mapping_calls const calls;
};
detail::mapping_calls const guards::calls{
    [](void* at, std::size_t bytes, void** out) noexcept { return self(at).real_.calls->map(self(at).real_.context, bytes, out); },
    [](void* at, void* what, std::size_t bytes) noexcept { return self(at).real_.calls->unmap(self(at).real_.context, what, bytes); },
    [](void* at, void* what, std::size_t bytes, bool light) noexcept {
        if (light && !self(at).light_) return -ENOTSUP;
        int const got = self(at).real_.calls->guard(self(at).real_.context, what, bytes, light);
        if (light && got != 0) harness::skip("this kernel has no light guards");
        return got;
    },
    [](void* at, void* what, std::size_t bytes, unsigned char* pages) noexcept {
        return self(at).real_.calls->resident(self(at).real_.context, what, bytes, pages);
    }};
}  // namespace

// -- what is an overflow

TEST_DIES("a task that recurses too deep is named, with its stack's size", "'deep': its stack of 16384 bytes overflowed, at 0x") {
    in_task({.name = "deep", .stack_size = 16 << 10}, overflow);
}
TEST_DIES("a task without a name is told by its number, and only by that", "spruce: task 3: its stack of ") {
    in_task({}, overflow);
}
TEST_DIES("a stack of the largest size is told as well", "'big': its stack of 8388608 bytes overflowed") {
    in_task({.name = "big", .stack_size = 8 << 20}, overflow);
}
TEST_DIES("one frame that is larger than the stack is an overflow", "'framed': its stack of 16384 bytes overflowed") {
    in_task({.name = "framed", .stack_size = 16 << 10}, [] { large_frame(); });
}
TEST_DIES("alloca beyond the stack is an overflow", "'alloca': its stack of 16384 bytes overflowed") {
    in_task({.name = "alloca", .stack_size = 16 << 10}, [] {
        std::size_t volatile size = 20'000;   // a constant would be a frame, of which a compiler keeps what is used
        auto volatile* const room = static_cast<char volatile*>(alloca(size));
        room[0] = 1;
    });
}
TEST_DIES("an array of variable length beyond the stack is an overflow", "'vla': its stack of 16384 bytes overflowed") {
    in_task({.name = "vla", .stack_size = 16 << 10}, [] {
        std::size_t volatile size = 20'000;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wvla"
        char volatile room[size];
#pragma GCC diagnostic pop
        room[0] = 1;
        asm volatile("" : : "r"(room) : "memory");
    });
}
TEST_DIES("an overflow inside the C library's printf is told", "'prints': its stack of 65536 bytes overflowed") {
    in_task({.name = "prints", .stack_size = 64 << 10}, [] {
        go_deep(200, [] {
            static char room[400];
            double volatile number = 1.5;
            std::snprintf(room, sizeof room, "%*.30f %s", 300, number, "words");
        });
    });
}
TEST_DIES("an overflow in what the C library's qsort calls is told", "'sorts': its stack of 65536 bytes overflowed") {
    in_task({.name = "sorts", .stack_size = 64 << 10}, [] {
        int numbers[] = {3, 1, 2};
        std::qsort(numbers, 3, sizeof numbers[0], [](void const*, void const*) { return recurse(1'000'000); });
    });
}
TEST_DIES("an overflow of a task that run_now() runs inside another one names the inner", "'inner': its stack of 16384 bytes overflowed") {
    in_task({.name = "outer", .stack_size = 64 << 10}, [] {
        auto t = spawn({.name = "inner", .stack_size = 16 << 10}, overflow);
        static_cast<void>(run_now(t));
    });
}
TEST_DIES("an overflow after run_now() has come back names the outer", "'outer': its stack of 65536 bytes overflowed") {
    in_task({.name = "outer", .stack_size = 64 << 10}, [] {
        auto t = spawn({.name = "inner", .stack_size = 16 << 10}, [] { static_cast<void>(yield()); });
        static_cast<void>(run_now(t));
        overflow();
    });
}
TEST_DIES("a signal handler that runs on the task's stack and overflows it is told", "'handles': its stack of 65536 bytes overflowed") {
#if SPRUCE_TSAN
    harness::skip("ThreadSanitizer runs handlers with all signals blocked: a fault in one ends the process at once");
#endif
    in_task({.name = "handles", .stack_size = 64 << 10}, [] {
        struct sigaction a {};
        a.sa_handler = [](int) { overflow(); };
        ::sigaction(SIGUSR1, &a, nullptr);
        ::raise(SIGUSR1);
    });
}
TEST_DIES("a loop on another thread tells of its own task, beside one on this", "'there': its stack of 16384 bytes overflowed") {
    in_task({.name = "here", .stack_size = 64 << 10}, [] {
        std::thread([] {
            static_cast<void>(run([] {
                auto t = spawn({.name = "there", .stack_size = 16 << 10}, overflow);
                static_cast<void>(t.join());
            }));
        }).join();
    });
}
TEST_DIES("an overflow into a light guard is told", "'light': its stack of 16384 bytes overflowed") {
    guards const set(true);
    in_task({.name = "light", .stack_size = 16 << 10}, overflow);
}
TEST_DIES("an overflow into a guard of mprotect is told", "'heavy': its stack of 16384 bytes overflowed") {
    guards const set(false);
    in_task({.name = "heavy", .stack_size = 16 << 10}, overflow);
}
TEST_DIES("an overflow that begins in another task's wait is told of the one that runs", "'second': its stack of 16384 bytes overflowed") {
    in_task({.name = "first", .stack_size = 16 << 10}, [] {
        auto t = spawn({.name = "second", .stack_size = 16 << 10}, [] {
            static_cast<void>(yield());
            overflow();
        });
        static_cast<void>(t.join());
    });
}

TEST("the process dies by the signal as before, after one line") {
    auto const e = harness::forked([] { in_task({.name = "deep", .stack_size = 16 << 10}, overflow); });
    CHECK(e.died_by(SIGSEGV) || e.died_by(SIGBUS));
    CHECK_EQ(e.said.find("spruce: task "), 0U);
    if (WIFSIGNALED(e.status)) CHECK_EQ(e.said.find('\n'), e.said.size() - 1);
}

TEST("without the report nothing is said, and after the last token's end no more") {
    for (bool const before : {false, true}) {
        auto const e = harness::forked([before] {
            if (before) {
                auto first = debug::report_overflows();
                auto second = debug::report_overflows();
                CHECK(first.ok() && second.ok());
            }
            static_cast<void>(run([] { static_cast<void>(spawn({.name = "deep"}, overflow).join()); }));
        });
        CHECK(e.died());
        CHECK(!e.says("overflowed"));
    }
    auto const e = harness::forked([] {
        auto first = debug::report_overflows();
        debug::overflow_reports kept;
        {
            auto second = debug::report_overflows();
            kept = std::move(*second);
            *first = debug::overflow_reports();
        }
        static_cast<void>(run([] { static_cast<void>(spawn({.name = "deep"}, overflow).join()); }));
    });
    CHECK(e.died());
    CHECK(e.says("overflowed"));
}
