// Waiting for the first of several things: who wins, what losers leave behind, and how a wait ends otherwise.
#include <memory>

#include "virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
// A user's own condition: fired from outside through its point.
struct lamp {
    wait_point* point = nullptr;
    int armed = 0, disarmed = 0, taken = 0;
    bool lit = false, refuses = false;
    result<void> arm(wait_point& p) {
        if (refuses) return errc::broken;
        ++armed;
        point = &p;
        if (lit) p.fire();
        return {};
    }
    void disarm() noexcept {
        ++disarmed;
        point = nullptr;
    }
    result<int> take() {
        ++taken;
        return taken;
    }
    void light() {
        lit = true;
        if (point) point->fire();
    }
};
}  // namespace

TEST("of several conditions that are there the first argument wins, and the others keep what they have") {
    auto r = run_virtually([]() -> result<void> {
        event e;
        semaphore s(1);
        channel<int> c(1);
        CHECK(c.try_send(5).ok());
        {
            SPRUCE_TRY(auto won, wait_any(e, c, s));
            CHECK_EQ(won.index(), 1U);
            CHECK(won.is(c) && !won.is(e) && !won.timed_out());
            CHECK_EQ(won.get<1>().value_or(0), 5);
            CHECK(won.get<1>() == errc::wrong_state);   // moved out
            CHECK(won.get<0>() == errc::wrong_state);   // not the winner
        }
        {
            SPRUCE_TRY(auto won, wait_any(c, s, e));
            CHECK(won.is(s));
            CHECK_EQ(s.available(), 0U);
            auto p = won.get<1>();
            CHECK(p.ok());
        }
        CHECK_EQ(s.available(), 1U);
        e.set();
        SPRUCE_TRY(auto won, wait_any(e, s));
        CHECK(won.is(e));
        CHECK_EQ(s.available(), 1U);
        return {};
    });
    CHECK(r.ok());
}

TEST("two that come before the waiter runs: the first argument wins, whichever came first") {
    auto r = run_virtually([]() -> result<void> {
        event a, b;
        auto t = spawn([&]() -> result<std::size_t> {
            SPRUCE_TRY(auto won, wait_any(a, b, in(1s)));
            return won.index();
        });
        settle();
        b.set();
        a.set();
        CHECK_EQ(t.get().value_or(9), 0U);
        return {};
    });
    CHECK(r.ok());
}

TEST("a deadline among the conditions wins with its place; one that is over gives the others a turn first") {
    auto r = run_virtually([]() -> result<void> {
        event e;
        time_point const begin = loop_clock::now();
        SPRUCE_TRY(auto won, wait_any(e, in(1h), in(3s), in(5s)));
        CHECK_EQ(won.index(), 2U);
        CHECK(won.timed_out());
        CHECK(won.get<2>().ok());
        CHECK(loop_clock::now() - begin >= 3s);
        CHECK(loop_clock::now() - begin < 4s);
        SPRUCE_TRY(auto none, wait_any(e, in(0s)));
        CHECK_EQ(none.index(), 1U);
        spawn([&] { e.set(); });
        SPRUCE_TRY(auto there, wait_any(e, in(0s)));
        CHECK_EQ(there.index(), 0U);
        SPRUCE_TRY(auto past, wait_any(at(begin), e));   // in the order of the arguments
        CHECK(past.timed_out());
        return {};
    });
    CHECK(r.ok());
}

