// Channels: items go from the sender's hands into the receiver's, or into the places between.
// Cancel, and the deadline: a sender or receiver that waits is a node of its line, and task/park.cpp unlinks it by
// parked::abandon, which is the plain unlink here: no item was touched yet.
#include <spruce/channel.hpp>

#include "contended.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
struct sending : parked {
    sending(void* v, error const& w) noexcept : parked("channel"), value(v), why(w) {}
    void* value;   // in the sender's frame; null: `why`
    error why;
    parked* partner = nullptr;   // of a condition that reserves: whom it would give it to
};
struct receiving : parked {
    explicit receiving(void* r) noexcept : parked("channel"), room(r) {}
    void* room;    // in the receiver's frame
    parked* partner = nullptr;   // … whom it would take it from
};
sending* first_sender(channel_core& c) noexcept { return static_cast<sending*>(take_taker(contended_of(c.senders))); }
bool nobody_waits(contended const& line) noexcept { return line.takers.empty() && line.untold.empty(); }
}  // namespace

namespace {
// Where the next item goes, and where the first lies, for which the places are a ring.
std::byte* next_place(channel_core const& c) noexcept {
    std::size_t const at = c.first + c.used;   // both are less than half of all memory
    return c.places + (at < c.extent ? at : at - c.extent);
}
std::byte* leave_first(channel_core& c, std::size_t size) noexcept {
    std::byte* const left = c.places + c.first;
    c.first += size;
    if (c.first == c.extent) c.first = 0;
    c.used -= size;
    return left;
}
}  // namespace

channel_core::channel_core(std::size_t capacity, item_ops const& ops) noexcept : items(&ops) {
    if (capacity == 0) return;
    memory = memory_here();
    if (capacity <= static_cast<std::size_t>(-1) / 2 / ops.size)
        places = static_cast<std::byte*>(allocate(memory, capacity * ops.size, ops.alignment));
    if (places) extent = capacity * ops.size;
    else refused = true;
}

channel_core::~channel_core() {
    fail_line(contended_of(senders), errc::closed);
    fail_line(contended_of(receivers), errc::closed);
    while (used != 0) items->destroy(leave_first(*this, items->size));
    if (places) release(memory, places, extent, items->alignment);
}

namespace {
// Receivers wait only while there is nothing, senders only while no slot is free: at most one of these lines has
// somebody who takes at once. Who waits for all of several things stands in a line whatever there is.

// Hands an item to the first receiver who takes it, or puts it into a free slot. Returns: whether there was one.
[[gnu::always_inline]] inline bool put_now(channel_core& c, void* value, error const& why) noexcept {
    if (auto* const p = static_cast<receiving*>(take_taker(contended_of(c.receivers)))) {
        c.items->put(p->room, value, why);
        wake_inline(*p);
        return true;
    }
    if (c.used == c.extent) return false;
    c.items->put(next_place(c), value, why);
    c.used += c.items->size;
    tell_crowd(contended_of(c.receivers));
    return true;
}

// Takes the first item, or that of the first sender who gives it. Returns: whether there was one.
[[gnu::always_inline]] inline bool take_now(channel_core& c, void* room) noexcept {
    if (c.used == 0) {
        sending* const p = first_sender(c);
        if (!p) return false;
        c.items->put(room, p->value, p->why);
        wake_inline(*p);
        return true;
    }
    c.items->move(room, leave_first(c, c.items->size));
    // The slot is the first sender's who waits for one.
    if (sending* const p = first_sender(c)) {
        c.items->put(next_place(c), p->value, p->why);
        c.used += c.items->size;
        wake_inline(*p);
    } else {
        tell_crowd(contended_of(c.senders));
    }
    return true;
}

// It stands in its line, and waits from here on: those on the other side who wait for all may be told.
[[gnu::noinline]] void tell_of(parked& p, contended& others) noexcept {
    p.who = current_scheduler ? current_scheduler->current : nullptr;
    if (p.who) tell_crowd(others);
}
// Their frames hold a waiter, which those who need not wait do without.
[[gnu::noinline]] result<void> wait_to_send(channel_core& c, void* value, error const& why, deadline dl) noexcept {
    sending p(value, why);
    contended_of(c.senders).takers.push_back(p);
    if (!contended_of(c.receivers).untold.empty()) [[unlikely]] tell_of(p, contended_of(c.receivers));
    return park_here(p, dl);
}
[[gnu::noinline]] result<void> wait_to_receive(channel_core& c, void* room, deadline dl) noexcept {
    receiving p(room);
    contended_of(c.receivers).takers.push_back(p);
    if (!contended_of(c.senders).untold.empty()) [[unlikely]] tell_of(p, contended_of(c.senders));
    return park_here(p, dl);
}
}  // namespace

