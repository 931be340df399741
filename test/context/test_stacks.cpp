#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>
#include <sys/uio.h>
#include <utility>
#include <unistd.h>
#include <vector>

#include "../../src/context/stack_pool.hpp"
#include "../../src/sys/mapping.hpp"
#include "../harness/axes.hpp"

using namespace spruce;
using namespace spruce::detail;
using namespace std::chrono_literals;

namespace {
// The process's mappings with some calls made to fail, for one test.
struct moody_mappings {
    mapping_table const real = process_mappings();
    long maps_left = -1;      // how many map() succeed from now on; negative: all
    std::size_t most = 0;     // bytes that map() gives at once; 0: any
    int light = 0, heavy = 0; // what guard() answers instead, -errno
    long mapped = 0, guards_light = 0, guards_heavy = 0;

    moody_mappings() { set_process_mappings({&calls, this}); }
    ~moody_mappings() { set_process_mappings(real); }
    moody_mappings(moody_mappings const&) = delete;
    moody_mappings& operator=(moody_mappings const&) = delete;

    static int map(void* at, std::size_t bytes, void** out) noexcept {
        auto& m = *static_cast<moody_mappings*>(at);
        if (m.maps_left == 0 || (m.most != 0 && bytes > m.most)) return -ENOMEM;
        if (m.maps_left > 0) --m.maps_left;
        ++m.mapped;
        return m.real.calls->map(m.real.context, bytes, out);
    }
    static int unmap(void* at, void* what, std::size_t bytes) noexcept {
        auto& m = *static_cast<moody_mappings*>(at);
        --m.mapped;
        return m.real.calls->unmap(m.real.context, what, bytes);
    }
    static int guard(void* at, void* what, std::size_t bytes, bool light) noexcept {
        auto& m = *static_cast<moody_mappings*>(at);
        if (int const answer = light ? m.light : m.heavy; answer != 0) return answer;
        ++(light ? m.guards_light : m.guards_heavy);
        return m.real.calls->guard(m.real.context, what, bytes, light);
    }
    static int resident(void* at, void* what, std::size_t bytes, unsigned char* pages) noexcept {
        auto& m = *static_cast<moody_mappings*>(at);
        return m.real.calls->resident(m.real.context, what, bytes, pages);
    }
    int prepares = -ENOTSUP;   // what prepare() answers instead; 0: the kernel's answer
    bool begins = false;       // … after it has laid the guards
    long prepared = 0;
    static int prepare(void* at, void* what, std::size_t stride, std::size_t count, std::size_t guard_bytes) noexcept {
        auto& m = *static_cast<moody_mappings*>(at);
        for (std::size_t i = 0; m.begins && i != count; ++i)
            static_cast<void>(m.real.calls->guard(m.real.context, static_cast<std::byte*>(what) + i * stride, guard_bytes, true));
        if (m.prepares != 0) return m.prepares;
        if (!m.real.calls->prepare) return -ENOTSUP;
        int const answer = m.real.calls->prepare(m.real.context, what, stride, count, guard_bytes);
        if (answer == 0) m.prepared += static_cast<long>(count);
        return answer;
    }
    static constexpr mapping_calls calls{map, unmap, guard, resident, prepare};
};

stack_ref taken(stack_pool& pool, stack_class c) {
    auto s = pool.take(c);
    REQUIRE(s.ok());
    return *s;
}

using enum stack_class;
constexpr stack_class all_classes[] = {k16, k64, k256, m1, m8};

template <class F> auto run_virtually(F&& f, loop_options o = {}) {
    testing::simulation world(harness::as_asked());
    o.on = world.on();
    return run(o, std::forward<F>(f));
}

[[gnu::noinline]] void use_deeply() {
    char room[100'000];
    std::memset(room, 1, sizeof room);
    asm volatile("" : : "r"(room) : "memory");   // else a compiler keeps just the bytes that matter
}

void touch_guard(stack_class c, std::size_t below) {
    stack_pool pool{memory_hook{}};
    stack_ref const first = taken(pool, c), second = taken(pool, c);
    std::memset(first.bottom, 1, 64);
    std::memset(second.bottom, 1, 64);
    // Said only once all that is allowed was done.
    static constexpr char said[] = "now the guard\n";
    std::fwrite(said, 1, sizeof said - 1, stderr);
    *const_cast<std::byte volatile*>(second.bottom - below) = std::byte{1};
    CHECK(false);
}
}  // namespace

TEST("a size is rounded up to the next class of stacks") {
    CHECK(class_for(0) == stack_class::k16);
    CHECK(class_for(1) == stack_class::k16);
    CHECK(class_for(16 << 10) == stack_class::k16);
    CHECK(class_for((16 << 10) + 1) == stack_class::k64);
    CHECK(class_for(100'000) == stack_class::k256);
    CHECK(class_for(1 << 20) == stack_class::m1);
    CHECK(class_for((1 << 20) + 1) == stack_class::m8);
    CHECK(class_for(SIZE_MAX) == stack_class::m8);
}

TEST("a fresh stack is all zero, as large as its class but for a kilobyte, and touches no other") {
    stack_pool pool{memory_hook{}};
    std::vector<stack_ref> all;
    for (stack_class const c : {stack_class::k16, stack_class::k64}) {
        for (int i = 0; i != 40; ++i) {
            stack_ref const s = taken(pool, c);
            CHECK_EQ(reinterpret_cast<std::uintptr_t>(s.top) % 64, 0U);
            CHECK_EQ(reinterpret_cast<std::uintptr_t>(s.bottom) % page_size(), 0U);
            CHECK(static_cast<std::size_t>(s.top - s.bottom) > bytes_of(c) - 1024);
            CHECK(static_cast<std::size_t>(s.top - s.bottom) <= bytes_of(c));
            CHECK(std::all_of(s.bottom, s.top, [](std::byte b) { return b == std::byte{}; }));
            std::memset(s.bottom, 0xa0 + i % 16, static_cast<std::size_t>(s.top - s.bottom));
            all.push_back(s);
        }
    }
    for (std::size_t i = 0; i != all.size(); ++i) {
        auto const mine = static_cast<std::byte>(0xa0 + i % 40 % 16);
        CHECK(std::all_of(all[i].bottom, all[i].top, [mine](std::byte b) { return b == mine; }));
    }
}

TEST("tops differ by cache lines, so that many stacks do not fight for the same ones") {
    stack_pool pool{memory_hook{}};
    std::array<int, 64> lines{};
    for (int i = 0; i != 64; ++i)
        ++lines[reinterpret_cast<std::uintptr_t>(taken(pool, stack_class::k64).top) / 64 % 64];
    // Slabs begin their colours anew, so none need be quite even; but no line has all.
    CHECK(*std::max_element(lines.begin(), lines.end()) <= 16);
    CHECK(std::count_if(lines.begin(), lines.end(), [](int n) { return n != 0; }) >= 8);
}

TEST("stacks without guards lie a line apart, whole in their slab, all zero but for a line at the end") {
    stack_pool pool{memory_hook{}};
    for (stack_class const c : {bare2k, bare4k, bare8k}) {
        std::byte* before = nullptr;
        for (int i = 0; i != 1500; ++i) {
            stack_ref const s = taken(pool, c);
            CHECK_EQ(static_cast<std::size_t>(s.top - s.bottom), bytes_of(c));
            CHECK_EQ(reinterpret_cast<std::uintptr_t>(s.top) % 64, 0U);
            CHECK(stack_pool::bottom_of(c, s.top) == s.bottom);
            if (i != 0 && s.bottom > before && s.bottom - before < 64 + static_cast<std::ptrdiff_t>(bytes_of(c))) CHECK(false);
            before = s.bottom;
            CHECK(std::all_of(s.bottom + 64, s.top, [](std::byte b) { return b == std::byte{0}; }));
            CHECK(stack_pool::is_intact(c, s.top));
            std::memset(s.bottom + 64, 1, bytes_of(c) - 64);
            CHECK(stack_pool::is_intact(c, s.top));
        }
        stack_ref const last = taken(pool, c);
        CHECK_EQ(pool.high_water(c, last), 0U);
        last.top[-100] = std::byte{1};
        CHECK_EQ(pool.high_water(c, last), 104U);
        for (std::ptrdiff_t const at : {63, 0, -1, -64}) {
            std::byte const was = std::exchange(last.bottom[at], std::byte{0});
            CHECK(!stack_pool::is_intact(c, last.top));
            CHECK_EQ(pool.high_water(c, last), bytes_of(c));
            last.bottom[at] = was;
            CHECK(stack_pool::is_intact(c, last.top));
        }
        pool.give(c, last.top);
        CHECK(taken(pool, c).top == last.top);
    }
}

TEST("where there is no room for huge pages, stacks without guards lie in small ones, as many as there is room for") {
    moody_mappings m;
    m.most = std::size_t{300} << 10;
    stack_pool pool{memory_hook{}};
    std::vector<std::byte*> tops;
    for (int i = 0; i != 200; ++i) {
        stack_ref const s = taken(pool, bare2k);
        std::memset(s.bottom + 64, 1, bytes_of(bare2k) - 64);
        tops.push_back(s.top);
    }
    CHECK(pool.mapped_bytes() < std::size_t{2} << 20);
    for (std::byte* const top : tops) CHECK(stack_pool::is_intact(bare2k, top));
    m.maps_left = 0;
    for (int i = 0; i != 2'000; ++i)
        if (auto const s = pool.take(bare2k); !s) {
            CHECK(s == errc::no_memory);
            break;
        }
}

TEST("below the first stack without a guard lies one, without which there is no stack") {
    moody_mappings m;
    stack_pool pool{memory_hook{}};
    m.light = m.heavy = -EPERM;
    auto const refused = pool.take(bare4k);
    CHECK(!refused && refused.error().code() == EPERM);
    CHECK_EQ(m.mapped, 0);
    CHECK_EQ(pool.mapped_bytes(), 0U);
    m.light = -EINVAL;
    m.heavy = 0;
    stack_ref const first = taken(pool, bare4k);
    CHECK_EQ(m.guards_heavy, 1);
    CHECK(first.bottom - 64 == reinterpret_cast<std::byte*>(reinterpret_cast<std::uintptr_t>(first.bottom - 64) & ~std::uintptr_t{(2 << 20) - 1}));
}

TEST("a stack given back is taken next, last in, first out, and nothing new is mapped for it") {
    stack_pool pool{memory_hook{}};
    for (stack_class const c : all_classes) {
        stack_ref const a = taken(pool, c), b = taken(pool, c), d = taken(pool, c);
        std::size_t const mapped = pool.mapped_bytes();
        pool.give(c, a.top);
        pool.give(c, d.top);
        pool.give(c, b.top);
        for (stack_ref const& expected : {b, d, a}) {
            stack_ref const s = taken(pool, c);
            CHECK(s.top == expected.top);
            CHECK(s.bottom == expected.bottom);
        }
        CHECK_EQ(pool.mapped_bytes(), mapped);
    }
}

TEST("random taking and giving hands out no stack twice, and maps no more than the most that were out") {
    harness::random random(harness::seed());
    moody_mappings watched;
    {
        stack_pool pool{memory_hook{}};
        struct held {
            stack_class c;
            stack_ref s;
        };
        std::vector<held> out;
        std::size_t most = 0;
        for (int i = 0; i != 20'000; ++i) {
            if (out.empty() || (out.size() < 300 && random.chance(52))) {
                auto const c = random.chance(50) ? stack_class::k16 : stack_class::k64;
                stack_ref const s = taken(pool, c);
                for (held const& h : out) CHECK(h.s.bottom != s.bottom);
                // Its owner's mark, at both ends.
                std::memcpy(s.bottom, &s.top, sizeof s.top);
                std::memcpy(s.top - 16, &s.bottom, sizeof s.bottom);
                out.push_back({c, s});
                most = std::max(most, out.size());
            } else {
                std::size_t const at = random.below(out.size());
                held const h = out[at];
                CHECK(std::memcmp(h.s.bottom, &h.s.top, sizeof h.s.top) == 0);
                CHECK(std::memcmp(h.s.top - 16, &h.s.bottom, sizeof h.s.bottom) == 0);
                pool.give(h.c, h.s.top);
                out[at] = out.back();
                out.pop_back();
            }
        }
        // Slabs double, so that there are few mappings for many stacks.
        CHECK(watched.mapped <= 20);
        std::size_t stacks = 0;
        pool.for_each([&](stack_class, stack_ref) { ++stacks; });
        CHECK(stacks <= 2 * most);
    }
    CHECK_EQ(watched.mapped, 0L);
}

TEST("the high-water mark is the deepest byte that was used, and looking does not raise it") {
    stack_pool pool{memory_hook{}};
    for (stack_class const c : all_classes) {
        stack_ref const s = taken(pool, c);
        CHECK_EQ(pool.high_water(c, s), 0U);
        std::size_t const whole = static_cast<std::size_t>(s.top - s.bottom);
        std::size_t const depths[] = {8, 4'000, 9'000, whole * 3 / 4 / 8 * 8, whole};
        for (std::size_t const depth : depths) {
            s.top[-static_cast<std::ptrdiff_t>(depth)] = std::byte{1};
            CHECK_EQ(pool.high_water(c, s), depth);
        }
        // What the next owner finds is what the former used.
        pool.give(c, s.top);
        CHECK_EQ(pool.high_water(c, taken(pool, c)), whole);
    }
}

TEST("without memory for a stack the pool says so, and goes on when there is some") {
    moody_mappings moody;
    {
        stack_pool pool{memory_hook{}};
        moody.maps_left = 0;
        auto none = pool.take(stack_class::k64);
        CHECK(none == errc::no_memory);
        CHECK(std::strstr(none.error().detail(), "vm.max_map_count") != nullptr);
        moody.maps_left = 1;
        int got = 0;
        while (pool.take(stack_class::k64).ok()) ++got;
        CHECK(got >= 1);
        moody.maps_left = -1;
        CHECK(pool.take(stack_class::k64).ok());
    }
    CHECK_EQ(moody.mapped, 0L);
}

TEST("where light guards do not work each stack has a costly one, and without any there is no stack") {
    moody_mappings moody;
    {
        stack_pool pool{memory_hook{}};
        moody.light = -ENOTSUP;
        for (int i = 0; i != 4; ++i) CHECK(pool.take(stack_class::k16).ok());
        CHECK_EQ(moody.guards_heavy, 4L);
        CHECK_EQ(moody.guards_light, 0L);
        moody.heavy = -ENOMEM;
        auto none = pool.take(stack_class::k16);
        CHECK(none == errc::no_memory);
        CHECK(std::strstr(none.error().detail(), "vm.max_map_count") != nullptr);
        moody.heavy = -EACCES;
        CHECK_EQ(pool.take(stack_class::k16).error().errno_value(), EACCES);
        moody.heavy = 0;
        CHECK(pool.take(stack_class::k16).ok());
    }
    CHECK_EQ(moody.mapped, 0L);
}

TEST("a pool without memory for its own list says no_memory") {
    struct none {
        static void* take(void*, std::size_t, std::size_t) noexcept { return nullptr; }
        static void give(void*, void*, std::size_t, std::size_t) noexcept {}
    };
    stack_pool pool{memory_hook{none::take, none::give, nullptr}};
    CHECK(pool.take(stack_class::k16) == errc::no_memory);
    CHECK_EQ(pool.mapped_bytes(), 0U);
}

TEST_DIES("the first byte below a stack is the guard's: touching it ends the program", "now the guard") {
    touch_guard(stack_class::k16, 1);
}
TEST_DIES("the last byte of a guard, sixteen kilobytes down, still ends the program", "now the guard") {
    touch_guard(stack_class::k256, guard_bytes);
}
TEST_DIES("with costly guards touching one ends the program as well", "now the guard") {
    moody_mappings moody;
    moody.light = -ENOTSUP;
    touch_guard(stack_class::k64, 1);
}
TEST_DIES("a task that overflows its stack ends the program, and corrupts nothing before", "now deep") {
    static_cast<void>(run_virtually([] {
        struct dive {
            static int down(int n) {
                char volatile frame[2048];
                frame[0] = static_cast<char>(n);
                return n == 0 ? 0 : down(n - 1) + frame[0];
            }
        };
        auto neighbour = spawn({.stack_size = 16 << 10}, [] { return sleep_for(1s).ok(); });
        auto t = spawn({.stack_size = 16 << 10}, [] {
            std::fputs("now deep\n", stderr);
            return dive::down(4'000);
        });
        static_cast<void>(t.join());
    }));
    CHECK(false);
}

TEST("a task may ask for any size of stack up to 8 M: 0 is the default, others are rounded up") {
    auto const r = run_virtually([] {
        struct asked {
            std::size_t size, usable;
        };
        constexpr asked sizes[] = {{0, default_stack_bytes}, {1, 16 << 10},       {16'385, 64 << 10},
                                   {70'001, 256 << 10},      {300'003, 1 << 20}, {8 << 20, 8 << 20}};
        for (asked const a : sizes) {
            auto t = spawn({.stack_size = a.size}, [a] {
                // All of it but what the block, the frames and their neighbours take.
                std::size_t const most = a.usable / 2;
                auto* const room = static_cast<char volatile*>(__builtin_alloca(most));
                room[0] = 1;
                room[most - 1] = 2;
                static_cast<void>(yield());
                return room[0] + room[most - 1];
            });
            CHECK_EQ(t.get().value_or(0), 3);
        }
    });
    CHECK(r.ok());
}

TEST("a stack larger than the largest class is refused, rather than made smaller than asked") {
    auto const r = run_virtually([] {
        for (std::size_t const size : {(std::size_t{8} << 20) + 1, std::size_t{1} << 30, SIZE_MAX / 2, SIZE_MAX}) {
            auto t = spawn({.stack_size = size}, [] { CHECK(false); });
            auto const joined = t.join();
            CHECK(joined == errc::invalid_argument);
            CHECK(std::strstr(joined.error().detail(), "stack_size") != nullptr);
        }
        CHECK(spawn([] {}).join().ok());
    });
    CHECK(r.ok());
}

TEST("a callable larger than the stack that was asked for gets a larger one") {
    auto const r = run_virtually([] {
        struct large {
            char room[60'000] = {};
        };
        large l;
        l.room[59'999] = 7;
        auto t = spawn({.stack_size = 16 << 10}, [l] {
            static_cast<void>(yield());
            return int{l.room[59'999]};
        });
        CHECK_EQ(t.get().value_or(0), 7);
    });
    CHECK(r.ok());
}

TEST("tasks beyond the bound, or without a stack, are refused by name, and the loop goes on") {
    moody_mappings moody;
    {
        loop_options o;
        o.max_tasks = 10;
        auto const r = run_virtually([&] {
            std::vector<task<void>> all;
            int refused = 0;
            for (int i = 0; i != 20; ++i) {
                auto t = spawn([] { static_cast<void>(sleep_for(1s)); });
                if (t.id().value == 0) {
                    ++refused;
                    CHECK(t.join() == errc::full);
                } else {
                    all.push_back(std::move(t));
                }
            }
            CHECK_EQ(refused, 11);   // this one is a task, too
            for (auto& t : all) CHECK(t.join().ok());
            moody.maps_left = 0;
            auto none = spawn({.stack_size = 8 << 20}, [] { CHECK(false); });
            CHECK(none.join() == errc::no_memory);
            moody.maps_left = -1;
            CHECK(spawn({.stack_size = 8 << 20}, [] {}).join().ok());
        }, o);
        CHECK(r.ok());
    }
    CHECK_EQ(moody.mapped, 0L);
}

TEST("the census tells how deep a task has been") {
    auto const r = run_virtually([] {
        auto& l = *loop::current();
        auto deep = spawn({.name = "deep"}, [] {
            use_deeply();
            static_cast<void>(sleep_for(1s));
        });
        auto flat = spawn({.name = "flat"}, [] { static_cast<void>(sleep_for(1s)); });
        CHECK(sleep_for(1ms).ok());
        std::size_t deep_bytes = 0, flat_bytes = 0;
        for (auto const& t : l.census()) {
            if (std::string_view(t.name) == "deep") deep_bytes = t.stack_high_water_bytes;
            if (std::string_view(t.name) == "flat") flat_bytes = t.stack_high_water_bytes;
        }
        CHECK(deep_bytes > 100'000 && deep_bytes < 256 << 10);
        CHECK(flat_bytes > 0 && flat_bytes < 100'000);
        CHECK(deep.join().ok());
        CHECK(flat.join().ok());
    });
    CHECK(r.ok());
}

#if defined(__linux__)
namespace {
// Through another door than our own, which tells without a signal.
bool readable(std::byte* at) {
    char byte = 0;
    iovec const here{&byte, 1}, there{at, 1};
    return ::process_vm_readv(::getpid(), &here, 1, &there, 1, 0) == 1;
}
// As many stacks as make a pool prepare some at once, each looked at from guard to top.
void check_many(stack_pool& pool, stack_class c, moody_mappings const& m) {
    for (int i = 0; i != 300; ++i) {
        stack_ref const s = taken(pool, c);
        std::byte* const guard = stack_pool::guard_of(s);
        CHECK(!readable(guard) && !readable(guard + guard_bytes - 1));
        // Before a look at the page itself, which would commit it.
        unsigned char there = 0;
        auto* const page = reinterpret_cast<std::byte*>(reinterpret_cast<std::uintptr_t>(s.top - 1) & ~(page_size() - 1));
        CHECK_EQ(process_mappings().calls->resident(process_mappings().context, page, page_size(), &there), 0);
        if (m.prepared != 0) CHECK_EQ(there & 1, 1);   // a kernel that can do both for many can commit one, too
        CHECK(readable(s.bottom) && readable(s.top - 1));
        std::memset(s.top - 64, 1, 64);
    }
}
}  // namespace

TEST("many stacks are guarded and committed some at a time, each as if by itself") {
    moody_mappings m;
    m.prepares = 0;
    stack_pool pool{memory_hook{}};
    check_many(pool, k64, m);
    if (m.prepared == 0) harness::skip("a kernel that advises many ranges at once");
    CHECK(m.prepared > 200);
    long const all = m.guards_light + m.prepared;   // some are prepared before they are asked for
    CHECK(all >= 300 && all < 300 + static_cast<long>(most_places));
}

TEST("stacks that could not be prepared some at a time are guarded one by one, with or without light guards") {
    for (int const answer : {-ENOTSUP, -ENOMEM, -EAGAIN}) {
        for (int const light : {0, -EINVAL}) {
            moody_mappings m;
            m.prepares = answer;
            m.begins = answer == -EAGAIN;
            m.light = light;
            stack_pool pool{memory_hook{}};
            check_many(pool, k16, m);
            CHECK_EQ(m.guards_light + m.guards_heavy, 300);
            CHECK_EQ(light == 0 ? m.guards_heavy : m.guards_light, 0);
        }
    }
}
#endif
