#include <deque>
#include <memory>
#include <stdexcept>

#include "virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

TEST("a barrier lets nobody go on before all have come, tells each its place, and begins anew") {
    auto r = run_virtually([]() -> result<void> {
        barrier meet(3);
        std::string seen;
        task_group g;
        for (char c = 'a'; c != 'd'; ++c) g.spawn([&, c] {
            for (int cycle = 0; cycle != 3; ++cycle) {
                auto const place = meet.wait();
                REQUIRE(place.ok());
                seen += c;
                seen += static_cast<char>('0' + *place);
                if (c == 'b') CHECK(yield().ok());   // the next time it is the last
            }
        });
        settle();
        REQUIRE(g.join().ok());
        CHECK_EQ(seen.size(), 18U);
        CHECK_EQ(std::string_view(seen).substr(0, 6), "c2a0b1");
        CHECK(!meet.broken());
        CHECK_EQ(meet.waiting(), 0U);
        return {};
    });
    CHECK(r.ok());
}

TEST("a barrier's action is run once a cycle by the last who comes, before anybody goes on; others wait for the next") {
    auto r = run_virtually([]() -> result<void> {
        int runs = 0, through = 0;
        char big[200] = "too much for the barrier itself";
        barrier meet(2, [&, big] {
            CHECK_EQ(through, runs * 2);
            CHECK_EQ(std::string_view(big), "too much for the barrier itself");
            CHECK(sleep_for(5ms).ok());
            CHECK_EQ(through, runs * 2);
            ++runs;
        });
        task_group g;
        for (int i = 0; i != 6; ++i) g.spawn([&, i] {
            auto const place = meet.wait(i < 4 ? in(8ms) : in(1h));   // enough until the next is whole
            CHECK(place.ok());
            ++through;
            CHECK_EQ(runs, (through + 1) / 2);
        });
        auto early = spawn([&] {
            CHECK(sleep_for(1ms).ok());
            CHECK_EQ(meet.waiting(), 4U);
        });
        REQUIRE(g.join().ok());
        CHECK_EQ(runs, 3);
        return {};
    });
    CHECK(r.ok());
}

TEST("who times out at a barrier or is canceled there breaks it for all, until it is reset") {
    auto r = run_virtually([]() -> result<void> {
        barrier meet(3);
        for (bool by_time : {true, false}) {
            auto a = spawn([&] { return meet.wait(); });
            auto b = spawn([&] { return meet.wait(by_time ? in(5ms) : in(1h)); });
            settle();
            CHECK_EQ(meet.waiting(), 2U);
            if (by_time) CHECK(sleep_for(10ms).ok());
            else b.cancel();
            CHECK(meet.broken());
            CHECK(meet.wait() == errc::broken);
            CHECK(a.get() == errc::broken);
            CHECK(b.get() == (by_time ? errc::timed_out : errc::task_canceled));
            CHECK_EQ(meet.waiting(), 0U);
            meet.reset();
            CHECK(!meet.broken());
        }
        CHECK(meet.wait(in(0s)) == errc::timed_out);
        CHECK(meet.broken());
        meet.reset();
        auto late = spawn([&] {
            static_cast<void>(yield());
            return meet.wait();
        });
        auto first = spawn([&] { late.cancel(); });
        CHECK(late.get() == errc::task_canceled);   // it did nothing at all
        CHECK(!meet.broken());
        return {};
    });
    CHECK(r.ok());
}

TEST("reset and abort wake those who wait at a barrier with broken; after a reset it is as new, after abort it stays broken") {
    auto r = run_virtually([]() -> result<void> {
        barrier meet(2);
        auto a = spawn([&] { return meet.wait(); });
        settle();
        meet.reset();
        auto b = spawn([&] { return meet.wait(); });
        CHECK(a.get() == errc::broken);
        CHECK_EQ(*meet.wait(), 1U);
        CHECK_EQ(*b.get(), 0U);
        auto c = spawn([&] { return meet.wait(); });
        settle();
        meet.abort();
        CHECK(c.get() == errc::broken);
        CHECK(meet.wait() == errc::broken);
        CHECK(meet.broken());
        return {};
    });
    CHECK(r.ok());
}

