// Callbacks on futures: when there is an outcome, when it is canceled, and how far it is.
#include "future_block.hpp"

namespace spruce { inline namespace v0 { namespace detail {

slot_claim claim_subscription(future_block* b, subscription what, std::size_t size, std::size_t alignment) noexcept {
    slot_claim c;
    if (!is_here(*b)) return c.why = why_not_here(*b), c;
    bool const too_late = what == subscription::done       ? false
                          : what == subscription::progress ? !is_pending(*b)
                                                           : !is_pending(*b) && !b->canceled;
    if (too_late) return c.why = with_detail(errc::wrong_state, "it has an outcome"), c;
    return claim_handler(current_hub, errc::no_loop, size, alignment);
}

void unclaim_subscription(handler_slot* slot) noexcept { unclaim_handler(current_hub, slot); }

handler arm_subscription(future_block* b, subscription what, handler_slot* s, callable_ops const* ops) noexcept {
    hub& h = *current_hub;
    s->ops = ops;
    s->kind = what == subscription::progress && is_pending(*b) ? slot_kind::hook : slot_kind::soon;
    s->state = slot_state::armed;
    handler const named = handler_access::name(h.serial, *s);
    if (!is_pending(*b)) {
        queue_slot(h, *s, true);
        return named;
    }
    switch (what) {
    case subscription::done: b->listeners().subscribers.push_back(*s); break;
    case subscription::cancel:
        b->listeners().cancelers.push_back(*s);
        if (b->state == future_state::following) forget_ways();
        break;
    case subscription::progress:
        b->listeners().watchers.push_back(*s);
        if (root_of(*b).reports != 0) queue_slot(h, *s, true);
        break;
    }
    return named;
}

// -- progress

namespace {
// That of the future, and of those that follow it.
void tell_watchers_of(hub& h, future_block& b) noexcept {
    auto& watchers = b.listeners().watchers;
    for (handler_slot* s = watchers.front(); s; s = watchers.after(*s)) {
        if (s->state == slot_state::armed) queue_slot(h, *s, true);
        else if (s->state == slot_state::running) s->again = true;
    }
}

duration remaining_of(progress const& p) noexcept {
    if (p.position == 0 || p.maximum == 0) return duration::max();
    double const left = static_cast<double>(p.elapsed.count()) * static_cast<double>(p.maximum - p.position) /
                        static_cast<double>(p.position);
    return left < 9e18 ? duration(static_cast<std::int64_t>(left)) : duration::max();
}
}  // namespace

void tell_watchers(future_block& first) noexcept {
    first.seek = nullptr;
    for (future_block* todo = &first; todo;) {
        future_block& b = *todo;
        todo = b.seek;
        if (!b.listened) continue;
        tell_watchers_of(*current_hub, b);
        auto& links = b.listeners().links;
        for (future_link* l = links.front(); l; l = links.after(*l)) {
            if (!is_follower(*l)) continue;
            l->owner->seek = todo;
            todo = l->owner;
        }
    }
}

result<void> report_progress(future_block* b, std::uint64_t position, std::uint64_t maximum) noexcept {
    if (auto const room = outcome_room(b); !room) return room.error();
    progress& p = b->now;
    p.position = position;
    p.maximum = maximum != 0 && position > maximum ? position : maximum;
    p.elapsed = duration(current_hub->read_now() - b->began_ns);
    p.remaining = remaining_of(p);
    if (++b->reports == 0) b->reports = 1;
    tell_watchers(*b);
    return {};
}

bool progress_since(future_block* b, std::uint32_t& heard, progress& now) noexcept {
    future_block const& r = root_of(*b);
    if (r.reports == heard) return false;
    heard = r.reports;
    now = r.now;
    return true;
}

}}}  // namespace spruce::v0::detail
