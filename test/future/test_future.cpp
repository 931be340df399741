#include <optional>
#include <stdexcept>
#include <thread>

#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
using box = std::unique_ptr<int>;
box boxed(int n) { return std::make_unique<int>(n); }
template <class T> future<T> ready(T value) {
    promise<T> p;
    CHECK(p.set(std::move(value)).ok());
    return p.get_future();
}
}  // namespace

TEST("a future wakes all who wait for it, in order, and gives each of them the value") {
    auto r = run_virtually([]() -> result<void> {
        promise<std::string> p;
        std::string seen;
        task_group g;
        for (char who = 'a'; who != 'd'; ++who) g.spawn([&, who, f = p.get_future()]() mutable {
            CHECK(!f.done());
            auto got = f.get();
            REQUIRE(got.ok());
            seen += who + *got;
        });
        settle();
        CHECK(p.set("1 ").ok());
        CHECK(seen.empty());   // nobody ran inside set()
        CHECK(g.join().ok());
        CHECK_EQ(std::string_view(seen), "a1 b1 c1 ");
        auto late = p.get_future();
        CHECK(late.done() && !late.failed());
        CHECK(late.wait().ok());
        return {};
    });
    CHECK(r.ok());
}

TEST("a second outcome is refused, whatever the first one was, and changes nothing") {
    auto r = run_virtually([]() -> result<void> {
        promise<int> p;
        auto f = p.get_future();
        CHECK(p.set(1).ok());
        CHECK(p.set(2) == errc::wrong_state);
        CHECK(p.fail(errc::broken) == errc::wrong_state);
        CHECK(p.follow(ready(3)) == errc::wrong_state);
        CHECK(p.report(1, 2) == errc::wrong_state);
        CHECK_EQ(f.get().value_or(0), 1);
        promise<int> q;
        auto g = q.get_future();
        CHECK(q.fail(errc::broken).ok());
        CHECK(q.fail(errc::too_long) == errc::wrong_state);
        CHECK(q.set(1) == errc::wrong_state);
        CHECK(g.failed() && g.get() == errc::broken);
        promise<int> either;
        CHECK(either.set(result<int>(errc::too_long)).ok());
        CHECK(either.get_future().get() == errc::too_long);
        return {};
    });
    CHECK(r.ok());
}

TEST("every subscriber runs, early or late, from the loop, in order, never inside set(), on_done() or follow()") {
    auto r = run_virtually([]() -> result<void> {
        promise<int> p;
        auto f = p.get_future();
        std::string seen;
        auto add = [&](char who) { return [&seen, who](result<int> const& v) { seen += who, seen += static_cast<char>('0' + *v); }; };
        CHECK(f.on_done(add('a')).active());
        f.on_done(add('b'));
        handler gone = f.on_done(add('x'));
        CHECK(gone.cancel());
        CHECK(p.set(7).ok());
        f.on_done(add('c'));
        CHECK(seen.empty());
        settle();
        CHECK_EQ(std::string_view(seen), "a7b7c7");
        f.on_done(add('d'));
        f.on_done(add('e'));
        CHECK_EQ(std::string_view(seen), "a7b7c7");
        settle();
        CHECK_EQ(std::string_view(seen), "a7b7c7d7e7");
        promise<int> q;
        q.get_future().on_done(add('f'));
        CHECK(q.follow(f).ok());
        CHECK_EQ(std::string_view(seen), "a7b7c7d7e7");
        settle();
        CHECK_EQ(std::string_view(seen), "a7b7c7d7e7f7");
        return {};
    });
    CHECK(r.ok());
}

TEST("subscribers of a future that plain code sets hold run() until they have run") {
    testing::simulation world(harness::as_asked());
    loop_options o;
    o.on = world.on();
    loop hub(o);
    REQUIRE(hub.status().ok());
    promise<int> p;
    int seen = 0;
    p.get_future().on_done([&](result<int> const& v) { seen += v.value_or(0); });
    CHECK(p.set(3).ok());
    CHECK(p.get_future().wait().ok());   // need not wait: plain code may ask
    CHECK_EQ(seen, 0);
    CHECK(hub.run().ok());
    CHECK_EQ(seen, 3);
    promise<int> never;
    CHECK(never.get_future().get() == errc::not_in_task);
    CHECK(hub.run_until(p.get_future()).ok());
}

