#include <cstdlib>
#include <map>
#include <memory>

#include <spruce/memory.hpp>
#include <spruce/spruce.hpp>
#include <spruce/testing.hpp>

#include "../../src/sys/kernel.hpp"
#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
// A loop's hook that remembers what it was asked for, and wants it back the same way.
struct strict_heap {
    struct block {
        std::size_t bytes, alignment;
    };
    std::map<void*, block> out;
    long taken = 0, wrong = 0;
    long left = -1;   // how many it still gives; negative: all

    memory_hook hook() { return {take, give, this}; }
    static void* take(void* self, std::size_t bytes, std::size_t alignment) noexcept {
        auto& h = *static_cast<strict_heap*>(self);
        h.wrong += bytes == 0 || alignment == 0 || (alignment & (alignment - 1)) != 0;
        if (h.left == 0) return nullptr;
        if (h.left > 0) --h.left;
        void* at = nullptr;
        if (::posix_memalign(&at, alignment < sizeof(void*) ? sizeof(void*) : alignment, bytes) != 0) return nullptr;
        h.out[at] = {bytes, alignment};
        ++h.taken;
        return at;
    }
    static void give(void* self, void* at, std::size_t bytes, std::size_t alignment) noexcept {
        auto& h = *static_cast<strict_heap*>(self);
        auto const found = h.out.find(at);
        if (found == h.out.end() || found->second.bytes != bytes || found->second.alignment != alignment) {
            ++h.wrong;
            return;
        }
        h.out.erase(found);
        std::free(at);
    }
};

// A little of everything that a loop keeps memory for.
result<void> work(loop_options o) {
    loop l(o);
    SPRUCE_CHECK(l.status());
    int ran = 0;
    struct alignas(128) wide {
        char room[500] = {};
    };
    for (int i = 0; i != 100; ++i) {
        l.call_later(1ms * i, [&ran] { ++ran; });
        l.call_soon([&ran, w = wide{}] { ran += 1 + w.room[7]; });
    }
    int ends[2];
    kernel& k = *o.on;
    if (k.calls->make_pipe(k.context, ends) != 0) return errc::no_memory;
    {
        auto const r = l.add_reader(ends[0], [](handler self) { self.cancel(); });
        if (r) k.calls->write(k.context, ends[1], "x", 1);
        for (int i = 0; i != 50; ++i) {
            auto t = spawn([] { return sleep_for(1ms).ok(); });
            if (i % 3 == 0) t.cancel();
        }
        static_cast<void>(l.call_from_thread([&ran] { ++ran; }));
        static_cast<void>(l.run());
    }
    static_cast<void>(l.destroy(in(1s)));
    k.calls->close(k.context, ends[0]);
    k.calls->close(k.context, ends[1]);
    return {};
}
}  // namespace

TEST("memory comes aligned as asked, and releasing none is harmless") {
    for (std::size_t alignment = 1; alignment <= 4096; alignment *= 2) {
        for (std::size_t const bytes : {std::size_t{1}, std::size_t{24}, std::size_t{5000}}) {
            void* const at = detail::allocate({}, bytes, alignment);
            REQUIRE(at != nullptr);
            CHECK_EQ(reinterpret_cast<std::uintptr_t>(at) % alignment, 0U);
            static_cast<char*>(at)[bytes - 1] = 1;
            detail::release({}, at, bytes, alignment);
        }
    }
    detail::release({}, nullptr, 7, 8);
    strict_heap heap;
    detail::release(heap.hook(), nullptr, 7, 8);
    CHECK_EQ(heap.wrong, 0L);
}

TEST("the process's hook is both functions or none, and stays once memory was taken from it") {
    strict_heap heap;
    CHECK(set_process_memory({strict_heap::take, nullptr, &heap}) == errc::invalid_argument);
    CHECK(set_process_memory({nullptr, strict_heap::give, &heap}) == errc::invalid_argument);
    void* const at = detail::allocate({}, 8, 8);
    CHECK(set_process_memory(heap.hook()) == errc::wrong_state);
    CHECK(set_process_memory({}) == errc::wrong_state);
    detail::release({}, at, 8, 8);
    CHECK_EQ(heap.taken, 0L);
}

TEST("a loop gives its hook back all that it took, as large and aligned as it asked for it") {
    testing::simulation world(harness::as_asked());
    strict_heap heap;
    CHECK(work({.memory = heap.hook(), .on = world.on()}).ok());
    CHECK(heap.taken > 10);
    CHECK_EQ(heap.wrong, 0L);
    CHECK_EQ(heap.out.size(), 0U);
}

TEST("wherever a loop's memory ends it says no_memory, goes on, and gives back what it took") {
    strict_heap unbounded;
    {
        testing::simulation world(harness::as_asked());
        CHECK(work({.memory = unbounded.hook(), .on = world.on()}).ok());
    }
    for (long allowed = 0; allowed <= unbounded.taken; ++allowed) {
        testing::simulation world(harness::as_asked());
        strict_heap heap;
        heap.left = allowed;
        auto const done = work({.memory = heap.hook(), .on = world.on()});
        CHECK(done.ok() || done == errc::no_memory);
        CHECK_EQ(heap.wrong, 0L);
        CHECK_EQ(heap.out.size(), 0U);
        CHECK_EQ(world.open_fds(), 0U);
    }
}
