// Waiting for what other threads give: lines of waiters behind a lock, and the notices that they get.
#pragma once
#include <cstddef>
#include <cstdint>

#include <spruce/shared.hpp>

#include "../base/atomic.hpp"
#include "../sys/thread_gate.hpp"
#include "../sys/thread_lock.hpp"
#include "waiters.hpp"

namespace spruce { inline namespace v0 { namespace detail {

struct shared_source;

// What stands in a line: the note of a task's wait, or a thread that blocks.
struct shared_waiter : list_link {
    enum class place : std::uint8_t {
        away,      // in no line
        in_line,
        told       // taken out of the line, and counted there, until it has looked, or has passed that on
    };
    place at = place::away;       // with the source's lock
    std::uint64_t number = 0;     // when it first entered its line; who was woken in vain goes back to where it stood
    remote* door = nullptr;       // its loop's; null of a thread
};
using told_waiters = intrusive_list<shared_waiter>;

// Those who wait for one thing of a source. With its lock.
struct shared_line {
    told_waiters waiting;         // by their numbers
    // Of those: the last who had been told in vain, all of whom stand before the rest
    shared_waiter* returned = nullptr;
    std::uint64_t arrivals = 0;
    std::size_t told = 0;
};

// What several threads share; lives as long as the object, and as anybody who waits.
struct shared_source {
    struct kind {
        // Takes those out of the lines for whom there is something now. With the lock.
        void (*choose)(shared_source& self, told_waiters& out) noexcept;
        // For a condition: whether it has what e asks for, which is kept for it now; the value's place may be taken by
        // an error. And that it is given back. With the lock.
        bool (*claim)(shared_source& self, shared_entry& e) noexcept;
        void (*unclaim)(shared_source& self, shared_entry& e) noexcept;
        void (*end)(shared_source& self) noexcept;   // nobody is left: frees it
    };
    explicit shared_source(kind const& k) noexcept : is(&k) {}

    // Where a note was, which the next wait needs no memory for.
    struct spare_note {
        spare_note* next;
    };

    thread_lock lock;
    spare_note* spare = nullptr;                     // with the lock; as many as have been in use at once
    kind const* is;
    atomic<std::uint32_t> references{1};
    bool dead = false;                               // its object is gone
};
void retain(shared_source& s) noexcept;
void release(shared_source& s) noexcept;

// Holds the lock. Who was chosen meanwhile is told when it is open again.
class shared_turn {
public:
    explicit shared_turn(shared_source& s) noexcept : of_(s) {
        retain(of_);
        of_.lock.lock();
    }
    ~shared_turn() {
        of_.is->choose(of_, chosen_);
        of_.lock.unlock();
        tell();
        release(of_);
    }
    shared_turn(shared_turn const&) = delete;
    shared_turn& operator=(shared_turn const&) = delete;

private:
    void tell() noexcept;
    shared_source& of_;
    told_waiters chosen_;
};

// Takes so many out of the line, the first first.
void choose_from(shared_line& l, std::size_t most, told_waiters& out) noexcept;
inline constexpr std::size_t every_waiter = static_cast<std::size_t>(-1);

// What a call asks for. With the lock: whether it is over, with the outcome in *call.
using shared_attempt = bool (*)(shared_source& s, void* call) noexcept;
// Tries until the attempt is over; meanwhile a task parks, in a wait called `noun`, and a thread without a loop blocks.
// ok: it is over; else it never will be.
result<void> wait_shared(shared_source& s, shared_line& l, shared_attempt attempt, void* call, char const* noun,
                         deadline dl) noexcept;
// Enters the line, unless there is something.
result<void> arm_shared(shared_source& s, shared_line& l, shared_entry& e, wait_point& p) noexcept;
// The source that a claim kept something of.
shared_source& source_of(shared_note& n) noexcept;
// The claim is over.
void end_claim(shared_entry& e) noexcept;

// A channel's. Its values lie in slots.
struct shared_channel_state : shared_source {
    shared_channel_state(std::size_t n, item_ops const& ops) noexcept;
    void* slot(std::size_t n) noexcept {
        n = n < capacity - first ? first + n : n - (capacity - first);
        return static_cast<std::byte*>(slots) + n * items->size;
    }
    // Those that are there for anybody.
    std::size_t free_items() const noexcept { return count - claimed; }

    item_ops const* items;
    shared_line senders, receivers;
    std::size_t capacity;
    std::size_t first = 0, count = 0;   // of the items in the slots
    std::size_t claimed = 0;            // of them; each is taken soon
    void* slots = nullptr;
    bool closed = false;
};

}}}  // namespace spruce::v0::detail
