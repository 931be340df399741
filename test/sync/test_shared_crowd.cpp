// Crowds at the sources of several threads: many waiters, of whom half give up, and nothing is lost or doubled.
#include <algorithm>
#include <memory>

#include "shared_threads.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

namespace {
// The values below n, each seen once.
struct tally {
    explicit tally(int n) : seen(static_cast<std::size_t>(n)) {}
    void add(int v) { seen[static_cast<std::size_t>(v)].fetch_add(1, std::memory_order_relaxed); }
    bool each_once() const {
        return std::all_of(seen.begin(), seen.end(), [](auto const& n) { return n.load() == 1; });
    }
    std::vector<std::atomic<int>> seen;
};
}  // namespace

TEST_FOR(120, "1,000 tasks on two loops wait for values, half of them give up, and threads send: none is lost, none doubled") {
    constexpr int crowd = 500, rounds = 3;
    for (int round = 0; round != rounds; ++round) {
        constexpr int values = 2000;
        shared_channel<int> c(4);
        tally got(values);
        std::atomic<int> gave_up{0}, waiting{0};
        auto const loop_of_crowd = [&, round](unsigned which) {
            return [&, round, which] {
                harness::random r(harness::seed() + static_cast<unsigned>(round) * 2 + which);
                std::vector<task<void>> all;
                for (int i = 0; i != crowd; ++i)
                    all.push_back(spawn([&, how = i % 4] {
                        for (;;) {
                            int v = -1;
                            error why = errc::canceled;
                            if (how == 3) {
                                auto won = wait_any(c);
                                if (won.ok()) {
                                    auto item = won->template get<0>();
                                    if (item.ok()) v = *item;
                                    else why = item.error();
                                } else why = won.error();
                            } else {
                                auto item = how == 1 ? c.receive(in(200us)) : c.receive();
                                if (item.ok()) v = *item;
                                else why = item.error();
                            }
                            if (v >= 0) {
                                got.add(v);
                                continue;
                            }
                            if (why == error(errc::end_of_stream)) return;
                            ++gave_up;
                            if (how != 1) return;   // canceled
                        }
                    }));
                CHECK(sleep_for(1ms).ok());   // nothing comes yet: some give up
                ++waiting;
                // Those who wait without end, by and by: a quarter of the crowd and a little more.
                for (int i = 0; i != crowd / 2; ++i) {
                    std::size_t const at = r.below(all.size());
                    if (at % 4 == 0 || at % 4 == 3) all[at].cancel();
                    if (r.chance(20)) CHECK(sleep_for(50us).ok());
                }
                for (auto& t : all) CHECK(t.join().ok());
            };
        };
        thread_with_loop one(loop_of_crowd(0)), two(loop_of_crowd(1));
        std::thread plain([&] {
            for (;;) {
                auto item = c.receive(in(100us));
                if (item.ok()) got.add(*item);
                else if (item == errc::end_of_stream) return;
            }
        });
        spin_until([&] { return waiting == 2; });
        std::atomic<int> next{0};
        auto const sends = [&] {
            for (int v; (v = next++) < values;)
                for (result<void> sent = errc::timed_out; !sent;) {
                    sent = c.send(v, in(100us));
                    if (sent == errc::canceled) return;   // its loop has failed
                }
        };
        std::thread sender(sends);
        thread_with_loop sending_loop([&] {
            task_group g;
            for (int i = 0; i != 8; ++i) g.spawn(sends);
            CHECK(g.join().ok());
        });
        sender.join();
        sending_loop.join();
        c.close();
        plain.join();
        one.join();
        two.join();
        CHECK(got.each_once());
        CHECK(gave_up.load() > 0);
        CHECK(c.try_receive() == errc::end_of_stream);
    }
}

TEST_FOR(120, "waiters that give up pass their notices on: a patient one gets each value, without another try") {
    // The patient one waits without a deadline: a notice that is lost leaves it there for ever.
    shared_channel<int> c(1);
    constexpr int values = 3000;
    std::atomic<int> received{0};
    std::atomic<bool> over{false};
    auto const count = [&](result<int> const& r) { received += r.ok(); };
    thread_with_loop patient([&] {
        for (;;) {
            auto r = c.receive();
            if (!r) break;
            count(r);
        }
    });
    auto const hasty = [&] {
        harness::random r(harness::seed());
        while (!over) {
            if (r.chance(50)) {
                auto const got = c.receive(in(duration(r.below(60'000))));
                if (got == errc::canceled) return;   // its loop has failed
                count(got);
            } else {
                auto t = spawn([&] { count(c.receive()); });
                auto const paused = r.chance(50) ? sleep_for(duration(r.below(60'000))) : this_task::yield();
                t.cancel();
                CHECK(t.join().ok());
                if (!paused) return;
            }
        }
    };
    thread_with_loop h1(hasty), h2(hasty);
    for (int i = 0; i != values; ++i) REQUIRE(c.send(i, in(60s)).ok());
    over = true;
    c.close();
    patient.join();
    h1.join();
    h2.join();
    CHECK_EQ(received.load(), values);
}

TEST_FOR(120, "wait_all() for two shared channels on two loops takes pairs, and what is left over stays in the channels") {
    shared_channel<int> a(8), b(8);
    constexpr int pairs = 500;
    std::atomic<int> taken{0};
    auto const pairing = [&](bool turned) {
        return [&, turned] {
            task_group g;
            for (int i = 0; i != 4; ++i)
                g.spawn([&, turned] {
                    for (;;) {
                        auto both = turned ? wait_all(b, a) : wait_all(a, b);
                        REQUIRE(both.ok());
                        bool const x = std::get<0>(*both).ok(), y = std::get<1>(*both).ok();
                        CHECK(x == y);
                        if (!x) return;
                        ++taken;
                    }
                });
            CHECK(g.join().ok());
        };
    };
    thread_with_loop one(pairing(false)), two(pairing(true));
    std::thread sends_a([&] {
        for (int i = 0; i != pairs; ++i) CHECK(a.send(i).ok());
    });
    for (int i = 0; i != pairs; ++i) CHECK(b.send(i).ok());
    sends_a.join();
    spin_until([&] { return taken == pairs; });
    a.close();
    b.close();
    one.join();
    two.join();
    CHECK_EQ(taken.load(), pairs);
}

TEST_FOR(120, "a shared event is set and cleared while 1,000 waiters on two loops come and give up: each wait ends") {
    shared_event e;
    std::atomic<int> ended{0}, left{2};
    auto const crowd = [&] {
        task_group g;
        for (int i = 0; i != 500; ++i)
            g.spawn([&, i] {
                for (int n = 0; n != 5; ++n) {
                    auto const r = i % 2 ? e.wait(in(100us)) : e.wait();
                    CHECK(r.ok() || (i % 2 && r == errc::timed_out));
                    ++ended;
                }
            });
        CHECK(g.join().ok());
        --left;
    };
    thread_with_loop one(crowd), two(crowd);
    while (left != 0) {
        e.set();
        e.clear();
        std::this_thread::yield();
    }
    one.join();
    two.join();
    CHECK_EQ(ended.load(), 5000);
}
