// A task's wait for several conditions, as the conditions' sources see it.
#pragma once
#include <new>

#include <spruce/wait_point.hpp>

#include "task_block.hpp"

namespace spruce::inline v0::detail {

// Whether the source may hand something over to who waits, and with that ends the wait. One who waits for several may
// have been woken by another of them already; one who waits for all takes when all are there, and is only told.
bool point_accepts(parked& p) noexcept;
inline bool accepts(parked& p) noexcept { return p.who || point_accepts(p); }
// Whether accepts() would say so; nobody is told of anything.
bool would_accept(parked const& p, wait_point const* own) noexcept;

// The first in the line who takes what the source has to give, out of the line; or null.
inline parked* take_taker(intrusive_list<parked>& line) noexcept {
    for (parked* p = line.front(); p; p = line.after(*p)) {
        if (!accepts(*p)) continue;
        p->unlink();
        return p;
    }
    return nullptr;
}

// Whether there is one, besides those who wait in the same wait as `own`.
inline bool has_taker(intrusive_list<parked> const& line, wait_point const* own) noexcept {
    for (parked const* p = line.front(); p; p = line.after(*p))
        if (would_accept(*p, own)) return true;
    return false;
}
// The first that would accept, besides `own`'s wait, and that nobody has spoken for: it is spoken for now. Or null.
parked* speak_for(intrusive_list<parked>& line, wait_point const* own) noexcept;
// Nobody in the line is spoken for any more.
void let_off(intrusive_list<parked>& line) noexcept;
// Whether the point's wait is for all of several.
bool waits_for_all(wait_point const& p) noexcept;
// Tells those who wait for all of several that there is something, though it is not theirs yet.
void tell_line(intrusive_list<parked>& line) noexcept;

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
template <class P> P const& entry_of(wait_entry const& e) noexcept { return *std::launder(reinterpret_cast<P const*>(e.room)); }

// Takes it out of its source's line, if it is still there.
inline void leave_line(wait_entry& e) noexcept {
    if (!e.armed) return;
    parked& p = entry_of<parked>(e);
    if (p.outcome == parked::how::waiting) p.abandon(p);
    e.armed = false;
}

}  // namespace spruce::inline v0::detail