void* channel_core::place_now(std::size_t size) noexcept {
    if (!may_wait() || closed || !nobody_waits(contended_of(receivers)) || !count_call_unless_last()) return nullptr;
    std::byte* const place = next_place(*this);
    used += size;
    return place;
}

void* channel_core::first_now(std::size_t size) noexcept {
    if (!may_wait() || !nobody_waits(contended_of(senders)) || !count_call_unless_last()) return nullptr;
    return leave_first(*this, size);
}

result<void> channel_core::try_send(void* value, error const& why) noexcept {
    if (refused) return errc::no_memory;
    if (closed) return errc::closed;
    if (put_now(*this, value, why)) return {};
    return errc::full;
}

result<void> channel_core::send(void* value, error const& why, deadline dl) noexcept {
    if (!may_wait()) [[unlikely]] return begin_wait();
    if (refused) [[unlikely]] return at_once<result<void>>(errc::no_memory);
    if (closed) [[unlikely]] return at_once<result<void>>(errc::closed);
    if (put_now(*this, value, why)) return at_once<result<void>>({});
    return wait_to_send(*this, value, why, dl);
}

result<void> channel_core::try_receive(void* room) noexcept {
    if (refused) return errc::no_memory;
    if (take_now(*this, room)) return {};
    return closed ? errc::end_of_stream : errc::would_wait;
}

result<void> channel_core::receive(void* room, deadline dl) noexcept {
    if (!may_wait()) [[unlikely]] return begin_wait();
    if (refused) [[unlikely]] return at_once<result<void>>(errc::no_memory);
    if (take_now(*this, room)) return at_once<result<void>>({});
    if (closed) return at_once<result<void>>(errc::end_of_stream);
    return wait_to_receive(*this, room, dl);
}

void channel_core::close() noexcept {
    closed = true;
    fail_line(contended_of(senders), errc::closed);
    // When a condition takes, it finds what is left, or the end; until then it stays in the line, to hear if we die
    // first.
    contended& line = contended_of(receivers);
    for (parked *p = line.takers.front(), *next = nullptr; p; p = next) {
        next = line.takers.after(*p);
        if (!p->who) {
            p->point->fire();
            continue;
        }
        p->unlink();
        wake_failed(*p, errc::end_of_stream);
    }
    while (parked* const p = line.untold.front()) {
        line.returned = nullptr;
        set_aside(line, *p);
        p->point->fire();
    }
}

// -- as conditions

void channel_core::arm_receive(wait_entry& e, wait_point& p, void* room) noexcept {
    auto& mine = enter<receiving>(e, p, room);
    bool const there = can_receive(e);
    enter_line(contended_of(receivers), mine, there);
    if (there) p.fire();
    else if (!waits_for_all(p)) tell_crowd(contended_of(senders));
}

bool channel_core::can_receive(wait_entry const& e) const noexcept {
    // Of a channel that was destroyed there is nothing left to look at.
    auto const& mine = entry_of<receiving>(e);
    return mine.outcome != parked::how::waiting || refused || closed || used != 0 ||
           find_taker(contended_of(senders), mine.point);
}