TEST("a barrier is whole once the last has come: a cancel in the same turn undoes nothing") {
    auto r = run_virtually([]() -> result<void> {
        barrier meet(2);
        result<std::size_t> place = errc::full;
        auto a = spawn([&] { place = meet.wait(); });
        settle();
        CHECK_EQ(*meet.wait(), 1U);
        a.cancel();
        REQUIRE(a.join().ok());
        CHECK(place.ok());
        CHECK(!meet.broken());
        return {};
    });
    CHECK(r.ok());
}

TEST("an action that fails breaks the barrier: its error is its runner's, the others get broken") {
    auto r = run_virtually([]() -> result<void> {
        barrier meet(2, []() -> result<void> { return errc::too_long; });
        auto a = spawn([&] { return meet.wait(); });
        settle();
        CHECK(meet.wait() == errc::too_long);
        CHECK(a.get() == errc::broken);
        CHECK(meet.broken());
        return {};
    });
    CHECK(r.ok());
}

#if SPRUCE_EXCEPTIONS
TEST("what a barrier's action throws is its runner's, and the others get broken") {
    auto r = run_virtually([]() -> result<void> {
        barrier meet(2, [] { throw std::runtime_error("no"); });
        auto a = spawn([&] { return meet.wait(); });
        settle();
        bool caught = false;
        try {
            static_cast<void>(meet.wait());
        } catch (std::runtime_error const&) {
            caught = true;
        }
        CHECK(caught);
        CHECK(a.get() == errc::broken);
        CHECK(meet.broken());
        return {};
    });
    CHECK(r.ok());
}
#endif

TEST("a barrier refuses plain code that would have to wait, and nobody at all; its end wakes with closed") {
    barrier one(1), nobody(0);
    CHECK_EQ(*one.wait(), 0U);
    CHECK(nobody.wait() == errc::invalid_argument);
    auto meet = std::make_unique<barrier>(2);
    CHECK(meet->wait() == errc::not_in_task);
    CHECK(!meet->broken());
    auto r = run_virtually([&]() -> result<void> {
        auto a = spawn([&] { return meet->wait(); });
        settle();
        meet.reset();
        CHECK(a.get() == errc::closed);
        return {};
    });
    CHECK(r.ok());
}

TEST("a barrier that dies or is reset before the woken last of the next cycle runs does not run its action for that one") {
    for (errc const why : {errc::closed, errc::broken}) {
        CHECK(run_virtually([&] {
            event go;
            int actions = 0;
            std::vector<errc> ended;
            auto b = std::make_unique<barrier>(2, [&] {
                ++actions;
                static_cast<void>(go.wait());
            });
            auto first = spawn([&] { CHECK(b->wait().ok()); });
            auto second = spawn([&] {
                CHECK(b->wait().ok());
                // The other two have come, and the last of them is to run the action.
                if (why == errc::closed) b.reset();
                else b->reset();
            });
            std::vector<task<void>> next;
            for (int i = 0; i != 2; ++i) next.push_back(spawn([&] { ended.push_back(ending_of(b->wait())); }));
            settle();
            CHECK_EQ(actions, 1);
            go.set();
            REQUIRE(first.join().ok() && second.join().ok() && next[0].join().ok() && next[1].join().ok());
            CHECK_EQ(actions, 1);
            CHECK_EQ(ended, (std::vector<errc>{why, why}));
        }).ok());
    }
}

TEST("an action there is no memory for is told of by every wait") {
    harness::refused_allocations() = {.calls = 0, .at = 1};
    char big[200] = {};
    barrier meet(1, [big] { static_cast<void>(big); });
    harness::refused_allocations() = {};
    CHECK(meet.wait() == errc::no_memory);
}

