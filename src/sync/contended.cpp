// Who is told of what there is, where there is not enough for all.
#include "contended.hpp"

namespace spruce { inline namespace v0 { namespace detail {

contended_list::contended_list() noexcept { ::new (static_cast<void*>(head)) contended; }

namespace {
// In what order those of one thread came. A condition's place in a line begins no wait, whose time this would be.
constinit thread_local std::int64_t arrivals = 0;

void leave_untold(contended& c, parked& p) noexcept {
    if (c.returned == &p) c.returned = c.untold.front() == &p ? nullptr : static_cast<parked*>(p.previous);
    p.unlink();
}

// Mostly they come back in the order in which they were told.
void return_untold(contended& c, parked& p) noexcept {
    parked* at = c.returned;
    while (at && at->since_ns > p.since_ns) at = at == c.untold.front() ? nullptr : static_cast<parked*>(at->previous);
    if (at == c.returned) c.returned = &p;
    if (at) p.insert_before(*at->next);
    else c.untold.push_front(p);
}

void fail_all(intrusive_list<parked>& list, error why) noexcept {
    while (parked* const p = list.take_front()) wake_failed(*p, why);
}
}  // namespace

void enter_line(contended& c, parked& p, bool there) noexcept {
    p.since_ns = ++arrivals;
    if (!waits_for_all(*p.point)) return c.takers.push_back(p);
    p.aside = there;
    (there ? c.aside : c.untold).push_back(p);
}

void set_aside(contended& c, parked& p) noexcept {
    p.unlink();
    p.aside = true;
    c.aside.push_back(p);
}

bool leave_line(contended& c, wait_entry& e) noexcept {
    parked& p = entry_of<parked>(e);
    e.armed = false;
    if (p.outcome != parked::how::waiting) return false;
    leave_untold(c, p);
    return std::exchange(p.pending, false) && !is_taking(*p.point);
}

bool go_on(contended& c, parked& p) noexcept {
    if (p.outcome != parked::how::waiting) return false;
    bool const in_vain = std::exchange(p.pending, false);
    if (!p.aside) return in_vain;
    if (!waits_for_all(*p.point)) {
        // All that stood before it were set aside, too.
        p.aside = false;
        p.unlink();
        c.takers.push_front(p);
    } else if (!has_fired(*p.point)) {
        p.aside = false;
        p.unlink();
        return_untold(c, p);
    }
    return in_vain;
}

bool tell_untold(contended& c) noexcept {
    for (parked *p = c.untold.front(), *next = nullptr; p; p = next) {
        next = c.untold.after(*p);
        if (is_judging(*p->point)) continue;
        leave_untold(c, *p);
        p->aside = true;
        c.aside.push_back(*p);
        if (!point_told(*p->point)) continue;
        p->pending = true;
        return true;
    }
    return false;
}

void fail_line(contended& c, error why) noexcept {
    fail_all(c.takers, why);
    c.returned = nullptr;
    fail_all(c.untold, why);
    fail_all(c.aside, why);
}

parked* find_taker(contended& c, wait_point const* own) noexcept {
    for (parked *p = c.takers.front(), *next = nullptr; p; p = next) {
        next = c.takers.after(*p);
        if (would_accept(*p, own)) return p;
        if (!is_open(*p)) set_aside(c, *p);
    }
    return nullptr;
}

}}}  // namespace spruce::v0::detail