TEST("a promise that goes without an outcome fails its future with closed") {
    auto r = run_virtually([]() -> result<void> {
        future<int> f, g;
        {
            promise<int> p, q;
            f = p.get_future();
            g = q.get_future();
            p = std::move(q);   // the old one goes
            CHECK(f.done());
            CHECK(!g.done());
            CHECK(q.set(1) == errc::wrong_state);   // moved from
            CHECK(q.get_future().wait() == errc::wrong_state);
        }
        CHECK(f.get() == errc::closed);
        CHECK(g.get() == errc::closed);
        return {};
    });
    CHECK(r.ok());
}

TEST("an empty future says wrong_state to every call, and so does an empty handler's error") {
    auto r = run_virtually([]() -> result<void> {
        future<int> f;
        CHECK(f.done() && f.failed());
        CHECK(f.wait() == errc::wrong_state);
        CHECK(f.get() == errc::wrong_state);
        CHECK(!f.cancel() && !f.cancelable());
        CHECK(f.on_done([](result<int> const&) {}).error() == error(errc::wrong_state));
        CHECK(f.on_progress([](progress const&) {}).error() == error(errc::wrong_state));
        CHECK(f.shield().get() == errc::wrong_state);
        promise<int> p;
        CHECK(p.follow(f) == errc::wrong_state);
        CHECK(p.set(1).ok());
        CHECK(p.get_future().on_progress([](progress const&) {}).error() == error(errc::wrong_state));
        return {};
    });
    CHECK(r.ok());
}

TEST("values that cannot be copied are moved out once; those that can, while others may ask, are copied") {
    auto r = run_virtually([]() -> result<void> {
        auto f = ready(boxed(1));
        auto g = f;
        CHECK_EQ(**f.get(), 1);
        CHECK(g.get() == errc::wrong_state);
        bool told = false;
        g.on_done([&](result<box> const& v) { told = v == errc::wrong_state; });
        settle();
        CHECK(told);
        auto s = ready(std::string(40, 'x'));
        auto other = s;
        CHECK_EQ(std::move(s).get()->size(), 40U);
        CHECK_EQ(other.get()->size(), 40U);
        s = {};
        CHECK_EQ(std::move(other).get()->size(), 40U);
        int here = 1;
        promise<int&> p;
        CHECK(p.set(here).ok());
        CHECK(&*p.get_future().get() == &here);
        promise<void> v;
        CHECK(v.set().ok());
        CHECK(v.get_future().get().ok());
        return {};
    });
    CHECK(r.ok());
}

TEST("a wait for a future ends at its deadline or by cancellation, and leaves the future as it was") {
    auto r = run_virtually([]() -> result<void> {
        promise<int> p;
        auto f = p.get_future();
        CHECK(f.get(in(5ms)) == errc::timed_out);
        auto t = spawn([f]() mutable { return f.get(); });
        settle();
        t.cancel();
        CHECK(t.get() == errc::task_canceled);
        CHECK(!f.done());   // it cannot be canceled
        CHECK(p.set(4).ok());
        CHECK_EQ(f.get(in(0ms)).value_or(0), 4);
        return {};
    });
    CHECK(r.ok());
}

TEST("an error nobody looked at is told to the hook when the last handle goes, once; one that was seen is not") {
    std::string told;
    auto r = run_virtually([&]() -> result<void> {
        loop::current()->on_unhandled([&](unhandled const& u) { told += u.what, told += ';'; CHECK(u.reason == error(errc::broken)); });
        auto failed = [] {
            promise<int> p;
            CHECK(p.fail(detail::with_detail(errc::broken, "the pump")).ok());
            return p.get_future();
        };
        {
            auto f = failed();
            auto g = f;
            CHECK(f.failed());
            f = {};
            CHECK(told.empty());
        }
        CHECK_EQ(std::string_view(told), "a future failed, and its error was not looked at: the pump;");
        static_cast<void>(failed().get());
        failed().on_done([](result<int> const&) {});
        settle();
        {
            promise<int> p;
            CHECK(p.follow(failed()).ok());
            CHECK(p.get_future().shield().get() == errc::broken);
        }
        { promise<int> closed; auto f = closed.get_future(); }
        CHECK_EQ(std::string_view(told), "a future failed, and its error was not looked at: the pump;");
        return {};
    });
    CHECK(r.ok());
}

TEST("the detail of an error goes with it to whoever asks the future") {
    auto r = run_virtually([]() -> result<void> {
        promise<int> p;
        CHECK(spawn([&] { return p.fail(detail::with_detail(errc::broken, "the pump")); }).get().ok());
        auto asks = spawn([f = p.get_future()]() mutable {
            auto got = f.get();
            REQUIRE(!got.ok());
            CHECK_EQ(std::string_view(got.error().detail()), "the pump");
        });
        CHECK(asks.join().ok());
        return {};
    });
    CHECK(r.ok());
}

