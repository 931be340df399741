// What every test must leave as it found it, besides fds: the library's memory and mappings, counted at its own seams.
#include <spruce/memory.hpp>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "../../src/sys/mapping.hpp"
#include "at_memory.hpp"
#include "harness.hpp"

namespace {
long blocks = 0, mappings = 0;
thread_local long calls_here = 0;
thread_local void (*moment)() noexcept = nullptr;
harness::refusals allocation_refusals, mapping_refusals;

// Whether this call is the one to be refused.
bool refused(harness::refusals& r) noexcept { return __atomic_add_fetch(&r.calls, 1, __ATOMIC_RELAXED) == r.at; }

void* take(void*, std::size_t bytes, std::size_t alignment) noexcept {
    if (auto* const now = std::exchange(moment, nullptr)) now();
    if (refused(allocation_refusals)) return nullptr;
    void* at = nullptr;
    if (::posix_memalign(&at, alignment < sizeof(void*) ? sizeof(void*) : alignment, bytes) != 0) return nullptr;
    __atomic_add_fetch(&blocks, 1, __ATOMIC_RELAXED);
    ++calls_here;
    return at;
}
void give(void*, void* block, std::size_t, std::size_t) noexcept {
    ++calls_here;
    __atomic_sub_fetch(&blocks, 1, __ATOMIC_RELAXED);
    std::free(block);
}

spruce::detail::mapping_table native;
int map(void*, std::size_t bytes, void** out) noexcept {
    if (refused(mapping_refusals)) return -ENOMEM;
    int const got = native.calls->map(native.context, bytes, out);
    if (got == 0) __atomic_add_fetch(&mappings, 1, __ATOMIC_RELAXED);
    return got;
}
int unmap(void*, void* at, std::size_t bytes) noexcept {
    __atomic_sub_fetch(&mappings, 1, __ATOMIC_RELAXED);
    return native.calls->unmap(native.context, at, bytes);
}
int guard(void*, void* at, std::size_t bytes, bool light) noexcept {
    if (refused(mapping_refusals)) return -ENOMEM;
    return native.calls->guard(native.context, at, bytes, light);
}
int resident(void*, void* at, std::size_t bytes, unsigned char* pages) noexcept {
    if (refused(mapping_refusals)) return -ENOMEM;
    return native.calls->resident(native.context, at, bytes, pages);
}
int prepare(void*, void* at, std::size_t stride, std::size_t count, std::size_t guard_bytes) noexcept {
    if (refused(mapping_refusals)) return -ENOMEM;
    return native.calls->prepare ? native.calls->prepare(native.context, at, stride, count, guard_bytes) : -ENOTSUP;
}
void prefer_huge(void*, void* at, std::size_t bytes) noexcept {
    if (native.calls->prefer_huge) native.calls->prefer_huge(native.context, at, bytes);
}
spruce::detail::mapping_calls const counted{map, unmap, guard, resident, prepare, prefer_huge};

[[maybe_unused]] bool const installed = [] {
    static_cast<void>(spruce::set_process_memory({take, give, nullptr}));
    native = spruce::detail::process_mappings();
    spruce::detail::set_process_mappings({&counted, nullptr});
    harness::on_balance("memory blocks", []() noexcept { return blocks; });
    harness::on_balance("mappings", []() noexcept { return mappings; });
    return true;
}();
}  // namespace

namespace harness {
refusals& refused_allocations() noexcept { return allocation_refusals; }
refusals& refused_mapping_calls() noexcept { return mapping_refusals; }
long memory_blocks() noexcept { return blocks; }
long live_mappings() noexcept { return mappings; }
long memory_calls_here() noexcept { return calls_here; }
void at_memory_here(void (*f)() noexcept) noexcept { moment = f; }
}  // namespace harness
