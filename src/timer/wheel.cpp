// Filing: where a timer's entry goes, how it is abandoned, and how the earliest live one is found.
#include "wheel.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
unsigned shift_of(std::int64_t tick_ns) noexcept {
    if (tick_ns <= 1) return 0;
    unsigned const shift = static_cast<unsigned>(std::bit_width(static_cast<std::uint64_t>(tick_ns))) - 1;
    return shift < 32 ? shift : 32;
}
}  // namespace

wheel::wheel(memory_hook hook, duration tick) noexcept : shift_(shift_of(tick.count())), chunks_(hook), slab_(hook) {}

wheel::~wheel() {
    for (wheel_slot& s : slots_) sift(chunks_, s.tail, [](wheel_entry) { return false; });
}

void wheel::start(std::int64_t now_ns) noexcept {
    SPRUCE_VERIFY(entries_ == 0, "the wheel's time set after the first arm");
    position_ = now_ns >> shift_;
}

void wheel::arm_anew(timer& t, std::int64_t due) noexcept {
    live_ += t.due == not_armed;
    t.due = due;
    unlink_from_bucket(t);
    // Dead entries are let be until there are many: then each one that comes pays for a slot to be swept.
    if (entries_ > live_ + live_ + tolerated_dead) [[unlikely]] sweep_one_slot();
    file(t);
}

// The timer's entry, if it has one, shall no longer count.
void wheel::unlink_from_bucket(timer& t) noexcept {
    if (t.place == timer_place::in_chain) unchain(t);
    else if (t.place == timer_place::in_chunk) ++t.generation;
    forget(t);
}

std::uint16_t wheel::slot_for(std::int64_t tick) const noexcept {
    auto const differs = static_cast<std::uint64_t>(tick ^ position_);
    unsigned const level = static_cast<unsigned>(std::bit_width(differs | 1) - 1) / digit_bits;
    if (level >= levels) return slot_overflow;
    auto const slot =
        static_cast<std::uint16_t>(level * width + static_cast<unsigned>(tick >> level * digit_bits & (width - 1)));
    if (slot != opened_) [[likely]] return slot;
    return static_cast<std::uint16_t>(slot_front +
                                      static_cast<unsigned>(tick >> (level - 1) * digit_bits & (width - 1)));
}

// Gives an armed timer without an entry its entry. Cannot fail.
void wheel::file(timer& t) noexcept {
    std::int64_t const tick = tick_for(t.due);
    std::uint16_t const slot = slot_for(tick);
    wheel_slot& s = slots_[slot];
    t.filed = t.due;
    ++s.count;
    ++entries_;
    if ((!s.tail || s.tail->full()) && !widen(slot)) [[unlikely]] return chain(t, slot);
    t.place = timer_place::in_chunk;
    s.tail->push({&t, t.generation, static_cast<std::uint32_t>(tick)}, t.due);
}

// Files an entry from a slot that the position has come to, or that is opened, without a look at its timer. All
// its slot's ticks have their high bits from the position.
void wheel::pass_on(wheel_entry e) noexcept {
    constexpr std::int64_t low_bits = UINT32_MAX;
    std::int64_t const tick = (position_ & ~low_bits) | e.tick;
    std::uint16_t const slot = slot_for(tick);
    wheel_slot& s = slots_[slot];
    ++s.count;
    ++entries_;
    if ((!s.tail || s.tail->full()) && !widen(slot)) [[unlikely]] {
        if (e.counts()) {
            if (armed(*e.who)) return chain(*e.who, slot);
            forget(*e.who);  // nobody may want it any more, and a chain holds only what somebody does
        }
        --s.count;
        --entries_;
        return;
    }
    s.tail->push(e, ns_of(tick));
}

bool wheel::widen(std::uint16_t slot) noexcept {
    wheel_slot& s = slots_[slot];
    wheel_chunk* const c = chunks_.take(s.tail != nullptr);
    if (!c) return false;
    append_chunk(s.tail, c);
    mark(slot);
    return true;
}

void wheel::chain(timer& t, std::uint16_t slot) noexcept {
    timer*& head = slots_[slot].chain;
    t.place = timer_place::in_chain;
    t.slot = slot;
    t.previous = nullptr;
    t.next = head;
    if (head) head->previous = &t;
    head = &t;
    mark(slot);
}

void wheel::unchain(timer& t) noexcept {
    wheel_slot& s = slots_[t.slot];
    (t.previous ? t.previous->next : s.chain) = t.next;
    if (t.next) t.next->previous = t.previous;
    if (t.slot == slot_due) return;
    --s.count;
    --entries_;
    if (s.empty()) unmark(t.slot);
}

// Drops the dead entries of the next slot in turn. One slot at a time, so that no call takes long.
void wheel::sweep_one_slot() noexcept {
    for (unsigned tries = 0; tries <= slot_overflow; ++tries) {
        std::uint16_t const slot = sweep_at_;
        sweep_at_ = static_cast<std::uint16_t>(slot == slot_overflow ? 0 : slot + 1);
        wheel_slot& s = slots_[slot];
        if (s.empty()) continue;
        sift(chunks_, s.tail, [&](wheel_entry e) {
            if (e.counts()) {
                if (armed(*e.who)) return true;
                forget(*e.who);
            }
            --s.count;
            --entries_;
            return false;
        });
        for (timer *t = s.chain, *next = nullptr; t; t = next) {
            next = t->next;
            if (!armed(*t)) unlink_from_bucket(*t);
        }
        if (s.empty()) unmark(slot);
        return;
    }
}

