// The origin of a cancellation: the operation on which cancel() was called, or whose deadline passed, whoever called it,
// and wherever; what is canceled as a consequence carries it along.
#include <memory>

#include "virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
bool from(error const& e, task_id id) { return e.is_from(id); }
// Ends what refers to its scene before that goes; mostly it has ended.
template <class T> void end_with(T& of) {
    cancel_shield const until_the_end;
    of.cancel();
    static_cast<void>(of.wait());
}
// Cancels by `act` from another task, a callback, a posted call, and this task itself.
template <class F> void from_everywhere(F&& make) {
    for (int way = 0; way != 4; ++way) {
        auto scene = make();
        auto act = [&scene] { CHECK(scene->cancel()); };
        loop& here = *loop::current();
        switch (way) {
        case 0: act(); break;
        case 1: CHECK(spawn(act).join().ok()); break;
        case 2: {
            scoped_handler const soon(here.call_soon(act));
            settle();
            break;
        }
        case 3: {
            auto sent = here.remote().call(act);
            CHECK(sent.ok());
            CHECK(sleep_for(1ms).ok());         // a turn
            CHECK(sent && !sent->cancel());     // it has come
            break;
        }
        }
        scene->check();
    }
}
}  // namespace

TEST("the origin of a task's cancellation is the task, from a task, a callback, another thread's call, and itself") {
    struct scene {
        error inside = errc::full;
        task<void> t = spawn([this]() -> result<void> {
            auto const slept = sleep_for(1h);
            if (!slept) inside = slept.error();
            CHECK(from(yield().error(), this_task::id()));
            return slept;
        });
        scene() { settle(); }
        ~scene() {
            cancel_shield const until_the_end;
            t.cancel();
            static_cast<void>(t.join());
        }
        bool cancel() { return t.cancel(); }
        void check() {
            auto const got = t.get();
            CHECK(got == errc::task_canceled && from(got.error(), t.id()));
            CHECK(inside == errc::canceled && from(inside, t.id()));
        }
    };
    auto r = run_virtually([]() -> result<void> {
        from_everywhere([] { return std::make_unique<scene>(); });
        // One that never began, and one that is canceled by plain code.
        auto unborn = spawn([] {});
        unborn.cancel();
        CHECK(from(unborn.get().error(), unborn.id()));
        return {};
    });
    CHECK(r.ok());
    testing::simulation world(harness::as_asked());
    loop l(loop_options{.on = world.on()});
    error inside = errc::full;
    auto t = spawn([&] { inside = sleep_for(1h).error(); });
    CHECK(l.run_once(in(0s)).ok());
    CHECK(t.cancel());
    CHECK(l.run().ok());
    CHECK(inside == errc::canceled && from(inside, t.id()));
}

