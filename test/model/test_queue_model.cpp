// The queues against a simple model of what lies in them and who waits: items in each order, knowledge that all is done,
// deadlines, cancels, the end of a queue, at random.
#include <algorithm>
#include <deque>

#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
constexpr int ranks = 7;
struct by_rank {
    bool operator()(int a, int b) const noexcept { return a % ranks < b % ranks; }
};

enum class kind { push, take, join };
struct call : followed {
    kind what{};
    int value = 0, got = 0;
};

// What a queue should do.
class model {
public:
    enum class order { first, last, smallest };
    model(order o, std::size_t bound) : order_(o), bound_(bound) {}
    std::vector<std::unique_ptr<call>> calls;   // in the order in which they came
    std::deque<int> items;
    std::size_t in_hand = 0;
    bool closed = false;
    long passed = 0, joined = 0, expired = 0, canceled = 0, ended = 0;

    void push(int value, errc& how) {
        how = closed ? errc::closed : errc{};
        if (closed) return;
        if (call* const w = first(kind::take)) {
            w->value = value;
            w->ends({}, passed);
            ++in_hand;
        } else if (items.size() < bound_) {
            put(value);
        } else {
            how = errc::full;
        }
    }
    void take(int& value, errc& how) {
        how = !items.empty() ? errc{} : closed ? errc::end_of_stream : errc::would_wait;
        if (items.empty()) return;
        auto const at = next();
        value = *at;
        items.erase(at);
        ++in_hand;
        ++passed;
        if (call* const w = first(kind::push)) {
            put(w->value);
            w->ends({}, passed);
        }
    }
    errc done() {
        if (in_hand == 0) return errc::wrong_state;
        if (--in_hand == 0 && items.empty())
            while (call* const w = first(kind::join)) w->ends({}, joined);
        return {};
    }
    void close() {
        closed = true;
        while (call* const w = first(kind::push)) w->ends(errc::closed, ended);
        while (call* const w = first(kind::take)) w->ends(errc::end_of_stream, ended);
    }
    void destroy() {
        for (auto& w : calls)
            if (w->waits) w->ends(errc::closed, ended);
        items.clear();
        in_hand = 0;
        closed = false;
    }
    // Begins a call: what it ends with at once, or that it waits.
    void begin(call& c, time_point now) {
        errc how{};
        if (c.what == kind::push) push(c.value, how);
        else if (c.what == kind::take) take(c.value, how);
        else if (in_hand != 0 || !items.empty()) how = errc::would_wait;
        c.waits = how == errc::full || how == errc::would_wait;
        c.expected = how;
        if (c.waits && c.due <= now) c.waits = false, c.expected = errc::timed_out;
    }

private:
    call* first(kind what) {
        for (auto& c : calls)
            if (c->waits && c->what == what) return c.get();
        return nullptr;
    }
    void put(int value) { items.push_back(value); }
    std::deque<int>::iterator next() {
        if (order_ == order::first) return items.begin();
        if (order_ == order::last) return items.end() - 1;
        return std::min_element(items.begin(), items.end(), by_rank());   // of equal ones the first that came
    }
    order order_;
    std::size_t bound_;
};

template <class Queue> result<void> follow_model(harness::random& random, model::order order) {
    constexpr std::size_t bound = 4;
    auto q = std::make_unique<Queue>(bound);
    model m(order, bound);
    model_time time(random);
    int next = 0;
    auto check = [&] {
        settle();
        for (auto& c : m.calls) {
            CHECK_EQ(c->done, !c->waits);
            if (!c->done) continue;
            CHECK_EQ(c->ended, c->expected);
            if (c->what == kind::take && c->ended == errc{}) CHECK_EQ(c->got, c->value);
        }
        std::erase_if(m.calls, [](auto& c) { return c->done; });
    };
    for (long step = 0; step != model_steps(); ++step) {
        switch (random.below(10)) {
        case 0:
        case 1:
        case 2:
        case 3: {
            if (m.calls.size() > 30) break;
            auto made = std::make_unique<call>();
            call& c = *made;
            c.what = random.chance(15) ? kind::join : random.chance(50) ? kind::push : kind::take;
            c.value = next++;
            deadline const dl = time.draw(c);
            c.handle = spawn([&q = *q, &c, dl, mine = c.value] {
                if (c.what == kind::push) {
                    c.ended = ending_of(q.push(mine, dl));
                } else if (c.what == kind::join) {
                    c.ended = ending_of(q.join(dl));
                } else {
                    auto const got = q.take(dl);
                    c.ended = ending_of(got);
                    c.got = got.value_or(-1);
                }
                c.done = true;
            });
            m.begin(c, time.moment());
            m.calls.push_back(std::move(made));
            CHECK(yield().ok());
            break;
        }
        case 4: {
            errc how{};
            m.push(next, how);
            CHECK_EQ(ending_of(q->try_push(next++)), how);
            break;
        }
        case 5: {
            errc how{};
            int value = -1;
            m.take(value, how);
            auto const got = q->try_take();
            CHECK_EQ(ending_of(got), how);
            CHECK_EQ(got.value_or(-1), value);
            break;
        }
        case 6:
        case 7:
            CHECK_EQ(ending_of(q->task_done()), m.done());
            break;
        case 8:
            cancel_one(random, m.calls, m.canceled);
            break;
        default:
            if (random.chance(3)) {
                q->close();
                m.close();
            } else if (random.chance(m.closed ? 30 : 2)) {
                settle(1);   // those that were woken may not have run
                q.reset();
                m.destroy();
                check();     // before another one lies there
                q = std::make_unique<Queue>(bound);
            } else {
                time.pass();
                expire(m.calls, time.moment(), m.expired);
            }
            break;
        }
        CHECK_EQ(q->size(), m.items.size());
        CHECK_EQ(q->full(), m.items.size() == bound);
        if (random.chance(50)) check();   // else more in the same turn
    }
    // Joins are rare: about 95 in 50,000 steps, give or take 10.
    CHECK(m.passed > 1'000 && m.joined > 40 && m.expired > 300 && m.canceled > 100 && m.ended > 100);
    for (auto& c : m.calls) c->handle.cancel();
    settle();
    return {};
}
}  // namespace

TEST_FOR(300, "a queue does what its model does: items, ends of work, deadlines, cancels, closes and its own end at random") {
    harness::random random(harness::seed());
    CHECK(run_virtually([&] { return follow_model<queue<int>>(random, model::order::first); }).ok());
}

TEST_FOR(300, "a queue that gives the last item first does what its model does") {
    harness::random random(harness::seed());
    CHECK(run_virtually([&] { return follow_model<lifo_queue<int>>(random, model::order::last); }).ok());
}

TEST_FOR(300, "a queue that gives the smallest item first, and equal ones as they came, does what its model does") {
    harness::random random(harness::seed());
    CHECK(run_virtually([&] { return follow_model<spruce::priority_queue<int, by_rank>>(random, model::order::smallest); }).ok());
}
