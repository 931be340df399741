// Memory for small blocks that many threads take and another one gives back. A general allocator is slow at that: each
// block comes back through another thread's lists, cold and out of order. Here blocks are taken one behind the other
// from a page, which is used again when the last of its blocks has come back. What is taken next lies behind what was
// taken before, which is what processors fetch ahead.
#pragma once
#include <cstddef>
#include <cstdint>

#include "atomic.hpp"

namespace spruce { inline namespace v0 { namespace detail {

struct page_end;

// Who takes holds the pages open, and blocks may come back later than that: `gone` is called, with the owner, when
// nobody uses this any more, on the thread that gave the last page's last block back, or in close(). A block that is
// kept keeps its page; pages that nothing is in are kept until close(). All memory is the process's.
class block_pages {
public:
    static constexpr std::size_t line = 64;                                       // blocks begin and end with one
    static constexpr std::size_t page_bytes = sizeof(void*) >= 8 ? 4096 : 1024;   // and so they are aligned
    static constexpr std::size_t most_bytes = page_bytes / 4;                     // of a block

    block_pages(void* owner, void (*gone)(void* owner) noexcept) noexcept : owner_(owner), gone_(gone) {}
    block_pages(block_pages const&) = delete;
    block_pages& operator=(block_pages const&) = delete;
    // A block, aligned to a line. Null: it is larger than that, there is no memory for a page, another thread is just
    // about to bring one, or a tool looks at each block by itself; ask elsewhere. Never waits. Thread: any, but no
    // signal handler.
    void* take(std::size_t bytes) noexcept;
    // The same number of bytes as when it was taken. Thread: any; also later than close().
    static void give(void* block, std::size_t bytes) noexcept;
    // Nothing is taken any more, and nobody is about to.
    void close() noexcept;
    // In a forked child, where the other threads stopped between any two steps.
    void after_fork() noexcept;

private:
    page_end* make_page() noexcept;
    page_end* take_page() noexcept;
    void keep_spare(page_end& page) noexcept;
    void free_page(page_end& page) noexcept;
    void let_go_of_self() noexcept;
    static void let_go(page_end& page, std::uint32_t lines) noexcept;
    static void retire(std::uintptr_t word) noexcept;

    // The page that blocks are taken from, and in the low bits how much of it is taken; 0: none yet. In one word, so
    // that who takes a part of a page cannot have looked at another one.
    atomic<std::uintptr_t> open_{0};
    // Pages without a block, the first of a list; `closed` once they are no longer kept. Any thread adds one; one at a
    // time takes, so that what it looks at stays in the list. It alone makes new ones, when there are none: so there
    // are never more than were in use at once, and one.
    static constexpr std::uintptr_t closed = 1;
    atomic<std::uintptr_t> spare_{0};
    atomic<std::uint32_t> taking_{0};
    atomic<std::uint32_t> users_{1};   // who opened it, and each page
    void* owner_;
    void (*gone_)(void* owner) noexcept;
};

}}}  // namespace spruce::v0::detail