#if SPRUCE_THROWS
TEST("an exception as an outcome is task_failed with its text, and can be had whole") {
    std::string told;
    auto r = run_virtually([&]() -> result<void> {
        loop::current()->on_unhandled([&](unhandled const& u) { told += u.what; });
        promise<int> p;
        auto f = p.get_future();
        CHECK(f.exception() == nullptr);
        CHECK(p.fail(std::make_exception_ptr(std::runtime_error("torn"))).ok());
        auto got = f.get();
        CHECK(got == errc::task_failed);
        CHECK_EQ(std::string_view(got.error().detail()), "torn");
        CHECK(f.exception() != nullptr);
        CHECK(p.fail(std::make_exception_ptr(1)) == errc::wrong_state);   // failing after the end is refused
        {
            promise<int> unseen;
            CHECK(unseen.fail(std::make_exception_ptr(std::runtime_error("nobody knew"))).ok());
        }
        CHECK_EQ(std::string_view(told), "nobody knew");
        return {};
    });
    CHECK(r.ok());
}

TEST("what a subscriber throws goes to the hook, and the others run") {
    int told = 0, ran = 0;
    auto r = run_virtually([&]() -> result<void> {
        loop::current()->on_unhandled([&](unhandled const&) { ++told; });
        auto f = ready(1);
        f.on_done([&](result<int> const&) { throw 1; });
        f.on_done([&](result<int> const&) { ++ran; });
        settle();
        return {};
    });
    CHECK(r.ok());
    CHECK_EQ(told, 1);
    CHECK_EQ(ran, 1);
}
#endif

