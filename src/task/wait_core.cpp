// Waiting for several things at once: who has fired, who is first, and whether all are there. The conditions' protocol:
//
//   arm      in the order of the arguments: a condition enters its source's line (a `parked` with a point in place of a
//            task), or fires its point at once if there is something already; then nothing behind it is armed
//   park     once, whatever the number of conditions; the map of a wait is in task_block.hpp
//   fire     a source's wake() of a condition's place fires its point; a source that hands something over asks
//            accepts() first. The first point that fires ends a wait_any, the last one that is missing a wait_all
//   look     wait_any: winner(), the first argument that has something. wait_all: all_there(), by ready, reserve (one
//            thing seen twice) and claim (what other threads take, too); what has gone meanwhile is waited for again
//            (goes_on)
//   disarm   in the reverse order: each leaves its line. Cancel and the deadline come here, too
//   take     by the caller: of the winner, or of each in order
#include "wait_core.hpp"

#include "scheduler.hpp"

namespace spruce { inline namespace v0 { namespace detail {

struct wait_core : parked {
    wait_core(char const* what, condition_ref const* conditions_, wait_point* points_, std::size_t count_,
              bool for_all) noexcept
        : parked(what),
          conditions(conditions_),
          points(points_),
          count(count_),
          missing(count_),
          all(for_all),
          known(*this) {}

    condition_ref const* conditions;
    wait_point* points;
    std::size_t count;
    std::size_t armed = 0;
    std::size_t missing;              // points that have not fired
    wait_point* handed = nullptr;     // whoever fired it has handed something over: it is the winner
    parked* handed_to = nullptr;      // … to the condition's place in the line
    bool all;
    bool ending = false;              // what comes while it leaves its sources is not for it any more
    bool refused = false;             // it would park once more, and its task is to end
    bool judging = false;             // it looks what there is
    bool taking = false;              // it has found all that it waits for
    // From when it first parks until it has left its sources, by code that may be users' and wait.
    struct registered : outside_wait {
        explicit registered(wait_core& c) noexcept : outside_wait(lost), of(c) {}
        ~registered() { unlink(); }
        wait_core& of;
    } known;

    bool over() const noexcept { return all ? missing == 0 : missing != count; }
    void fire(wait_point& p) noexcept {
        if (p.fired_) return;
        p.fired_ = true;
        --missing;
        if (who && outcome == how::waiting && over()) wake(*this);
    }
    // Only who has not been woken yet may be given something, which he could not give back.
    bool is_open() const noexcept { return !all && !ending && !over() && (!who || outcome == how::waiting); }
    bool accepts(parked& p) noexcept {
        if (all) fire(*p.point);
        if (!is_open()) return false;
        handed = p.point;
        handed_to = &p;
        return true;
    }
    // Its task was abandoned: it leaves its sources, and what it was handed goes to others.
    static void lost(outside_wait& w) noexcept {
        wait_core& c = static_cast<registered&>(w).of;
        c.disarm();
        if (c.handed_to && c.handed_to->outcome == how::fired) c.handed_to->abandon(*c.handed_to);
    }

