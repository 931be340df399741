// The timers themselves: blocks of them, which stay timers until the wheel ends.
#pragma once
#include <cstddef>
#include <cstdint>

#include <spruce/memory.hpp>

#include "../base/prefetch.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// The due time of a timer that is not armed. Later than any armed one's, so that `due <= now` alone says
// "armed, and due".
inline constexpr std::int64_t not_armed = INT64_MAX;

// What leads the wheel to a timer.
enum class timer_place : std::uint8_t {
    nowhere,   // nothing
    in_chunk,  // an entry in a chunk of some slot, which carries the timer's generation
    in_chain   // its own links: it is in the chain of the slot that it names
};

// One timer, in a cache line of its own. Entries in the wheel go on pointing to it after it was disarmed or
// given back, so its memory never becomes anything else, and all but the first two members outlive a user.
struct alignas(sizeof(void*) == 8 ? 64 : 16) timer : pinned {
    // The user's.
    void* owner = nullptr;
    unsigned kind = 0;

    // The wheel's.
    std::uint32_t generation = 0;     // what an entry must carry to be this timer's entry
    std::int64_t due = not_armed;     // when it fires
    std::int64_t filed = not_armed;   // no later than its entry is reached: a due time from here on keeps the entry
    std::uint64_t sequence = 0;       // the how-manieth arming it was; orders equal due times
    timer* next = nullptr;            // in a slot's chain, in the slab's free list, or while sorting
    timer* previous = nullptr;        // in a slot's chain
    std::uint16_t slot = 0;           // whose chain it is in
    timer_place place = timer_place::nowhere;
    bool taken = false;               // somebody has it
};
static_assert(sizeof(void*) != 8 || sizeof(timer) == 64, "a timer is one cache line");

// Type-stable memory for timers. Room is reserved first, by whoever will need a timer some day; taking one is
// then only a pop, and cannot fail. Blocks double in size and are released when the slab ends.
class timer_slab : pinned {
public:
    explicit timer_slab(memory_hook const& hook) noexcept : hook_(hook) {}
    ~timer_slab();

    // Promises n more timers. False when out of memory; then nothing has changed.
    bool reserve(std::size_t n) noexcept {
        if (n > capacity_ - reserved_ && !grow(n)) [[unlikely]] return false;
        reserved_ += n;
        return true;
    }
    void unreserve(std::size_t n) noexcept {
        SPRUCE_VERIFY(n <= reserved_ - taken_, "more timers unreserved than are reserved and not in use");
        reserved_ -= n;
    }
    timer* take(void* owner) noexcept {
        SPRUCE_VERIFY(taken_ < reserved_, "a timer taken beyond what is reserved");
        ++taken_;
        timer* t = free_;
        if (t) {
            free_ = t->next;
            prefetch_for_write(free_);   // the next one to be taken
        } else {
            t = fresh();
        }
        t->owner = owner;
        t->kind = 0;
        t->taken = true;
        return t;
    }
    // Lifetime: the timer is in no chain.
    void give_back(timer& t) noexcept {
        SPRUCE_VERIFY(t.taken, "a timer given back twice");
        t.owner = nullptr;
        t.taken = false;
        t.next = free_;
        free_ = &t;
        --taken_;
    }
    std::size_t taken() const noexcept { return taken_; }
    std::size_t reserved() const noexcept { return reserved_; }

    // Visits every timer that was ever taken.
    template <class F> void each_used(F&& visit) const {
        for (block const* b = first_; b; b = b->next)
            for (std::size_t i = 0; i < b->used; ++i) visit(b->timers()[i]);
    }

private:
    // A block's head; its timers follow. Those from `used` on were never touched: reserving costs no page of
    // memory until the timer is taken.
    struct alignas(timer) block {
        block* next;
        std::size_t count;
        std::size_t used;
        timer* timers() noexcept { return reinterpret_cast<timer*>(this + 1); }
        timer const* timers() const noexcept { return reinterpret_cast<timer const*>(this + 1); }
    };
    bool grow(std::size_t n) noexcept;
    bool add_block(std::size_t count) noexcept;
    timer* fresh() noexcept;

    timer* free_ = nullptr;      // given back, the latest first: its line is likely still in the cache
    std::size_t taken_ = 0;      // taken_ <= reserved_ <= capacity_
    std::size_t reserved_ = 0;
    std::size_t capacity_ = 0;
    block* first_ = nullptr;     // oldest first
    block* last_ = nullptr;
    block* filling_ = nullptr;   // blocks before it are used up
    memory_hook hook_;
};

}}}  // namespace spruce::v0::detail
