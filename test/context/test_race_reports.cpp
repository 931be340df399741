// ThreadSanitizer follows tasks as it follows threads: what they share with threads unguarded is seen, and told at the
// task's own frames; what tasks of one loop share is no race.
#include "../../src/context/sanitizers.hpp"
#include "../harness/axes.hpp"

#if SPRUCE_TSAN
#include <cstdlib>
#include <thread>

using namespace spruce;

namespace {
bool dies_of_reports = false;
}

// Called once a report is written.
extern "C" void __tsan_on_report(void*) {
    if (dies_of_reports) std::abort();
}

namespace {
[[gnu::noinline]] void task_writes(int& place) {
    place = 1;
    static_cast<void>(yield());
    place = 2;
}
}  // namespace

TEST_DIES("a race between a task that has waited and a thread is seen, and told at the task's frames", "task_writes") {
    dies_of_reports = true;
    static_cast<void>(run([] {
        int place = 0;
        std::thread other;
        auto writer = spawn([&] { task_writes(place); });
        static_cast<void>(yield());   // it has begun
        other = std::thread([&] { place = 3; });
        static_cast<void>(writer.join());
        other.join();
    }));
}

TEST("tasks of one loop that share a place race with nobody, not even with those whose stacks they got") {
    dies_of_reports = true;
    int place = 0;
    auto const r = run([&] {
        for (int n = 0; n != 20; ++n) {
            auto a = spawn([&] { task_writes(place); }), b = spawn([&] { task_writes(place); });
            CHECK(a.join().ok() && b.join().ok());
        }
    });
    CHECK(r.ok());
    CHECK_EQ(place, 2);
}
#endif
