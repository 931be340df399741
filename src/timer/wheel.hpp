// The timer wheel: which timers are due, and when the next one is. It has no clock; time is pushed in.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>

#include <spruce/memory.hpp>
#include <spruce/result.hpp>
#include <spruce/time.hpp>

#include "timer_slab.hpp"
#include "wheel_slot.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// Four levels of 256 slots over ticks of a power of two of nanoseconds, and one slot for all that lies beyond.
// A timer is filed by the highest byte in which its tick differs from the position, so that its slot is
// reached before it is due; there it is filed anew, a level lower, until it is due. docs/timers.md has pictures.
//
// Due times are exact: a timer fires in the first expire() whose time has reached it. Ticks only say how
// finely timers are sorted before, and to what next_due_ns() rounds.
// Thread: one. Times are in nanoseconds, of any clock that does not run backwards by more than a hair.
class wheel : pinned {
public:
    // Of a tick that isn't a power of two nanoseconds, the next lower one.
    explicit wheel(memory_hook hook, duration tick = duration(1 << 16)) noexcept;
    ~wheel();

    // Sets the time before the first arm(), so that timers are filed by their distance from it.
    void start(std::int64_t now_ns) noexcept;

    // Makes room so that n more take(), and every arm() on them, cannot fail. Errors: no_memory.
    result<void> reserve(std::size_t n) noexcept {
        if (slab_.reserve(n)) [[likely]] return {};
        return errc::no_memory;
    }
    void unreserve(std::size_t n) noexcept { slab_.unreserve(n); }
    // Takes a timer, not armed, within what is reserved. Given back, its place is still reserved.
    timer* take(void* owner) noexcept { return slab_.take(owner); }
    // Disarms it and takes it back.
    void give_back(timer* t) noexcept {
        disarm(*t);
        if (t->place == timer_place::in_chain) unlink_from_bucket(*t);
        slab_.give_back(*t);
    }

    // Arms it, or arms it again: it counts as armed last among those due at the same time. A due time in the
    // past is due at the next expire(); one near INT64_MAX never.
    void arm(timer& t, std::int64_t due_ns) noexcept {
        std::int64_t const due = due_ns < not_armed ? due_ns : not_armed - 1;
        t.sequence = ++sequence_;
        if (due < t.filed) {
            arm_anew(t, due);
        } else {
            // Its entry, live or dead, is reached no later than this: it will be filed anew from there.
            live_ += t.due == not_armed;
            t.due = due;
        }
        if (due < bound_) {
            bound_ = due;
            earliest_ = &t;
        }
    }
    // Whether it was armed. The entry stays, and is dropped when it is reached.
    bool disarm(timer& t) noexcept {
        if (t.due == not_armed) return false;
        t.due = not_armed;
        --live_;
        return true;
    }
    bool armed(timer const& t) const noexcept { return t.due != not_armed; }
    // When it fires; INT64_MAX if it is not armed.
    std::int64_t due(timer const& t) const noexcept { return t.due; }

    // When the earliest armed timer fires; INT64_MAX: none is armed. Exact.
    std::int64_t earliest_ns() noexcept {
        if (earliest_ && earliest_->due == bound_) [[likely]] return bound_;
        return live_ != 0 ? find_earliest() : not_armed;
    }
    // When to wake for it: its due time rounded up to a tick, so that timers close together share a wake-up.
    std::int64_t next_due_ns() noexcept {
        std::int64_t const due = earliest_ns();
        std::int64_t const rest = (std::int64_t{1} << shift_) - 1;
        return due > INT64_MAX - rest ? INT64_MAX : (due + rest) & ~rest;
    }

    // Calls each(timer&) for all timers due at now_ns, in the order (due, armed). A timer is disarmed before
    // its call. each() may do with any timer what it likes: one disarmed no longer fires, and one armed, even
    // to a time that is past, waits for the next expire(), which must not be called from each().
    template <class F> void expire(std::int64_t now_ns, F&& each) {
        if (now_ns < bound_ && (now_ns >> shift_) <= position_) return;
        collect(now_ns < not_armed ? now_ns : not_armed - 1);
        while (timer* const t = take_due()) each(*t);
    }

    // How many timers are armed.
    std::size_t live() const noexcept { return live_; }
    // How many entries there are, dead ones included.
    std::size_t entries() const noexcept { return entries_; }