TEST("an fd that can be read is known of once the loop has polled, also when the deadline is over") {
    auto r = [] {
        if (harness::simulated()) harness::skip("a pipe of the real kernel");
        harness::world w;
        auto const [out, in_] = w.pipe();
        auto end = run(w.options(), [&, out = out, in_ = in_]() -> result<void> {
            w.write(in_, "x");
            SPRUCE_TRY(auto won, wait_any(readable(out), in(0s)));
            CHECK_EQ(won.index(), 0U);
            char c;
            CHECK_EQ(w.read(out, &c, 1), 1);
            readable data(out);
            SPRUCE_TRY(auto none, wait_any(data, in(0s)));
            CHECK_EQ(none.index(), 1U);
            SPRUCE_TRY(auto room, wait_any(data, writable(in_)));
            CHECK_EQ(room.index(), 1U);
            CHECK(wait_any(data, readable(out)) == errc::already_registered);
            CHECK(wait_any(data, data) == errc::already_registered);
            CHECK(wait_any(readable(-1)) == errc::invalid_argument);
            SPRUCE_TRY(auto again, wait_any(data, in(0s)));   // a refused wait leaves nothing registered
            CHECK_EQ(again.index(), 1U);
            return {};
        });
        w.close(out);
        w.close(in_);
        return end;
    }();
    CHECK(r.ok());
}

TEST("what is handed over to a wait is its winner's, and no more is handed to one that has a winner") {
    auto r = run_virtually([]() -> result<void> {
        semaphore s(0);
        channel<int> c;
        event e;
        auto t = spawn([&]() -> result<std::size_t> {
            SPRUCE_TRY(auto won, wait_any(s, c, e));
            if (won.index() == 1) CHECK_EQ(won.get<1>().value_or(0), 7);
            return won.index();
        });
        settle();
        CHECK(c.try_send(7).ok());
        CHECK(s.release().ok());
        e.set();
        CHECK(c.try_send(8) == errc::full);
        CHECK_EQ(s.available(), 1U);
        CHECK_EQ(t.get().value_or(9), 1U);
        e.clear();
        auto u = spawn([&]() -> result<std::size_t> {
            SPRUCE_TRY(auto p, s.acquire());
            SPRUCE_TRY(auto won, wait_any(s, c, e));
            return won.index();
        });
        settle();
        e.set();
        e.clear();
        CHECK(c.try_send(8) == errc::full);   // it has been woken already
        CHECK_EQ(u.get().value_or(9), 2U);
        return {};
    });
    CHECK(r.ok());
}

TEST("a channel's both ends among the conditions meet, and a wait never meets itself") {
    auto r = run_virtually([]() -> result<void> {
        channel<std::unique_ptr<int>> c;
        auto t = spawn([&]() -> result<int> {
            SPRUCE_TRY(auto won, wait_any(c, in(1s)));
            SPRUCE_TRY(auto item, won.get<0>());
            return *item;
        });
        settle();
        sending out(c, std::make_unique<int>(3));
        SPRUCE_TRY(auto won, wait_any(out, in(1s)));
        CHECK(won.is(out));
        CHECK(!out.value());
        CHECK_EQ(t.get().value_or(0), 3);
        out.value() = std::make_unique<int>(4);
        SPRUCE_TRY(auto none, wait_any(out, c, in(10ms)));
        CHECK(none.timed_out());
        CHECK(out.value() && *out.value() == 4);   // a failed send leaves the value here
        c.close();
        SPRUCE_TRY(auto over, wait_any(out, c));
        CHECK(over.get<0>() == errc::closed);
        SPRUCE_TRY(auto end, wait_any(c));
        CHECK(end.get<0>() == errc::end_of_stream);
        return {};
    });
    CHECK(r.ok());
}

TEST("a task among the conditions gives its value, its error, or that it was canceled") {
    auto r = run_virtually([]() -> result<void> {
        event go;
        auto a = spawn([&]() -> result<int> {
            SPRUCE_CHECK(go.wait());
            return 7;
        });
        auto b = spawn([]() -> result<int> {
            SPRUCE_CHECK(sleep_for(1s));
            return errc::broken;
        });
        auto c = spawn([] { static_cast<void>(sleep_for(1h)); });
        SPRUCE_TRY(auto first, wait_any(a, b, c));
        CHECK(first.is(b));
        CHECK(first.get<1>() == errc::broken);
        go.set();
        SPRUCE_TRY(auto second, wait_any(c, a));
        CHECK_EQ(second.get<1>().value_or(0), 7);
        CHECK_EQ(a.get().value_or(0), 7);   // a copy
        c.cancel();
        SPRUCE_TRY(auto third, wait_any(c));
        CHECK(third.get<0>().ok());   // it did not say canceled
        SPRUCE_TRY(auto moved, wait_any(spawn([] { return std::make_unique<int>(5); })));
        CHECK_EQ(**moved.get<0>(), 5);
        task<int> empty;
        CHECK(wait_any(empty) == errc::wrong_state);
        task<void> self;
        self = spawn([&] { CHECK(wait_any(self) == errc::deadlock); });
        return self.join();
    });
    CHECK(r.ok());
}

