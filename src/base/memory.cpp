#include <spruce/memory.hpp>

#include <atomic>
#include <cstdlib>

namespace spruce { inline namespace v0 {

namespace {
void* heap_allocate(void*, std::size_t bytes, std::size_t alignment) noexcept {
    if (alignment <= alignof(std::max_align_t)) return std::malloc(bytes);
    void* block = nullptr;
    return ::posix_memalign(&block, alignment, bytes) == 0 ? block : nullptr;
}
void heap_release(void*, void* block, std::size_t, std::size_t) noexcept { std::free(block); }

constinit memory_hook process_hook{heap_allocate, heap_release, nullptr};
// Once memory has come from the process's hook it must go back to the same one.
constinit std::atomic<unsigned> process_hook_used{0};
}  // namespace

result<void> set_process_memory(memory_hook hook) noexcept {
    if ((hook.allocate == nullptr) != (hook.release == nullptr))
        return detail::with_detail(errc::invalid_argument, "hook: both functions, or none");
    if (process_hook_used.load(std::memory_order_acquire) != 0) return errc::wrong_state;
    process_hook = hook.allocate ? hook : memory_hook{heap_allocate, heap_release, nullptr};
    return {};
}

namespace detail {
void* allocate(memory_hook const& from, std::size_t bytes, std::size_t alignment) noexcept {
    if (from.allocate) return from.allocate(from.context, bytes, alignment);
    if (process_hook_used.load(std::memory_order_relaxed) == 0) process_hook_used.store(1, std::memory_order_release);
    return process_hook.allocate(process_hook.context, bytes, alignment);
}

void release(memory_hook const& to, void* block, std::size_t bytes, std::size_t alignment) noexcept {
    if (block == nullptr) return;
    if (to.release) to.release(to.context, block, bytes, alignment);
    else process_hook.release(process_hook.context, block, bytes, alignment);
}
}  // namespace detail
}}  // namespace spruce::v0