TEST("the origin of a future's cancellation is the future: a promise's, a call's, a job's, a follower's, each with its id") {
    struct promised {
        promise<int> p;
        future<int> f = p.get_future();
        handler h = p.on_cancel([] {});
        bool cancel() { return f.cancel(); }
        void check() {
            CHECK(f.id() != task_id{});
            CHECK(f.id() == p.get_future().id());
            CHECK(f.get() == errc::task_canceled && from(f.get().error(), f.id()));
        }
    };
    struct called {
        error inside = errc::full;
        task_id task{};
        async_function<result<void>()> call{[this] {
            task = this_task::id();
            auto const slept = sleep_for(1h);
            if (!slept) inside = slept.error();
            return slept;
        }};
        future<void> f = call();
        ~called() { end_with(f); }
        bool cancel() { return f.cancel(); }
        void check() {
            CHECK(f.get() == errc::task_canceled && from(f.get().error(), f.id()));
            CHECK(f.id() == task);
            CHECK(inside == errc::canceled && from(inside, f.id()));
        }
    };
    struct queued {
        task_pool pool{1};
        future<void> runs, f;
        task_id before;
        queued() {
            runs = pool.submit([] { static_cast<void>(sleep_for(1h)); }).value_or(runs);
            f = pool.submit([] {}).value_or(f);
            before = f.id();
        }
        bool cancel() { return f.cancel(); }
        void check() {
            CHECK(f.id() == before);
            CHECK(f.get() == errc::task_canceled && from(f.get().error(), before));
        }
    };
    struct following {
        error inside = errc::full;
        async_function<result<int>()> call{[this]() -> result<int> {
            inside = sleep_for(1h).error();
            return inside;
        }};
        future<int> of = call();
        promise<int> p;
        future<int> f = p.get_future();
        following() { CHECK(p.follow(of).ok()); }
        ~following() { end_with(of); }
        bool cancel() { return f.cancel(); }
        void check() {
            CHECK(f.get() == errc::task_canceled && from(f.get().error(), f.id()));
            CHECK(!(f.id() == of.id()));
            CHECK(from(of.get().error(), f.id()));   // it was taken along
            CHECK(from(inside, f.id()));
        }
    };
    auto r = run_virtually([]() -> result<void> {
        from_everywhere([] { return std::make_unique<promised>(); });
        from_everywhere([] { return std::make_unique<called>(); });
        from_everywhere([] { return std::make_unique<queued>(); });
        from_everywhere([] { return std::make_unique<following>(); });
        CHECK(future<int>().id() == task_id{});
        return {};
    });
    CHECK(r.ok());
}

TEST("a job keeps the id that it had while it waited, and is known by it to itself") {
    auto r = run_virtually([]() -> result<void> {
        task_pool pool(1);
        event go;
        SPRUCE_TRY(auto first, pool.submit([&] { static_cast<void>(go.wait()); }));
        task_id seen;
        SPRUCE_TRY(auto second, pool.submit([&] {
            seen = this_task::id();
            return sleep_for(1h);
        }));
        task_id const before = second.id();
        go.set();
        settle();
        CHECK(second.id() == before && seen == before);
        second.cancel();
        CHECK(from(second.get().error(), before));
        return {};
    });
    CHECK(r.ok());
}

TEST("what a canceled waiter takes along carries the waiter's origin: by cancel(), by a scope's deadline, through a limit") {
    auto r = run_virtually([]() -> result<void> {
        error leaf_saw = errc::full, mid_saw = errc::full;
        async_function leaf([&]() -> result<int> {
            leaf_saw = sleep_for(1h).error();
            return leaf_saw;
        });
        async_function mid([&]() -> result<int> {
            auto const got = leaf().get();
            mid_saw = got.error();
            return got;
        });
        auto waiter = spawn([&] { return mid().wait(); });
        settle();
        waiter.cancel();
        CHECK(from(waiter.get().error(), waiter.id()));
        CHECK(from(leaf_saw, waiter.id()) && from(mid_saw, waiter.id()));
        // A scope's: not the task in which it passed.
        task_id scope;
        future<int> taken;
        CHECK(with_deadline(in(5ms), [&](task_id me) {
            scope = me;
            taken = mid();
            return taken.wait();
        }) == errc::timed_out);
        CHECK(from(taken.get().error(), scope));
        CHECK(from(leaf_saw, scope) && from(mid_saw, scope));
        // One that limits another's time.
        auto of = mid();
        auto limited = time_limit(of, in(5ms), at_limit::cancel);
        CHECK(limited.get() == errc::timed_out);
        CHECK(of.get() == errc::task_canceled && from(of.get().error(), limited.id()));
        auto other = mid();
        auto given_up = time_limit(other, in(1h), at_limit::cancel);
        CHECK(given_up.cancel());
        settle();
        CHECK(from(given_up.get().error(), given_up.id()));
        CHECK(from(other.get().error(), given_up.id()));
        CHECK(from(leaf_saw, given_up.id()));
        return {};
    });
    CHECK(r.ok());
}

