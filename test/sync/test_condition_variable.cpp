#include <algorithm>
#include <deque>

#include "virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

TEST("a notification wakes the first who waits, with the lock held; nobody waiting, it is nothing") {
    auto r = run_virtually([]() -> result<void> {
        mutex m;
        condition_variable changed;
        CHECK_EQ(changed.notify(), 0U);
        std::string seen;
        task_group g;
        for (char c = 'a'; c != 'e'; ++c) g.spawn([&, c] {
            auto held = m.lock();
            REQUIRE(held.ok());
            CHECK(changed.wait(*held).ok());
            CHECK(m.lock() == errc::deadlock);   // it is ours again
            seen += c;
        });
        settle();
        CHECK_EQ(changed.notify(), 1U);
        settle();
        CHECK_EQ(std::string_view(seen), "a");
        {
            SPRUCE_TRY(auto held, m.lock());
            CHECK_EQ(changed.notify(2), 2U);
            settle();
            CHECK_EQ(std::string_view(seen), "a");   // they wait for the lock now
        }
        settle();
        CHECK_EQ(std::string_view(seen), "abc");
        CHECK_EQ(changed.notify_all(), 1U);
        REQUIRE(g.join().ok());
        CHECK_EQ(std::string_view(seen), "abcd");
        return {};
    });
    CHECK(r.ok());
}

TEST("who timed out or was canceled eats no notification: it reaches the next who still waits") {
    auto r = run_virtually([]() -> result<void> {
        mutex m;
        condition_variable changed;
        errc late{}, lost{}, woken = errc::full;
        auto waits = [&](deadline dl, errc& how) {
            auto held = m.lock();
            REQUIRE(held.ok());
            how = ending_of(changed.wait(*held, dl));
            CHECK_EQ(this_task::cancel_requested(), how == errc::canceled);
            held->unlock();
        };
        auto a = spawn([&] { waits(in(5ms), late); });
        auto b = spawn([&] { waits({}, lost); });
        auto c = spawn([&] { waits({}, woken); });
        CHECK(sleep_for(10ms).ok());
        b.cancel();
        CHECK_EQ(changed.notify(), 1U);   // b has not run yet
        REQUIRE(a.join().ok() && b.join().ok() && c.join().ok());
        CHECK(late == errc::timed_out && lost == errc::canceled && woken == errc{});
        return {};
    });
    CHECK(r.ok());
}

TEST("once notified a waiter neither times out nor is canceled while it waits for the lock") {
    auto r = run_virtually([]() -> result<void> {
        mutex m;
        condition_variable changed;
        errc how = errc::full;
        auto t = spawn([&] {
            auto held = m.lock();
            REQUIRE(held.ok());
            how = ending_of(changed.wait(*held, in(5ms)));
            CHECK(m.lock() == errc::canceled);
        });
        settle();
        {
            SPRUCE_TRY(auto held, m.lock());
            CHECK_EQ(changed.notify(), 1U);
            CHECK(sleep_for(10ms).ok());
            t.cancel();
            settle();
            CHECK(!t.done());
        }
        REQUIRE(t.join().ok());
        CHECK(how == errc{});
        return {};
    });
    CHECK(r.ok());
}

TEST("who timed out or was canceled locks again, and that neither ends nor is canceled") {
    auto r = run_virtually([]() -> result<void> {
        mutex m;
        condition_variable changed;
        errc late{}, lost{};
        auto waits = [&](deadline dl, errc& how) {
            auto held = m.lock();
            REQUIRE(held.ok());
            how = ending_of(changed.wait(*held, dl));
        };
        auto a = spawn([&] { waits(in(5ms), late); });
        auto b = spawn([&] { static_cast<void>(with_deadline(in(5ms), [&] { waits({}, lost); })); });
        settle();
        {
            SPRUCE_TRY(auto held, m.lock());
            CHECK(sleep_for(10ms).ok());
            a.cancel();
            b.cancel();
            CHECK(sleep_for(10ms).ok());
            CHECK(!a.done() && !b.done());
        }
        REQUIRE(a.join().ok() && b.join().ok());
        CHECK(late == errc::timed_out && lost == errc::canceled);
        return {};
    });
    CHECK(r.ok());
}

