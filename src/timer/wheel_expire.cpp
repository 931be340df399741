// Expiry: the position moves on to now, what it passes is taken apart, and what is due queues up in order.
#include "wheel.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
constexpr std::uint32_t few = 32;  // entries that are sorted sooner than passed on a level

// Without branches, as are the choices in merge(): random due times would have half of them guessed wrong.
bool before(timer const& a, timer const& b) noexcept {
    return (a.due < b.due) | ((a.due == b.due) & (a.sequence < b.sequence));
}

timer* merge(timer* a, timer* b) noexcept {
    timer* head = nullptr;
    timer** to = &head;
    while (a && b) {
        bool const second = before(*b, *a);
        timer* const least = second ? b : a;
        timer* const other = second ? a : b;
        *to = least;
        to = &least->next;
        a = least->next;
        b = other;
    }
    *to = a ? a : b;
    return head;
}

// Sorts timers linked by `next`. Takes the runs that are in order already, and merges them as a binary counter
// adds: run lists of about equal length meet, and nothing needs memory.
timer* sort(timer* list) noexcept {
    constexpr unsigned sizes = 32;
    timer* sorted[sizes] = {};
    while (list) {
        timer* run = list;
        while (list->next && before(*list, *list->next)) list = list->next;
        timer* const rest = list->next;
        list->next = nullptr;
        unsigned i = 0;
        for (; i < sizes - 1 && sorted[i]; ++i) {
            run = merge(sorted[i], run);
            sorted[i] = nullptr;
        }
        sorted[i] = sorted[i] ? merge(sorted[i], run) : run;
        list = rest;
    }
    timer* all = nullptr;
    for (timer* const some : sorted) all = merge(some, all);
    return all;
}

// Sorts the entries of a ring of chunks in their place, by way of their timers' links.
void sort_ring(wheel_chunk* tail) noexcept {
    timer* list = nullptr;
    timer** to = &list;
    auto each_entry = [tail](auto&& visit) {
        for (wheel_chunk* c = tail->next;; c = c->next) {
            for (unsigned i = 0; i < c->count; ++i) visit(c->entries()[i]);
            if (c == tail) break;
        }
    };
    each_entry([&](wheel_entry& e) {
        *to = e.who;
        to = &e.who->next;
    });
    *to = nullptr;
    list = sort(list);
    each_entry([&](wheel_entry& e) {
        e.who = list;
        e.generation = list->generation;
        list = list->next;
    });
}
}  // namespace

// Moves the position to now, slot by slot in the order of time, and leaves in slot_due what is due, sorted.
// All of it before the first timer is called: whatever a call arms is then filed from where time stands.
void wheel::collect(std::int64_t now) noexcept {
    wheel_slot& due = slots_[slot_due];
    SPRUCE_VERIFY(due.empty(), "expire() called from a timer that it called");
    std::int64_t const wanted = now >> shift_;
    std::int64_t const target = wanted > position_ ? wanted : position_;
    bound_ = INT64_MAX;
    earliest_ = nullptr;
    for (place at{}; first_occupied(at);) {
        if (at.slot == slot_overflow && at.begin <= target) at.begin = begin_of_overflow();
        if (at.begin > target) {
            bound_ = ns_of(at.begin);
            break;
        }
        if (at.slot < width && at.begin == target) {
            // The tick that now lies in: a part of it may be due.
            std::int64_t const least = least_in(at.slot);
            if (least > now) {
                bound_ = least;
                break;
            }
        }
        position_ = at.begin;
        if (at.slot == opened_) close();
        else if (at.slot < width || at.slot == slot_overflow || slots_[at.slot].count <= few)
            take_apart(at.slot, takes_until(at, now));
        else spread(at.slot);
    }
    position_ = target;
    if (due.chain) due.chain = sort(due.chain);
    timer* previous = nullptr;
    for (timer* t = due.chain; t; t = t->next) {
        t->previous = previous;
        previous = t;
    }
}

// Up to when a slot's timers are taken as due straight from it: at most to the end of its range, for what was
// re-armed to beyond has its place among later ones.
std::int64_t wheel::takes_until(place const& at, std::int64_t now) const noexcept {
    if (at.slot == slot_overflow) return INT64_MIN;
    std::int64_t const last = ns_of(at.begin + (std::int64_t{1} << at.slot / width * digit_bits)) - 1;
    return last < now ? last : now;
}