TEST("a source that is destroyed wakes who waits for it among others, with closed") {
    auto r = run_virtually([]() -> result<void> {
        event never_set;
        auto e = std::make_unique<event>();
        auto s = std::make_unique<semaphore>(0U);
        auto c = std::make_unique<channel<int>>();
        auto a = spawn([&]() -> result<void> {
            SPRUCE_TRY(auto won, wait_any(never_set, *e));
            return won.get<1>();
        });
        auto b = spawn([&]() -> result<void> {
            SPRUCE_TRY(auto won, wait_any(never_set, *s));
            SPRUCE_CHECK(won.get<1>());
            return {};
        });
        auto d = spawn([&]() -> result<void> {
            SPRUCE_TRY(auto won, wait_any(never_set, *c));
            SPRUCE_CHECK(won.get<1>());
            return {};
        });
        settle();
        e.reset();
        s.reset();
        c.reset();
        CHECK(a.get() == errc::closed);
        CHECK(b.get() == errc::closed);
        CHECK(d.get() == errc::closed);
        return {};
    });
    CHECK(r.ok());
}

TEST("a canceled wait takes nothing; one that has won keeps it, and cancellation shows at the next") {
    auto r = run_virtually([]() -> result<void> {
        semaphore s(0);
        channel<int> c(4);
        auto t = spawn([&]() -> result<void> { return wait_any(s, c).ok() ? result<void>() : errc::canceled; });
        settle();
        t.cancel();
        CHECK(s.release().ok());
        CHECK(c.try_send(1).ok());
        CHECK(t.get() == errc::task_canceled);
        CHECK_EQ(s.available(), 1U);
        CHECK_EQ(c.size(), 1U);
        static_cast<void>(c.try_receive());
        auto p = s.try_acquire();
        CHECK(p.ok());
        auto u = spawn([&]() -> result<int> {
            SPRUCE_TRY(auto won, wait_any(s, c));
            CHECK(wait_any(c, in(1s)) == errc::canceled);
            SPRUCE_TRY(int const got, won.get<1>());
            return got;
        });
        settle();
        CHECK(c.try_send(2).ok());
        u.cancel();
        CHECK_EQ(u.get().value_or(0), 2);
        auto scoped = with_deadline(in(1s), [&]() -> result<void> { return wait_any(s, c, in(1h)).ok() ? result<void>() : errc::canceled; });
        CHECK(!scoped.ok());
        return {};
    });
    CHECK(r.ok());
}

TEST("a condition of one's own is armed, disarmed and taken from as often as it should be") {
    auto r = run_virtually([]() -> result<void> {
        lamp a, b, c;
        b.lit = true;
        SPRUCE_TRY(auto won, wait_any(a, b, c));
        CHECK(won.is(b));
        CHECK_EQ(a.armed, 1);
        CHECK_EQ(a.disarmed, 1);
        CHECK_EQ(a.taken, 0);
        CHECK_EQ(c.armed, 0);   // behind one that is there, nobody can be first
        CHECK_EQ(c.disarmed, 0);
        CHECK_EQ(b.taken, 1);
        c.refuses = true;
        b.lit = false;
        CHECK(wait_any(a, b, c) == errc::broken);
        CHECK_EQ(a.armed, a.disarmed);
        CHECK_EQ(b.armed, b.disarmed);
        CHECK_EQ(c.disarmed, 0);
        auto t = spawn([&]() -> result<int> {
            SPRUCE_TRY(auto late, wait_any(a, b));
            return late.get<0>();
        });
        settle();
        a.light();
        a.light();
        CHECK_EQ(t.get().value_or(0), 1);
        CHECK_EQ(a.armed, a.disarmed);
        return {};
    });
    CHECK(r.ok());
}

