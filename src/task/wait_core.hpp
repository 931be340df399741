// A task's wait for several conditions, as the conditions' sources see it.
#pragma once
#include <new>

#include <spruce/wait_point.hpp>

#include "task_block.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// Whether the source may hand something over to who waits, and with that ends the wait. One who waits for several may
// have been woken by another of them already; one who waits for all takes when all are there, and is only told.
bool point_accepts(parked& p) noexcept;
inline bool accepts(parked& p) noexcept { return p.who || point_accepts(p); }
// Whether accepts() would say so; nobody is told of anything.
bool would_accept(parked const& p, wait_point const* own) noexcept;

// Whether it can be handed something at all, for now: nobody has woken it yet.
bool is_open(parked const& p) noexcept;
// The wait that it is of is, or is no more, spoken for.
void speak_for(parked& p, bool is) noexcept;
// Whether the point's wait is for all of several.
bool waits_for_all(wait_point const& p) noexcept;
// Of such a wait: there is something for the point now. true: and for all others, too, so that its task was woken.
bool point_told(wait_point& p) noexcept;
bool has_fired(wait_point const& p) noexcept;
// Its task looks what there is, or leaves: it is not told meanwhile. It takes all.
bool is_judging(wait_point const& p) noexcept;
bool is_taking(wait_point const& p) noexcept;

// A condition's own kind of parked, made in its entry; P's constructor takes what follows. It stands in a source's line
// like any waiter, and wake() fires its point.
template <class P, class... A> P& enter(wait_entry& e, wait_point& point, A&&... arguments) noexcept {
    static_assert(sizeof(P) <= sizeof e.room, "an entry holds any waiter");
    P* const p = ::new (static_cast<void*>(e.room)) P(static_cast<A&&>(arguments)...);
    p->point = &point;
    e.armed = true;
    return *p;
}
template <class P> P& entry_of(wait_entry& e) noexcept { return *std::launder(reinterpret_cast<P*>(e.room)); }
template <class P>
P const& entry_of(wait_entry const& e) noexcept {
    return *std::launder(reinterpret_cast<P const*>(e.room));
}

// Takes it out of its source's line, if it is still there.
inline void leave_line(wait_entry& e) noexcept {
    if (!e.armed) return;
    parked& p = entry_of<parked>(e);
    if (p.outcome == parked::how::waiting) p.abandon(p);
    e.armed = false;
}

}}}  // namespace spruce::v0::detail
