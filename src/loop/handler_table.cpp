#include "handler_table.hpp"

#include <new>

#include "hub.hpp"

namespace spruce { inline namespace v0 { namespace detail {

handler_table::~handler_table() {
    for (std::size_t c = 0; c * chunk_size < made_; ++c)
        release(memory_, chunks_[c], chunk_size * sizeof(handler_slot), alignof(handler_slot));
    release(memory_, chunks_, chunk_room_ * sizeof(handler_slot*), alignof(handler_slot*));
}

result<void> handler_table::add_chunk(hub& of) noexcept {
    if (made_ >= bound_) return with_detail(errc::full, "max_timers");
    std::size_t const count = bound_ - made_ < chunk_size ? bound_ - made_ : chunk_size;   // the last may be a part
    std::size_t const number = made_ / chunk_size;
    if (number == chunk_room_) {
        std::size_t const room = chunk_room_ ? chunk_room_ * 2 : 4;
        auto** const bigger =
            static_cast<handler_slot**>(allocate(memory_, room * sizeof(handler_slot*), alignof(handler_slot*)));
        if (!bigger) return errc::no_memory;
        for (std::size_t i = 0; i != number; ++i) bigger[i] = chunks_[i];
        release(memory_, chunks_, chunk_room_ * sizeof(handler_slot*), alignof(handler_slot*));
        chunks_ = bigger;
        chunk_room_ = room;
    }
    // A slot stands in the ready ring at most once, canceled or not: a place for each, so that no event can fail.
    if (!of.ready.reserve(count)) return errc::no_memory;
    auto* const chunk =
        static_cast<handler_slot*>(allocate(memory_, chunk_size * sizeof(handler_slot), alignof(handler_slot)));
    if (!chunk) {
        of.ready.unreserve(count);
        return errc::no_memory;
    }
    chunks_[number] = chunk;
    for (std::size_t i = count; i-- != 0;) {
        auto* const s = ::new (static_cast<void*>(chunk + i)) handler_slot;
        s->index = static_cast<std::uint32_t>(made_ + i);
        s->next_free = free_;
        free_ = s;
    }
    made_ += count;
    return {};
}

// Takes the entries of canceled slots out of the ring, when they are a good part of it: who makes and cancels without
// a turn in between would else use up all slots.
void handler_table::sweep(hub& of) noexcept {
    if (of.canceled_in_ring == 0 || of.canceled_in_ring < of.ready.size() / 2) return;
    for (std::size_t left = of.ready.size(); left != 0; --left) {
        ready_entry const e = of.ready.take();
        auto* const s = is_extension(e.node) ? nullptr : static_cast<handler_slot*>(e.node);
        if (s && s->state == slot_state::canceled && !s->again) unclaim(*s);
        else of.ready.push_back(e.node, e.word);
    }
    of.canceled_in_ring = 0;
}

slot_claim handler_table::claim_slowly(hub& of, std::size_t size, std::size_t alignment) noexcept {
    slot_claim c;
    if (!free_) sweep(of);
    if (!free_) {
        if (auto const added = add_chunk(of); !added) return c.why = added.error(), c;
    }
    void* room = free_->room;
    if (!fits(size, alignment)) {
        room = allocate(memory_, size, alignment);
        if (!room) return c.why = errc::no_memory, c;
    }
    c.slot = &take_free(room, size, alignment);
    c.room = room;
    return c;
}

void handler_table::free_room(handler_slot& s) noexcept {
    std::size_t const size = s.ops ? s.ops->size : s.claimed_size;
    std::size_t const alignment = s.ops ? s.ops->alignment : s.claimed_alignment;
    release(memory_, s.callable, size, alignment);
}

}}}  // namespace spruce::v0::detail
