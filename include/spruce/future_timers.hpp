// Time as futures: a delay, and a limit to how long another one may take.
#pragma once
#include <cstdint>
#include <utility>

#include "future.hpp"
#include "loop.hpp"
#include "time.hpp"

namespace spruce { inline namespace v0 {

// What happens to the future whose time is limited, when the time is over, or the limited one is canceled.
enum class at_limit : std::uint8_t {
    leave,    // nothing: it goes on, and may be waited for again
    cancel    // it is canceled, before the limited one's waiters are notified
};

namespace detail {
struct stops_timer {
    scoped_handler timer;
    future_ref with;   // canceled, too; or none
    future_block* of;  // for which; the subscription keeps it
    void operator()() noexcept {
        timer = scoped_handler();
        if (with.block()) static_cast<void>(cancel_future_for(with.block(), origin_of(of)));
    }
};
// The future's timer goes when it has its outcome, is canceled or, if `weak`, is dropped.
template <class F> void give_timer(future_ref const& to, deadline dl, F&& f, future_ref with, bool weak) {
    auto const fail = [&](error why) { static_cast<void>(fail_future(to.block(), why)); };
    auto here = loop::current();
    if (!here) return fail(here.error());
    scoped_handler timer;
    bool const ends = dl != never();
    if (ends) {
        handler const h = here->call_later(dl.remaining(), std::forward<F>(f));
        if (!h) return fail(h.error());
        detail::keep_for_tasks(h);
        timer = h;
    }
    auto const h = subscribe<cancel_call<stops_timer>>(to, subscription::cancel,
                                                       stops_timer{std::move(timer), std::move(with), to.block()});
    if (!h) return fail(h.error());
    detail::keep_for_tasks(h);
    if (weak) cancel_when_dropped(to.block(), ends ? 2 : 1);
}
}  // namespace detail

// Done at that time. Canceling it, or dropping its last handle, stops its timer, which holds run(), in the loop's next
// pass.
// Errors (of the future's calls): full, no_memory, no_loop, closed, if it could not be made. Thread: the loop's.
[[nodiscard]] inline future<void> delay(deadline dl) {
    detail::future_ref const made(detail::make_future(&detail::future_ops_of<void>));
    if (made.block()) {
        detail::give_timer(made, dl, [made] {
            auto at = detail::outcome_room(made.block());
            if (!at) return;
            static_cast<detail::task_outcome<void>*>(*at)->make();
            detail::announce(made.block());
        }, {}, true);
    }
    return detail::future_access::handle<void>(made);
}
[[nodiscard]] inline future<void> delay(any_duration d) { return delay(in(d)); }

// A new future with the outcome of f, or timed_out if it has none by then. f itself is left alone, unless it is to be
// canceled; so it is, if asked, in the loop's next pass after the new one was canceled. A new one that is dropped
// forgets the time, as delay() does, unless f is to be canceled by it.
// Errors (of the future's calls): those of f; timed_out; full, no_memory, no_loop, closed, if it could not be made.
// Thread: the loop's.
template <class T> [[nodiscard]] future<T> time_limit(future<T> f, deadline dl, at_limit then = at_limit::leave) {
    detail::future_ref const& of = detail::future_access::ref(f);
    if (!of.block()) return f;
    detail::future_ref const made(detail::make_future(&detail::future_ops_of<T>));
    if (!made.block()) return detail::future_access::handle<T>(made);
    detail::future_ref const with = then == at_limit::cancel ? of : detail::future_ref();
    detail::give_timer(
        made, dl, [made, with] { detail::expire_future(made.block(), with.block()); }, with, then == at_limit::leave);
    if (!detail::future_done(made.block())) {
        if (auto const follows = detail::follow_future(made.block(), of); !follows)
            static_cast<void>(detail::fail_future(made.block(), follows.error()));
    }
    return detail::future_access::handle<T>(made);
}

}}  // namespace spruce::v0