TEST("a future that follows another has its outcome, without a copy, and chains may be long") {
    auto r = run_virtually([]() -> result<void> {
        promise<box> first;
        auto last = first.get_future();
        std::vector<promise<box>> all(20'000);
        for (auto& p : all) {
            CHECK(p.follow(last).ok());
            CHECK(p.set(boxed(0)) == errc::wrong_state);
            last = p.get_future();
        }
        auto waits = spawn([last]() mutable { return last.wait(); });
        settle();
        CHECK(first.set(boxed(5)).ok());
        CHECK(waits.get().ok());
        CHECK(last.done());
        all.clear();
        CHECK_EQ(**std::move(last).get(), 5);
        promise<int> late;
        CHECK(late.follow(ready(6)).ok());
        CHECK_EQ(late.get_future().get().value_or(0), 6);
        return {};
    });
    CHECK(r.ok());
}

TEST("futures that follow each other in a ring are refused, and the last of them can still be set") {
    auto r = run_virtually([]() -> result<void> {
        promise<int> a, b, c;
        CHECK(a.follow(a.get_future()) == errc::deadlock);
        CHECK(a.follow(b.get_future()).ok());
        CHECK(b.follow(c.get_future().shield()).ok());
        CHECK(c.follow(a.get_future()) == errc::deadlock);
        CHECK(c.set(8).ok());
        CHECK_EQ(a.get_future().get().value_or(0), 8);
        // Through several at once, too.
        promise<void> d, e;
        std::vector<future<void>> both{d.get_future(), e.get_future()};
        CHECK(d.follow(when_all(std::span(both))) == errc::deadlock);
        CHECK(d.set().ok() && e.set().ok());
        return {};
    });
    CHECK(r.ok());
}

TEST("progress reaches those who watch, with speed and time left; reports melt, and late ones hear the last") {
    auto r = run_virtually([]() -> result<void> {
        promise<int> p;
        auto f = p.get_future();
        std::vector<progress> seen;
        f.on_progress([&](progress const& now) { seen.push_back(now); });
        settle();
        CHECK(seen.empty());
        CHECK(sleep_for(2s).ok());
        CHECK(p.report(20, 100).ok());
        CHECK(p.report(25, 100).ok());
        settle();
        REQUIRE(seen.size() == 1);
        CHECK_EQ(seen[0].position, 25U);
        CHECK_EQ(seen[0].maximum, 100U);
        CHECK(seen[0].elapsed >= 2s && seen[0].elapsed < 2100ms);
        CHECK(seen[0].remaining > 5900ms && seen[0].remaining < 6300ms);
        CHECK(seen[0].speed() > 11.5 && seen[0].speed() <= 12.5);
        CHECK(seen[0].percentage() == 25.0);
        int late = 0;
        auto other = f.shield();
        other.on_progress([&](progress const& now) { late = static_cast<int>(now.position); });
        settle();
        CHECK_EQ(late, 25);
        CHECK(p.report(120, 100).ok());   // more than there was to be
        settle();
        CHECK_EQ(late, 120);
        CHECK_EQ(seen.back().maximum, 120U);
        CHECK(p.report(3, 0).ok());
        CHECK(p.set(0).ok());   // the last report is still heard
        settle();
        CHECK_EQ(seen.size(), 3U);
        CHECK(seen.back().remaining == duration::max());
        CHECK(p.report(4, 0) == errc::wrong_state);
        return {};
    });
    CHECK(r.ok());
}

TEST("a watcher that reports from its own callback hears of that, too") {
    auto r = run_virtually([]() -> result<void> {
        promise<int> p;
        std::string seen;
        p.get_future().on_progress([&](progress const& now) {
            seen += static_cast<char>('0' + now.position);
            if (now.position < 3) CHECK(p.report(now.position + 1, 3).ok());
            else CHECK(p.set(1).ok());
        });
        CHECK(p.report(1, 3).ok());
        settle();
        CHECK_EQ(std::string_view(seen), "123");
        return {};
    });
    CHECK(r.ok());
}

TEST("a future belongs to its thread; elsewhere its calls say so, and dropping the last handle there is safe") {
    auto r = run_virtually([]() -> result<void> {
        auto ends_here = std::make_shared<int>(0);
        promise<std::shared_ptr<int>> p;
        promise<int> dropped;
        auto broken = dropped.get_future();
        CHECK(p.set(ends_here).ok());
        std::thread([f = p.get_future(), d = std::move(dropped), p = std::move(p)]() mutable {
            CHECK(f.get() == errc::wrong_thread);
            CHECK(f.wait() == errc::wrong_thread);
            CHECK(!f.done() && !f.cancel());
            CHECK(f.on_done([](result<std::shared_ptr<int>> const&) {}).error() == error(errc::wrong_thread));
            CHECK(p.set(nullptr) == errc::wrong_thread);
            CHECK(d.set(1) == errc::wrong_thread);
            auto copy = f;
        }).join();
        CHECK_EQ(ends_here.use_count(), 2);   // not there: it comes home first
        CHECK(broken.get() == errc::closed);
        while (ends_here.use_count() != 1) CHECK(sleep_for(1ms).ok());
        return {};
    });
    CHECK(r.ok());
}

TEST("a future may outlive its loop: it gives its outcome, or closed, and its promise says closed") {
    future<int> f, g;
    std::optional<promise<int>> p;
    {
        testing::simulation world(harness::as_asked());
        loop_options o;
        o.on = world.on();
        loop hub(o);
        REQUIRE(hub.status().ok());
        f = ready(2);
        g = p.emplace().get_future();
        g.on_done([](result<int> const&) { CHECK(false); });
    }
    CHECK(f.done() && !g.done());
    CHECK_EQ(f.get().value_or(0), 2);
    CHECK(g.get() == errc::closed);
    CHECK(g.wait() == errc::closed);
    CHECK(p->set(1) == errc::closed);
    CHECK(g.on_done([](result<int> const&) {}).error() == error(errc::closed));
    std::thread([f = std::move(f), g = std::move(g), p = std::move(p)] {}).join();
}

TEST("a future allocates one block, and waking and subscribing none; without memory it says so") {
    if (harness::spoilt_kernel()) harness::skip("what it tests makes no system call");
    auto r = run_virtually([]() -> result<void> {
        for (int warm = 0; warm != 2; ++warm) {
            auto& refused = harness::refused_allocations();
            refused.calls = 0;
            promise<int> p;
            auto f = p.get_future();
            CHECK_EQ(refused.calls, 1U);
            auto t = spawn([f]() mutable { return f.get(); });
            f.on_done([](result<int> const&) {});
            settle();
            refused.calls = 0;
            CHECK(p.set(1).ok());
            CHECK_EQ(refused.calls, 0U);
            CHECK(t.get().ok());
            settle();
            refused = {0, 1};
            promise<int> none;
            refused = {};
            CHECK(none.set(1) == errc::no_memory);
            CHECK(none.get_future().get() == errc::no_memory);
            CHECK(none.on_cancel([] {}).error() == error(errc::no_memory));
            promise<int> follows;
            CHECK(follows.follow(none.get_future()).ok());
            CHECK(follows.get_future().get() == errc::no_memory);
        }
        return {};
    });
    CHECK(r.ok());
}