TEST_FOR(60, "of a thousand who meet at a barrier half give up at random: each is let go with its cycle, or told") {
    harness::random random(harness::seed());
    for (int round = 0; round != (harness::nightly() ? 200 : 4); ++round) {
        auto r = run_virtually([&]() -> result<void> {
            constexpr int crowd = 1'000;
            constexpr std::size_t parties = 5;
            int cycles = 0, passed = 0, gave_up = 0;
            barrier meet(parties, [&] { ++cycles; });
            std::vector<task<void>> tasks;
            for (int i = 0; i != crowd; ++i)
                tasks.push_back(spawn([&] {
                    static_cast<void>(sleep_for(milliseconds_below(random, 200)));   // who is canceled here finds out at the next wait
                    auto const place = meet.wait(random.chance(25) ? in(milliseconds_below(random, 2)) : deadline());
                    if (place) return void(++passed);
                    ++gave_up;
                    if (meet.broken()) meet.reset();
                }));
            settle();
            for (int i = 0; i != crowd / 3; ++i) {
                tasks[random.below(crowd)].cancel();
                if (random.chance(50)) CHECK(sleep_for(1ms).ok());
            }
            CHECK(sleep_for(1s).ok());
            meet.abort();   // who is left came too late
            for (auto& t : tasks) REQUIRE(t.join().ok());
            CHECK_EQ(passed + gave_up, crowd);
            CHECK_EQ(passed, cycles * static_cast<int>(parties));
            CHECK(passed > 100 && gave_up > 100);
            return {};
        });
        CHECK(r.ok());
    }
}

TEST_FOR(300, "a barrier does what its model does: cycles, deadlines, cancels, resets and aborts at random") {
    harness::random random(harness::seed());
    auto r = run_virtually([&]() -> result<void> {
        struct call : followed {
            std::size_t place = 0, told = 0;
        };
        constexpr std::size_t parties = 4;
        barrier meet(parties);
        std::deque<std::unique_ptr<call>> calls;
        std::size_t waiting = 0;
        bool broken = false;
        model_time time(random);
        long cycles = 0, expired = 0, canceled = 0;
        auto all_get = [&](errc how) {
            waiting = 0;
            for (auto& c : calls)
                if (c->waits) c->waits = false, c->expected = how;
        };
        auto breaks = [&](call& c, errc how) {
            c.waits = false;
            c.expected = how;
            broken = true;
            all_get(errc::broken);
        };
        for (long step = 0; step != model_steps(); ++step) {
            switch (random.below(16)) {
            default: {
                if (calls.size() > 30) break;
                auto& c = *calls.emplace_back(std::make_unique<call>());
                deadline const dl = time.draw(c);
                c.handle = spawn([&meet, &c, dl] {
                    auto const got = meet.wait(dl);
                    c.ended = ending_of(got);
                    if (got) c.told = *got;
                    c.done = true;
                });
                c.place = waiting;
                if (broken) c.expected = errc::broken;
                else if (waiting + 1 == parties) c.expected = errc{}, ++cycles, all_get(errc{});
                else if (c.due <= time.moment()) breaks(c, errc::timed_out);
                else c.waits = true, ++waiting;
                CHECK(yield().ok());
                break;
            }
            case 0: {
                if (calls.empty()) break;
                auto& c = *calls[random.below(calls.size())];
                c.handle.cancel();
                if (c.waits) ++canceled, breaks(c, errc::canceled);
                break;
            }
            case 1:
            case 2: {
                time.pass();
                call* first = nullptr;
                for (auto& c : calls)
                    if (c->waits && c->due <= time.moment() && (!first || c->due < first->due)) first = c.get();
                if (first) ++expired, breaks(*first, errc::timed_out);
                break;
            }
            case 3:
            case 4:
                meet.reset();
                all_get(errc::broken);
                broken = false;
                break;
            case 5:
                if (random.chance(70)) break;
                meet.abort();
                all_get(errc::broken);
                broken = true;
                break;
            }
            CHECK_EQ(meet.broken(), broken);
            CHECK_EQ(meet.waiting(), waiting);
            if (random.chance(50)) continue;   // more in the same turn
            settle();
            for (auto i = calls.begin(); i != calls.end();) {
                call& c = **i;
                CHECK_EQ(c.done, !c.waits);
                if (c.done) CHECK(c.ended == c.expected);
                if (c.done && c.ended == errc{}) CHECK_EQ(c.place, c.told);
                if (c.done) i = calls.erase(i);
                else ++i;
            }
        }
        CHECK(cycles > 1'000 && expired > 300 && canceled > 100);
        for (auto& c : calls) c->handle.cancel();
        settle();
        return {};
    });
    CHECK(r.ok());
}
