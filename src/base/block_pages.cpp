#include "block_pages.hpp"

#include <new>

#include <spruce/memory.hpp>

// AddressSanitizer is to see each block's own end.
#if defined(__SANITIZE_ADDRESS__)
#define SPRUCE_WHOLE_PAGES 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SPRUCE_WHOLE_PAGES 0
#endif
#endif
#ifndef SPRUCE_WHOLE_PAGES
#define SPRUCE_WHOLE_PAGES 1
#endif

namespace spruce { inline namespace v0 { namespace detail {

// Lies in the last line of its page.
struct page_end {
    block_pages* home;
    std::uintptr_t next = 0;   // while it is spare
    // Lines that are taken. While blocks may still be taken from the page, how many is in `open_` alone, and here
    // `many` stands for it, so that it cannot come to 0.
    atomic<std::uint32_t> lines;
};

namespace {
constexpr std::uint32_t many = std::uint32_t{1} << 30;
constexpr std::size_t room = block_pages::page_bytes - block_pages::line;
static_assert(sizeof(page_end) <= block_pages::line);

std::uintptr_t page_of(std::uintptr_t inside) noexcept {
    return inside & ~static_cast<std::uintptr_t>(block_pages::page_bytes - 1);
}
page_end& end_of(std::uintptr_t page) noexcept { return *std::launder(reinterpret_cast<page_end*>(page + room)); }
std::uintptr_t begin_of(page_end const& page) noexcept { return reinterpret_cast<std::uintptr_t>(&page) - room; }
constexpr std::size_t whole_lines(std::size_t bytes) noexcept {
    return (bytes + block_pages::line - 1) / block_pages::line;
}
}  // namespace

page_end* block_pages::make_page() noexcept {
    void* const memory = allocate({}, page_bytes, page_bytes);
    if (!memory) return nullptr;
    if (reinterpret_cast<std::uintptr_t>(memory) % page_bytes != 0) {   // a hook that aligns to less
        release({}, memory, page_bytes, page_bytes);
        return nullptr;
    }
    users_.fetch_add(1, std::memory_order_relaxed);
    return ::new (static_cast<void*>(static_cast<std::byte*>(memory) + room)) page_end{this, 0, many};
}

void block_pages::free_page(page_end& page) noexcept {
    auto* const memory = reinterpret_cast<void*>(begin_of(page));
    page.~page_end();
    release({}, memory, page_bytes, page_bytes);
    let_go_of_self();
}

void block_pages::let_go_of_self() noexcept {
    if (users_.fetch_sub(1, std::memory_order_acq_rel) == 1) gone_(owner_);
}

// A page without a block, for who has found no room in the open one; null also if somebody else is here.
page_end* block_pages::take_page() noexcept {
    if (taking_.exchange(1, std::memory_order_acquire) != 0) return nullptr;
    std::uintptr_t first = spare_.load(std::memory_order_acquire);
    while (first != 0 && !spare_.compare_exchange_strong(first, end_of(first).next, std::memory_order_acquire)) {}
    page_end* const page = first != 0 ? &end_of(first) : make_page();
    taking_.store(0, std::memory_order_release);
    return page;
}

void block_pages::keep_spare(page_end& page) noexcept {
    page.lines.store(many, std::memory_order_relaxed);
    std::uintptr_t first = spare_.load(std::memory_order_acquire);
    do {
        if (first == closed) return free_page(page);
        page.next = first;
    } while (!spare_.compare_exchange_strong(first, begin_of(page), std::memory_order_acq_rel));
}

void block_pages::let_go(page_end& page, std::uint32_t lines) noexcept {
    if (page.lines.fetch_sub(lines, std::memory_order_acq_rel) == lines) page.home->keep_spare(page);
}

// Nothing more is taken from that page.
void block_pages::retire(std::uintptr_t word) noexcept {
    std::uintptr_t const page = page_of(word);
    let_go(end_of(page), many - static_cast<std::uint32_t>((word - page) / line));
}

void* block_pages::take(std::size_t bytes) noexcept {
    if (!SPRUCE_WHOLE_PAGES || bytes > most_bytes) return nullptr;
    std::size_t const size = whole_lines(bytes) * line;
    std::uintptr_t word = open_.load(std::memory_order_acquire);
    for (;;) {
        if (word != 0 && word - page_of(word) + size <= room) [[likely]] {
            // Whatever became of the page since it was read: the word is the same, so this is the page now.
            if (open_.compare_exchange_strong(word, word + size, std::memory_order_acq_rel))
                return reinterpret_cast<void*>(word);
            continue;
        }
        page_end* const fresh = take_page();
        if (!fresh) return nullptr;
        std::uintptr_t const begin = begin_of(*fresh);
        if (open_.compare_exchange_strong(word, begin + size, std::memory_order_acq_rel)) {
            if (word != 0) retire(word);
            return reinterpret_cast<void*>(begin);
        }
        keep_spare(*fresh);   // another thread came first
    }
}

void block_pages::give(void* block, std::size_t bytes) noexcept {
    let_go(end_of(page_of(reinterpret_cast<std::uintptr_t>(block))), static_cast<std::uint32_t>(whole_lines(bytes)));
}

void block_pages::close() noexcept {
    if (std::uintptr_t const word = open_.exchange(0, std::memory_order_acq_rel); word != 0) retire(word);
    for (std::uintptr_t page = spare_.exchange(closed, std::memory_order_acq_rel); page != 0;) {
        page_end& it = end_of(page);
        page = it.next;
        free_page(it);
    }
    let_go_of_self();
}

void block_pages::after_fork() noexcept { taking_.store(0, std::memory_order_relaxed); }

}}}  // namespace spruce::v0::detail
