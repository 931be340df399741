// Queues of work: who waits for room, for an item, or for all to be done.
// Cancel, and the deadline: task/park.cpp unlinks the waiter from its line by parked::abandon, the plain unlink here.
#include <spruce/queue.hpp>

#include "waiters.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
struct pushing : parked {
    explicit pushing(void* v) noexcept : parked("queue"), value(v) {}
    void* value;   // in the pusher's frame
};
struct taking : parked {
    explicit taking(void* r) noexcept : parked("queue"), room(r) {}
    void* room;    // in the taker's frame
};

void wake_all(waiter_list& l, error why) noexcept {
    while (parked* const p = waiters(l).take_front()) wake_failed(*p, why);
}
}  // namespace

queue_core::queue_core(std::size_t bound_, queue_ops const& ops) noexcept : items(&ops), bound(bound_) {
    memory = memory_here();
    if (bound != 0 && bound <= static_cast<std::size_t>(-1) / 2 / ops.size)
        places = allocate(memory, bound * ops.size, ops.alignment);
}

queue_core::~queue_core() {
    wake_all(pushers, errc::closed);
    wake_all(takers, errc::closed);
    wake_all(joiners, errc::closed);
    if (!places) return;
    items->drop_all(*this);
    release(memory, places, bound * items->size, items->alignment);
}

result<void> queue_core::usable() const noexcept {
    if (places) return {};
    return bound == 0 ? with_detail(errc::invalid_argument, "a queue's bound: 0") : error(errc::no_memory);
}

// Takers wait only while nothing is there, pushers only while it is full.
result<void> queue_core::try_push(void* value) noexcept {
    SPRUCE_CHECK(usable());
    if (closed) return errc::closed;
    if (parked* const p = waiters(takers).take_front()) {
        items->hand(static_cast<taking*>(p)->room, value);
        ++in_hand;
        wake_inline(*p);
        return {};
    }
    if (count == bound) return errc::full;
    items->put(*this, value);
    ++count;
    return {};
}

result<void> queue_core::push(void* value, deadline dl) noexcept {
    SPRUCE_CHECK(begin_wait());
    auto const pushed = try_push(value);
    if (pushed || pushed.error() != errc::full) return at_once(pushed);
    pushing p(value);
    waiters(pushers).push_back(p);
    return park(p, dl);
}

result<void> queue_core::try_take(void* room) noexcept {
    SPRUCE_CHECK(usable());
    if (count == 0) return closed ? errc::end_of_stream : errc::would_wait;
    items->take(*this, room);
    --count;
    ++in_hand;
    // The room is the first pusher's who waits for it.
    if (parked* const p = waiters(pushers).take_front()) {
        items->put(*this, static_cast<pushing*>(p)->value);
        ++count;
        wake_inline(*p);
    }
    return {};
}

result<void> queue_core::take(void* room, deadline dl) noexcept {
    SPRUCE_CHECK(begin_wait());
    auto const got = try_take(room);
    if (got || got.error() != errc::would_wait) return at_once(got);
    taking p(room);
    waiters(takers).push_back(p);
    return park(p, dl);
}

result<void> queue_core::task_done() noexcept {
    if (in_hand == 0) return with_detail(errc::wrong_state, "task_done() called more often than take()");
    --in_hand;
    if (in_hand != 0 || count != 0) return {};
    while (parked* const p = waiters(joiners).take_front()) wake(*p);
    return {};
}

result<void> queue_core::join(deadline dl) noexcept {
    SPRUCE_CHECK(begin_wait());
    SPRUCE_CHECK(usable());
    if (in_hand == 0 && count == 0) return at_once<result<void>>({});
    parked p("queue_join");
    waiters(joiners).push_back(p);
    return park(p, dl);
}

void queue_core::close() noexcept {
    closed = true;
    wake_all(pushers, errc::closed);
    wake_all(takers, errc::end_of_stream);
}

}}}  // namespace spruce::v0::detail
