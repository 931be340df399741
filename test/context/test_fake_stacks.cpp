// AddressSanitizer's fake stacks (ASAN_OPTIONS=detect_stack_use_after_return=1), where the locals of a task live apart
// from its frames: each task has one of its own, which goes with it.
#include "../../src/context/sanitizers.hpp"
#include "../harness/axes.hpp"

#if SPRUCE_ASAN
#include <cstdio>
#include <cstring>

extern "C" void* __asan_get_current_fake_stack();

using namespace spruce;

namespace {
// Locals whose addresses go elsewhere get a fake frame, which makes the fake stack.
[[gnu::noinline]] int use_locals(int n) {
    int room[16];
    std::memset(room, 0, sizeof room);
    room[n & 15] = n;
    asm volatile("" : : "r"(room) : "memory");
    static_cast<void>(yield());
    return room[n & 15];
}

bool fake_stacks_on() {
    use_locals(1);
    return __asan_get_current_fake_stack() != nullptr;
}

int* volatile left_behind;
[[gnu::noinline]] void leave_behind() {
    int room[4] = {1, 2, 3, 4};
    left_behind = room;
    static_cast<void>(yield());
}

long mapped_megabytes() {
    long pages = 0;
    if (std::FILE* const f = std::fopen("/proc/self/statm", "r")) {
        if (std::fscanf(f, "%ld", &pages) != 1) pages = 0;
        std::fclose(f);
    }
    return pages / 256;
}
}  // namespace

TEST("the fake stacks of tasks that have ended are given back") {
    if (!fake_stacks_on()) harness::skip("fake stacks are off: ASAN_OPTIONS=detect_stack_use_after_return=1");
    auto const r = run([] {
        auto const many = [](int count) {
            for (int i = 0; i != count; ++i) {
                auto a = spawn(use_locals, i), b = spawn(use_locals, i + 1);
                CHECK_EQ(a.get().value_or(-1), i);
                CHECK_EQ(b.get().value_or(-1), i + 1);
            }
        };
        many(10);
        long const before = mapped_megabytes();
        CHECK(before > 0);
        many(500);
        // A fake stack takes some megabytes of addresses: a thousand of them would be gigabytes.
        CHECK(mapped_megabytes() < before + 200);
    });
    CHECK(r.ok());
}

TEST_DIES("a local that a task left behind is seen when it is read after a wait", "stack-use-after-return") {
    if (!fake_stacks_on()) harness::skip("fake stacks are off: ASAN_OPTIONS=detect_stack_use_after_return=1");
    auto const r = run([] {
        auto other = spawn([] { static_cast<void>(use_locals(1)); });
        leave_behind();
        CHECK(other.join().ok());
        return left_behind[2];
    });
    CHECK_EQ(r.value_or(0), 3);
}
#endif