TEST("outside a task a wait that has something gives it; one that would wait is refused and leaves no trace") {
    lamp a;
    a.lit = true;
    auto won = wait_any(a);
    CHECK(won.ok());
    a.lit = false;
    CHECK(wait_any(a) == errc::not_in_task);
    CHECK_EQ(a.armed, a.disarmed);
    auto late = wait_any(a, in(0s));
    CHECK(late.ok() && late->timed_out());
    semaphore s(1);
    auto p = wait_any(s);
    CHECK(p.ok());
    CHECK(wait_any(s) == errc::not_in_task);
    channel<int> c(1);
    CHECK(wait_any(sending(c, 3)).ok());
    CHECK_EQ(wait_any(c)->get<0>().value_or(0), 3);
}

TEST("who waits for something outside keeps the run alive; who waits for tasks alone is a deadlock") {
    auto dead = run_virtually([]() -> result<void> {
        event e;
        semaphore s(0);
        return wait_any(e, s).ok() ? result<void>() : errc::broken;
    });
    CHECK(dead == errc::deadlock);
    auto alive = run_virtually([]() -> result<void> {
        event e;
        SPRUCE_TRY(auto won, wait_any(e, in(1h)));
        CHECK(won.timed_out());
        return {};
    });
    CHECK(alive.ok());
}

TEST("a beat keeps its phase from wait to wait, counts what it missed, and begins anew when asked") {
    auto r = run_virtually([]() -> result<void> {
        every beat(100ms);
        event e;
        time_point const begin = loop_clock::now();
        SPRUCE_TRY(auto one, wait_any(beat));
        CHECK_EQ(one.get<0>().value_or(0), 1U);
        CHECK(loop_clock::now() - begin >= 100ms);
        SPRUCE_TRY(auto other, wait_any(beat, in(30ms)));
        CHECK(other.timed_out());
        SPRUCE_TRY(auto two, wait_any(beat, in(1s)));
        CHECK_EQ(two.get<0>().value_or(0), 1U);
        CHECK(loop_clock::now() - begin < 210ms);
        CHECK(sleep_for(350ms).ok());
        SPRUCE_TRY(auto many, wait_any(beat));
        CHECK_EQ(many.get<0>().value_or(0), 3U);
        SPRUCE_TRY(auto next, wait_any(beat));
        CHECK_EQ(next.get<0>().value_or(0), 1U);
        CHECK(loop_clock::now() - begin >= 600ms);
        CHECK(loop_clock::now() - begin < 610ms);
        CHECK(sleep_for(50ms).ok());
        beat.restart();
        SPRUCE_TRY(auto anew, wait_any(beat));
        CHECK_EQ(anew.get<0>().value_or(0), 1U);
        CHECK(loop_clock::now() - begin >= 750ms);
        CHECK(wait_any(every(0s)) == errc::invalid_argument);
        return {};
    });
    CHECK(r.ok());
}

TEST("a beat that is waited for on another loop begins a new phase there") {
    every beat(100ms);
    auto round = [&]() -> result<void> {
        CHECK(sleep_for(1h).ok());
        time_point const begin = loop_clock::now();
        SPRUCE_TRY(auto won, wait_any(beat));
        CHECK_EQ(won.get<0>().value_or(0), 1U);
        CHECK(loop_clock::now() - begin >= 100ms);
        CHECK(loop_clock::now() - begin < 110ms);
        return {};
    };
    CHECK(run_virtually(round).ok());
    CHECK(run_virtually(round).ok());
}

TEST("idle comes when nothing else is ready, and not before") {
    auto r = run_virtually([]() -> result<void> {
        int rounds = 0;
        auto busy = spawn([&] {
            for (; rounds != 20; ++rounds) static_cast<void>(yield());
        });
        idle quiet;
        SPRUCE_TRY(auto won, wait_any(quiet));
        CHECK(won.is(quiet));
        CHECK_EQ(rounds, 20);
        SPRUCE_TRY(auto again, wait_any(quiet, in(1h)));
        CHECK_EQ(again.index(), 0U);
        return busy.join();
    });
    CHECK(r.ok());
}

