// The library's own pages of blocks, compiled once more with atomics that are steps, under a namespace of its own.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <utility>
#include <vector>

#include "pages_program.hpp"
#include "stepping_atomic.hpp"

#define v0 paged
#define SPRUCE_TEST_ATOMIC ::explorer::stepping_atomic
#include "../../src/base/block_pages.hpp"
#include "../../src/base/block_pages.cpp"
#undef v0

namespace pages {
namespace {
using spruce::paged::detail::block_pages;

// Its private word, to break it: who instantiates a template may name what is private.
explorer::stepping_atomic<std::uint32_t>& taking_of(block_pages& p);
template <auto member> struct opener {
    friend explorer::stepping_atomic<std::uint32_t>& taking_of(block_pages& p) { return p.*member; }
};
template struct opener<&block_pages::taking_>;

constexpr std::size_t block_bytes = block_pages::most_bytes;

struct world {
    plan const* p = nullptr;
    alignas(block_pages::page_bytes) std::byte memory[24][block_pages::page_bytes];
    bool given_back[24];
    std::size_t made = 0;
    long alive = 0;
    int gone = 0;
    bool closed = false, refuses = false;
    std::vector<void*> of[3];
    std::size_t next[3];         // the oldest that it has
    alignas(block_pages) std::byte room[sizeof(block_pages)];
    block_pages& pages() { return *std::launder(reinterpret_cast<block_pages*>(room)); }
};
world* w = nullptr;

void rule(bool holds, char const* what) {
    if (!holds) explorer::wrong(what);
}
void take(int me) {
    void* const block = w->pages().take(block_bytes);
    rule(block != nullptr || w->refuses || explorer::self() != explorer::most_threads, "there is memory, and no block");
    if (!block) return;
    auto const page = static_cast<std::size_t>(static_cast<std::byte*>(block) - w->memory[0]) / block_pages::page_bytes;
    rule(page < w->made && !w->given_back[page], "a block lies in no page");
    for (int t = 0; t != 3; ++t)
        for (std::size_t n = w->next[t]; n < w->of[t].size(); ++n) rule(w->of[t][n] != block, "a block is given to two");
    std::memset(block, me + 1, block_bytes);
    w->of[me].push_back(block);
}
void give(int me) {
    if (w->next[me] == w->of[me].size()) return;
    void* const block = w->of[me][w->next[me]];
    auto const* const bytes = static_cast<std::byte const*>(block);
    rule(bytes[0] == bytes[block_bytes - 1], "somebody wrote to a block that is another's");
    std::memset(block, 0, block_bytes);
    ++w->next[me];
    block_pages::give(block, block_bytes);
}

void begin(void*) {
    w->made = 0;
    w->alive = 0;
    w->gone = 0;
    w->closed = false;
    for (int t = 0; t != 3; ++t) w->of[t].clear(), w->of[t].reserve(16), w->next[t] = 0;
    ::new (w->room) block_pages(w, [](void* at) noexcept {
        auto& mine = *static_cast<world*>(at);
        ++mine.gone;
        mine.pages().~block_pages();
    });
    explorer::broken.deaf = w->p->crowd ? &taking_of(w->pages()) : nullptr;
    for (int n = 3 * w->p->spare + 1; w->p->spare != 0 && n != 0; --n) take(0);
    while (w->next[0] != w->of[0].size()) give(0);
    for (int n = 0; n != w->p->before; ++n) take(n % (w->p->threads[2] ? 3 : 2));
}
void thread(void*, int me) {
    for (char const* deed = w->p->threads[me]; *deed; ++deed) {
        if (*deed == 't') take(me);
        else if (*deed == 'g') give(me);
        else w->pages().close(), w->closed = true;
    }
}
void end(void*) {
    if (!w->closed) w->pages().close();
    for (int t = 0; t != 3; ++t)
        while (w->next[t] != w->of[t].size()) rule(w->gone == 0, "the owner is told too early"), give(t);
    rule(w->alive == 0, "memory is left");
    rule(w->gone == 1, "the owner is not told once");
}

}  // namespace

explorer::outcome explore(plan const& p, explorer::effort const& e, bool refuses) {
    w = ::new world;
    w->p = &p;
    w->refuses = refuses;
    explorer::outcome o = explorer::explore({p.threads[2] ? 3 : 2, begin, thread, end, nullptr}, e);
    if (o.wrong) std::printf("%s, %s, %s: %s\n  order %s\n", p.threads[0], p.threads[1], p.threads[2] ? p.threads[2] : "nobody", o.wrong, o.order.c_str());
    explorer::broken = {};
    ::delete w;
    return o;
}

}  // namespace pages

namespace spruce { inline namespace paged { namespace detail {
using pages::w;
void* allocate(memory_hook const&, std::size_t bytes, std::size_t) noexcept {
    if (w->refuses) return nullptr;
    if (w->made == std::size(w->memory)) std::abort();
    std::byte* const page = w->memory[w->made];
    w->given_back[w->made++] = false;
    ++w->alive;
    explorer::keep_secret(page, bytes);
    return page;
}
void release(memory_hook const&, void* block, std::size_t, std::size_t) noexcept {
    auto const page = static_cast<std::size_t>(static_cast<std::byte*>(block) - w->memory[0]) / block_pages::page_bytes;
    pages::rule(!std::exchange(w->given_back[page], true), "a page is given back twice");
    --w->alive;
}
}}}  // namespace spruce::paged::detail

