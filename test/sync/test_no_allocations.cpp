// No hot path takes memory once it is warm: not from its loop, not from the process, no mapping, and not from operator new
// (which the library does not use, but what stands in its headers might). A wait for a future makes that future each time:
// one block of its loop.
#include "../../bench/hot_path_list.hpp"

#include <cstdio>
#include <cstring>
#include <new>

#include "../../src/context/sanitizers.hpp"
#include "../harness/harness.hpp"
#include "../harness/spoiled.hpp"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_ITS_OWN_NEW 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_ITS_OWN_NEW 0
#endif
#endif
#ifndef HAS_ITS_OWN_NEW
#define HAS_ITS_OWN_NEW 1
#endif

namespace {
unsigned long of_loop = 0, of_new = 0;
}

#if HAS_ITS_OWN_NEW
// A sanitizer's are left alone. The other forms of new come to these, but the over-aligned ones.
void* operator new(std::size_t bytes) {
    __atomic_add_fetch(&of_new, 1, __ATOMIC_RELAXED);
    if (void* const at = std::malloc(bytes ? bytes : 1)) return at;
    std::abort();
}
void operator delete(void* at) noexcept { std::free(at); }
void operator delete(void* at, std::size_t) noexcept { std::free(at); }
#endif

namespace {
void* take(void*, std::size_t bytes, std::size_t alignment) noexcept {
    ++of_loop;
    return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}
void give(void*, void* block, std::size_t, std::size_t) noexcept { std::free(block); }

struct taken {
    unsigned long from_loop = of_loop, from_new = of_new;
    unsigned long from_process = harness::refused_allocations().calls, mapped = harness::refused_mapping_calls().calls;
};
// What going the path so often takes.
taken going(hot_paths::path const& p, spruce::loop& hub, long times) {
    taken const before;
    p.go(hub, times);
    taken now;
    if (!harness::option("host").empty()) now.from_new = before.from_new;   // the host's, for its calls
    now.from_loop -= before.from_loop;
    now.from_new -= before.from_new;
    now.from_process -= before.from_process;
    now.mapped -= before.mapped;
    return now;
}
}  // namespace

TEST("a thousand repetitions of a hot path that is warm take no memory: each path, but for the future that is waited for") {
    if (!harness::how.each.empty()) harness::skip("the paths are those of a benchmark, which look at no error");
    for (hot_paths::path const& p : hot_paths::paths) {
        if (harness::cut_short() && std::strcmp(p.name, "echo") == 0) continue;   // its answers come whole
        if (SPRUCE_ASAN && std::strcmp(p.name, "loop_ref_call") == 0) continue;            // there each call has memory of its own
        spruce::loop_options options;
        options.memory = {take, give, nullptr};
        spruce::loop hub(options);
        going(p, hub, 3'000);
        // What a path needs before it begins, a channel's buffer or a connection, is in both.
        taken const few = going(p, hub, 2), many = going(p, hub, 1'002);
        unsigned long const own = std::strcmp(p.name, "future_wait") == 0 ? 1'000 : 0;
        bool const none = many.from_loop <= few.from_loop + own && few.from_process == many.from_process && few.from_new == many.from_new &&
                          few.mapped == many.mapped;
        if (!none)
            std::printf("%s takes, in 1,000 repetitions: %ld blocks of its loop, %ld of the process, %ld by new, %ld mappings\n", p.name,
                        static_cast<long>(many.from_loop - few.from_loop), static_cast<long>(many.from_process - few.from_process),
                        static_cast<long>(many.from_new - few.from_new), static_cast<long>(many.mapped - few.mapped));
        CHECK(none);
    }
}

TEST("memory that is taken is seen by the counts of the hot paths' test") {
    spruce::loop_options options;
    options.memory = {take, give, nullptr};
    spruce::loop hub(options);
    hot_paths::path const greedy{"greedy", [](spruce::loop& on, long n) {
        for (long i = 0; i < n; ++i) {
            long* volatile mine = new long(i);   // volatile, or it would not be made at all
            delete mine;
            char big[200] = {static_cast<char>(i)};
            on.call_soon([big] { static_cast<void>(big); }).cancel();   // beyond the room inside
            spruce::promise<long> p;
        }
    }};
    taken const got = going(greedy, hub, 10);
    CHECK(got.from_loop >= 10);
    CHECK_EQ(got.from_new, HAS_ITS_OWN_NEW && harness::option("host").empty() ? 10u : 0u);
}