TEST_FOR(60, "a thousand waits for a permit or a value, half of them given up: none lost, none doubled") {
    harness::random random(harness::seed());
    auto one_round = [&]() -> result<void> {
        semaphore s(0);
        channel<int> c(3);
        long permits = 0, sum = 0, values = 0;
        {
            task_group g;
            std::vector<task<void>> all;
            for (int i = 0; i != 1000; ++i) {
                all.push_back(g.spawn([&, dl = random.chance(25) ? in(milliseconds_below(random, 50)) : never()] {
                    auto won = wait_any(s, c, dl);
                    if (!won) return;
                    if (won->index() == 0) {
                        auto p = won->get<0>();
                        CHECK(p.ok());
                        p->keep();
                        ++permits;
                    } else if (won->index() == 1) {
                        auto v = won->get<1>();
                        if (v) sum += *v, ++values;
                    }
                }));
            }
            long released = 0, sent = 0, sent_sum = 0;
            for (int i = 0; i != 1500; ++i) {
                if (random.chance(30)) all[random.below(1000)].cancel();
                if (random.chance(40)) released += s.release().ok();
                if (random.chance(40) && c.try_send(int(i)).ok()) ++sent, sent_sum += i;
                if (random.chance(20)) CHECK(sleep_for(milliseconds_below(random, 3)).ok());
            }
            g.cancel();
            CHECK(g.join().ok());
            while (auto left = c.try_receive()) sum += *left, ++values;
            CHECK_EQ(permits + static_cast<long>(s.available()), released);
            CHECK_EQ(values, sent);
            CHECK_EQ(sum, sent_sum);
            CHECK(permits > 50 && values > 50);
        }
        return {};
    };
    for (int round = 0; round != (harness::nightly() ? 200 : 4); ++round) CHECK(run_virtually(one_round).ok());
}

namespace {
// One whose arm() sends on a channel, and fails.
struct asks_and_fails {
    channel<int>& on;
    result<void> arm(wait_point&) {
        CHECK(on.try_send(7).ok());
        return errc::broken;
    }
    void disarm() noexcept {}
    result<void> take() { return {}; }
};
}  // namespace

TEST("what a condition is handed while the next one's arm() fails is not lost: it has won") {
    auto r = run_virtually([]() -> result<void> {
        channel<int> c;
        asks_and_fails bad{c};
        auto won = wait_any(c, bad);
        REQUIRE(won.ok());
        CHECK_EQ(won->index(), 0U);
        CHECK_EQ(*won->get<0>(), 7);
        return {};
    });
    CHECK(r.ok());
}

#if SPRUCE_EXCEPTIONS
namespace {
struct hard_to_move {
    explicit hard_to_move(int* m) noexcept : moves(m) { ++*alive; }
    hard_to_move(hard_to_move&& other) : moves(other.moves), alive(other.alive) {
        if (--*moves == 0) throw 1;
        ++*alive;
    }
    ~hard_to_move() { --*alive; }
    int* moves;
    int* alive = moves + 1;
};
}  // namespace

TEST("a value whose move throws leaves a wait_any, and what it gave, by the exception, and nothing is left of it") {
    auto r = run_virtually([] {
        bool through = false;
        for (int fuse = 1; !through; ++fuse) {
            REQUIRE(fuse < 30);
            int counts[2] = {0, 0};   // moves until one throws, and those that live
            try {
                promise<hard_to_move> p;
                future<hard_to_move> f = p.get_future();
                CHECK(p.set(hard_to_move(counts)).ok());
                counts[0] = fuse;
                auto won = wait_any(f);
                REQUIRE(won.ok());
                which<future<hard_to_move>&> kept(std::move(*won));
                *won = std::move(kept);
                CHECK(won->get<0>().ok());
                through = true;
            } catch (int) {}
            CHECK_EQ(counts[1], 0);
        }
    });
    CHECK(r.ok());
}
#endif
