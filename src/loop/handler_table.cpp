#include "handler_table.hpp"

#include <new>

#include "hub.hpp"

namespace spruce::inline v0::detail {

handler_table::~handler_table() {
    for (std::size_t c = 0; c * chunk_size < made_; ++c)
        release(memory_, chunks_[c], chunk_size * sizeof(handler_slot), alignof(handler_slot));
    release(memory_, chunks_, chunk_room_ * sizeof(handler_slot*), alignof(handler_slot*));
}

error handler_table::add_chunk(hub& of) noexcept {
    if (made_ + chunk_size > bound_ && made_ >= bound_) return with_detail(errc::full, "max_timers");
    std::size_t const number = made_ / chunk_size;
    if (number == chunk_room_) {
        std::size_t const room = chunk_room_ ? chunk_room_ * 2 : 4;
        auto** const bigger = static_cast<handler_slot**>(allocate(memory_, room * sizeof(handler_slot*), alignof(handler_slot*)));
        if (!bigger) return errc::no_memory;
        for (std::size_t i = 0; i != number; ++i) bigger[i] = chunks_[i];
        release(memory_, chunks_, chunk_room_ * sizeof(handler_slot*), alignof(handler_slot*));
        chunks_ = bigger;
        chunk_room_ = room;
    }
    // A slot stands in the ready ring at most once, cancelled or not: a place for each, so that no event can fail.
    if (!of.ready.reserve(chunk_size)) return errc::no_memory;
    auto* const chunk = static_cast<handler_slot*>(allocate(memory_, chunk_size * sizeof(handler_slot), alignof(handler_slot)));
    if (!chunk) {
        of.ready.unreserve(chunk_size);
        return errc::no_memory;
    }
    chunks_[number] = chunk;
    for (std::size_t i = chunk_size; i-- != 0;) {
        auto* const s = ::new (static_cast<void*>(chunk + i)) handler_slot;
        s->index = static_cast<std::uint32_t>(made_ + i);
        s->next_free = free_;
        free_ = s;
    }
    made_ += chunk_size;
    return errc::canceled;   // unused: success is told by free_
}

slot_claim handler_table::claim(hub& of, std::size_t size, std::size_t alignment) noexcept {
    slot_claim c;
    if (!free_) {
        error const why = add_chunk(of);
        if (!free_) return c.why = why, c;
    }
    handler_slot& s = *free_;
    void* room = s.room;
    if (size > sizeof s.room || alignment > alignof(std::max_align_t)) {
        room = allocate(memory_, size, alignment);
        if (!room) return c.why = errc::no_memory, c;
    }
    free_ = s.next_free;
    s.callable = room;
    s.ops = nullptr;
    s.state = slot_state::claimed;
    s.kind = slot_kind::none;
    s.holds = s.again = false;
    s.period_ns = static_cast<std::int64_t>(size);   // until it is armed: what to give back if it never is
    s.number = static_cast<int>(alignment);
    c.slot = &s;
    c.room = room;
    return c;
}

void handler_table::free_room(handler_slot& s) noexcept {
    if (s.callable == s.room || !s.callable) return;
    std::size_t const size = s.ops ? s.ops->size : static_cast<std::size_t>(s.period_ns);
    std::size_t const alignment = s.ops ? s.ops->alignment : static_cast<std::size_t>(s.number);
    release(memory_, s.callable, size, alignment);
}

void handler_table::unclaim(handler_slot& s) noexcept {
    free_room(s);
    s.callable = nullptr;
    s.ops = nullptr;
    s.state = slot_state::free;
    s.kind = slot_kind::none;
    ++s.generation;
    s.next_free = free_;
    free_ = &s;
}

void handler_table::drop_callable(handler_slot& s) noexcept {
    if (!s.callable || !s.ops) return;
    // Emptied first: the destructor may come back here, through its own handler.
    void* const callable = s.callable;
    callable_ops const* const ops = s.ops;
    s.callable = nullptr;
    ops->destroy(callable);
    if (callable != s.room) release(memory_, callable, ops->size, ops->alignment);
}

void handler_table::dispose(handler_slot& s) noexcept {
    s.state = slot_state::cancelled;   // its own destructor may ask for it by its handler: it is over
    drop_callable(s);
    unclaim(s);
}

}  // namespace spruce::inline v0::detail
