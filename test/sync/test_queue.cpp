// Queues of work: their orders, their bound, and the knowledge that all is done.
#include <map>
#include <memory>
#include <set>

#include "virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

TEST("a queue gives out the first that came, a last-in queue the last, a priority queue the smallest, equal ones in order") {
    queue<int> q(8);
    lifo_queue<int> l(8);
    priority_queue<int, std::greater<int>> g(8);
    struct named {
        int rank;
        char name;
        bool operator<(named const& other) const { return rank < other.rank; }
    };
    priority_queue<named> p(8);
    for (int i = 0; i != 8; ++i) {
        CHECK(q.try_push(i).ok());
        CHECK(l.try_push(i).ok());
        CHECK(g.try_push((i * 5) % 8).ok());
        CHECK(p.try_push({i % 3, static_cast<char>('a' + i)}).ok());
    }
    CHECK(q.full() && q.try_push(9) == errc::full);
    std::string seen;
    for (int i = 0; i != 8; ++i) {
        CHECK_EQ(q.try_take().value_or(-1), i);
        CHECK_EQ(l.try_take().value_or(-1), 7 - i);
        CHECK_EQ(g.try_take().value_or(-1), 7 - i);
        seen += p.try_take()->name;
    }
    CHECK_EQ(std::string_view(seen), "adgbehcf");
    CHECK(q.empty() && q.try_take() == errc::would_wait);
}

TEST("who waits for room or for an item is served in the order they came, and nobody slips in between") {
    auto r = run_virtually([]() -> result<void> {
        queue<int> q(1);
        std::string seen;
        task_group g;
        for (int i = 0; i != 4; ++i) g.spawn([&, i] {
            auto item = q.take();
            seen += static_cast<char>('a' + i);
            seen += static_cast<char>('0' + item.value_or(9));
        });
        settle();
        for (int i = 0; i != 4; ++i) CHECK(q.try_push(int(i)).ok());   // each goes straight to a taker
        CHECK(q.empty());
        CHECK(q.try_take() == errc::would_wait);
        CHECK(g.join().ok());
        CHECK_EQ(std::string_view(seen), "a0b1c2d3");
        for (int i = 0; i != 4; ++i) g.spawn([&, i] { CHECK(q.push(i).ok()); });
        settle();
        for (int i = 0; i != 4; ++i) {
            CHECK_EQ(q.try_take().value_or(-1), i);
            CHECK_EQ(q.full(), i != 3);   // the room is the next pusher's at once
            CHECK(i == 3 || q.try_push(9) == errc::full);
        }
        return g.join();
    });
    CHECK(r.ok());
}

TEST("join comes back when every item that was put in is done, and no item is done twice") {
    auto r = run_virtually([]() -> result<void> {
        queue<int> q(2);
        CHECK(q.join(in(0s)).ok());
        CHECK(q.task_done() == errc::wrong_state);
        int worked = 0;
        task_group g;
        for (int i = 0; i != 3; ++i) g.spawn([&] {
            while (auto item = q.take()) {
                static_cast<void>(sleep_for(std::chrono::milliseconds(*item)));
                ++worked;
                CHECK(q.task_done().ok());
            }
        });
        for (int i = 1; i != 21; ++i) CHECK(q.push(i).ok());
        CHECK(q.join(in(0s)) == errc::timed_out);
        CHECK(q.join().ok());
        CHECK_EQ(worked, 20);
        CHECK(q.task_done() == errc::wrong_state);
        q.close();
        return g.join();
    });
    CHECK(r.ok());
}

