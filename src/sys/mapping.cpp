#include "mapping.hpp"

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/auxv.h>
#include <sys/syscall.h>
#endif

#ifndef MAP_STACK
#define MAP_STACK 0
#endif
#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

namespace spruce { inline namespace v0 { namespace detail {

namespace {

int map(void*, std::size_t bytes, void** out) noexcept {
    // MAP_STACK: OpenBSD ends a process whose stack pointer points anywhere else.
    void* const at =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
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
constexpr int advice_populate_write = 23;   // Linux 5.14
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

#if defined(__linux__) && defined(SYS_process_madvise)
// The same bytes of each place at once; for oneself, and with any advice: Linux 6.15.
int advise_each(std::byte* at, std::size_t stride, std::size_t count, std::size_t bytes, int advice) noexcept {
    constexpr int self = -10001;   // PIDFD_SELF_THREAD_GROUP
    iovec ranges[most_places];
    for (iovec& r : ranges) r = {at, bytes}, at += stride;
    long const done = ::syscall(SYS_process_madvise, self, ranges, count, advice, 0);
    if (done < 0) return errno == ENOSYS || errno == EPERM || errno == EBADF ? -ENOTSUP : -errno;
    return static_cast<std::size_t>(done) == bytes * count ? 0 : -EAGAIN;
}

int prepare(void*, void* at, std::size_t stride, std::size_t count, std::size_t guard_bytes) noexcept {
    static constinit std::atomic<bool> refused{false};
    if (light_works.load(std::memory_order_relaxed) != 1 || refused.load(std::memory_order_relaxed)) return -ENOTSUP;
    int const before = errno;
    auto* const first = static_cast<std::byte*>(at);
    int failed = advise_each(first, stride, count, guard_bytes, advice_guard_install);
    if (failed == 0)
        failed = advise_each(first + stride - page_size(), stride, count, page_size(), advice_populate_write);
    if (failed == -ENOTSUP) refused.store(true, std::memory_order_relaxed);
    errno = before;
    return failed;
}
#else
constexpr int (*prepare)(void*, void*, std::size_t, std::size_t, std::size_t) noexcept = nullptr;
#endif

void prefer_huge(void*, [[maybe_unused]] void* at, [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    int const before = errno;
    ::madvise(at, bytes, MADV_HUGEPAGE);
    errno = before;
#endif
}

constexpr mapping_calls native{map, unmap, guard, resident, prepare, prefer_huge};
constinit mapping_table current{&native, nullptr};
constinit std::atomic<std::size_t> known_page_size{0};
}  // namespace

mapping_table const& process_mappings() noexcept { return current; }
void set_process_mappings(mapping_table table) noexcept {
    current = table.calls ? table : mapping_table{&native, nullptr};
}

void commit_page([[maybe_unused]] void* address) noexcept {
#if defined(__linux__)
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
        // What sysconf() does, and nothing of what it does else
        size = static_cast<std::size_t>(::getauxval(AT_PAGESZ));
#else
        size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
#endif
        known_page_size.store(size, std::memory_order_relaxed);
    }
    return size;
}

}}}  // namespace spruce::v0::detail
