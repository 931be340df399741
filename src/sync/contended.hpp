// The line for something that one who waits takes from the others: a permit, a value, a place.
#pragma once
#include "waiters.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// Who takes stands in the line. Who waits for all of several takes nothing until all are there: such a one is told that
// there is something, once, and stands aside until that has gone again. Of those who only wait for this any more, one
// is woken for each thing that there is; should it find in vain, the next one is.
struct contended {
    intrusive_list<parked> takers;   // in the order they came
    intrusive_list<parked> untold;   // who wait for all: by their numbers
    intrusive_list<parked> aside;    // those who were told, and those whom something else has woken
    // Of the untold: the last of those who had been told, all of whom came before the rest
    parked* returned = nullptr;
};
static_assert(sizeof(contended) == sizeof(contended_list::head), "room for the lists");
inline contended& contended_of(contended_list const& l) noexcept {
    return *std::launder(reinterpret_cast<contended*>(const_cast<void**>(l.head)));
}

// A condition comes; `there`: there is something for it already, and its point fires.
void enter_line(contended& c, parked& p, bool there) noexcept;
// Goes. Returns: whether it was woken for something that it leaves to others.
bool leave_line(contended& c, wait_entry& e) noexcept;
// Waits on. Returns: the same.
bool go_on(contended& c, parked& p) noexcept;
// There is one thing more, for those who wait for all. Returns: whether somebody was woken for it.
bool tell_untold(contended& c) noexcept;
[[gnu::always_inline]] inline bool tell_crowd(contended& c) noexcept { return !c.untold.empty() && tell_untold(c); }
// Ends the waits of all.
void fail_line(contended& c, error why) noexcept;
// What has woken it was something else: as long as it has not left, it is not looked at each time.
void set_aside(contended& c, parked& p) noexcept;

// The first in the line who takes what the source has to give, out of the line; or null.
[[gnu::always_inline]] inline parked* take_taker(contended& c) noexcept {
    while (parked* const p = c.takers.front()) {
        if (!accepts(*p)) {
            set_aside(c, *p);
            continue;
        }
        p->unlink();
        return p;
    }
    return nullptr;
}
// The first who would, besides those who wait in the same wait as `own`, and that nobody has spoken for; or null.
parked* find_taker(contended& c, wait_point const* own) noexcept;

}}}  // namespace spruce::v0::detail
