#include <deque>

#include "virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

TEST("a semaphore hands its permits over in the order in which they were asked for") {
    auto r = run_virtually([]() -> result<void> {
        semaphore s(0);
        std::string seen;
        task_group g;
        for (char c = '0'; c != '8'; ++c) g.spawn([&, c] {
            auto p = s.acquire();
            CHECK(p.ok());
            seen += c;
        });
        settle();
        CHECK(s.release().ok());   // each gives it to the next
        REQUIRE(g.join().ok());
        CHECK_EQ(std::string_view(seen), "01234567");
        CHECK_EQ(s.available(), 1U);
        return {};
    });
    CHECK(r.ok());
}

TEST("a permit given back is the first waiter's: nobody slips in before it runs") {
    auto r = run_virtually([]() -> result<void> {
        semaphore s(1);
        SPRUCE_TRY(auto mine, s.acquire());
        bool got = false;
        auto t = spawn([&] { got = s.acquire().ok(); });
        settle();
        mine.release();
        mine.release();   // it is empty
        CHECK_EQ(s.available(), 0U);
        CHECK(s.try_acquire() == errc::would_wait);
        CHECK(s.acquire(in(0s)) == errc::timed_out);
        CHECK(!got);
        REQUIRE(t.join().ok());
        CHECK(got);
        CHECK_EQ(s.available(), 1U);
        return {};
    });
    CHECK(r.ok());
}

TEST("more permits given than a semaphore's bound is an error, also while they are held") {
    semaphore s(1, 1);
    CHECK(s.release() == errc::full);
    auto p = s.try_acquire();
    REQUIRE(p.ok());
    CHECK(s.release() == errc::full);   // the permit will come back by itself
    p->keep();
    CHECK(s.release(2) == errc::full);
    CHECK(s.release().ok());
    CHECK(s.release() == errc::full);
    CHECK_EQ(s.available(), 1U);
    semaphore odd(2, 1);
    CHECK(odd.acquire() == errc::invalid_argument);
    CHECK(odd.release() == errc::invalid_argument);
}

TEST("a semaphore serves plain code as long as it need not wait") {
    semaphore s(1);
    {
        auto p = s.acquire();
        CHECK(p.ok());
        CHECK(s.acquire() == errc::not_in_task);
        CHECK(s.try_acquire() == errc::would_wait);
        auto moved = std::move(p);
        CHECK_EQ(s.available(), 0U);
    }
    CHECK_EQ(s.available(), 1U);
    CHECK(s.release(2).ok());
    CHECK_EQ(s.available(), 3U);
}

TEST("who waits for a permit can be canceled or time out, and takes none; one that was given a permit keeps it") {
    auto r = run_virtually([]() -> result<void> {
        semaphore s(0);
        result<semaphore::permit> late = errc::full, lost = errc::full, kept = errc::full;
        auto a = spawn([&] { late = s.acquire(in(5ms)); });
        auto b = spawn([&] { lost = s.acquire(); });
        auto c = spawn([&] {
            kept = s.acquire();
            CHECK(sleep_for(1ms) == errc::canceled);
        });
        settle();
        b.cancel();
        CHECK(sleep_for(10ms).ok());
        CHECK(late == errc::timed_out);
        CHECK(lost == errc::canceled);
        CHECK(s.release().ok());
        c.cancel();   // it has its permit, and has not run yet
        REQUIRE(c.join().ok());
        CHECK(kept.ok());
        CHECK_EQ(s.available(), 0U);
        return {};
    });
    CHECK(r.ok());
}

TEST("a canceled task takes no permit, even where one is free") {
    auto r = run_virtually([]() -> result<void> {
        semaphore s(1);
        auto t = spawn([&] {
            CHECK(yield() == errc::canceled);
            CHECK(s.acquire() == errc::canceled);
            CHECK_EQ(s.available(), 1U);
            auto p = s.try_acquire();   // it cannot wait, and does not look
            CHECK(p.ok());
        });
        t.cancel();
        auto u = spawn([&] {
            CHECK(sleep_for(1h) == errc::canceled);
            CHECK(s.acquire() == errc::canceled);
        });
        settle();
        u.cancel();
        REQUIRE(t.join().ok() && u.join().ok());
        CHECK_EQ(s.available(), 1U);
        return {};
    });
    CHECK(r.ok());
}

TEST("a semaphore that dies wakes its waiters with closed, those it gave a permit too, and empties its permits") {
    auto r = run_virtually([]() -> result<void> {
        auto s = std::make_unique<semaphore>(1);
        SPRUCE_TRY(auto mine, s->acquire());
        auto first = spawn([&] { return s->acquire().ok() ? result<void>() : result<void>(errc::closed); });
        auto second = spawn([p = s.get()]() -> result<void> {
            SPRUCE_TRY(auto got, p->acquire());
            return {};
        });
        settle();
        CHECK(s->release().ok());   // to the first
        s.reset();
        CHECK(first.get() == errc::closed);
        CHECK(second.get() == errc::closed);
        mine.release();
        return {};
    });
    CHECK(r.ok());
}