    result<void> arm() noexcept {
        for (; armed != count; ++armed) {
            wait_point& p = points[armed];
            p.of_ = this;
            auto const begun = conditions[armed].ops->arm(conditions[armed].condition, p);
            // What one has been given while others were armed is not lost because one of those fails.
            if (handed) return armed += begun ? 1 : 0, result<void>();
            SPRUCE_CHECK(begun);
            // Of those behind it none can be first.
            if (!all && p.fired_) return ++armed, result<void>();
        }
        return {};
    }
    void disarm() noexcept {
        ending = true;
        while (armed != 0) {
            --armed;
            conditions[armed].ops->disarm(conditions[armed].condition);
        }
    }
    bool is_ready(std::size_t i) const noexcept {
        auto* const ready = conditions[i].ops->ready;
        return ready && ready(conditions[i].condition);
    }
    void unfire(wait_point& p) noexcept {
        p.fired_ = false;
        ++missing;
        goes_on(static_cast<std::size_t>(&p - points));
    }
    void goes_on(std::size_t i) noexcept {
        if (auto* const tell = conditions[i].ops->goes_on; tell && i < armed) tell(conditions[i].condition);
    }
    // Whether the condition has something now. Another thread may have been faster than its point: then that has not
    // fired.
    bool is_there(std::size_t i, std::int64_t now) noexcept {
        auto const& ops = *conditions[i].ops;
        if (!ops.claim) return points[i].fired_ || has_passed(points[i].due_, now) || (i < armed && is_ready(i));
        if (i >= armed) return false;
        if (ops.claim(conditions[i].condition)) return true;
        if (points[i].fired_) unfire(points[i]);
        return false;
    }
    // The first in the order of the arguments, of those that are there by now; `count` if none is left.
    std::size_t winner(std::int64_t now) noexcept {
        if (handed) return static_cast<std::size_t>(handed - points);
        std::size_t i = 0;
        while (i != count && !is_there(i, now)) ++i;
        return i;
    }
    // What was told of may have been taken by others meanwhile: such points have not fired.
    bool looks_there() noexcept {
        for (std::size_t i = 0; i != count; ++i) {
            if (points[i].fired_ && conditions[i].ops->ready && !is_ready(i)) unfire(points[i]);
        }
        return missing == 0 && are_apart();
    }
    bool all_there() noexcept {
        judging = true;
        bool const there = looks_there() && claim_all();
        for (std::size_t i = 0; i != count && !there; ++i) goes_on(i);
        judging = false;
        return there;
    }
    // Another source has something for it.
    bool told(wait_point& p) noexcept {
        if (!p.fired_) {
            p.fired_ = true;
            --missing;
        }
        if (!who || outcome != how::waiting || !over() || !looks_there()) return false;
        wake(*this);
        return true;
    }
    // Two of them may have seen the same thing in one source, or the same partner in two.
    bool are_apart() noexcept {
        std::size_t i = 0;
        for (; i != count; ++i)
            if (auto* const reserve = conditions[i].ops->reserve; reserve && !reserve(conditions[i].condition)) break;
        std::size_t const failed = i;
        while (i-- != 0)
            if (auto* const unreserve = conditions[i].ops->unreserve) unreserve(conditions[i].condition);
        if (failed != count) unfire(points[failed]);
        return failed == count;
    }
    // What other threads take from, too: all of it, or nothing.
    bool claim_all() noexcept {
        std::size_t i = 0;
        for (; i != count; ++i)
            if (auto* const claim = conditions[i].ops->claim; claim && !claim(conditions[i].condition)) break;
        if (i == count) return true;
        std::size_t const failed = i;
        while (i-- != 0)
            if (auto* const unclaim = conditions[i].ops->unclaim) unclaim(conditions[i].condition);
        unfire(points[failed]);
        return false;
    }

    static bool has_passed(deadline dl, std::int64_t now) noexcept {
        if (dl.how() == deadline::kind::relative) return dl.ns() == 0;
        return dl.how() == deadline::kind::absolute && dl.ns() <= now;
    }
    // The earliest of the deadlines that count, all of them absolute from here on; no_time: none.
    std::int64_t earliest(hub& h, std::int64_t first) noexcept {
        for (wait_point* p = points; p != points + count; ++p) {
            if (p->due_.how() == deadline::kind::never) continue;
            if (p->due_.how() == deadline::kind::relative) p->due_ = {deadline::kind::absolute, h.due_of(p->due_)};
            if (!p->fired_ && p->due_.ns() < first) first = p->due_.ns();
        }
        return first;
    }
    void fire_due(std::int64_t now) noexcept {
        for (std::size_t i = 0; i != count; ++i)
            if (has_passed(points[i].due_, now)) fire(points[i]);
    }

