// What queues are made of, and their slots by their orders. Nothing here is for users to call.
#pragma once
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "../memory.hpp"
#include "../result.hpp"
#include "../time.hpp"
#include "waiter_list.hpp"

namespace spruce { inline namespace v0 {
struct fifo;
struct lifo;
template <class Less> struct by_priority;
}}

namespace spruce { inline namespace v0 { namespace detail {

struct queue_core;
// What the library does with items whose type it does not know. They lie in core.places.
struct queue_ops {
    void (*put)(queue_core& q, void* value) noexcept;      // moves *value in; there is room
    // Moves the next one out, into a result<T> that holds an error
    void (*take)(queue_core& q, void* room) noexcept;
    void (*hand)(void* room, void* value) noexcept;        // moves *value into such a result<T>
    void (*drop_all)(queue_core& q) noexcept;
    std::size_t size, alignment;                           // of a slot
};

struct queue_core : pinned {
    SPRUCE_API queue_core(std::size_t bound, queue_ops const& ops) noexcept;
    SPRUCE_API ~queue_core();
    SPRUCE_API result<void> push(void* value, deadline dl) noexcept;
    SPRUCE_API result<void> try_push(void* value) noexcept;
    SPRUCE_API result<void> take(void* room, deadline dl) noexcept;
    SPRUCE_API result<void> try_take(void* room) noexcept;
    SPRUCE_API result<void> task_done() noexcept;
    SPRUCE_API result<void> join(deadline dl) noexcept;
    SPRUCE_API void close() noexcept;
    result<void> usable() const noexcept;

    queue_ops const* items;
    waiter_list pushers, takers, joiners;
    std::size_t bound, count = 0;
    std::size_t first = 0;         // fifo: the oldest one's slot
    std::uint64_t arrivals = 0;    // by_priority: numbers those that came
    std::size_t in_hand = 0;       // taken, and not yet done
    void* places = nullptr;
    memory_hook memory;
    bool closed = false;
};

// The places of a queue, by its order.
template <class T, class Order> struct queue_slots;

template <class T> struct queue_slots<T, fifo> {
    using slot = T;
    static void put(queue_core& q, T&& value) noexcept {
        std::size_t const at = q.count < q.bound - q.first ? q.first + q.count : q.count - (q.bound - q.first);
        ::new (static_cast<slot*>(q.places) + at) T(std::move(value));
    }
    static slot& next(queue_core& q) noexcept { return static_cast<slot*>(q.places)[q.first]; }
    static void remove(queue_core& q) noexcept {
        next(q).~T();
        if (++q.first == q.bound) q.first = 0;
    }
    static T& value(slot& s) noexcept { return s; }
};
template <class T> struct queue_slots<T, lifo> {
    using slot = T;
    static void put(queue_core& q, T&& value) noexcept {
        ::new (static_cast<slot*>(q.places) + q.count) T(std::move(value));
    }
    static slot& next(queue_core& q) noexcept { return static_cast<slot*>(q.places)[q.count - 1]; }
    static void remove(queue_core& q) noexcept { next(q).~T(); }
    static T& value(slot& s) noexcept { return s; }
};
// A binary heap; the numbers of their arrival keep equal ones in order.
template <class T, class Less> struct queue_slots<T, by_priority<Less>> {
    struct slot {
        T value;
        std::uint64_t number;
    };
    static bool before(slot const& a, slot const& b) noexcept {
        Less less;
        if (less(a.value, b.value)) return true;
        return !less(b.value, a.value) && a.number < b.number;
    }
    static void put(queue_core& q, T&& value) noexcept {
        slot* const s = static_cast<slot*>(q.places);
        slot fresh{std::move(value), q.arrivals++};
        std::size_t hole = q.count;
        // The hole rises to where the new one belongs; each place it leaves is filled by the parent.
        while (hole != 0 && before(fresh, s[(hole - 1) / 2])) {
            std::size_t const parent = (hole - 1) / 2;
            ::new (s + hole) slot(std::move(s[parent]));
            s[parent].~slot();
            hole = parent;
        }
        ::new (s + hole) slot(std::move(fresh));
    }
    static slot& next(queue_core& q) noexcept { return *static_cast<slot*>(q.places); }
    static void remove(queue_core& q) noexcept {
        slot* const s = static_cast<slot*>(q.places);
        std::size_t const last = q.count - 1;
        s[0].~slot();
        if (last == 0) return;
        slot moved(std::move(s[last]));
        s[last].~slot();
        std::size_t hole = 0;
        for (std::size_t child = 1; child < last; child = 2 * hole + 1) {
            if (child + 1 < last && before(s[child + 1], s[child])) ++child;
            if (!before(s[child], moved)) break;
            ::new (s + hole) slot(std::move(s[child]));
            s[child].~slot();
            hole = child;
        }
        ::new (s + hole) slot(std::move(moved));
    }
    static T& value(slot& s) noexcept { return s.value; }
};

template <class T, class Order>
inline constexpr queue_ops queue_ops_of{
    [](queue_core& q, void* value) noexcept { queue_slots<T, Order>::put(q, std::move(*static_cast<T*>(value))); },
    [](queue_core& q, void* room) noexcept {
        using places = queue_slots<T, Order>;
        *static_cast<result<T>*>(room) = result<T>(std::move(places::value(places::next(q))));
        places::remove(q);
    },
    [](void* room, void* value) noexcept {
        *static_cast<result<T>*>(room) = result<T>(std::move(*static_cast<T*>(value)));
    },
    [](queue_core& q) noexcept {
        for (; q.count != 0; --q.count) queue_slots<T, Order>::remove(q);
    },
    sizeof(typename queue_slots<T, Order>::slot),
    alignof(typename queue_slots<T, Order>::slot),
};

}}}  // namespace spruce::v0::detail
