// What unwinders see of a task: each frame of its own, then the first entry of its stack, and a clean end there.
#include <vector>

#include "../../src/context/switch.hpp"
#include "../harness/axes.hpp"

#if __has_include(<unwind.h>) && !defined(__ARM_EABI_UNWINDER__)
#include <unwind.h>

using namespace spruce;
using namespace std::chrono_literals;

#if !SPRUCE_SWITCH_UCONTEXT
extern "C" [[gnu::visibility("hidden")]] void spruce_first_entry() noexcept;
#endif

namespace {
// One walk: the first address of each frame's function, the innermost first.
struct walk {
    static constexpr int room = 400;
    std::uintptr_t functions[room];
    int count = 0;
    bool ended = false;
};

_Unwind_Reason_Code note(_Unwind_Context* at, void* to) {
    auto& w = *static_cast<walk*>(to);
    // Some unwinders tell of the end as of a frame without an address.
    if (_Unwind_GetIP(at) == 0) return _URC_NO_REASON;
    if (w.count == walk::room) return _URC_NORMAL_STOP;
    w.functions[w.count++] = static_cast<std::uintptr_t>(_Unwind_GetRegionStart(at));
    return _URC_NO_REASON;
}

[[gnu::noinline]] void take_walk(walk& w) {
    w.count = 0;
    w.ended = _Unwind_Backtrace(note, &w) == _URC_END_OF_STACK;
    asm volatile("" : : "r"(&w) : "memory");
}

// So many frames deep, and there whatever `bottom` does.
template <class F> [[gnu::noinline]] void dive(int depth, F& bottom) {
    if (depth == 0) bottom();
    else dive(depth - 1, bottom);
    asm volatile("" : : "r"(&bottom) : "memory");   // no tail call
}

// Whether a walk met the function so often, in one piece, and ended where the stack begins.
template <class F> void check_walk(walk const& w, int depth, F&) {
    auto const diver = reinterpret_cast<std::uintptr_t>(static_cast<void (*)(int, F&)>(dive<F>));
    int met = 0, pieces = 0;
    for (int i = 0; i != w.count; ++i) {
        if (w.functions[i] != diver) continue;
        ++met;
        if (i == 0 || w.functions[i - 1] != diver) ++pieces;
    }
    CHECK_EQ(met, depth + 1);
    CHECK_EQ(pieces, 1);
    CHECK(w.ended);
    REQUIRE(w.count > 0);
    // Below the divers: what unwinding and the test itself add, the callable's wrappers, and the entry.
    CHECK(w.count <= depth + 1 + 20);
#if !SPRUCE_SWITCH_UCONTEXT
    CHECK_EQ(w.functions[w.count - 1], reinterpret_cast<std::uintptr_t>(&spruce_first_entry));
#endif
}

template <class F> auto run_virtually(F&& f) {
    testing::simulation world;
    loop_options o;
    o.on = world.on();
    return run(o, std::forward<F>(f));
}
}  // namespace

TEST("an unwinder walks out of a task at any depth, meets each frame once, and stops at its first entry") {
    auto const r = run_virtually([] {
        for (int const depth : {0, 1, 7, 100, 300}) {
            auto t = spawn([depth] {
                walk w;
                auto bottom = [&] { take_walk(w); };
                dive(depth, bottom);
                check_walk(w, depth, bottom);
            });
            CHECK(t.join().ok());
        }
    });
    CHECK(r.ok());
}

TEST("an unwinder walks the same frames after each kind of wait, while other tasks run at other depths") {
    auto const r = run_virtually([] {
        std::vector<task<int>> all;
        for (int depth = 1; depth <= 12; ++depth)
            all.push_back(spawn([depth] {
                int walks = 0;
                walk w;
                auto bottom = [&] {
                    auto other = spawn([] { return sleep_for(2ms); });
                    int before = 0;
                    for (int wait = 0; wait != 5; ++wait) {
                        if (wait == 1) CHECK(yield().ok());
                        if (wait == 2) CHECK(run_now(spawn([] { return sleep_for(1ms); })).ok());
                        if (wait == 3) CHECK(sleep_for(1ms).ok());
                        if (wait == 4) CHECK(other.join().ok());
                        take_walk(w);   // from one place only, so that the frames are the same
                        if (wait == 0) before = w.count;
                        else CHECK_EQ(w.count, before), ++walks;
                    }
                };
                dive(depth, bottom);
                check_walk(w, depth, bottom);
                return walks;
            }));
        for (auto& t : all) CHECK_EQ(t.get().value_or(0), 4);
    });
    CHECK(r.ok());
}

TEST("an unwinder in a task run by run_now does not see the task that made it run") {
    auto const r = run_virtually([] {
        walk outer, inner;
        auto bottom_of_inner = [&] { take_walk(inner); };
        auto bottom_of_outer = [&] {
            auto t = spawn([&] { dive(3, bottom_of_inner); });
            CHECK(run_now(t).ok());
            CHECK(t.join().ok());
            take_walk(outer);
        };
        dive(9, bottom_of_outer);
        check_walk(outer, 9, bottom_of_outer);
        check_walk(inner, 3, bottom_of_inner);
        CHECK(inner.count < outer.count);
    });
    CHECK(r.ok());
}

#if SPRUCE_EXCEPTIONS
TEST("an exception leaves a hundred frames of a task that waited in each of them") {
    auto const r = run_virtually([] {
        struct waits_when_left {
            int* left;
            ~waits_when_left() {
                CHECK(yield().ok());
                ++*left;
            }
        };
        struct diver {
            int* left;
            void operator()(int depth) {
                waits_when_left here{left};
                CHECK(yield().ok());
                if (depth == 0) throw 7;
                (*this)(depth - 1);
            }
        };
        std::vector<task<int>> all;
        for (int i = 0; i != 3; ++i)
            all.push_back(spawn([] {
                int left = 0;
                try {
                    diver{&left}(99);
                } catch (int n) {
                    CHECK_EQ(n, 7);
                }
                return left;
            }));
        for (auto& t : all) CHECK_EQ(t.get().value_or(0), 100);
    });
    CHECK(r.ok());
}
#endif
#endif
