// A slot of the wheel: a queue of entries in chunks, and a chain of timers for when no chunk can be had.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../base/prefetch.hpp"
#include "timer_slab.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// A note that a timer is to be looked at. It counts only while it carries the timer's generation: whoever
// abandons an entry moves the timer on to the next generation, and leaves the entry where it is. It knows its
// tick, so that it can be passed on from level to level without a look at the timer, which is elsewhere in memory.
struct wheel_entry {
    timer* who;
    std::uint32_t generation;
    std::uint32_t tick;  // when to look at it, no later than the timer is due; the low bits
    bool counts() const noexcept { return who->generation == generation; }
};

// A run of entries, in the order they came. A slot's first chunk is small, so that a few timers spread over
// many slots do not cost a small device its memory; the others are large, so that a slot of thousands is read
// as a stream, and its least due time found by looking at one number a chunk.
struct wheel_chunk {
    wheel_chunk* next;       // in a slot a ring: the last one's is the first; else the pool's free list
    std::int64_t least;      // no timer here is due earlier, nor can it be re-armed to earlier and keep its entry
    std::uint16_t count;
    std::uint16_t capacity;
    std::uint16_t least_at;  // the entry that brought `least`: if its timer is due just then, that is the minimum

    wheel_entry* entries() noexcept { return reinterpret_cast<wheel_entry*>(this + 1); }
    wheel_entry const* entries() const noexcept { return reinterpret_cast<wheel_entry const*>(this + 1); }
    bool full() const noexcept { return count == capacity; }
    void clear() noexcept {
        count = least_at = 0;
        least = not_armed;
    }
    void push(wheel_entry e, std::int64_t due) noexcept {
        if (due < least) {
            least = due;
            least_at = count;
        }
        entries()[count++] = e;
    }
    // Whether `least` is the due time of a timer that is armed now, and so the true minimum.
    bool least_is_live() const noexcept { return count != 0 && entries()[least_at].who->due == least; }
};
static_assert(sizeof(wheel_chunk) % alignof(wheel_entry) == 0);

// Chunks out of use. A few are kept; the rest goes back to the hook, so that a burst does not hold its memory.
class chunk_pool : pinned {
public:
    explicit chunk_pool(memory_hook const& hook) noexcept : hook_(hook) {}
    ~chunk_pool();
    // An empty chunk, or null when out of memory.
    wheel_chunk* take(bool large) noexcept;
    void give_back(wheel_chunk* c) noexcept;

private:
    // Eight bytes below a power of two: room for the heap's own word.
    static constexpr std::size_t bytes_of(bool large) noexcept { return large ? 1016 : 120; }
    static constexpr std::uint16_t capacity_of(bool large) noexcept {
        return static_cast<std::uint16_t>((bytes_of(large) - sizeof(wheel_chunk)) / sizeof(wheel_entry));
    }
    struct shelf {
        wheel_chunk* free = nullptr;
        std::size_t kept = 0;
        std::size_t in_use = 0;
    };
    shelf shelves_[2];
    memory_hook hook_;
};

struct wheel_slot {
    wheel_chunk* tail = nullptr;  // the last chunk; its next is the first
    timer* chain = nullptr;       // timers for which no chunk could be had; in no order
    std::uint32_t count = 0;      // entries, dead ones and the chain included

    bool empty() const noexcept { return !tail && !chain; }
};

// Appends an empty chunk to the ring that ends in `tail`.
inline void append_chunk(wheel_chunk*& tail, wheel_chunk* c) noexcept {
    if (tail) {
        c->next = tail->next;
        tail->next = c;
    } else {
        c->next = c;
    }
    tail = c;
}

// Shows keep(entry) every entry of the ring that ends in `tail`, in order; keeps those for which it says so,
// in order and without gaps, and gives back the chunks that this frees, as soon as it frees them: what keep()
// does may well need them. The ring is the caller's alone: keep() must not get at it.
template <class Keep> void sift(chunk_pool& pool, wheel_chunk*& tail, Keep&& keep) {
    if (!tail) return;
    constexpr unsigned ahead = 16;  // timers on their way from memory while one is looked at; found by trying
    wheel_chunk* const last = tail;
    wheel_chunk* const first = last->next;
    wheel_chunk* to = first;       // filled behind the reader's back, never ahead of it
    unsigned used = 0;
    auto close = [&] {
        to->clear();
        for (unsigned i = 0; i < used; ++i) {
            wheel_entry const e = to->entries()[i];
            to->push(e, e.who->filed);
        }
    };
    for (unsigned i = 0; i < ahead && i < first->count; ++i) prefetch_for_write(first->entries()[i].who);
    for (wheel_chunk *from = first, *next = nullptr; from; from = next) {
        next = from == last ? nullptr : from->next;
        unsigned const n = from->count;
        unsigned const n_next = next ? next->count : 0;
        for (unsigned i = 0; i < n; ++i) {
            if (i + ahead < n) prefetch_for_write(from->entries()[i + ahead].who);
            else if (i + ahead - n < n_next) prefetch_for_write(next->entries()[i + ahead - n].who);
            wheel_entry const e = from->entries()[i];
            if (!keep(e)) continue;
            if (used == to->capacity) {
                close();
                to->next = from;
                to = from;
                used = 0;
            }
            to->entries()[used++] = e;
        }
        if (from != to) pool.give_back(from);
    }
    if (used == 0) {
        pool.give_back(to);
        tail = nullptr;
        return;
    }
    close();
    to->next = first;
    tail = to;
}

}}}  // namespace spruce::v0::detail
