#include <deque>

#include "virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
long factorial(recursive_mutex& m, long n) {
    auto const held = m.lock();
    CHECK(held.ok());
    return n < 2 ? 1 : n * factorial(m, n - 1);
}
}  // namespace

TEST("a mutex is handed over in the order in which it was asked for, and nobody slips in between") {
    auto r = run_virtually([]() -> result<void> {
        mutex m;
        std::string seen;
        task_group g;
        SPRUCE_TRY(auto mine, m.lock());
        for (char c = 'a'; c != 'f'; ++c) g.spawn([&, c] {
            auto held = m.lock();
            CHECK(held.ok());
            seen += c;
            CHECK(yield().ok());
        });
        settle();
        CHECK_EQ(seen.size(), 0U);
        mine.unlock();
        mine.unlock();   // it is empty
        CHECK(m.try_lock() == errc::would_wait);
        CHECK(m.lock(in(0s)) == errc::timed_out);
        REQUIRE(g.join().ok());
        CHECK_EQ(std::string_view(seen), "abcde");
        CHECK(m.try_lock().ok());
        return {};
    });
    CHECK(r.ok());
}

TEST("a task that locks a mutex it holds is told of its deadlock; a recursive one it locks again") {
    auto r = run_virtually([]() -> result<void> {
        mutex m;
        SPRUCE_TRY(auto held, m.lock());
        CHECK(m.lock() == errc::deadlock);
        CHECK(m.lock(in(1s)) == errc::deadlock);
        CHECK(m.try_lock() == errc::would_wait);
        recursive_mutex again;
        SPRUCE_TRY(auto one, again.lock());
        SPRUCE_TRY(auto two, again.lock());
        SPRUCE_TRY(auto three, again.try_lock());
        bool other = false;
        auto t = spawn([&] {
            CHECK(again.try_lock() == errc::would_wait);
            other = again.lock().ok();
        });
        settle();
        one.unlock();
        three.unlock();
        settle();
        CHECK(!other);
        two.unlock();
        CHECK(again.try_lock() == errc::would_wait);   // it is the other's
        REQUIRE(t.join().ok());
        CHECK(other);
        return {};
    });
    CHECK(r.ok());
}

TEST("a function that locks a recursive mutex may call itself, and keeps other tasks out until it is through") {
    auto r = run_virtually([]() -> result<void> {
        recursive_mutex m;
        task_group g;
        long sum = 0;
        for (int i = 0; i != 3; ++i) g.spawn([&] { sum += factorial(m, 6); });
        REQUIRE(g.join().ok());
        CHECK_EQ(sum, 3 * 720);
        return {};
    });
    CHECK(r.ok());
}

TEST("a mutex serves plain code as long as it need not wait, and keeps tasks waiting meanwhile") {
    mutex m;
    recursive_mutex again;
    bool got = false;
    testing::simulation world(harness::as_asked());
    loop l(loop_options{.on = world.on()});
    auto held = m.lock();
    REQUIRE(held.ok());
    CHECK(m.lock() == errc::deadlock);
    CHECK(again.lock().ok() && again.lock().ok());
    spawn([&] { got = m.lock().ok(); });
    l.call_later(5ms, [&] { held->unlock(); });
    l.call_later(1ms, [&] {
        CHECK(!got);
        CHECK(m.try_lock() == errc::would_wait);
    });
    CHECK(l.run().ok());
    CHECK(got);
    CHECK(m.try_lock().ok());
}

TEST("who waits for a mutex can be canceled or time out; who was handed it has it, canceled or not") {
    auto r = run_virtually([]() -> result<void> {
        mutex m;
        SPRUCE_TRY(auto mine, m.lock());
        errc late{}, lost{}, kept = errc::full;
        auto a = spawn([&] { late = ending_of(m.lock(in(5ms))); });
        auto b = spawn([&] { lost = ending_of(m.lock()); });
        auto c = spawn([&] {
            auto held = m.lock();
            kept = ending_of(held);
            CHECK(m.lock() == errc::canceled);   // looked for first
        });
        settle();
        b.cancel();
        CHECK(sleep_for(10ms).ok());
        CHECK(late == errc::timed_out && lost == errc::canceled);
        mine.unlock();
        c.cancel();
        REQUIRE(c.join().ok());
        CHECK(kept == errc{});
        CHECK(m.try_lock().ok());
        return {};
    });
    CHECK(r.ok());
}