TEST("a closed queue gives what is left, then its end; who waits is told, and so is who waits when it dies") {
    auto r = run_virtually([]() -> result<void> {
        queue<std::unique_ptr<int>> q(1);
        CHECK(q.try_push(std::make_unique<int>(1)).ok());
        auto pusher = spawn([&] { return q.push(std::make_unique<int>(2)); });
        settle();
        q.close();
        CHECK(pusher.get() == errc::closed);
        CHECK(q.try_push(nullptr) == errc::closed);
        CHECK(q.push(nullptr) == errc::closed);
        CHECK_EQ(**q.take(), 1);
        CHECK(q.take() == errc::end_of_stream);
        auto dies = std::make_unique<queue<int>>(1U);
        auto taker = spawn([&]() -> result<void> {
            SPRUCE_CHECK(dies->take());
            return {};
        });
        settle();
        dies.reset();
        CHECK(taker.get() == errc::closed);
        auto other = std::make_unique<queue<int>>(1U);
        CHECK(other->try_push(1).ok());
        auto joiner = spawn([&] { return other->join(); });
        auto full = spawn([&] { return other->push(2); });
        settle();
        other.reset();
        CHECK(joiner.get() == errc::closed);
        CHECK(full.get() == errc::closed);
        return {};
    });
    CHECK(r.ok());
}

TEST("a queue without a bound's worth of room says so at every call") {
    queue<int> none(0);
    CHECK(none.try_push(1) == errc::invalid_argument);
    CHECK(none.try_take() == errc::invalid_argument);
    CHECK(none.join() == errc::invalid_argument);
    queue<int> huge(static_cast<std::size_t>(-1));
    CHECK(huge.try_push(1) == errc::no_memory);
    CHECK(huge.try_take() == errc::no_memory);
}

TEST_FOR(60, "a thousand who push, take and give up at random: no item lost or doubled, in each order") {
    auto r = run_virtually([]() -> result<void> {
        auto campaign = [](auto& q, std::uint64_t seed) {
            harness::random random(seed);
            std::multiset<int> in_, out;
            std::vector<task<void>> all;
            task_group g;
            for (int i = 0; i != 1000; ++i) {
                deadline const dl = random.chance(40) ? in(milliseconds_below(random, 20)) : never();
                if (random.chance(50)) all.push_back(g.spawn([&, i, dl] {
                    if (q.push(i % 50, dl)) in_.insert(i % 50);
                }));
                else all.push_back(g.spawn([&, dl] {
                    auto item = q.take(dl);
                    if (!item) return;
                    out.insert(*item);
                    CHECK(q.task_done().ok());
                }));
                if (random.chance(20)) all[random.below(all.size())].cancel();
                if (random.chance(10)) static_cast<void>(sleep_for(milliseconds_below(random, 5)));
            }
            settle();
            g.cancel();
            CHECK(g.join().ok());
            while (auto item = q.try_take()) {
                out.insert(*item);
                CHECK(q.task_done().ok());
            }
            CHECK(in_ == out);
            CHECK(out.size() > 100);
            CHECK(q.join(in(0s)).ok());
        };
        harness::random seeds(harness::seed());
        for (int round = 0; round != (harness::nightly() ? 200 : 4); ++round) {
            queue<int> q(5);
            lifo_queue<int> l(5);
            priority_queue<int> p(5);
            campaign(q, seeds.next());
            campaign(l, seeds.next());
            campaign(p, seeds.next());
        }
        return {};
    });
    CHECK(r.ok());
}

TEST("a priority queue agrees with a sorted map, whatever is pushed and taken") {
    harness::random random(harness::seed());
    priority_queue<std::pair<int, int>, decltype([](auto const& a, auto const& b) { return a.first < b.first; })> q(100);
    std::multimap<int, int> model;
    for (int i = 0; i != 20'000; ++i) {
        if (random.chance(52) && model.size() < 100) {
            int const rank = static_cast<int>(random.below(20));
            CHECK(q.try_push({rank, i}).ok());
            model.emplace(rank, i);
        } else if (!model.empty()) {
            auto const item = q.try_take();
            CHECK(item.ok() && item->first == model.begin()->first && item->second == model.begin()->second);
            model.erase(model.begin());
        }
        CHECK_EQ(q.size(), model.size());
    }
}
