#include "mapping.hpp"

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/auxv.h>
#endif

#ifndef MAP_STACK
#define MAP_STACK 0
#endif
#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

namespace spruce::inline v0::detail {

namespace {

int map(void*, std::size_t bytes, void** out) noexcept {
    // MAP_STACK: OpenBSD ends a process whose stack pointer points anywhere else.
    void* const at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return -errno;
#if defined(__linux__) && defined(MADV_NOHUGEPAGE)
    // A huge page would commit many stacks at the first touch of one. Refused where there are none: no matter.
    ::madvise(at, bytes, MADV_NOHUGEPAGE);
#endif
    *out = at;
    return 0;
}

int unmap(void*, void* at, std::size_t bytes) noexcept { return ::munmap(at, bytes) == 0 ? 0 : -errno; }

#if defined(__linux__)
// Linux 6.13. Emulators are known to answer 0 to any advice and do nothing: believed only once a guard was seen to
// fault, which a read through another door than our own tells without a signal.
constexpr int advice_guard_install = 102;
constinit std::atomic<unsigned> light_works{0};   // 0 unknown, 1 yes, 2 no

bool readable(void* at) noexcept {
    char byte = 0;
    iovec const here{&byte, 1}, there{at, 1};
    return ::process_vm_readv(::getpid(), &here, 1, &there, 1, 0) == 1;
}

bool probe(void* guarded) noexcept {
    unsigned known = light_works.load(std::memory_order_relaxed);
    if (known == 0) {
        known = !readable(guarded) && errno == EFAULT ? 1 : 2;
        light_works.store(known, std::memory_order_relaxed);
    }
    return known == 1;
}
#endif

int guard(void*, void* at, std::size_t bytes, bool light) noexcept {
    if (!light) return ::mprotect(at, bytes, PROT_NONE) == 0 ? 0 : -errno;
#if defined(__linux__)
    if (light_works.load(std::memory_order_relaxed) == 2) return -ENOTSUP;
    if (::madvise(at, bytes, advice_guard_install) != 0) return -errno;
    return probe(at) ? 0 : -ENOTSUP;
#else
    static_cast<void>(at);
    static_cast<void>(bytes);
    return -ENOTSUP;
#endif
}

int resident(void*, void* at, std::size_t bytes, unsigned char* pages) noexcept {
#if defined(__linux__)
    return ::mincore(at, bytes, pages) == 0 ? 0 : -errno;
#else
    return ::mincore(static_cast<char*>(at), bytes, reinterpret_cast<char*>(pages)) == 0 ? 0 : -errno;
#endif
}

constexpr mapping_calls native{map, unmap, guard, resident};
constinit mapping_table current{&native, nullptr};
constinit std::atomic<std::size_t> known_page_size{0};
}  // namespace

mapping_table const& process_mappings() noexcept { return current; }
void set_process_mappings(mapping_table table) noexcept { current = table.calls ? table : mapping_table{&native, nullptr}; }

void commit_page([[maybe_unused]] void* address) noexcept {
#if defined(__linux__)
    constexpr int advice_populate_write = 23;   // Linux 5.14
    static constinit std::atomic<unsigned> unknown{0};
    if (unknown.load(std::memory_order_relaxed) != 0) return;
    std::size_t const page = page_size();
    auto const at = reinterpret_cast<std::uintptr_t>(address) & ~(std::uintptr_t{page} - 1);
    int const before = errno;
    if (::madvise(reinterpret_cast<void*>(at), page, advice_populate_write) != 0 && errno == EINVAL)
        unknown.store(1, std::memory_order_relaxed);
    errno = before;
#endif
}

std::size_t page_size() noexcept {
    std::size_t size = known_page_size.load(std::memory_order_relaxed);
    if (size == 0) {
#if defined(__linux__)
        size = static_cast<std::size_t>(::getauxval(AT_PAGESZ));   // what sysconf() does, and nothing of what it does else
#else
        size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
#endif
        known_page_size.store(size, std::memory_order_relaxed);
    }
    return size;
}

}  // namespace spruce::inline v0::detail
