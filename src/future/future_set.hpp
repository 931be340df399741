// A future whose outcome several others make: when_any, when_all, and the line of completions.
#pragma once
#include <spruce/future_sets.hpp>

#include "future_block.hpp"

namespace spruce { inline namespace v0 { namespace detail {

struct set_member : future_link {
    error_word word = 0;           // its handle; held, if it is a block
};

struct future_set : future_block {
    set_member* members = nullptr;
    std::size_t count = 0;
    std::size_t left = 0;          // those without an outcome; of completions, those that were not taken
    std::size_t winner = 0;        // of any: who was first; of all: the first that failed, or `count`
    set_kind gathers = set_kind::all;
    set_looks looks = set_looks::at_none;
    bool complete = false;
    set_collector collect = nullptr;
    intrusive_list<future_link> finished;   // of completions: not taken yet, in the order they finished
};

inline future_block* block_of_word(error_word word) noexcept {
    return (word & 1) != 0 ? nullptr : reinterpret_cast<future_block*>(word);
}
inline std::size_t index_of(future_set const& s, future_link const& l) noexcept {
    return static_cast<std::size_t>(static_cast<set_member const*>(&l) - s.members);
}
// It is told of its members no more.
void leave_members(future_set& s) noexcept;
// Calls f with what its members have their outcomes from, as far as its own has them; the last first.
template <class F> void for_each_shown(future_set& s, F&& f) noexcept {
    for (std::size_t i = s.count; i-- != 0;) {
        if (s.looks == set_looks::at_none || (s.looks == set_looks::at_winner && i != s.winner)) continue;
        if (future_block* const b = block_of_word(s.members[i].word); b && b->state == future_state::done)
            f(root_of(*b));
    }
}

}}}  // namespace spruce::v0::detail
