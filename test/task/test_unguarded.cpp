// Tasks on small stacks without guards.
#include <array>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <spruce/debug.hpp>

#include "../../src/sys/binding.hpp"
#include "../../src/task/scheduler.hpp"
#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

namespace {
#ifdef __OPTIMIZE__
constexpr task_options small{.stack_size = 2048, .unguarded = true};
#else
constexpr task_options small{.stack_size = 8192, .unguarded = true};   // frames are larger
#endif
bool has_bare() { return detail::current_scheduler->arena->pool.has_bare(); }
void need_bare() {
    if (!has_bare()) harness::skip("stacks that no tool watches");
}
// The harness's interrupts are signals whose handler runs on whatever stack it finds: these are too small for that.
void need_calm() {
    if (harness::interrupted()) harness::skip("signal handlers with a stack of their own");
}
std::size_t bytes_or(std::size_t bare) { return has_bare() ? bare : std::size_t{16} << 10; }
task_info info_of(std::string_view name) {
    for (task_info const& t : loop::current()->census())
        if (t.name == name) return t;
    return {};
}
[[gnu::noinline]] void use(std::size_t bytes) {
    char room[256];
    std::memset(room, 1, sizeof room);
    asm volatile("" : : "r"(room) : "memory");
    if (bytes > sizeof room) use(bytes - sizeof room);
    asm volatile("" : : "r"(room) : "memory");
}
}  // namespace