TEST("a wait for a predicate goes on until it holds, whatever notifications come before") {
    auto r = run_virtually([]() -> result<void> {
        mutex m;
        condition_variable changed;
        int items = 0, asked = 0;
        auto t = spawn([&]() -> result<void> {
            SPRUCE_TRY(auto held, m.lock());
            return changed.wait(held, [&] { return ++asked, items >= 2; }, in(1s));
        });
        for (int i = 0; i != 2; ++i) {
            CHECK(sleep_for(1ms).ok());
            CHECK(!t.done());
            SPRUCE_TRY(auto held, m.lock());
            ++items;
            changed.notify();
        }
        CHECK(t.get().ok());
        CHECK_EQ(asked, 3);
        auto const before = loop_clock::now();
        SPRUCE_TRY(auto held, m.lock());
        auto knocks = spawn([&] {
            while (sleep_for(3ms).ok()) changed.notify();
        });
        CHECK(changed.wait(held, [] { return false; }, in(10ms)) == errc::timed_out);
        CHECK(loop_clock::now() - before < 12ms);   // the time is for all of it
        bool late = false;
        auto quietly = spawn([&] { late = sleep_for(5ms).ok(); });   // and nobody notifies
        knocks.cancel();
        CHECK(changed.wait(held, [&] { return late; }, in(10ms)).ok());
        CHECK(changed.wait(held, [] { return true; }, in(0s)).ok());
        CHECK(changed.wait(held, in(0s)) == errc::timed_out);
        return {};
    });
    CHECK(r.ok());
}

TEST("a recursive mutex is unlocked by a wait however often it is locked, and as deep again after") {
    auto r = run_virtually([]() -> result<void> {
        recursive_mutex m;
        condition_variable changed;
        SPRUCE_TRY(auto one, m.lock());
        SPRUCE_TRY(auto two, m.lock());
        bool inside = false;
        auto t = spawn([&] {
            auto held = m.lock();
            inside = held.ok();
            changed.notify();
        });
        CHECK(changed.wait(one, in(1s)).ok());
        CHECK(inside);
        CHECK(changed.wait(two, in(1ms)) == errc::timed_out);
        one.unlock();
        CHECK(!spawn([&] { return m.try_lock().ok() ? result<void>() : result<void>(errc::would_wait); }).get().ok());
        two.unlock();
        CHECK(spawn([&] { return m.try_lock().ok() ? result<void>() : result<void>(errc::would_wait); }).get().ok());
        return {};
    });
    CHECK(r.ok());
}

TEST("a condition variable refuses a lock that is not the caller's, and plain code; the lock stays as it was") {
    mutex m;
    condition_variable changed;
    auto held = m.lock();
    REQUIRE(held.ok());
    CHECK(changed.wait(*held) == errc::not_in_task);
    CHECK(changed.wait(*held, [] { return true; }).ok());
    CHECK(m.try_lock() == errc::would_wait);
    auto r = run_virtually([&]() -> result<void> {
        CHECK(changed.wait(*held) == errc::wrong_state);   // plain code's
        CHECK(changed.wait(*held, [] { return true; }) == errc::wrong_state);
        mutex own;
        SPRUCE_TRY(auto mine, own.lock());
        mine.unlock();
        CHECK(changed.wait(mine) == errc::wrong_state);
        auto t = spawn([&] {
            auto here = own.lock();
            static_cast<void>(yield());
            CHECK(changed.wait(*here) == errc::canceled);
            CHECK(own.try_lock() == errc::would_wait);
        });
        auto first = spawn([&] { t.cancel(); });
        REQUIRE(t.join().ok());
        return {};
    });
    CHECK(r.ok());
    held->unlock();
}