// A sender's value comes to the receiver, or into the slot that it leaves: as many are left as before.
bool channel_core::reserve_receive(wait_entry& e) noexcept {
    auto& mine = entry_of<receiving>(e);
    if (mine.outcome != parked::how::waiting || refused) return true;
    mine.partner = find_taker(contended_of(senders), mine.point);
    if (mine.partner) return speak_for(*mine.partner, true), true;
    if (used == 0) return closed;
    used -= items->size;
    return mine.reserves = true;
}

void channel_core::unreserve_receive(wait_entry& e) noexcept {
    auto& mine = entry_of<receiving>(e);
    if (mine.outcome != parked::how::waiting) return;
    if (std::exchange(mine.reserves, false)) used += items->size;
    if (parked* const partner = std::exchange(mine.partner, nullptr)) speak_for(*partner, false);
}

void channel_core::receive_goes_on(wait_entry& e) noexcept {
    contended& line = contended_of(receivers);
    if (entry_of<receiving>(e).outcome == parked::how::waiting && go_on(line, entry_of<receiving>(e)) && can_receive(e))
        tell_crowd(line);
}

result<void> channel_core::finish_receive(wait_entry& e, void* room) noexcept {
    auto const& mine = entry_of<receiving>(e);
    if (mine.outcome == parked::how::failed) return mine.reason;
    return mine.outcome == parked::how::fired ? result<void>() : try_receive(room);
}

void channel_core::arm_send(wait_entry& e, wait_point& p, void* value) noexcept {
    auto& mine = enter<sending>(e, p, value, error(errc::closed));
    bool const there = can_send(e);
    enter_line(contended_of(senders), mine, there);
    if (there) p.fire();
    else if (!waits_for_all(p)) tell_crowd(contended_of(receivers));
}

bool channel_core::can_send(wait_entry const& e) const noexcept {
    auto const& mine = entry_of<sending>(e);
    return mine.outcome != parked::how::waiting || refused || closed || used < extent ||
           find_taker(contended_of(receivers), mine.point);
}

bool channel_core::reserve_send(wait_entry& e) noexcept {
    auto& mine = entry_of<sending>(e);
    if (mine.outcome != parked::how::waiting || refused || closed) return true;
    mine.partner = find_taker(contended_of(receivers), mine.point);
    if (mine.partner) return speak_for(*mine.partner, true), true;
    if (used == extent) return false;
    used += items->size;
    return mine.reserves = true;
}

void channel_core::unreserve_send(wait_entry& e) noexcept {
    auto& mine = entry_of<sending>(e);
    if (mine.outcome != parked::how::waiting) return;
    if (std::exchange(mine.reserves, false)) used -= items->size;
    if (parked* const partner = std::exchange(mine.partner, nullptr)) speak_for(*partner, false);
}

void channel_core::send_goes_on(wait_entry& e) noexcept {
    contended& line = contended_of(senders);
    if (entry_of<sending>(e).outcome == parked::how::waiting && go_on(line, entry_of<sending>(e)) && can_send(e))
        tell_crowd(line);
}

result<void> channel_core::finish_send(wait_entry& e, void* value) noexcept {
    auto const& mine = entry_of<sending>(e);
    if (mine.outcome == parked::how::failed) return mine.reason;
    return mine.outcome == parked::how::fired ? result<void>() : try_send(value, errc::closed);
}

void leave_receivers(channel_core* c, wait_entry& e) noexcept {
    if (!e.armed || entry_of<receiving>(e).outcome != parked::how::waiting) return static_cast<void>(e.armed = false);
    contended& line = contended_of(c->receivers);
    if (leave_line(line, e) && c->can_receive(e)) tell_crowd(line);
}
void leave_senders(channel_core* c, wait_entry& e) noexcept {
    if (!e.armed || entry_of<sending>(e).outcome != parked::how::waiting) return static_cast<void>(e.armed = false);
    contended& line = contended_of(c->senders);
    if (leave_line(line, e) && c->can_send(e)) tell_crowd(line);
}

}}}  // namespace spruce::v0::detail