    // Whether all invariants hold; if not, which one is broken. Thread: not within expire(). Looks at everything.
    bool check(char const** broken_rule) const noexcept;

private:
    static constexpr unsigned levels = 4;
    static constexpr unsigned width = 256;
    static constexpr unsigned digit_bits = 8;
    static constexpr std::uint16_t slot_front = levels * width;        // the first of 256: the opened slot, spread out
    static constexpr std::uint16_t slot_overflow = slot_front + width;  // beyond the top level's range
    static constexpr std::uint16_t slot_due = slot_overflow + 1;       // collected, about to be called
    static constexpr unsigned all_slots = slot_due + 1;
    static constexpr std::uint16_t no_slot = 0xffff;
    static constexpr std::size_t tolerated_dead = 1024;

    // The first slot in time that holds an entry, and the tick with which its range begins.
    struct place {
        std::uint16_t slot;
        std::int64_t begin;
    };

    void arm_anew(timer& t, std::int64_t due) noexcept;
    void unlink_from_bucket(timer& t) noexcept;
    std::int64_t tick_for(std::int64_t due) const noexcept {
        std::int64_t const tick = due >> shift_;
        return tick > position_ ? tick : position_;
    }
    std::uint16_t slot_for(std::int64_t tick) const noexcept;
    void file(timer& t) noexcept;
    void pass_on(wheel_entry e) noexcept;
    bool widen(std::uint16_t slot) noexcept;
    void chain(timer& t, std::uint16_t slot) noexcept;
    void unchain(timer& t) noexcept;
    void sweep_one_slot() noexcept;
    bool first_bit(std::uint16_t from, std::uint16_t& found) const noexcept;
    bool first_occupied(place& found) const noexcept;
    bool worth_opening(std::uint16_t slot) const noexcept;
    void open(std::uint16_t slot) noexcept;
    void close() noexcept;
    std::int64_t find_earliest() noexcept;
    timer* earliest_in(std::uint16_t slot) noexcept;
    void refresh(wheel_chunk& c, std::uint16_t slot) noexcept;
    void collect(std::int64_t now) noexcept;
    std::int64_t takes_until(place const& at, std::int64_t now) const noexcept;
    std::int64_t least_in(std::uint16_t slot) const noexcept;
    std::int64_t begin_of_overflow() const noexcept;
    void take_apart(std::uint16_t slot, std::int64_t until) noexcept;
    void spread(std::uint16_t slot) noexcept;
    wheel_slot detach(std::uint16_t slot) noexcept;
    timer* take_due() noexcept;
    bool check_slot(std::uint16_t slot, std::size_t& entries, std::size_t& live, char const*& rule) const noexcept;

    // The timer's entry is gone.
    static void forget(timer& t) noexcept {
        t.place = timer_place::nowhere;
        t.filed = not_armed;
    }
    void mark(std::uint16_t slot) noexcept {
        if (slot < slot_overflow) occupied_[slot / 64] |= std::uint64_t{1} << slot % 64;
    }
    void unmark(std::uint16_t slot) noexcept {
        if (slot < slot_overflow) occupied_[slot / 64] &= ~(std::uint64_t{1} << slot % 64);
    }
    bool marked(std::uint16_t slot) const noexcept { return (occupied_[slot / 64] >> slot % 64 & 1) != 0; }
    std::int64_t ns_of(std::int64_t tick) const noexcept {
        return tick > INT64_MAX >> shift_ ? INT64_MAX
                                          : static_cast<std::int64_t>(static_cast<std::uint64_t>(tick) << shift_);
    }

    std::int64_t bound_ = INT64_MAX;     // no armed timer is due earlier (those in slot_due aside)
    timer* earliest_ = nullptr;          // if it is due at bound_, it is the earliest
    std::uint64_t sequence_ = 0;         // armings so far
    std::size_t live_ = 0;               // armed timers
    std::size_t entries_ = 0;            // in all slots but slot_due
    std::int64_t position_ = 0;          // the tick of the last expire(); every entry is filed at or after it
    unsigned shift_;                     // a tick is 2^shift_ ns
    unsigned due_cursor_ = 0;            // entries already called in slot_due's first chunk
    std::uint16_t sweep_at_ = 0;         // the slot to be swept next
    std::uint16_t opened_ = no_slot;       // the slot whose entries are in the front
    std::uint64_t occupied_[slot_overflow / 64] = {};  // a bit for each slot that isn't empty, and the opened one
    wheel_slot slots_[all_slots];
    chunk_pool chunks_;
    timer_slab slab_;
};

}}}  // namespace spruce::v0::detail