TEST("a condition variable that dies wakes its waiters with closed, and they have the lock") {
    auto r = run_virtually([]() -> result<void> {
        mutex m;
        auto changed = std::make_unique<condition_variable>();
        int held_now = 0;
        auto waits = [&]() -> result<void> {
            SPRUCE_TRY(auto held, m.lock());
            auto const woken = changed->wait(held);
            CHECK_EQ(++held_now, 1);
            CHECK(yield().ok());
            --held_now;
            return woken;
        };
        auto a = spawn(waits), b = spawn(waits);
        settle();
        changed.reset();
        CHECK(a.get() == errc::closed && b.get() == errc::closed);
        return {};
    });
    CHECK(r.ok());
}

TEST_FOR(60, "of a thousand who wait for a condition half give up at random, and every notification reaches one who waits") {
    harness::random random(harness::seed());
    for (int round = 0; round != (harness::nightly() ? 200 : 4); ++round) {
        auto r = run_virtually([&]() -> result<void> {
            constexpr int crowd = 1'000;
            mutex m;
            condition_variable changed;
            int served = 0, gave_up = 0;
            std::size_t notified = 0;
            std::vector<task<void>> tasks;
            for (int i = 0; i != crowd; ++i)
                tasks.push_back(spawn([&] {
                    auto held = m.lock();
                    if (!held) return void(++gave_up);
                    ++(changed.wait(*held, random.chance(25) ? in(milliseconds_below(random, 150)) : deadline()) ? served : gave_up);
                }));
            settle();
            for (int i = 0; i != crowd / 2; ++i) {
                tasks[random.below(crowd)].cancel();
                if (random.chance(50)) notified += changed.notify(random.below(3));
                if (random.chance(30)) CHECK(sleep_for(1ms).ok());
            }
            notified += changed.notify_all();
            for (auto& t : tasks) REQUIRE(t.join().ok());
            CHECK_EQ(served + gave_up, crowd);
            CHECK_EQ(notified, static_cast<std::size_t>(served));
            CHECK(served > 100 && gave_up > 100);
            return {};
        });
        CHECK(r.ok());
    }
}

namespace {
// A task that locks, waits for the condition, and keeps the lock until it is told to go.
struct waiter : followed {
    enum class at { starting, first_lock, has_first, condition, gave_up, second_lock, has_second, holding, leaving, gone };
    at state = at::starting;
    event go;
    bool canceled = false, gone = false;
};

// The reference: who has the lock, who waits for it, who for the condition, and who runs next.
struct lock_and_condition {
    explicit lock_and_condition(model_time& t) noexcept : time(t) {}
    model_time& time;
    waiter* owner = nullptr;
    std::deque<waiter*> locks, conditions, ring;
    long served = 0, expired = 0, canceled = 0;