// No later than what is due first in the slot.
std::int64_t wheel::least_in(std::uint16_t slot) const noexcept {
    wheel_slot const& s = slots_[slot];
    std::int64_t least = INT64_MAX;
    if (wheel_chunk const* c = s.tail) do {
            c = c->next;
            if (c->least < least) least = c->least;
        } while (c != s.tail);
    for (timer const* t = s.chain; t; t = t->next)
        if (t->filed < least) least = t->filed;
    return least;
}

// The beginning of the first range of the whole wheel's size that has timers beyond the one of the position.
std::int64_t wheel::begin_of_overflow() const noexcept {
    return least_in(slot_overflow) >> shift_ >> levels * digit_bits << levels * digit_bits;
}

// Empties a slot: what is due until then goes to slot_due, in order; what is not is filed anew, from the
// position; dead entries go.
void wheel::take_apart(std::uint16_t slot, std::int64_t until) noexcept {
    wheel_slot& due = slots_[slot_due];
    wheel_slot const from = detach(slot);
    wheel_chunk* ring = from.tail;
    bool sorted = true;
    timer const* previous = nullptr;
    sift(chunks_, ring, [&](wheel_entry e) {
        timer& t = *e.who;
        if (!e.counts()) return false;
        forget(t);
        if (t.due <= until) {
            t.place = timer_place::in_chunk;
            sorted = sorted && (!previous || before(*previous, t));
            previous = &t;
            return true;
        }
        if (armed(t)) file(t);
        return false;
    });
    if (ring) {
        if (!sorted) sort_ring(ring);
        if (due.tail) {
            wheel_chunk* const first = ring->next;
            ring->next = due.tail->next;
            due.tail->next = first;
        }
        due.tail = ring;
    }
    for (timer *t = from.chain, *next = nullptr; t; t = next) {
        next = t->next;
        forget(*t);
        if (t->due <= until) chain(*t, slot_due);
        else if (armed(*t)) file(*t);
    }
}

// Empties a slot, too, one level down, or into the front, and dead entries with it.
void wheel::spread(std::uint16_t slot) noexcept {
    wheel_slot from = detach(slot);
    while (from.tail) {
        wheel_chunk* const c = from.tail->next;
        if (c == from.tail) from.tail = nullptr;
        else from.tail->next = c->next;
        for (unsigned i = 0; i < c->count; ++i) pass_on(c->entries()[i]);
        chunks_.give_back(c);
    }
    for (timer *t = from.chain, *next = nullptr; t; t = next) {
        next = t->next;
        forget(*t);
        if (armed(*t)) file(*t);
    }
}

// Makes a slot empty, and gives its content to the caller.
wheel_slot wheel::detach(std::uint16_t slot) noexcept {
    wheel_slot const content = slots_[slot];
    slots_[slot] = {};
    unmark(slot);
    entries_ -= content.count;
    return content;
}

// The next due timer, disarmed; null when all were taken.
timer* wheel::take_due() noexcept {
    constexpr unsigned ahead = 8;
    wheel_slot& due = slots_[slot_due];
    timer* found = nullptr;
    while (due.tail) {
        wheel_chunk* const c = due.tail->next;
        if (due_cursor_ == c->count) {
            if (c == due.tail) due.tail = nullptr;
            else due.tail->next = c->next;
            due_cursor_ = 0;
            chunks_.give_back(c);
            continue;
        }
        wheel_entry const e = c->entries()[due_cursor_];
        // Of those that come later first the timer, and once that is there, who is to be told.
        if (due_cursor_ + ahead < c->count) {
            prefetch_for_write(c->entries()[due_cursor_ + ahead].who);
            prefetch_for_write(c->entries()[due_cursor_ + ahead / 2].who->owner);
        }
        if (e.counts()) {
            if (armed(*e.who)) {
                found = e.who;
                break;
            }
            forget(*e.who);
        }
        ++due_cursor_;
    }
    // Those for which there was no chunk are a queue of their own, in the same order.
    while (due.chain && !armed(*due.chain)) unlink_from_bucket(*due.chain);
    if (due.chain && (!found || before(*due.chain, *found))) found = due.chain;
    if (!found) return nullptr;
    if (found->place == timer_place::in_chain) unchain(*found);
    else ++due_cursor_;
    forget(*found);
    found->due = not_armed;
    --live_;
    return found;
}

}}}  // namespace spruce::v0::detail
