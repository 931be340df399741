// A page that a fork wipes: what is written there is zero in the child. The count of forks beside it, in common
// memory, goes with the child, so that each generation writes a number that its ancestors never wrote.
#include "fork_mark.hpp"

#include <atomic>
#include <sys/mman.h>
#include <unistd.h>

namespace spruce { inline namespace v0 { namespace detail {

namespace {
constexpr std::size_t page_bytes = 4096;
constinit std::atomic<std::uint32_t> own{0};   // where no page can be wiped: marked by process id
constinit std::atomic<std::atomic<std::uint32_t>*> page{nullptr};
constinit std::atomic<std::uint32_t> forks{0};

bool wipe_on_fork([[maybe_unused]] void* at) noexcept {
#if defined(__linux__)
    constexpr int advice_wipe_on_fork = 18;   // Linux 4.14
    return ::madvise(at, page_bytes, advice_wipe_on_fork) == 0;
#elif defined(INHERIT_ZERO)
    return ::minherit(at, page_bytes, INHERIT_ZERO) == 0;
#else
    return false;
#endif
}

std::atomic<std::uint32_t>* make_page() noexcept {
    void* const at = ::mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return &own;
    if (!wipe_on_fork(at)) {
        ::munmap(at, page_bytes);
        return &own;
    }
    return static_cast<std::atomic<std::uint32_t>*>(at);
}
}  // namespace

std::uint32_t fork_mark() noexcept {
    std::atomic<std::uint32_t>* at = page.load(std::memory_order_acquire);
    if (__builtin_expect(!at, 0)) {
        std::atomic<std::uint32_t>* const made = make_page();
        if (page.compare_exchange_strong(at, made, std::memory_order_acq_rel)) at = made;
        else if (made != &own) ::munmap(made, page_bytes);   // another thread was first
    }
    if (__builtin_expect(at == &own, 0)) return static_cast<std::uint32_t>(::getpid());
    std::uint32_t mark = at->load(std::memory_order_relaxed);
    if (__builtin_expect(mark == 0, 0)) {
        std::uint32_t const fresh = forks.fetch_add(1, std::memory_order_relaxed) + 1;
        mark = at->compare_exchange_strong(mark, fresh, std::memory_order_relaxed) ? fresh : mark;
    }
    return mark;
}

}}}  // namespace spruce::v0::detail