// The first occupied slot from `from` to the end of its level.
bool wheel::first_bit(std::uint16_t from, std::uint16_t& found) const noexcept {
    unsigned i = from / 64;
    std::uint64_t word = occupied_[i] >> from % 64 << from % 64;
    for (unsigned const last = from / width * (width / 64) + width / 64 - 1; word == 0; word = occupied_[++i])
        if (i == last) return false;
    found = static_cast<std::uint16_t>(i * 64 + static_cast<unsigned>(std::countr_zero(word)));
    return true;
}

// Slots of a level lie at or after the position's digit (after it, above level 0), and every level's slots
// before those of the next: so the first bit is the first in time.
bool wheel::first_occupied(place& found) const noexcept {
    for (unsigned level = 0; level < levels; ++level) {
        unsigned const digit = static_cast<unsigned>(position_ >> level * digit_bits & (width - 1));
        if (!first_bit(static_cast<std::uint16_t>(level * width + digit), found.slot)) continue;
        std::int64_t const window = position_ >> (level + 1) * digit_bits << digit_bits;
        found.begin = (window | found.slot % width) << level * digit_bits;
        return true;
    }
    if (slots_[slot_overflow].empty()) return false;
    found = {slot_overflow, ((position_ >> levels * digit_bits) + 1) << levels * digit_bits};
    return true;
}

std::int64_t wheel::find_earliest() noexcept {
    bound_ = INT64_MAX;
    earliest_ = nullptr;
    place at{};
    while (live_ != 0 && first_occupied(at)) {
        if (at.slot == opened_ && !first_bit(slot_front, at.slot)) {
            close();
        } else if (worth_opening(at.slot)) {
            open(at.slot);
        } else if ((earliest_ = earliest_in(at.slot))) {
            bound_ = earliest_->due;
            break;
        }
    }
    return bound_;
}

// When the first slot holds many timers, and again and again the earliest of them is re-armed or disarmed, then
// each time all its chunks would have to be asked for the next. So such a slot is opened: its timers are spread
// over 256 slots of their own, just as they will be over those of the level below when their time comes (which
// now stand for another range, and must be free for it). One slot is open at a time. Another takes its place
// only if it is not much smaller, so that a few timers that come and go do not move many each time.
bool wheel::worth_opening(std::uint16_t slot) const noexcept {
    constexpr std::uint32_t many = 64;
    std::uint32_t const here = slots_[slot].count;
    if (slot < width || slot >= slot_front || here <= many) return false;
    std::size_t open_now = 0;
    if (opened_ != no_slot)
        for (unsigned i = 0; i < width; ++i) open_now += slots_[slot_front + i].count;
    return here >= open_now / 4;
}

void wheel::open(std::uint16_t slot) noexcept {
    if (opened_ != no_slot) close();
    opened_ = slot;
    spread(slot);
    mark(slot);
}

// Files the opened slot's timers where they belong now: there, or once the position has come, a level lower.
void wheel::close() noexcept {
    unmark(opened_);
    opened_ = no_slot;
    for (std::uint16_t slot = slot_front; first_bit(slot, slot);) spread(slot);
}

// The earliest live timer of the first occupied slot. Null: none lived there, or only such as were re-armed to
// the times of later slots, where they are now.
timer* wheel::earliest_in(std::uint16_t slot) noexcept {
    wheel_slot& s = slots_[slot];
    std::int64_t least = INT64_MAX;
    timer* found = nullptr;
    wheel_chunk* before = s.tail;
    for (bool last = !before; !last;) {
        wheel_chunk* const c = before->next;
        last = c == s.tail;
        if (c->least < least && !c->least_is_live()) refresh(*c, slot);
        if (c->count == 0) {
            before->next = c->next;
            if (last) s.tail = before == c ? nullptr : before;
            chunks_.give_back(c);
            continue;
        }
        if (c->least < least) {
            least = c->least;
            found = c->entries()[c->least_at].who;
        }
        before = c;
    }
    for (timer *t = s.chain, *next = nullptr; t; t = next) {
        next = t->next;
        if (t->due != t->filed) {
            unlink_from_bucket(*t);
            if (armed(*t)) file(*t);
        }
        if (t->due < least && slot_for(tick_for(t->due)) == slot) {
            least = t->due;
            found = t;
        }
    }
    if (s.empty()) unmark(slot);
    return found;
}

// Drops a chunk's dead entries, files anew what was re-armed to a time of another slot, and finds the minimum.
void wheel::refresh(wheel_chunk& c, std::uint16_t slot) noexcept {
    unsigned const n = c.count;
    for (unsigned i = 0; i < n; ++i) prefetch_for_write(c.entries()[i].who);
    c.clear();
    for (unsigned i = 0; i < n; ++i) {
        wheel_entry const e = c.entries()[i];
        timer& t = *e.who;
        if (e.counts()) {
            std::int64_t const tick = tick_for(t.due);
            if (armed(t) && slot_for(tick) == slot) {
                t.filed = t.due;
                c.push({&t, e.generation, static_cast<std::uint32_t>(tick)}, t.due);
                continue;
            }
            forget(t);
            if (armed(t)) file(t);
        }
        --slots_[slot].count;
        --entries_;
    }
}

}}}  // namespace spruce::v0::detail