TEST("five thousand tasks without guards wait, are woken and canceled, and leave nothing") {
    need_calm();
    world w;
    CHECK(run(w.options(), [] {
        event go;
        long begun = 0, woken = 0, canceled = 0;
        task_group all;
        for (int i = 0; i != 5'000; ++i)
            all.spawn(small, [&] {
                ++begun;
                auto const waited = go.wait();
                waited ? ++woken : ++canceled;
            });
        CHECK(yield().ok());   // behind all of them
        CHECK_EQ(begun, 5'000);
        std::size_t deepest = 0;
        for (task_info const& t : loop::current()->census())
            if (std::string_view(t.waiting_for) == "event") {
                CHECK_EQ(t.stack_bytes, bytes_or(small.stack_size));
                deepest = std::max(deepest, t.stack_high_water_bytes);
            }
        CHECK(deepest > 300);
        int spared = 0;
        all.spawn([&] {
            go.set();
            ++spared;
        });
        CHECK(all.join().ok());
        CHECK_EQ(woken, 5'000);
        CHECK_EQ(spared, 1);

        go.clear();
        for (int i = 0; i != 100; ++i) all.spawn(small, [&] { go.wait() ? ++woken : ++canceled; });
        CHECK(yield().ok());
        all.cancel();
        static_cast<void>(all.join());
        CHECK_EQ(canceled, 100);
    }).ok());
}

TEST("a stack without a guard has 2, 4 or 8 K, as is asked for, and is used again") {
    need_calm();
    world w;
    CHECK(run(w.options(), [] {
        struct { std::size_t asked, got; } const sizes[] = {{0, 8192}, {1, 2048}, {2048, 2048}, {2049, 4096}, {5000, 8192}, {8192, 8192}};
        for (auto const& s : sizes) {
            auto t = spawn({.name = "one", .stack_size = s.asked, .unguarded = true}, [] { return sleep_for(1h).ok(); });
            CHECK(yield().ok());
            CHECK_EQ(info_of("one").stack_bytes, bytes_or(s.got));
            t.cancel();
            CHECK(!t.get().value_or(true));
        }
        auto const mapped = detail::current_scheduler->arena->pool.mapped_bytes();
        for (int i = 0; i != 1000; ++i) CHECK(spawn(small, [] { return 1; }).get().value_or(0) == 1);
        CHECK_EQ(detail::current_scheduler->arena->pool.mapped_bytes(), mapped);
    }).ok());
}

TEST("a stack without a guard that is too large, or too small for its task's arguments, is refused by name") {
    need_calm();
    world w;
    CHECK(run(w.options(), [] {
        auto large = spawn({.stack_size = 8193, .unguarded = true}, [] {});
        CHECK(large.join() == errc::invalid_argument);
        std::array<char, 1000> many{};
        auto loaded = spawn({.stack_size = 2048, .unguarded = true}, [many] { return many[0]; });
        CHECK(!loaded.get() && loaded.get() == errc::invalid_argument);
        auto fits = spawn({.stack_size = 4096, .unguarded = true}, [many] { return int{many[0]}; });
        CHECK_EQ(fits.get().value_or(1), 0);
    }).ok());
}

TEST("who comes near the end of a stack without a guard, and not beyond it, goes on") {
    need_calm();
    world w;
    CHECK(run(w.options(), [] {
        need_bare();
        auto t = spawn({.name = "deep", .stack_size = 8192, .unguarded = true}, [] {
            use(5'500);   // and what a compiler that does not optimise lays on top of it
            return sleep_for(1ms).ok();
        });
        CHECK(yield().ok());
        CHECK(info_of("deep").stack_high_water_bytes > 5'500);
        CHECK(t.get().value_or(false));
    }).ok());
}

TEST_DIES("a task that outgrows a stack without a guard ends the program by name when it is given back", "'greedy' outgrew its stack of 2048 bytes") {
    need_calm();
    world w;
    static_cast<void>(run(w.options(), [] {
        need_bare();
        auto below = spawn({.stack_size = 2048, .unguarded = true}, [] { static_cast<void>(sleep_for(1h)); });
        CHECK(yield().ok());
        auto greedy = spawn({.name = "greedy", .stack_size = 2048, .unguarded = true}, [] { use(2'400); });
        static_cast<void>(greedy.join());
    }));
}

TEST_DIES("it does so when the task ends, though a handle keeps it", "'kept' outgrew its stack of 2048 bytes") {
    need_calm();
    world w;
    static task<void> keeps;
    static_cast<void>(run(w.options(), [] {
        need_bare();
        auto below = spawn({.stack_size = 2048, .unguarded = true}, [] { static_cast<void>(sleep_for(1h)); });
        CHECK(yield().ok());
        keeps = spawn({.name = "kept", .stack_size = 2048, .unguarded = true}, [] { use(2'400); });
        CHECK(yield().ok());
    }));
}

TEST_DIES("below the first of them lies a guard: who runs into it is named", "'first': its stack of 2048 bytes overflowed") {
    need_calm();
    auto const told = debug::report_overflows();
    world w;
    static_cast<void>(run(w.options(), [] {
        need_bare();
        auto first = spawn({.name = "first", .stack_size = 2048, .unguarded = true}, [] { use(9'000); });
        static_cast<void>(first.join());
    }));
}

TEST("the census shows a stack without a guard that was outgrown as used to its end") {
    need_calm();
    world w;
    CHECK(run(w.options(), [] {
        need_bare();
        auto below = spawn({.stack_size = 8192, .unguarded = true}, [] { static_cast<void>(sleep_for(1h)); });
        CHECK(yield().ok());
        detail::task_block* block = nullptr;
        auto t = spawn({.name = "over", .stack_size = 2048, .unguarded = true}, [&] {
            block = detail::current_scheduler->current;
            static_cast<void>(sleep_for(1h));
        });
        CHECK(yield().ok());
        CHECK(info_of("over").stack_high_water_bytes < 1'900);
        REQUIRE(block != nullptr);
        std::byte* const end = detail::stack_pool::bottom_of(block->size_class, block->top()) - 1;   // the line below it
        std::byte const before = std::exchange(*end, std::byte{1});
        CHECK_EQ(info_of("over").stack_high_water_bytes, 2'048U);
        *end = before;   // else this program ended here
        t.cancel();
        below.cancel();
    }).ok());
}

TEST("programs of which each call is bound when they begin are known by it, as this one is") {
    CHECK(detail::calls_are_bound());
}
