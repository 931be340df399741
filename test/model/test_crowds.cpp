// A thousand who wait, of whom half give up at random: no wake, value or message is lost or doubled. Here: events, futures,
// lines of completions, mailboxes, emissions, ends of tasks, several things at once, calls in line, timers. (Locks,
// permits, barriers, work, channels and queues have theirs beside their other tests.)
#include <algorithm>
#include <optional>

#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
constexpr int crowd = 1'000;

// Runs f(random) in virtual time, so many rounds as the length has.
template <class F> void rounds(F&& f) {
    harness::random random(harness::seed());
    for (int round = 0; round != (harness::nightly() ? 200 : 4); ++round)
        CHECK(run_virtually([&] { f(random); }).ok());
}
deadline patience(harness::random& r, std::uint64_t below_ms) {
    return r.chance(25) ? in(milliseconds_below(r, below_ms)) : deadline();
}
void cancel_some(harness::random& r, std::vector<task<void>>& all, unsigned percent) {
    for (auto& t : all)
        if (r.chance(percent)) t.cancel();
}
void join_all(std::vector<task<void>>& all) {
    for (auto& t : all) REQUIRE(t.join().ok());
}
bool each_once(std::vector<int> const& counts) {
    return std::all_of(counts.begin(), counts.end(), [](int n) { return n == 1; });
}
}  // namespace

TEST_FOR(60, "of a thousand who wait for an event half give up at random, and each of the others is woken by the next set") {
    rounds([](harness::random& random) {
        event e;
        int sets = 0, woken = 0, gave_up = 0, waiting = 0;
        std::vector<task<void>> all;
        while (all.size() != crowd) {
            for (int i = 0; i != 250; ++i)
                all.push_back(spawn([&, dl = patience(random, 60), begun = sets] {
                    ++waiting;
                    bool const ok = e.wait(dl).ok();
                    --waiting;
                    if (ok) CHECK_EQ(sets, begun + 1);
                    ++(ok ? woken : gave_up);
                }));
            settle(1);
            for (int i = 0; i != 10; ++i) {
                cancel_some(random, all, 4);
                REQUIRE(sleep_for(milliseconds_below(random, 10)).ok());
            }
            ++sets;
            e.set();
            e.clear();
            cancel_some(random, all, 5);   // too late for those
            settle();
            CHECK_EQ(waiting, 0);
        }
        join_all(all);
        CHECK_EQ(woken + gave_up, crowd);
        CHECK(woken > 200 && gave_up > 200);
    });
}

TEST_FOR(60, "of a thousand who wait for twenty futures half give up at random, and each of the others has the value") {
    rounds([](harness::random& random) {
        struct pledge {
            std::optional<promise<int>> in{std::in_place};
            future<int> out = in->get_future();
            int waiting = 0, stopped = 0;
        };
        std::vector<pledge> pledges(20);
        int served = 0, gave_up = 0, taken_along = 0;
        std::vector<task<void>> all;
        for (std::size_t i = 0; i != pledges.size(); ++i)
            if (i % 2 == 1) CHECK(pledges[i].in->on_cancel([&p = pledges[i]] { ++p.stopped; }).active());
        for (int i = 0; i != crowd; ++i)
            all.push_back(spawn([&, n = random.below(20), dl = patience(random, 60)] {
                pledge& p = pledges[n];
                ++p.waiting;
                auto const got = p.out.get(dl);
                --p.waiting;
                if (got) CHECK_EQ(*got, static_cast<int>(n));
                else if (got == errc::task_canceled) ++taken_along;
                ++(got.ok() ? served : gave_up);
            }));
        settle();
        for (std::size_t n = 0; n != pledges.size(); ++n) {
            cancel_some(random, all, n == 10 ? 30 : 1);
            REQUIRE(sleep_for(milliseconds_below(random, 5)).ok());
            pledge& p = pledges[n];
            if (p.in->set(static_cast<int>(n)).ok()) CHECK_EQ(p.stopped, 0);
            else CHECK(p.stopped == 1 && p.waiting == 0);   // the last who wanted it was canceled
            settle();
            CHECK_EQ(p.waiting, 0);
        }
        join_all(all);
        CHECK_EQ(served + gave_up, crowd);
        CHECK_EQ(taken_along, 0);   // nobody is who did not give up
        CHECK(served > 200 && gave_up > 200);
    });
}