    void hand_over() {
        owner = nullptr;
        if (locks.empty()) return;
        owner = locks.front();
        locks.pop_front();
        owner->state = owner->state == waiter::at::first_lock ? waiter::at::has_first : waiter::at::has_second;
        ring.push_back(owner);
    }
    void lock_again(waiter& w) {
        if (owner) return w.state = waiter::at::second_lock, locks.push_back(&w);
        owner = &w;
        w.state = waiter::at::holding;
    }
    void has_first(waiter& w) {
        if (w.canceled) {
            w.expected = errc::canceled;
            w.state = waiter::at::holding;
        } else if (w.due <= time.moment()) {
            w.expected = errc::timed_out;
            hand_over();
            lock_again(w);
        } else {
            w.state = waiter::at::condition;
            conditions.push_back(&w);
            hand_over();
        }
    }
    void settle() {
        while (!ring.empty()) {
            waiter& w = *ring.front();
            ring.pop_front();
            switch (w.state) {
            case waiter::at::starting:
                if (owner) w.state = waiter::at::first_lock, locks.push_back(&w);
                else owner = &w, has_first(w);
                break;
            case waiter::at::has_first: has_first(w); break;
            case waiter::at::gave_up: lock_again(w); break;
            case waiter::at::has_second: w.state = waiter::at::holding; break;
            case waiter::at::leaving: w.state = waiter::at::gone, hand_over(); break;
            default: CHECK(false);
            }
        }
    }
    std::size_t notify(std::size_t n) {
        std::size_t woken = 0;
        for (; woken != n && !conditions.empty(); ++woken, ++served) {
            waiter& w = *conditions.front();
            conditions.pop_front();
            w.expected = errc{};
            w.state = waiter::at::second_lock;
            locks.push_back(&w);
            if (!owner) hand_over();
        }
        return woken;
    }
    void gives_up(waiter& w, errc why) {
        conditions.erase(std::find(conditions.begin(), conditions.end(), &w));
        w.expected = why;
        w.state = waiter::at::gave_up;
        ring.push_back(&w);
    }
    void expire() {
        auto all = conditions;
        std::stable_sort(all.begin(), all.end(), [](waiter* a, waiter* b) { return a->due < b->due; });
        for (waiter* w : all)
            if (w->due <= time.moment()) ++expired, gives_up(*w, errc::timed_out);
    }
};

template <class M> result<typename M::guard> lock_whatever_comes(M& m) {
    cancel_shield deaf;
    return m.lock();
}

template <class M> result<void> follow_model(harness::random& random) {
    M m;
    condition_variable changed;
    std::deque<std::unique_ptr<waiter>> all;
    model_time time(random);
    lock_and_condition model(time);
    for (long step = 0; step != model_steps(); ++step) {
        switch (random.below(8)) {
        case 0:
        case 1: {
            if (all.size() > 12) break;
            auto& w = *all.emplace_back(std::make_unique<waiter>());
            deadline const dl = time.draw(w);
            w.handle = spawn([&, dl] {
                auto held = lock_whatever_comes(m);
                auto twice = m.try_lock();   // of a recursive one
                CHECK(twice.ok() == std::is_same_v<M, recursive_mutex>);
                w.ended = ending_of(changed.wait(*held, dl));
                w.done = true;
                if (twice) twice->unlock();
                cancel_shield deaf_again;
                CHECK(w.go.wait().ok());
                CHECK(m.try_lock().ok() == std::is_same_v<M, recursive_mutex>);
                held->unlock();
                w.gone = true;
            });
            model.ring.push_back(&w);
            break;
        }
        case 2:
        case 3:
            if (model.owner && model.owner->state == waiter::at::holding) {
                model.owner->go.set();
                model.owner->state = waiter::at::leaving;
                model.ring.push_back(model.owner);
            }
            break;
        case 4: {
            std::size_t const n = random.below(3);
            CHECK_EQ(changed.notify(n), model.notify(n));
            break;
        }
        case 5: {
            if (all.empty()) break;
            auto& w = *all[random.below(all.size())];
            if (w.state == waiter::at::starting) break;   // it would not begin
            w.handle.cancel();
            w.canceled = true;
            if (w.state == waiter::at::condition) ++model.canceled, model.gives_up(w, errc::canceled);
            break;
        }
        default:
            model.settle();
            settle(40);
            time.pass();
            model.expire();
            model.settle();
            settle(40);
            break;
        }
        if (random.chance(50)) continue;   // more in the same turn
        settle(40);
        model.settle();
        for (auto i = all.begin(); i != all.end();) {
            waiter& w = **i;
            CHECK_EQ(w.done, w.state >= waiter::at::holding);
            CHECK_EQ(w.gone, w.state == waiter::at::gone);
            if (w.done) CHECK(w.ended == w.expected);
            if (w.gone) i = all.erase(i);
            else ++i;
        }
    }
    CHECK(model.served > 1'000 && model.expired > 300 && model.canceled > 300);
    for (auto& w : all) w->go.set();
    while (!all.empty()) {
        changed.notify_all();
        settle();
        if (all.front()->handle.join(in(1s))) all.pop_front();
    }
    return {};
}
}  // namespace

TEST_FOR(300, "a condition variable and its mutex do what their model does: notifications, locks, deadlines, cancels at random") {
    harness::random random(harness::seed());
    CHECK(run_virtually([&] { return follow_model<mutex>(random); }).ok());
}

TEST_FOR(300, "a condition variable and a recursive mutex do what their model does") {
    harness::random random(harness::seed());
    CHECK(run_virtually([&] { return follow_model<recursive_mutex>(random); }).ok());
}