TEST("a future of a task hands its cancellation on with its origin, and run_on() that of who waits") {
    auto r = run_virtually([]() -> result<void> {
        error inside = errc::full;
        auto f = as_future(spawn([&]() -> result<void> {
            inside = sleep_for(1h).error();
            return inside;
        }));
        settle();
        CHECK(f.cancel());
        CHECK(from(f.get().error(), f.id()));
        CHECK(from(inside, f.id()));
        return {};
    });
    CHECK(r.ok());
}

TEST("a canceled group's members are each their own origin; where its owner was canceled, the owner is, all the way down") {
    auto r = run_virtually([]() -> result<void> {
        task_group g;
        auto a = g.spawn([] { return sleep_for(1h); }), b = g.spawn([] { return sleep_for(1h); });
        SPRUCE_CHECK(yield());
        g.cancel();
        CHECK(g.join().ok());
        CHECK(from(a.get().error(), a.id()) && from(b.get().error(), b.id()));
        // A group, a generator, and a pool in a task that leaves because it was canceled.
        error in_group = errc::full, in_pool = errc::full, in_generator = errc::full;
        auto const sleeps = [](error& into) {
            return [&into] { into = sleep_for(1h).error(); };
        };
        auto owner = spawn([&] {
            task_group inner;
            inner.spawn([&] {
                task_group innermost;
                innermost.spawn(sleeps(in_group));
                return sleep_for(1h);
            });
            task_pool pool(1);
            auto const job = pool.submit(sleeps(in_pool));
            generator<int> numbers([&](yielder<int>& give) {
                static_cast<void>(give(1));
                in_generator = sleep_for(1h).error();
            });
            static_cast<void>(numbers.next());
            return sleep_for(1h);
        });
        settle(8);
        owner.cancel();
        CHECK(from(owner.get().error(), owner.id()));
        CHECK(from(in_group, owner.id()));
        CHECK(from(in_pool, owner.id()));
        CHECK(from(in_generator, owner.id()));
        // Where nobody canceled it, what it owns is canceled by itself.
        error left = errc::full;
        task_id member;
        {
            task_group leaving;
            member = leaving.spawn(sleeps(left)).id();
            SPRUCE_CHECK(yield());
        }
        CHECK(left == errc::canceled && from(left, member));
        return {};
    });
    CHECK(r.ok());
}

TEST("the end of a run and of a loop names the tasks that it cancels, each itself") {
    testing::simulation world(harness::as_asked());
    loop l(loop_options{.on = world.on()});
    error background = errc::full, left = errc::full;
    event never;   // no sleep, which a guest's thread may have begun when the run ends: virtual time would end it
    auto b = spawn({.background = true}, [&] { background = never.wait().error(); });
    CHECK(l.run_once(in(0s)).ok());
    CHECK(l.run().ok());
    CHECK(background == errc::canceled && from(background, b.id()));
    auto t = spawn([&] { left = sleep_for(1h).error(); });
    CHECK(l.run_once(in(0s)).ok());
    CHECK(l.destroy().ok());
    CHECK(left == errc::canceled && from(left, t.id()));
}

TEST("a future's id needs no task, lives as long as it, and is no other one's") {
    testing::simulation world(harness::as_asked());
    future<int> kept;
    task_id id;
    {
        loop l(loop_options{.on = world.on()});
        promise<int> p;
        kept = p.get_future();
        id = kept.id();
        CHECK(id != task_id{});
        CHECK(id == kept.id());
        std::vector<std::uint32_t> low;
        for (int i = 0; i != 5'000; ++i) {
            promise<int> other;
            low.push_back(static_cast<std::uint32_t>(other.get_future().id().value));
        }
        std::sort(low.begin(), low.end());
        CHECK(std::adjacent_find(low.begin(), low.end()) == low.end());
    }
    CHECK(kept.id() == id);
}
