#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

TEST("a future is cancelable once its promise says what to do then; it has its outcome at once, the callback runs later") {
    auto r = run_virtually([]() -> result<void> {
        promise<int> p;
        auto f = p.get_future();
        CHECK(!f.cancelable() && !f.cancel());
        std::string seen;
        CHECK(p.on_cancel([&] { seen += 'a'; }).active());
        p.on_cancel([&] { seen += 'b'; });
        f.on_done([&](result<int> const& v) { seen += v == errc::task_canceled ? 'd' : '?'; });
        CHECK(f.cancelable());
        CHECK(f.cancel());
        CHECK(seen.empty());
        CHECK(!f.cancelable() && !f.cancel());
        auto got = f.get();
        CHECK(got == errc::task_canceled && got.error().is_from(f.id()));
        CHECK(p.set(1) == errc::wrong_state);
        settle();
        CHECK_EQ(std::string_view(seen), "abd");
        p.on_cancel([&] { seen += 'c'; });   // late, and called
        settle();
        CHECK_EQ(std::string_view(seen), "abdc");
        return {};
    });
    CHECK(r.ok());
}

TEST("what was to be done on a cancellation is forgotten with the outcome, and destroyed, not called") {
    auto r = run_virtually([]() -> result<void> {
        auto token = std::make_shared<int>(0);
        promise<int> p;
        p.on_cancel([token] { CHECK(false); });
        CHECK(p.set(1).ok());
        CHECK(!p.get_future().cancelable());
        CHECK(p.on_cancel([] {}).error() == error(errc::wrong_state));
        settle();
        CHECK_EQ(token.use_count(), 1);
        return {};
    });
    CHECK(r.ok());
}

TEST("canceling a waiter goes on to its future, before it wakes, unless somebody else waits or subscribed") {
    auto r = run_virtually([]() -> result<void> {
        for (int other = 0; other != 5; ++other) {
            promise<int> p;
            auto f = p.get_future();
            std::string seen;
            p.on_cancel([&] { seen += 'c'; });
            task<result<int>::value_type> second;
            handler subscriber;
            promise<int> follower;
            if (other == 1) second = spawn([f]() mutable { return f.get(); });
            if (other == 2) subscriber = f.on_done([](result<int> const&) {});
            if (other == 3) CHECK(follower.follow(f).ok());
            if (other == 4) f.on_progress([](progress const&) {});   // only looks on
            auto waits = spawn([&, f]() mutable -> result<int> {
                auto got = f.get();
                CHECK_EQ(f.done(), other == 0 || other == 4);
                seen += 'w';
                return got;
            });
            settle();
            waits.cancel();
            CHECK_EQ(f.done(), other == 0 || other == 4);   // at once
            settle();
            CHECK_EQ(std::string_view(seen), other == 0 || other == 4 ? "cw" : "w");
            if (f.done()) CHECK(f.get().error().is_from(waits.id()));
            else CHECK(p.set(1).ok());
            CHECK(waits.get() == errc::task_canceled);
        }
        return {};
    });
    CHECK(r.ok());
}

TEST("a deadline of the wait leaves the future alone; a deadline scope around it is a cancellation, and does not") {
    auto r = run_virtually([]() -> result<void> {
        promise<int> p;
        auto f = p.get_future();
        p.on_cancel([] {});
        CHECK(f.get(in(5ms)) == errc::timed_out);
        CHECK(!f.done());
        CHECK(with_deadline(in(5ms), [&] { return f.get(); }) == errc::timed_out);
        CHECK(f.done());
        return {};
    });
    CHECK(r.ok());
}

TEST("a shield follows its future, and canceling it, or who waits for it, stops there") {
    auto r = run_virtually([]() -> result<void> {
        promise<int> p;
        auto f = p.get_future();
        p.on_cancel([] {});
        auto s = f.shield();
        CHECK(!s.cancelable() && !s.cancel());
        auto waits = spawn([s]() mutable { return s.get(); });
        settle();
        waits.cancel();
        CHECK(waits.get() == errc::task_canceled);
        CHECK(!f.done() && !s.done());
        CHECK(p.set(3).ok());
        CHECK_EQ(s.get().value_or(0), 3);
        // It is somebody who wants the future, as long as it lives.
        promise<int> q;
        q.on_cancel([] {});
        auto g = q.get_future();
        auto wants = g.shield();
        auto direct = spawn([g]() mutable { return g.get(); });
        settle();
        direct.cancel();
        CHECK(!g.done());
        wants = {};
        auto again = spawn([g]() mutable { return g.get(); });
        settle();
        again.cancel();
        CHECK(g.done());
        settle();
        return {};
    });
    CHECK(r.ok());
}

