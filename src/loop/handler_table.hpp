// The callbacks of a loop: type-stable slots, named by handlers through {place, generation}.
#pragma once
#include <cstddef>
#include <cstdint>

#include <spruce/handler.hpp>
#include <spruce/memory.hpp>

#include "../base/intrusive_list.hpp"
#include "listener.hpp"

namespace spruce { inline namespace v0 { namespace detail {

struct hub;
struct timer;

enum class slot_kind : std::uint8_t {
    none,
    soon,
    timer,
    periodic,
    idle,
    hook,
    reader,
    writer,
    signal,
    child,
    unhandled
};

enum class slot_state : std::uint8_t {
    free,        // in the table's free list
    claimed,     // taken; its callable may be under construction
    armed,       // waits for its event
    queued,      // in the ready ring
    running,     // its callable is being called
    canceled    // canceled while queued or running; freed when the ring, or the call, lets go of it
};

struct child_part {
    int fd;                             // its pidfd, or -1
    int code;                           // code or signal number, once it has ended
};
enum class child_end : std::int8_t { unknown, lost, exited, killed };

struct handler_slot : list_link, listener {
    handler_slot() noexcept : listener(nullptr) {}

    std::uint64_t generation = 1;       // counts the slot's uses; a handler of an earlier use names nobody
    callable_ops const* ops = nullptr;
    void* callable = nullptr;           // in `room`, or from the loop's memory
    std::uint32_t index = 0;
    slot_kind kind = slot_kind::none;
    slot_state state = slot_state::free;
    bool holds = false;                 // counts among what keeps run() alive
    bool again = false;                 // to run again: rearmed, or its event came while it ran
    bool by_signal = false;             // child: watched through SIGCHLD
    bool by_poller = false;             // child: the poller tells of it
    bool lasts = false;                 // of the loop's own, or a task waits for it: it outlives the loop object
    child_end ended = child_end::unknown;   // child
    union {
        timer* time;                    // timer, periodic
        int number;                     // fd, signal, pid or phase
        std::size_t claimed_alignment;  // claimed, and not armed: that of its callable
    };
    std::int64_t due_ns = 0;            // timer, periodic: when it was armed for
    union {
        std::int64_t period_ns;         // periodic
        std::size_t claimed_size;       // claimed, and not armed: that of its callable
        child_part child;
        handler_slot* next_free;
    };
    alignas(std::max_align_t) std::byte room[slot_room];
};

// Whether its callable may still be called.
inline bool may_run(handler_slot const& s) noexcept {
    if (s.state == slot_state::armed || s.state == slot_state::queued) return true;
    if (s.state != slot_state::running) return false;
    return s.again || s.kind == slot_kind::periodic || s.kind == slot_kind::reader || s.kind == slot_kind::writer ||
           s.kind == slot_kind::signal || s.kind == slot_kind::hook;
}

class handler_table {
public:
    handler_table(memory_hook memory, std::size_t bound) noexcept : memory_(memory), bound_(bound) {}
    ~handler_table();
    handler_table(handler_table const&) = delete;
    handler_table& operator=(handler_table const&) = delete;

    // A free slot with room for such a callable. Its place in the ready ring is reserved. full, no_memory.
    slot_claim claim(hub& of, std::size_t size, std::size_t alignment) noexcept {
        if (!free_ || !fits(size, alignment)) [[unlikely]] return claim_slowly(of, size, alignment);
        slot_claim c;
        c.room = free_->room;
        c.slot = &take_free(c.room, size, alignment);
        return c;
    }
    // The same for a callable that needs no memory; any_free() must be true.
    bool any_free() const noexcept { return free_ != nullptr; }
    handler_slot& take_for(callable_ops const* ops) noexcept {
        handler_slot& s = *free_;
        free_ = s.next_free;
        s.callable = s.room;
        s.ops = ops;
        s.again = false;
        return s;
    }
    // Gives the callable's room and the slot back; the callable must be gone.
    void unclaim(handler_slot& s) noexcept {
        if (s.callable && s.callable != s.room) [[unlikely]] free_room(s);
        s.callable = nullptr;
        s.ops = nullptr;
        put_back(s);
    }
    // Destroys the callable, then unclaims. The callable's destructor may call anything.
    void dispose(handler_slot& s) noexcept {
        if (s.callable == s.room && s.ops && !s.ops->destroy) return put_back(s);
        s.state = slot_state::canceled;   // its own destructor may ask for it by its handler: it is over
        drop_callable(s);
        unclaim(s);
    }
    // Frees only the callable, for a slot that something still points to.
    void drop_callable(handler_slot& s) noexcept {
        if (!s.callable || !s.ops) return;
        // Emptied first: the destructor may come back here, through its own handler.
        void* const callable = s.callable;
        callable_ops const* const ops = s.ops;
        s.callable = nullptr;
        if (ops->destroy) ops->destroy(callable);
        if (callable != s.room) [[unlikely]] release(memory_, callable, ops->size, ops->alignment);
    }

    // The slot a handler names, or null if that use of it is over.
    handler_slot* find(std::uint32_t index, std::uint64_t generation) noexcept {
        if (index >= made_) return nullptr;
        handler_slot& s = at(index);
        return s.generation == generation && s.state != slot_state::free ? &s : nullptr;
    }
    std::size_t made() const noexcept { return made_; }
    handler_slot& at(std::size_t index) noexcept { return chunks_[index / chunk_size][index % chunk_size]; }

private:
    static constexpr std::size_t chunk_size = 32;
    static bool fits(std::size_t size, std::size_t alignment) noexcept {
        return size <= sizeof(handler_slot::room) && alignment <= alignof(std::max_align_t);
    }
    void put_back(handler_slot& s) noexcept {
        s.state = slot_state::free;
        s.kind = slot_kind::none;
        ++s.generation;
        s.next_free = free_;
        free_ = &s;
    }
    handler_slot& take_free(void* room, std::size_t size, std::size_t alignment) noexcept {
        handler_slot& s = *free_;
        free_ = s.next_free;
        s.callable = room;
        s.ops = nullptr;
        s.state = slot_state::claimed;
        s.kind = slot_kind::none;
        s.holds = s.again = false;
        s.claimed_size = size;
        s.claimed_alignment = alignment;
        return s;
    }
    slot_claim claim_slowly(hub& of, std::size_t size, std::size_t alignment) noexcept;
    result<void> add_chunk(hub& of) noexcept;
    void sweep(hub& of) noexcept;
    void free_room(handler_slot& slot) noexcept;

    memory_hook memory_;
    std::size_t bound_;
    handler_slot** chunks_ = nullptr;
    std::size_t chunk_room_ = 0, made_ = 0;
    handler_slot* free_ = nullptr;
};

// Makes handlers, and reads them.
struct handler_access {
    static handler name(std::uint32_t loop, handler_slot const& slot) noexcept {
        handler h;
        h.generation_ = slot.generation;
        h.loop_ = loop;
        h.slot_ = slot.index;
        return h;
    }
    static handler refused(error why) noexcept {
        handler h;
        error_word const word = pack(why);
        h.loop_ = static_cast<std::uint32_t>(word);
        h.slot_ = static_cast<std::uint32_t>(word >> 32);
        return h;
    }
    static std::uint32_t loop(handler const& h) noexcept { return h.loop_; }
    static std::uint32_t slot(handler const& h) noexcept { return h.slot_; }
    static std::uint64_t generation(handler const& h) noexcept { return h.generation_; }
};

}}}  // namespace spruce::v0::detail
