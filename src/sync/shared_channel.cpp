// Channels between threads: values lie in slots, whence receivers take them on their own threads.
#include <spruce/shared.hpp>

#include "shared_wait.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
shared_channel_state& channel_of(shared_source& s) noexcept { return static_cast<shared_channel_state&>(s); }

// One for each item and for each place; all, where no more will come.
void choose(shared_source& s, told_waiters& out) noexcept {
    auto& c = channel_of(s);
    choose_from(c.receivers, c.closed && c.count == 0 ? every_waiter : c.free_items(), out);
    choose_from(c.senders, c.closed ? every_waiter : c.capacity - c.count, out);
}

// What there is in an item's place, if nothing will come any more; else would_wait.
errc end_of(shared_channel_state const& c) noexcept {
    if (c.dead) return errc::closed;
    return c.closed && c.count == 0 ? errc::end_of_stream : errc::would_wait;
}

bool claim(shared_source& s, shared_entry& e) noexcept {
    auto& c = channel_of(s);
    e.has_item = !c.dead && c.free_items() != 0;
    if (e.has_item) {
        ++c.claimed;
        return true;
    }
    errc const why = end_of(c);
    e.why = why;
    return why != errc::would_wait;
}
void unclaim(shared_source& s, shared_entry& e) noexcept {
    auto& c = channel_of(s);
    if (e.has_item && !c.dead) --c.claimed;
    e.has_item = false;
}

void end(shared_source& s) noexcept {
    auto& c = channel_of(s);
    if (c.slots) release({}, c.slots, c.capacity * c.items->size, c.items->alignment);
    c.~shared_channel_state();
    release({}, &c, sizeof c, alignof(shared_channel_state));
}
constexpr shared_source::kind channel_kind{choose, claim, unclaim, end};

struct sending_call {
    void* value;
    errc outcome = {};
};
bool put(shared_source& s, void* call) noexcept {
    auto& c = channel_of(s);
    auto& my = *static_cast<sending_call*>(call);
    if (c.closed) return my.outcome = errc::closed, true;
    if (c.count == c.capacity) return false;
    c.items->put(c.slot(c.count), my.value, errc::closed);
    ++c.count;
    return true;
}

struct receiving_call {
    void* room;
    errc outcome = {};
};
void take_front(shared_channel_state& c, void* room) noexcept {
    c.items->move(room, c.slot(0));
    if (++c.first == c.capacity) c.first = 0;
    --c.count;
}
bool get(shared_source& s, void* call) noexcept {
    auto& c = channel_of(s);
    auto& my = *static_cast<receiving_call*>(call);
    if (!c.dead && c.free_items() != 0) return take_front(c, my.room), true;
    errc const why = end_of(c);
    if (why == errc::would_wait) return false;
    return my.outcome = why, true;
}

result<void> ending(errc why) noexcept { return why == errc{} ? result<void>() : result<void>(why); }
}  // namespace

shared_channel_state::shared_channel_state(std::size_t n, item_ops const& ops) noexcept
    : shared_source(channel_kind), items(&ops), capacity(n) {}

shared_channel_core::shared_channel_core(std::size_t capacity, item_ops const& ops) noexcept {
    if (capacity == 0) refused = errc::invalid_argument;
    if (capacity == 0 || capacity > static_cast<std::size_t>(-1) / 2 / ops.size) return;
    void* const room = allocate({}, sizeof(shared_channel_state), alignof(shared_channel_state));
    if (!room) return;
    state = ::new (room) shared_channel_state(capacity, ops);
    state->slots = allocate({}, capacity * ops.size, ops.alignment);
    if (!state->slots) release(*std::exchange(state, nullptr));
}

shared_channel_core::~shared_channel_core() {
    if (!state) return;
    std::size_t left;
    {
        shared_turn const turn(*state);
        state->dead = state->closed = true;
        state->claimed = 0;
        // Those who wait for a value find none, and all are told.
        left = std::exchange(state->count, 0);
    }
    // Nobody looks at the slots any more.
    for (std::size_t n = left; n != 0; --n) state->items->destroy(state->slot(n - 1));
    release(*state);
}

void shared_channel_core::close() noexcept {
    if (!state) return;
    shared_turn const turn(*state);
    state->closed = true;
}

result<void> shared_channel_core::try_send(void* value) noexcept {
    if (!state) return refused;
    sending_call call{value};
    shared_turn const turn(*state);
    return put(*state, &call) ? ending(call.outcome) : errc::full;
}

result<void> shared_channel_core::send(void* value, deadline dl) noexcept {
    if (!state) return refused_call(refused);
    sending_call call{value};
    SPRUCE_CHECK(wait_shared(*state, state->senders, put, &call, "shared_channel", dl));
    return ending(call.outcome);
}

result<void> shared_channel_core::try_receive(void* room) noexcept {
    if (!state) return refused;
    receiving_call call{room};
    shared_turn const turn(*state);
    return get(*state, &call) ? ending(call.outcome) : errc::would_wait;
}

result<void> shared_channel_core::receive(void* room, deadline dl) noexcept {
    if (!state) return refused_call(refused);
    receiving_call call{room};
    SPRUCE_CHECK(wait_shared(*state, state->receivers, get, &call, "shared_channel", dl));
    return ending(call.outcome);
}

result<void> shared_channel_core::arm(shared_entry& e, wait_point& p) noexcept {
    if (!state) return refused;
    return arm_shared(*state, state->receivers, e, p);
}

result<void> take_from_channel(shared_entry& e, void* room) noexcept {
    if (!e.claimed) return errc::wrong_state;
    auto& c = channel_of(source_of(*e.note));
    errc why = errc::closed;
    {
        shared_turn const turn(c);
        if (!e.has_item) {
            why = static_cast<errc>(e.why.code());
        } else if (!c.dead) {
            --c.claimed;
            take_front(c, room);
            why = {};
        }
    }
    end_claim(e);
    return ending(why);
}

}}}  // namespace spruce::v0::detail