TEST("canceling a follower cancels what it follows if nobody else wants that; else it ends alone") {
    auto r = run_virtually([]() -> result<void> {
        promise<int> a, b, c;
        a.on_cancel([] {});
        CHECK(b.follow(a.get_future()).ok());
        CHECK(c.follow(b.get_future()).ok());
        auto f = a.get_future(), last = c.get_future();
        CHECK(last.cancelable());
        auto waits = spawn([f]() mutable { return f.get(); });
        settle();
        CHECK(last.cancel());
        CHECK(last.done() && b.get_future().done() && !f.done());
        CHECK(last.get() == errc::task_canceled);
        promise<int> d;
        CHECK(d.follow(f).ok());
        waits.cancel();
        settle();
        CHECK(!f.done());   // d wants it
        CHECK(d.get_future().cancel());
        CHECK(f.done());
        CHECK(d.get_future().get() == errc::task_canceled);
        // One that is told itself hands nothing on.
        promise<int> from, own;
        from.on_cancel([] {});
        bool told = false;
        own.on_cancel([&] { told = true; });
        CHECK(own.follow(from.get_future()).ok());
        CHECK(own.get_future().cancel());
        settle();
        CHECK(told && !from.get_future().done());
        return {};
    });
    CHECK(r.ok());
}

namespace {
// Calls that wait for calls: what each of them saw, in order.
struct chain {
    std::string seen;
    promise<int> never;
    std::vector<std::uint32_t> origins;
    async_function<result<int>()> leaf{[this]() -> result<int> { return ended("leaf ", sleep_for(1h)); }};
    async_function<result<int>()> mid{[this]() -> result<int> { return ended("mid ", leaf().wait()); }};
    async_function<result<int>()> top{[this]() -> result<int> { return ended("top ", mid().wait()); }};
    result<int> ended(char const* who, result<void> const& how) {
        seen += who;
        if (how) return 1;
        origins.push_back(how.error().origin());
        return how.error();
    }
};
}  // namespace

TEST("canceling a call cancels the call it waits for, and so on: leaf, mid, top, each knowing who began it") {
    auto r = run_virtually([]() -> result<void> {
        chain c;
        auto f = c.top();
        auto waiter = spawn([f]() mutable { return f.get(); });
        settle();
        CHECK(c.seen.empty());
        waiter.cancel();
        settle();
        CHECK_EQ(std::string_view(c.seen), "leaf mid top ");
        // Whoever waited is the origin all the way down, not those in between.
        for (auto origin : c.origins) CHECK_EQ(origin, static_cast<std::uint32_t>(waiter.id().value));
        auto got = f.get();
        CHECK(got == errc::task_canceled && got.error().is_from(waiter.id()));
        CHECK(waiter.get() == errc::task_canceled);
        // By its future, that is the origin, whoever called cancel().
        chain d;
        auto g = d.top();
        CHECK(g.cancelable() && g.cancel());
        CHECK(!g.done());   // it ends with its task
        CHECK(g.get() == errc::task_canceled);
        CHECK_EQ(std::string_view(d.seen), "leaf mid top ");
        for (auto origin : d.origins) CHECK_EQ(origin, static_cast<std::uint32_t>(g.id().value));
        CHECK(!g.cancelable() && !g.cancel());
        return {};
    });
    CHECK(r.ok());
}