    // Parks until it is over, or until dl, an absolute deadline: timed_out then.
    result<void> wait(deadline dl) noexcept {
        scheduler* const s = current_scheduler;
        if (!s || !s->current) {
            // A deadline that has passed needs no waiting.
            fire_due(current_hub ? current_hub->fresh_now() : loop_clock::now().time_since_epoch().count());
            if (over()) return {};
            return errc::not_in_task;
        }
        hub& h = s->h;
        h.fresh_at = h.credit.dispatches - 1;   // relative deadlines count from here, all from one reading
        if (!over() && !known.linked()) h.outside_waits.push_back(known);
        while (!over()) {
            std::int64_t const first = earliest(h, dl.how() == deadline::kind::never ? no_time : dl.ns());
            // One that has passed is for a turn of the loop, in which the others may come.
            bool const passed = first != no_time && first <= h.fresh_now();
            // Woken before, in vain, it may have been canceled since.
            refused = outcome != how::waiting && must_end(*s, *s->current);
            if (refused) return errc::canceled;
            outcome = how::waiting;
            auto const woken = park_until(*s, *s->current, *this, passed ? h.fresh_now() + 1 : first);
            who = nullptr;
            if (woken) continue;
            if (woken.error() != error(errc::timed_out)) return woken;
            std::int64_t const now = first > h.now_ns ? first : h.now_ns;
            fire_due(now);
            if (!over() && has_passed(dl, now)) return woken;
        }
        return {};
    }
    static wait_core& of(wait_point const& p) noexcept { return *p.of_; }
    static bool has_fired(wait_point const& p) noexcept { return p.fired_; }
};

bool point_accepts(parked& p) noexcept { return wait_core::of(*p.point).accepts(p); }
bool would_accept(parked const& p, wait_point const* own) noexcept {
    if (p.who) return !p.spoken_for;
    wait_core const& c = wait_core::of(*p.point);
    return c.is_open() && !c.spoken_for && !(own && &c == &wait_core::of(*own));
}
bool is_open(parked const& p) noexcept { return p.who || wait_core::of(*p.point).is_open(); }
void speak_for(parked& p, bool is) noexcept { (p.who ? p : wait_core::of(*p.point)).spoken_for = is; }
bool waits_for_all(wait_point const& p) noexcept { return wait_core::of(p).all; }
bool point_told(wait_point& p) noexcept { return wait_core::of(p).told(p); }
bool has_fired(wait_point const& p) noexcept { return wait_core::has_fired(p); }
bool is_judging(wait_point const& p) noexcept { return wait_core::of(p).judging || wait_core::of(p).ending; }
bool is_taking(wait_point const& p) noexcept { return wait_core::of(p).taking; }

result<std::size_t> wait_for_any(condition_ref const* conditions, wait_point* points, std::size_t count) noexcept {
    if (!may_wait()) [[unlikely]] SPRUCE_CHECK(begin_wait());
    wait_core c("wait_any", conditions, points, count, false);
    std::size_t winner = count;
    result<void> ended;
    while (ended && winner == count) {
        ended = c.arm();   // of those that are left
        if (ended) ended = c.wait(never());
        if (ended) winner = c.winner(current_hub ? current_hub->now_ns : 0);
        for (std::size_t i = 0; i != count && ended && winner == count; ++i) c.goes_on(i);
    }
    c.disarm();
    if (c.refused) SPRUCE_CHECK(begin_wait());   // says by whom
    if (!ended) return ended.error();
    return winner;
}

result<void> wait_for_all(condition_ref const* conditions, wait_point* points, std::size_t count,
                          deadline dl) noexcept {
    SPRUCE_CHECK(begin_wait());
    if (dl.how() == deadline::kind::relative && current_hub)
        dl = {deadline::kind::absolute, current_hub->due_from_now(dl)};
    wait_core c("wait_all", conditions, points, count, true);
    auto ended = c.arm();
    while (ended) {
        ended = c.wait(dl);
        if (!ended) break;
        c.taking = c.all_there();
        if (c.taking) break;
    }
    c.disarm();
    if (c.refused) SPRUCE_CHECK(begin_wait());
    return ended;
}
}}}  // namespace spruce::v0::detail

namespace spruce { inline namespace v0 {

void wait_point::fire() noexcept { detail::wait_core::of(*this).fire(*this); }
void wait_point::comes_from_outside() noexcept { detail::wait_core::of(*this).outside = true; }

}}  // namespace spruce::v0