TEST_FOR(60, "of a thousand who take from a line of completions half give up, and each future is given to one") {
    rounds([](harness::random& random) {
        std::vector<promise<int>> ins(crowd);
        std::vector<future<int>> outs;
        for (auto& p : ins) outs.push_back(p.get_future());
        auto line = as_completed(std::span(outs));
        std::vector<int> given(crowd);
        int gave_up = 0, served = 0;
        auto give = [&](result<future<int>>& f) {
            cancel_shield const asks;   // who was canceled meanwhile has it all the same
            ++given[static_cast<std::size_t>(f->get().value_or(0))];
        };
        std::vector<task<void>> all;
        for (int i = 0; i != crowd; ++i)
            all.push_back(spawn([&, dl = patience(random, 100)] {
                auto f = line.next(dl);
                if (!f) return void(++gave_up);
                ++served;
                give(f);
            }));
        settle();
        std::vector<int> left(crowd);
        for (int i = 0; i != crowd; ++i) left[static_cast<std::size_t>(i)] = i;
        for (std::size_t n = crowd; n != 0; --n) {
            std::swap(left[random.below(n)], left[n - 1]);
            CHECK(ins[static_cast<std::size_t>(left[n - 1])].set(left[n - 1]).ok());
            if (random.chance(30)) all[random.below(crowd)].cancel();
            if (random.chance(10)) REQUIRE(sleep_for(milliseconds_below(random, 2)).ok());
        }
        join_all(all);
        for (auto f = line.next(); f; f = line.next()) give(f);
        CHECK(each_once(given));
        CHECK_EQ(served + gave_up, crowd);
        CHECK(served > 200 && gave_up > 100);
    });
}

TEST_FOR(60, "of a thousand who wait for messages half give up, and each message was received once, or lies in its mailbox") {
    rounds([](harness::random& random) {
        std::vector<std::unique_ptr<mailbox<int>>> boxes(crowd);
        std::vector<int> got(crowd);
        std::vector<task<void>> all;
        int gave_up = 0;
        for (std::size_t i = 0; i != crowd; ++i) {
            boxes[i] = std::make_unique<mailbox<int>>(4);
            all.push_back(spawn([&, i, any = random.chance(50), dl = patience(random, 60)] {
                auto& box = *boxes[i];
                message_filter const f{.accept = {"it"}, .defer = {"later"}};
                std::optional<int> m;
                if (any) {
                    received wanted(box, f);
                    auto won = wait_any(wanted, dl);
                    if (won && !won->timed_out()) m = result<message<int>>(won->template get<0>())->value;
                } else {
                    if (auto came = box.receive(f, dl)) m = came->value;
                }
                if (m) got[static_cast<std::size_t>(*m)]++;
                else ++gave_up;
            }));
        }
        settle();
        for (int i = 0; i != crowd; ++i) {
            auto& box = *boxes[static_cast<std::size_t>(i)];
            if (random.chance(30)) CHECK(box.send({"later", -1}).ok());
            if (random.chance(50)) all[random.below(crowd)].cancel();
            CHECK(box.send({"it", i}).ok());
            if (random.chance(20)) REQUIRE(sleep_for(milliseconds_below(random, 1)).ok());
        }
        join_all(all);
        int left = 0;
        for (auto& box : boxes)
            while (auto m = box->receive({.accept = {"it"}, .discard = {"later"}}, in(0s))) ++got[static_cast<std::size_t>(m->value)], ++left;
        CHECK(each_once(got));
        CHECK_EQ(left, gave_up);
        CHECK(gave_up > 200 && gave_up < 800);
    });
}

TEST_FOR(60, "of a thousand who wait for what is emitted half go at random; the others hear all, though they time out between") {
    rounds([](harness::random& random) {
        constexpr int emissions = 40;
        emitter<int> e;
        int heard_all = 0, canceled = 0, timeouts = 0;
        std::vector<task<void>> all;
        for (int i = 0; i != crowd; ++i)
            all.push_back(spawn([&, seed = random.next()] {
                harness::random mine(seed);
                emitted heard(e, emissions);
                for (int next = 0; next != emissions;) {
                    auto won = wait_any(heard, patience(mine, 8));
                    if (!won) return void(++canceled);
                    if (won->timed_out()) {
                        ++timeouts;
                        continue;
                    }
                    CHECK_EQ(won->template get<0>().value_or(-1), next);
                    ++next;
                }
                ++heard_all;
            }));
        settle();
        for (int n = 0; n != emissions; ++n) {
            e.emit(n);
            cancel_some(random, all, 1);
            if (random.chance(70)) REQUIRE(sleep_for(milliseconds_below(random, 4)).ok());
        }
        join_all(all);
        CHECK_EQ(e.size(), 0U);
        CHECK_EQ(heard_all + canceled, crowd);
        CHECK(heard_all > 200 && canceled > 200 && timeouts > 500);
    });
}

TEST_FOR(60, "of a thousand who join a task half give up at random, and the others go on once it has ended") {
    rounds([](harness::random& random) {
        int woken = 0, gave_up = 0;
        bool ended = false;
        auto worker = spawn([&] {
            REQUIRE(sleep_for(30ms).ok());
            ended = true;
        });
        std::vector<task<void>> all;
        for (int i = 0; i != crowd; ++i)
            all.push_back(spawn([&, dl = patience(random, 50)] {
                auto const how = worker.join(dl);
                if (how) CHECK(ended);
                ++(how.ok() ? woken : gave_up);
            }));
        settle();
        for (int i = 0; i != 30; ++i) {
            cancel_some(random, all, 1);
            REQUIRE(sleep_for(1ms).ok());
        }
        join_all(all);
        CHECK_EQ(woken + gave_up, crowd);
        CHECK(woken > 200 && gave_up > 200);
    });
}