TEST("a prerequisite that two wait for survives the cancellation of one, and a shielded one that of its only waiter") {
    auto r = run_virtually([]() -> result<void> {
        int ended = 0;
        async_function leaf([&]() -> result<int> {
            SPRUCE_CHECK(sleep_for(10ms));
            ++ended;
            return 5;
        }, {.policy = call_policy::singleton});
        async_function user([&]() -> result<int> { return leaf().get(); });
        auto a = user(), b = user();
        CHECK(a.cancel());
        CHECK(a.get() == errc::task_canceled);
        CHECK_EQ(b.get().value_or(0), 5);
        async_function careful([&]() -> result<int> { return leaf().shield().get(); });
        auto c = careful();
        CHECK(c.cancel());
        CHECK(c.get() == errc::task_canceled);
        CHECK(sleep_for(20ms).ok());
        CHECK_EQ(ended, 2);
        return {};
    });
    CHECK(r.ok());
}

TEST("a prerequisite canceled by somebody else fails all who wait for it, and the origin is kept along the way") {
    auto r = run_virtually([]() -> result<void> {
        async_function leaf([]() -> result<int> {
            SPRUCE_CHECK(sleep_for(1h));
            return 1;
        });
        auto shared = leaf();
        async_function mid([&]() -> result<int> { return shared.get(); });
        async_function top([&](future<int> of) -> result<int> { return of.get(); });
        auto a = mid(), b = mid();
        auto c = top(a);
        auto culprit = spawn([&] { CHECK(shared.cancel()); });
        for (auto* f : {&a, &b, &c}) {
            auto got = f->get();
            CHECK(got == errc::task_canceled && got.error().is_from(shared.id()));
        }
        CHECK(culprit.join().ok());
        return {};
    });
    CHECK(r.ok());
}

TEST("a chain of calls longer than any stack is canceled from its end upwards") {
    auto r = run_virtually([]() -> result<void> {
        constexpr int depth = 2'000;
        std::vector<int> order;
        promise<int> bottom;
        bottom.on_cancel([&] { order.push_back(-1); });
        async_function<result<int>(int, future<int>)> step([&](int n, future<int> of) -> result<int> {
            auto got = of.get();
            order.push_back(n);
            return got;
        });
        auto f = bottom.get_future();
        for (int i = 0; i != depth; ++i) f = step(i, f);
        auto waits = spawn({.stack_size = 16 * 1024}, [f]() mutable { return f.get(); });
        settle();
        auto culprit = spawn({.stack_size = 16 * 1024}, [&] { waits.cancel(); });
        CHECK(culprit.join().ok());
        CHECK(waits.get() == errc::task_canceled);
        CHECK(f.get() == errc::task_canceled);
        REQUIRE(order.size() == depth + 1);
        for (int i = 0; i <= depth; ++i) CHECK_EQ(order[static_cast<std::size_t>(i)], i - 1);
        return {};
    });
    CHECK(r.ok());
}

TEST("canceling a waiter in a shield does nothing until it leaves it") {
    auto r = run_virtually([]() -> result<void> {
        promise<int> p;
        p.on_cancel([] {});
        auto f = p.get_future();
        auto waits = spawn([f]() mutable {
            cancel_shield const shield;
            return f.get();
        });
        settle();
        waits.cancel();
        CHECK(!f.done());
        CHECK(p.set(2).ok());
        CHECK_EQ(waits.get().value_or(0), 2);
        return {};
    });
    CHECK(r.ok());
}

TEST("calls that nobody canceled end as their loop ends, and their futures can still be asked") {
    future<int> f;
    {
        testing::simulation world(harness::as_asked());
        loop_options o;
        o.on = world.on();
        loop hub(o);
        REQUIRE(hub.status().ok());
        async_function sleeps([]() -> result<int> {
            SPRUCE_CHECK(sleep_for(1h));
            return 1;
        });
        f = sleeps();
        CHECK(!f.done());
    }
    CHECK(f.done());
    CHECK(f.get() == errc::task_canceled);
}

TEST("a promise's future that a task cancels is the origin itself, not the task") {
    auto r = run_virtually([]() -> result<void> {
        promise<int> p;
        p.on_cancel([] {});
        auto f = p.get_future();
        auto culprit = spawn([&] { CHECK(f.cancel()); });
        auto const got = f.get();
        CHECK(got == errc::task_canceled && got.error().is_from(f.id()) && !got.error().is_from(culprit.id()));
        return {};
    });
    CHECK(r.ok());
}