TEST_DIES("a mutex unlocked by another task than its owner ends the program with the rule in words", "unlocked by another task") {
    static_cast<void>(run_virtually([]() -> result<void> {
        mutex m;
        SPRUCE_TRY(auto mine, m.lock());
        static_cast<void>(spawn([held = std::move(mine)]() mutable { held.unlock(); }).join());
        return {};
    }));
    CHECK(true);
}

TEST_DIES("the end of a locked mutex ends the program with the rule in words", "the end of a mutex that is locked") {
    alignas(mutex) static std::byte room[sizeof(mutex)];
    auto* const m = ::new (static_cast<void*>(room)) mutex;
    auto held = m->lock();
    m->~mutex();
    CHECK(true);
}

TEST_FOR(60, "of a thousand who wait for a mutex half give up at random, and it is never lost or held twice") {
    harness::random random(harness::seed());
    for (int round = 0; round != (harness::nightly() ? 200 : 4); ++round) {
        auto r = run_virtually([&]() -> result<void> {
            constexpr int crowd = 1'000;
            mutex m;
            int inside = 0, served = 0, gave_up = 0, last = -1;
            std::vector<task<void>> tasks;
            for (int i = 0; i != crowd; ++i)
                tasks.push_back(spawn([&, i] {
                    auto held = m.lock(random.chance(25) ? in(milliseconds_below(random, 400)) : deadline());
                    if (!held) return void(++gave_up);
                    CHECK_EQ(++inside, 1);
                    CHECK(i > last);
                    last = i;
                    ++served;
                    static_cast<void>(sleep_for(milliseconds_below(random, 2)));   // who is canceled here finds out at the next wait
                    --inside;
                }));
            thin_out(random, tasks);
            CHECK_EQ(served + gave_up, crowd);
            CHECK(served > 100 && gave_up > 100);
            CHECK(m.try_lock().ok());
            return {};
        });
        CHECK(r.ok());
    }
}

TEST_FOR(300, "a mutex does what its model does: order, deadlines, cancels and hand-overs at random") {
    harness::random random(harness::seed());
    auto r = run_virtually([&]() -> result<void> {
        struct call : followed {
            event go;
            bool gone = false, leaves = false;
        };
        mutex m;
        std::deque<std::unique_ptr<call>> calls;   // in the order in which they came
        call* owner = nullptr;
        model_time time(random);
        long served = 0, expired = 0, canceled = 0;
        auto model_settles = [&] {
            if (!owner || !owner->leaves) return;
            owner = nullptr;
            for (auto& c : calls)
                if (c->waits) return owner = c.get(), c->ends(errc{}, served), void();
        };
        for (long step = 0; step != model_steps(); ++step) {
            switch (random.below(6)) {
            case 0:
            case 1: {
                if (calls.size() > 30) break;
                settle();
                model_settles();
                auto& c = *calls.emplace_back(std::make_unique<call>());
                deadline const dl = time.draw(c);
                c.handle = spawn([&m, &c, dl] {
                    auto held = m.lock(dl);
                    c.ended = ending_of(held);
                    c.done = true;
                    cancel_shield deaf;
                    if (held) CHECK(c.go.wait().ok());
                    c.gone = true;
                });
                if (!owner) owner = &c;
                else if (c.due <= time.moment()) c.expected = errc::timed_out;
                else c.waits = true;
                CHECK(yield().ok());
                break;
            }
            case 2:
            case 3:
                if (owner && owner->done) owner->leaves = true, owner->go.set();
                break;
            case 4:
                cancel_one(random, calls, canceled);
                break;
            default:
                settle();
                model_settles();
                time.pass();
                expire(calls, time.moment(), expired);
                break;
            }
            if (random.chance(50)) continue;   // more in the same turn
            settle();
            model_settles();
            for (auto i = calls.begin(); i != calls.end();) {
                call& c = **i;
                CHECK_EQ(c.done, !c.waits);
                if (c.done) CHECK(c.ended == c.expected);
                CHECK_EQ(c.gone, !c.waits && owner != &c);
                if (c.gone) i = calls.erase(i);
                else ++i;
            }
        }
        CHECK(served > 1'000 && expired > 300 && canceled > 300);
        for (auto& c : calls) c->go.set(), c->handle.cancel();
        settle();
        for (auto& c : calls) CHECK(c->handle.join().ok());
        return {};
    });
    CHECK(r.ok());
}