TEST_FOR(60, "of a thousand who wait for a permit and a value together half give up, and nobody has one without the other") {
    rounds([](harness::random& random) {
        semaphore s(0);
        channel<int> c(8);
        int both = 0, gave_up = 0, released = 0, sent = 0;
        std::vector<int> seen(crowd);
        std::vector<task<void>> all;
        for (int i = 0; i != crowd; ++i)
            all.push_back(spawn([&, dl = random.chance(25) ? in(milliseconds_below(random, 300)) : never()] {
                auto got = wait_all(s, c, dl);
                if (!got) return void(++gave_up);
                REQUIRE(std::get<0>(*got).ok() && std::get<1>(*got).ok());
                std::get<0>(*got)->keep();
                ++seen[static_cast<std::size_t>(*std::get<1>(*got))];
                ++both;
            }));
        settle();
        while (sent != crowd) {
            if (random.chance(50) && released < sent + 10) released += s.release().ok();
            else if (c.try_send(int(sent)).ok()) ++sent;
            if (random.chance(25)) all[random.below(crowd)].cancel();
            // Now and then somebody is faster than who was woken for both.
            if (auto v = random.chance(5) ? c.try_receive() : result<int>(errc::would_wait)) ++seen[static_cast<std::size_t>(*v)];
            if (random.chance(5)) static_cast<void>(s.try_acquire());
            if (random.chance(30)) REQUIRE(sleep_for(milliseconds_below(random, 1)).ok());
            if (both + gave_up == crowd) break;
        }
        settle();
        CHECK(s.available() == 0 || c.size() == 0 || both + gave_up == crowd);
        cancel_some(random, all, 100);
        join_all(all);
        CHECK_EQ(both + gave_up, crowd);
        CHECK_EQ(both + static_cast<int>(s.available()), released);
        while (auto v = c.try_receive()) ++seen[static_cast<std::size_t>(*v)];
        CHECK(std::all_of(seen.begin(), seen.begin() + sent, [](int n) { return n == 1; }));
        CHECK(both > 150 && gave_up > 150);
    });
}

TEST_FOR(60, "of a thousand calls in one line half are canceled at random: each of the others runs once, alone, in its place") {
    rounds([](harness::random& random) {
        std::vector<int> ran(crowd);
        int inside = 0, last = -1, done = 0, taken_back = 0;
        async_function work([&](int n) -> result<int> {
            CHECK_EQ(++inside, 1);
            CHECK(n > last);
            last = n;
            ++ran[static_cast<std::size_t>(n)];
            auto const slept = sleep_for(100us);
            --inside;
            if (!slept) return slept.error();
            return n;
        }, {.policy = call_policy::synchronized});
        std::vector<future<int>> calls;
        for (int i = 0; i != crowd; ++i) calls.push_back(work(i));
        for (int i = 0; i != 60; ++i) {
            REQUIRE(sleep_for(milliseconds_below(random, 1)).ok());
            for (int j = 0; j != 10; ++j) calls[random.below(crowd)].cancel();
        }
        for (std::size_t i = 0; i != crowd; ++i) {
            auto const got = calls[i].get();
            if (got) CHECK_EQ(*got, static_cast<int>(i));
            else CHECK_EQ(ending_of(got), errc::task_canceled);
            CHECK(ran[i] == 1 || (!got.ok() && ran[i] == 0));
            ++(got.ok() ? done : taken_back);
        }
        CHECK(done > 300 && taken_back > 200);
    });
}

TEST_FOR(60, "of a thousand timers half are stopped at random: each of the others calls once, and none that was stopped") {
    rounds([](harness::random& random) {
        std::vector<int> called(crowd);
        std::vector<bool> stopped(crowd);
        std::vector<std::unique_ptr<one_shot_timer>> timers;
        for (std::size_t i = 0; i != crowd; ++i) {
            timers.push_back(std::make_unique<one_shot_timer>([&, i] {
                CHECK(!stopped[i]);
                ++called[i];
                // Others of the same moment may be on their way already.
                std::size_t const other = random.below(crowd);
                if (random.chance(40) && timers[other]->stop()) stopped[other] = true;
            }));
            CHECK(timers[i]->start(std::chrono::milliseconds(1 + random.below(50))).ok());
        }
        for (int i = 0; i != 25; ++i) {
            REQUIRE(sleep_for(2ms).ok());
            for (int j = 0; j != 15; ++j)
                if (std::size_t const n = random.below(crowd); timers[n]->stop()) stopped[n] = true;
        }
        REQUIRE(sleep_for(10ms).ok());
        int calls = 0;
        for (std::size_t i = 0; i != crowd; ++i) {
            CHECK_EQ(called[i], stopped[i] ? 0 : 1);
            calls += called[i];
        }
        CHECK(calls > 300 && calls < 800);
    });
}
