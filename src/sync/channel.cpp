// Channels: items go from the sender's hands into the receiver's, or into the slots between.
#include <spruce/channel.hpp>

#include "waiters.hpp"

namespace spruce::inline v0::detail {

namespace {
struct sending : parked {
    sending(void* v, error const& w) noexcept : parked("channel"), value(v), why(w) {}
    void* value;   // in the sender's frame; null: `why`
    error why;
};
struct receiving : parked {
    explicit receiving(void* r) noexcept : parked("channel"), room(r) {}
    void* room;    // in the receiver's frame
};
sending* first_sender(channel_core& c) noexcept { return static_cast<sending*>(waiters(c.senders).take_front()); }

void wake_all(waiter_list& l, error why) noexcept {
    while (parked* const p = waiters(l).take_front()) wake_failed(*p, why);
}
}  // namespace

channel_core::channel_core(std::size_t room_for, item_ops const& ops) noexcept : items(&ops), capacity(room_for) {
    if (capacity == 0) return;
    memory = memory_here();
    if (capacity <= static_cast<std::size_t>(-1) / 2 / ops.size) slots = allocate(memory, capacity * ops.size, ops.alignment);
    refused = !slots;
}

channel_core::~channel_core() {
    wake_all(senders, errc::closed);
    wake_all(receivers, errc::closed);
    for (; count != 0; --count) items->destroy(slot(count - 1));
    if (slots) release(memory, slots, capacity * items->size, items->alignment);
}

// Receivers wait only while there is nothing, senders only while no slot is free: at most one of these lines is not empty.
result<void> channel_core::try_send(void* value, error const& why) noexcept {
    if (refused) return errc::no_memory;
    if (closed) return errc::closed;
    if (auto* const p = static_cast<receiving*>(waiters(receivers).take_front())) {
        items->put(p->room, value, why);
        wake(*p);
        return {};
    }
    if (count == capacity) return errc::full;
    items->put(slot(count), value, why);
    ++count;
    return {};
}

result<void> channel_core::send(void* value, error const& why, deadline dl) noexcept {
    SPRUCE_CHECK(begin_wait());
    auto const sent = try_send(value, why);
    if (sent || sent.error() != errc::full) return sent;
    sending p(value, why);
    waiters(senders).push_back(p);
    return park(p, dl);
}

result<void> channel_core::try_receive(void* room) noexcept {
    if (refused) return errc::no_memory;
    if (count == 0) {
        sending* const p = first_sender(*this);
        if (!p) return closed ? errc::end_of_stream : errc::would_wait;
        items->put(room, p->value, p->why);
        wake(*p);
        return {};
    }
    items->move(room, slot(0));
    if (++first == capacity) first = 0;
    --count;
    // The slot is the first sender's who waits for one.
    if (sending* const p = first_sender(*this)) {
        items->put(slot(count), p->value, p->why);
        ++count;
        wake(*p);
    }
    return {};
}

result<void> channel_core::receive(void* room, deadline dl) noexcept {
    SPRUCE_CHECK(begin_wait());
    auto const got = try_receive(room);
    if (got || got.error() != errc::would_wait) return got;
    receiving p(room);
    waiters(receivers).push_back(p);
    return park(p, dl);
}

void channel_core::close() noexcept {
    closed = true;
    wake_all(senders, errc::closed);
    wake_all(receivers, errc::end_of_stream);
}

}  // namespace spruce::inline v0::detail
