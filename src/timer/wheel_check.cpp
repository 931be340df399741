// The invariant check: what the tests ask after every few operations.
#include "wheel.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// One slot: its counts, its minima, and that its entries belong there.
bool wheel::check_slot(std::uint16_t slot, std::size_t& entries, std::size_t& live, char const*& rule) const noexcept {
    auto holds = [&rule](bool condition, char const* words) {
        if (!condition && !rule) rule = words;
    };
    wheel_slot const& s = slots_[slot];
    std::size_t count = 0;
    place first{};
    bool const any = first_occupied(first);
    auto look = [&](timer const& t) {
        if (!armed(t)) return;
        ++live;
        holds(t.filed <= t.due, "a timer is filed no later than it is due");
        holds(slot == slot_overflow || t.due >> shift_ >= position_ || slot == (position_ & (width - 1)),
              "what is due before the position lies in the position's slot");
        holds(t.due >= bound_, "no timer is due before the bound");
        holds(!any || slot < width || t.due >> shift_ >= first.begin,
              "no timer is due before the first occupied slot");
    };
    if (wheel_chunk const* c = s.tail) do {
            c = c->next;
            holds(c->count > 0 && c->count <= c->capacity, "a slot's chunk is not empty");
            holds(c->least_at < c->count, "a chunk knows which entry brought its minimum");
            for (unsigned i = 0; i < c->count; ++i) {
                wheel_entry const e = c->entries()[i];
                ++count;
                holds(slot >= slot_front || (e.tick >> slot / width * digit_bits & (width - 1)) == slot % width,
                      "an entry lies in the slot of its tick");
                if (!e.counts()) continue;
                holds(e.who->place == timer_place::in_chunk, "an entry that counts is what leads to its timer");
                holds((e.who->filed >> shift_) >= position_ || slot == (position_ & (width - 1)),
                      "a timer is filed where the position will come");
                holds(c->least <= e.who->filed, "a chunk's minimum is no later than any of its timers");
                look(*e.who);
            }
        } while (c != s.tail && !rule);
    timer const* previous = nullptr;
    for (timer const* t = s.chain; t && !rule; t = t->next) {
        ++count;
        holds(t->place == timer_place::in_chain && t->previous == previous && t->slot == slot,
              "a slot's chain is linked both ways");
        look(*t);
        previous = t;
    }
    holds(count == s.count, "a slot counts its entries");
    entries += count;
    if (slot < slot_overflow) {
        holds(marked(slot) == (!s.empty() || slot == opened_), "a slot's bit says whether it holds anything");
        holds(slot != opened_ || s.empty(), "an opened slot's timers are in the front");
    }
    if (slot >= slot_front && slot < slot_overflow) {
        holds(s.empty() || opened_ != no_slot, "the front is empty when no slot is open");
    } else if (slot < slot_front) {
        unsigned const level = slot / width, digit = slot % width;
        unsigned const at = static_cast<unsigned>(position_ >> level * digit_bits & (width - 1));
        holds(!marked(slot) || (level == 0 ? digit >= at : digit > at), "no slot behind the position holds anything");
    }
    return !rule;
}

bool wheel::check(char const** broken_rule) const noexcept {
    char const* rule = nullptr;
    auto holds = [&rule](bool condition, char const* words) {
        if (!condition && !rule) rule = words;
    };
    std::size_t entries = 0, live = 0, taken = 0, armed_timers = 0;
    std::uint64_t latest = 0;
    for (std::uint16_t slot = 0; slot < slot_due && !rule; ++slot) {
        check_slot(slot, entries, live, rule);
    }
    slab_.each_used([&](timer const& t) {
        taken += t.taken;
        holds(t.taken || (!armed(t) && t.place != timer_place::in_chain),
              "a timer given back is not armed, and in no chain");
        holds((t.place == timer_place::nowhere) == (t.filed == not_armed),
              "a timer is filed where something leads to it");
        if (!armed(t)) return;
        ++armed_timers;
        holds(t.place != timer_place::nowhere, "an armed timer has an entry");
        latest = t.sequence > latest ? t.sequence : latest;
    });
    holds(slots_[slot_due].empty() && due_cursor_ == 0, "nothing is due outside expire()");
    holds(entries == entries_, "the wheel counts its entries");
    holds(live == live_, "the wheel counts its live timers");
    holds(armed_timers == live_, "every armed timer has one entry that counts");
    holds(taken == slab_.taken() && taken <= slab_.reserved(), "the slab counts its timers, within what is reserved");
    holds(latest <= sequence_, "no timer was armed after the last arming");
    holds(!earliest_ || earliest_->due != bound_ || live_ != 0, "the earliest timer is one that is armed");
    if (broken_rule) *broken_rule = rule;
    return !rule;
}

}}}  // namespace spruce::v0::detail
