// Futures of several: told by each member, done with the first or the last; and the line of those that have finished.
#include <new>

#include "../base/text_line.hpp"
#include "future_set.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
// A wait for the next in the line.
struct completing : parked {
    completing() noexcept : parked("completions") {}
    future_link* given = nullptr;
};

future_set& set_at(future_block* b) noexcept { return static_cast<future_set&>(*b); }

bool has_failed(set_member const& m) noexcept {
    future_block* const b = block_of_word(m.word);
    return !b || future_failed(b);
}

// The last was given: who still waits, waits for nothing.
void end_line(future_set& s) noexcept {
    while (parked* const p = s.waiters.take_front()) wake_failed(*p, errc::end_of_stream);
}

// Gives it to who waits longest, or keeps it.
void add_finished(future_set& s, future_link& l) noexcept {
    auto* const p = static_cast<completing*>(s.waiters.take_front());
    if (!p) return s.finished.push_back(l);
    p->given = &l;
    wake(*p);
    if (--s.left == 0) end_line(s);
}

// Gives the set if it is complete by that.
future_block* told_of_member(future_link& l) noexcept {
    auto& s = static_cast<future_set&>(*l.owner);
    std::size_t const place = index_of(s, l);
    switch (s.gathers) {
    case set_kind::line:
        add_finished(s, l);
        return nullptr;
    case set_kind::any:
        s.winner = place;
        break;
    case set_kind::all:
        if (s.winner == s.count && has_failed(s.members[place])) s.winner = place;
        if (--s.left != 0) return nullptr;
        break;
    }
    s.complete = true;
    leave_members(s);
    return &s;
}

error_word take_word(future_link& l) noexcept { return std::exchange(static_cast<set_member&>(l).word, 0); }
}  // namespace

void leave_members(future_set& s) noexcept {
    for (std::size_t i = 0; i != s.count; ++i) s.members[i].unlink();
}

error_word make_set(future_ops const* ops, set_kind kind, set_looks looks, set_collector collect,
                    std::size_t count) noexcept {
    if (kind == set_kind::any && count == 0) return refusal(errc::invalid_argument);
    if (count > static_cast<std::size_t>(-1) / 2 / sizeof(set_member)) return refusal(errc::no_memory);
    auto const room = future_room(sizeof(future_set), *ops, count * sizeof(set_member));
    if (!room) return refusal(room.error());
    auto* const s = ::new (static_cast<void*>(room->block)) future_set;
    fill_block(*s, *room, *ops);
    s->kind = future_kind::set;
    s->derived = true;
    s->gathers = kind;
    s->looks = looks;
    s->collect = collect;
    s->members = reinterpret_cast<set_member*>(room->rest);
    s->count = s->left = s->winner = count;
    for (std::size_t i = 0; i != count; ++i) {
        auto* const m = ::new (static_cast<void*>(s->members + i)) set_member;
        m->owner = s;
        m->told = told_of_member;
    }
    return reinterpret_cast<std::uintptr_t>(static_cast<future_block*>(s));
}

void put_member(future_block* set, std::size_t place, future_ref const& member) noexcept {
    set_member& m = set_at(set).members[place];
    future_block* const b = member.block();
    if (b && !is_here(*b)) {
        m.word = refusal(why_not_here(*b));
    } else {
        if (b) retain_future(b);
        m.word = member.word();
    }
}

void start_set(future_block* set) noexcept {
    auto& s = set_at(set);
    s.complete = s.gathers == set_kind::all && s.count == 0;
    for (std::size_t i = 0; i != s.count && !s.complete; ++i) {
        set_member& m = s.members[i];
        future_block* const b = block_of_word(m.word);
        if (b && is_pending(*b)) b->listeners().links.push_back(m);
        else told_of_member(m);
    }
    if (s.complete) resolve(s);
}

member_outcome outcome_of_member(future_block* set, std::size_t place) noexcept {
    set_member const& m = set_at(set).members[place];
    future_block* const b = block_of_word(m.word);
    if (!b) {
        future_ref const none(m.word);
        return {nullptr, none.why()};
    }
    future_block& r = root_of(*b);
    if (!r.fine) explain(r);
    return {r.outcome, errc::closed};
}

std::size_t members_of(future_block* set) noexcept { return set_at(set).count; }

void collect_index(void* at, future_block*, std::size_t winner) noexcept {
    static_cast<task_outcome<std::size_t>*>(at)->make(winner);
}

result<error_word> next_finished(future_block* set, deadline dl) noexcept {
    if (!is_here(*set)) return why_not_here(*set);
    SPRUCE_CHECK(begin_wait());
    auto& s = set_at(set);
    if (future_link* const l = s.finished.take_front()) {
        if (--s.left == 0) end_line(s);
        return at_once(take_word(*l));
    }
    if (s.left == 0) return at_once(result<error_word>(errc::end_of_stream));
    // Its handle may go while the task waits.
    retain_future(set);
    future_ref const keep(reinterpret_cast<std::uintptr_t>(set));
    completing p;
    s.waiters.push_back(p);
    if (auto const woken = park(p, dl); !woken) {
        if (woken.error() != error(errc::timed_out)) return woken.error();
        char text[64];
        text_line line(text, sizeof text);
        line.put(std::uint64_t{s.left}).put(" of ").put(std::uint64_t{s.count}).put(" futures have not finished");
        return with_detail(woken.error(), line.string());
    }
    return take_word(*p.given);
}

}}}  // namespace spruce::v0::detail