TEST_FOR(60, "of a thousand who wait for permits half give up at random, and no permit is lost or doubled") {
    harness::random random(harness::seed());
    for (int round = 0; round != (harness::nightly() ? 200 : 4); ++round) {
        auto r = run_virtually([&]() -> result<void> {
            constexpr int crowd = 1'000, permits = 7;
            semaphore s(permits, permits);
            int inside = 0, served = 0, gave_up = 0, last = -1;
            std::vector<task<void>> tasks;
            for (int i = 0; i != crowd; ++i)
                tasks.push_back(spawn([&, i] {
                    auto p = s.acquire(random.chance(25) ? in(milliseconds_below(random, 150)) : deadline());
                    if (!p) return void(++gave_up);
                    CHECK(++inside <= permits);
                    CHECK(i > last);
                    last = i;
                    ++served;
                    static_cast<void>(sleep_for(milliseconds_below(random, 3)));   // who is canceled here finds out at the next wait
                    --inside;
                }));
            thin_out(random, tasks);
            CHECK_EQ(served + gave_up, crowd);
            CHECK(served > 100 && gave_up > 100);
            CHECK_EQ(s.available(), static_cast<std::size_t>(permits));
            return {};
        });
        CHECK(r.ok());
    }
}

TEST_FOR(300, "a semaphore does what its model does: permits, bound, order, deadlines and cancels at random") {
    harness::random random(harness::seed());
    auto r = run_virtually([&]() -> result<void> {
        struct call : followed {
            result<semaphore::permit> got = errc::would_wait;
        };
        constexpr std::size_t bound = 5;
        semaphore s(2, bound);
        std::size_t available = 2, kept = 0;
        std::deque<std::unique_ptr<call>> calls;   // in the order in which they came
        model_time time(random);
        long served = 0, expired = 0, canceled = 0, handed_and_canceled = 0;
        auto hold_count = [&] {
            std::size_t n = 0;
            for (auto& c : calls) n += !c->waits && c->expected == errc{};
            return n;
        };
        auto give = [&] {
            for (auto& c : calls)
                if (c->waits) return c->ends(errc{}, served), void();
            ++available;
        };
        for (long step = 0; step != model_steps(); ++step) {
            switch (random.below(8)) {
            case 0:
            case 1:
            case 2: {
                if (calls.size() > 30) break;
                auto& c = *calls.emplace_back(std::make_unique<call>());
                deadline const dl = time.draw(c);
                c.handle = spawn([&s, &c, dl] {
                    c.got = s.acquire(dl);
                    c.ended = ending_of(c.got);
                    c.done = true;
                });
                if (available) --available;
                else if (c.due <= time.moment()) c.expected = errc::timed_out;
                else c.waits = true;
                CHECK(yield().ok());
                break;
            }
            case 3: {   // one of those who have a permit gives it back, or leaves that to us
                for (auto& c : calls) {
                    if (!c->done || !c->got || random.chance(50)) continue;
                    if (random.chance(20)) {
                        c->got->keep();
                        ++kept;
                    } else {
                        c->got->release();
                        give();
                    }
                    c->expected = errc::closed;   // has none any more
                    c->got = errc::closed;
                    c->ended = errc::closed;
                    break;
                }
                break;
            }
            case 4: {
                std::size_t const n = random.below(3);
                bool const fits = available + hold_count() + n <= bound;
                auto const given = s.release(n);
                CHECK(fits ? given.ok() : given == errc::full);
                if (fits)
                    for (std::size_t i = 0; i != n; ++i) give();
                break;
            }
            case 5: {
                if (calls.empty()) break;
                auto& c = *calls[random.below(calls.size())];
                if (c.done) break;
                c.handle.cancel();
                if (c.waits) c.waits = false, c.expected = errc::canceled, ++canceled;
                else ++handed_and_canceled;
                break;
            }
            case 6: {
                time.pass();
                expire(calls, time.moment(), expired);
                break;
            }
            default: {
                auto p = s.try_acquire();
                CHECK_EQ(p.ok(), available != 0);
                break;   // and gives it back
            }
            }
            if (random.chance(50)) continue;   // more in the same turn
            settle();
            CHECK_EQ(s.available(), available);
            for (auto i = calls.begin(); i != calls.end();) {
                call& c = **i;
                CHECK_EQ(c.done, !c.waits);
                if (c.done) CHECK(c.ended == c.expected);
                if (c.done && !c.got.ok()) i = calls.erase(i);
                else ++i;
            }
        }
        CHECK(served > 1'000 && expired > 1'000 && canceled > 300 && handed_and_canceled > 30);
        for (auto& c : calls) c->handle.cancel();
        settle();
        return {};
    });
    CHECK(r.ok());
}
