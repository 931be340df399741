// Queues of work: what is to be done, in one order or another, and the knowledge that it was done.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <new>
#include <type_traits>
#include <utility>

#include "memory.hpp"
#include "result.hpp"
#include "detail/queue_core.hpp"
#include "detail/waiter_list.hpp"

namespace spruce { inline namespace v0 {

// The orders in which a queue gives its items out: first in first out, last in first out, the smallest first (of equal
// ones the one that came first).
struct fifo {};
struct lifo {};
template <class Less> struct by_priority {};

// Up to `bound` items that wait to be taken, given out in their order. Waiters, to push or to take, are served first
// come, first served, and an item goes straight to the taker that waits for it. T moves without throwing, and Less does
// not throw; neither they wait nor use the queue: they run while its places change. Nothing is allocated but the room
// for the items, when the queue is made. Thread: one loop's; what does not wait may be called by plain code, too, on
// its thread.
// Lifetime: waiters that are left when it dies are woken with closed, and the items it keeps die with it.
template <class T, class Order> class basic_queue : detail::pinned {
    static_assert(std::is_object_v<T> && std::is_nothrow_move_constructible_v<T>,
                  "a queue's items move without throwing");

public:
    using value_type = T;
    // Capacity: so many items. Of a queue with a bound of 0 every call gives invalid_argument; if there is no memory
    // for it, no_memory.
    explicit basic_queue(std::size_t bound) : core_(bound, detail::queue_ops_of<T, Order>) {}
    // Puts an item in; waits until there is room.
    // Errors: canceled, timed_out, not_in_task, closed (close() was called, also while it waited, or it was destroyed),
    // no_memory, invalid_argument. After one of them the item is gone.
    // Cancel: nothing is put in. Once the item is in, it stays, canceled or not.
    [[nodiscard]] result<void> push(T value, deadline dl = {}) { return core_.push(&value, dl); }
    // Puts an item in if there is room. Errors: full, closed, no_memory, invalid_argument.
    [[nodiscard]] result<void> try_push(T value) { return core_.try_push(&value); }
    // Takes the next item; waits for it. After close() it takes what is left, then gives end_of_stream.
    // Errors: canceled, timed_out, not_in_task, end_of_stream, closed (it was destroyed), no_memory, invalid_argument.
    // Cancel: no item is taken. Who was given one has it, even if it is canceled before it runs.
    [[nodiscard]] result<T> take(deadline dl = {}) {
        result<T> item(errc::closed);
        if (auto const got = core_.take(&item, dl); !got) item = got.error();
        return item;
    }
    // Takes the next item if there is one. Errors: would_wait, end_of_stream, no_memory, invalid_argument.
    [[nodiscard]] result<T> try_take() {
        result<T> item(errc::closed);
        if (auto const got = core_.try_take(&item); !got) item = got.error();
        return item;
    }
    // Says that an item that was taken is done with. Errors: wrong_state (all that were taken are).
    result<void> task_done() noexcept { return core_.task_done(); }
    // Waits until every item that was put in has been taken and is done with; at once if none is left.
    // Errors: canceled, timed_out, not_in_task, closed (it was destroyed), no_memory, invalid_argument.
    // Cancel: leaves no trace.
    [[nodiscard]] result<void> join(deadline dl = {}) { return core_.join(dl); }
    // No more is put in: what waits to push gets closed, what waits to take end_of_stream.
    void close() noexcept { core_.close(); }
    // How many it keeps; those of pushers that wait do not count.
    std::size_t size() const noexcept { return core_.count; }
    bool empty() const noexcept { return core_.count == 0; }
    bool full() const noexcept { return core_.count == core_.bound; }

private:
    detail::queue_core core_;
};

// First in, first out; last in, first out; the smallest first.
template <class T> using queue = basic_queue<T, fifo>;
template <class T> using lifo_queue = basic_queue<T, lifo>;
template <class T, class Less = std::less<T>> using priority_queue = basic_queue<T, by_priority<Less>>;

}}  // namespace spruce::v0
