#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
std::size_t timers_of(loop& hub) {
    std::size_t n = 0;
    for (auto const& c : hub.callbacks()) n += c.kind == callback_kind::timer ? 1 : 0;
    return n;
}
}  // namespace

TEST("a delay is a future that is done at its time; canceled or dropped it stops its timer") {
    auto r = run_virtually([]() -> result<void> {
        SPRUCE_TRY(loop& hub, loop::current());
        auto const timers = [&] { return timers_of(hub); };
        auto const start = loop_clock::now();
        auto d = delay(5s);
        CHECK(!d.done() && d.cancelable());
        CHECK(d.wait().ok());
        CHECK(loop_clock::now() >= start + 5s);
        CHECK(!d.cancel());
        auto until = delay(at(start + 7s));
        CHECK(until.get().ok());
        CHECK(loop_clock::now() >= start + 7s);
        CHECK(delay(0s).get().ok());
        settle();
        CHECK_EQ(timers(), 0U);
        auto stopped = delay(1h);
        CHECK_EQ(timers(), 1U);
        CHECK(stopped.cancel());
        CHECK(stopped.get() == errc::task_canceled);
        CHECK_EQ(timers(), 1U);   // until the next pass
        settle(1);
        CHECK_EQ(timers(), 0U);
        { auto const dropped = delay(1h), copy = dropped; }
        settle(1);
        CHECK_EQ(timers(), 0U);
        auto waits = spawn([] { return delay(1h).get(); });
        settle();
        CHECK_EQ(timers(), 1U);
        waits.cancel();
        CHECK(waits.join().ok());
        settle();
        CHECK_EQ(timers(), 0U);
        auto const forever = delay(never());
        CHECK(!forever.done());
        return {};
    });
    CHECK(r.ok());
}

TEST("a time limit is a new future: the original is left as it was, or canceled before the new one is told") {
    auto r = run_virtually([]() -> result<void> {
        promise<int> p;
        bool canceled = false;
        p.on_cancel([&] { canceled = true; });
        auto f = p.get_future();
        auto limited = time_limit(f, in(1s));
        CHECK(limited.get() == errc::timed_out);
        CHECK(!f.done() && !canceled);
        auto enough = time_limit(f, in(1s), at_limit::cancel);
        auto none = time_limit(f, never());
        CHECK(p.report(1, 2).ok());
        CHECK(p.set(4).ok());
        CHECK_EQ(enough.get().value_or(0), 4);
        CHECK_EQ(none.get().value_or(0), 4);
        CHECK_EQ(time_limit(f, in(0s)).get().value_or(0), 4);   // it has its outcome
        CHECK(sleep_for(2s).ok());
        CHECK(!canceled);
        CHECK(limited.get() == errc::timed_out);
        CHECK(time_limit(future<int>(), in(1s)).get() == errc::wrong_state);
        // Asked to cancel it: that comes first.
        promise<int> q;
        std::string order;
        auto g = q.get_future();
        q.on_cancel([&] { order += 'c'; });
        g.on_done([&](result<int> const& o) { order += o == errc::task_canceled ? 'o' : '?'; });
        auto late = time_limit(g, in(1s), at_limit::cancel);
        late.on_done([&](result<int> const& o) { order += o == errc::timed_out ? 'l' : '?'; });
        CHECK(late.wait().ok());
        settle();
        CHECK_EQ(std::string_view(order), "col");
        return {};
    });
    CHECK(r.ok());
}

TEST("canceling a limited future stops its timer, and cancels the original only if that was asked") {
    auto r = run_virtually([]() -> result<void> {
        SPRUCE_TRY(loop& hub, loop::current());
        async_function work([] { return sleep_for(1h); });
        auto f = work();
        std::size_t const before = timers_of(hub);
        auto leaves = time_limit(f, in(1s));
        CHECK_EQ(timers_of(hub), before + 1);
        CHECK(leaves.cancel());
        CHECK(leaves.get() == errc::task_canceled);
        settle();
        CHECK_EQ(timers_of(hub), before);
        CHECK(!f.done());
        leaves = time_limit(f, in(1s));
        leaves = {};   // nobody wants to know
        settle();
        CHECK_EQ(timers_of(hub), before);
        CHECK(!f.done());
        auto takes_along = time_limit(f, in(1s), at_limit::cancel);
        CHECK(takes_along.cancel());
        settle();
        CHECK(f.done());
        // Dropped, it still keeps its word.
        auto g = work();
        static_cast<void>(time_limit(g, in(1s), at_limit::cancel));
        settle();
        CHECK(!g.done());
        CHECK(sleep_for(2s).ok());
        CHECK(g.get() == errc::task_canceled);
        return {};
    });
    CHECK(r.ok());
}
