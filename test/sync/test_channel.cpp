#include <deque>

#include "virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
using box = std::unique_ptr<int>;
box boxed(int n) { return std::make_unique<int>(n); }
}  // namespace

TEST("a channel without room is a rendezvous: a sender goes on when its value is received, in the order they came") {
    auto r = run_virtually([]() -> result<void> {
        channel<box> c;
        std::string seen;
        task_group g;
        for (int i = 0; i != 3; ++i) g.spawn([&, i] {
            CHECK(c.send(boxed(i)).ok());
            seen += static_cast<char>('a' + i);
        });
        settle();
        CHECK_EQ(c.size(), 0U);
        CHECK(c.try_send(boxed(9)) == errc::full);
        for (int i = 0; i != 3; ++i) {
            CHECK_EQ(seen.size(), static_cast<std::size_t>(i));
            auto got = i == 2 ? c.try_receive() : c.receive();
            REQUIRE(got.ok());
            CHECK_EQ(**got, i);
            settle();
        }
        REQUIRE(g.join().ok());
        CHECK_EQ(std::string_view(seen), "abc");
        CHECK(c.try_receive() == errc::would_wait);
        return {};
    });
    CHECK(r.ok());
}

TEST("a value goes straight to the receiver that waits longest, and nobody slips in between") {
    auto r = run_virtually([]() -> result<void> {
        channel<int> c(1);
        std::string seen;
        task_group g;
        for (char who = 'a'; who != 'd'; ++who) g.spawn([&, who] {
            auto got = c.receive();
            REQUIRE(got.ok());
            seen += who;
            seen += static_cast<char>('0' + *got);
        });
        settle();
        for (int i = 1; i != 4; ++i) CHECK(c.try_send(std::move(i)).ok());
        CHECK_EQ(c.size(), 0U);
        CHECK(c.try_receive() == errc::would_wait);
        REQUIRE(g.join().ok());
        CHECK_EQ(std::string_view(seen), "a1b2c3");
        return {};
    });
    CHECK(r.ok());
}

TEST("a channel with room keeps so many, allocates nothing after it is made, and serves plain code that need not wait") {
    channel<box> c(2);
    std::uint64_t const before = (harness::refused_allocations().calls = 0);
    CHECK(c.send(boxed(1)).ok());
    CHECK(c.try_send(boxed(2)).ok());
    box third = boxed(3);
    CHECK(c.try_send(std::move(third)) == errc::full);
    CHECK(c.send(std::move(third)) == errc::not_in_task);
    REQUIRE(third != nullptr);   // still ours
    CHECK_EQ(c.size(), 2U);
    CHECK_EQ(**c.receive(), 1);
    CHECK(c.send(std::move(third)).ok());
    CHECK_EQ(**c.try_receive(), 2);
    CHECK_EQ(**c.try_receive(), 3);
    CHECK(c.receive() == errc::not_in_task);
    CHECK(c.send(boxed(4)).ok());   // dies with it
    CHECK_EQ(harness::refused_allocations().calls, before);
}

TEST("after close() what is left is received, then end_of_stream; senders get closed and keep their values") {
    auto r = run_virtually([]() -> result<void> {
        channel<box> c(1);
        CHECK(c.send(boxed(1)).ok());
        box mine = boxed(2);
        result<void> sent;
        auto t = spawn([&] { sent = c.send(std::move(mine)); });
        settle();
        c.close();
        c.close();
        REQUIRE(t.join().ok());
        CHECK(sent == errc::closed);
        CHECK(mine != nullptr);
        CHECK(c.try_send(boxed(3)) == errc::closed);
        CHECK_EQ(**c.receive(), 1);
        CHECK(c.receive() == errc::end_of_stream);
        CHECK(c.try_receive() == errc::end_of_stream);
        channel<int> empty;
        auto u = spawn([&] { return empty.receive(); });
        settle();
        empty.close();
        CHECK(u.get() == errc::end_of_stream);
        return {};
    });
    CHECK(r.ok());
}

TEST("a range-for receives until the channel is closed, or its task is canceled") {
    auto r = run_virtually([]() -> result<void> {
        channel<int> c;
        int sum = 0;
        auto t = spawn([&] {
            for (int& n : c) sum += n;
        });
        for (int n : {1, 2, 3}) CHECK(c.send(n).ok());
        c.close();
        REQUIRE(t.join().ok());
        CHECK_EQ(sum, 6);
        channel<box> other(3);
        auto u = spawn([&] {
            for (box& b : other) sum += *b;
        });
        CHECK(other.send(boxed(4)).ok());
        settle();
        u.cancel();
        REQUIRE(u.join().ok());
        CHECK_EQ(sum, 10);
        return {};
    });
    CHECK(r.ok());
}

TEST("an error sent is the error of one receive(), and the channel goes on") {
    auto r = run_virtually([]() -> result<void> {
        channel<int> c(1);
        CHECK(c.send_error(errc::too_long).ok());
        auto t = spawn([&] {
            CHECK(c.send_error(errc::end_of_stream).ok());
            CHECK(c.send(7).ok());
        });
        settle();
        CHECK(c.receive() == errc::too_long);
        CHECK(c.receive() == errc::end_of_stream);
        CHECK_EQ(*c.receive(), 7);
        auto u = spawn([&] { return c.receive(); });
        settle();
        CHECK(c.send_error(errc::full).ok());
        CHECK(u.get() == errc::full);
        REQUIRE(t.join().ok());
        return {};
    });
    CHECK(r.ok());
}

TEST("who waits at a channel can be canceled or time out: no value is lost, and a completed wait is not undone") {
    auto r = run_virtually([]() -> result<void> {
        channel<box> c;
        box mine = boxed(1), yours = boxed(2);
        CHECK(c.send(std::move(mine), in(5ms)) == errc::timed_out);
        CHECK(c.send(std::move(mine), in(0s)) == errc::timed_out);
        CHECK(c.receive(in(5ms)) == errc::timed_out);
        result<void> sent;
        auto t = spawn([&] { sent = c.send(std::move(yours)); });
        settle();
        t.cancel();
        CHECK(c.try_receive() == errc::would_wait);
        REQUIRE(t.join().ok());
        CHECK(sent == errc::canceled);
        CHECK(mine && yours);
        result<box> got = errc::full;
        auto lost = spawn([&] { CHECK(c.receive() == errc::canceled); });
        auto kept = spawn([&] {
            got = c.receive();
            CHECK(c.send(boxed(3)) == errc::canceled);
        });
        settle();
        lost.cancel();
        CHECK(c.try_send(std::move(mine)).ok());
        kept.cancel();   // it has its value, and has not run yet
        REQUIRE(kept.join().ok());
        CHECK(got.ok() && **got == 1);
        auto giver = spawn([&] { sent = c.send(std::move(yours)); });
        settle();
        CHECK_EQ(**c.receive(), 2);
        giver.cancel();
        REQUIRE(giver.join().ok());
        CHECK(sent.ok());
        return {};
    });
    CHECK(r.ok());
}

TEST("a channel that dies wakes its waiters with closed; without memory for its room it says so") {
    auto r = run_virtually([]() -> result<void> {
        auto c = std::make_unique<channel<box>>();
        auto a = spawn([&] { return c->receive().ok() ? result<void>() : result<void>(errc::closed); });
        settle();
        c.reset();
        CHECK(a.get() == errc::closed);
        auto d = std::make_unique<channel<box>>(1);
        CHECK(d->send(boxed(1)).ok());
        box mine = boxed(2);
        auto b = spawn([&] { return d->send(std::move(mine)); });
        settle();
        d.reset();
        CHECK(b.get() == errc::closed);
        CHECK(mine != nullptr);
        return {};
    });
    CHECK(r.ok());
    channel<int> huge(static_cast<std::size_t>(-1) / 8);
    CHECK(huge.try_send(1) == errc::no_memory);
    CHECK(huge.receive() == errc::no_memory);
}

TEST_FOR(60, "of a thousand senders and receivers half give up at random, and no value is lost, doubled or out of order") {
    harness::random random(harness::seed());
    for (int round = 0; round != (harness::nightly() ? 200 : 6); ++round) {
        auto r = run_virtually([&]() -> result<void> {
            constexpr int crowd = 500;
            channel<box> c(static_cast<std::size_t>(round) % 3);
            std::vector<int> sent(crowd), received(crowd);
            int passed = 0, gave_up = 0;
            std::vector<task<void>> tasks;
            auto patience = [&] { return random.chance(25) ? in(milliseconds_below(random, 100)) : deadline(); };
            for (int i = 0; i != crowd; ++i) {
                tasks.push_back(spawn([&, i] {
                    static_cast<void>(sleep_for(milliseconds_below(random, 200)));   // who is canceled here finds out at the next wait
                    box mine = boxed(i);
                    auto const done = c.send(std::move(mine), patience());
                    CHECK_EQ(done.ok(), mine == nullptr);
                    if (done) sent[static_cast<std::size_t>(i)] = 1;
                    else ++gave_up;
                }));
                tasks.push_back(spawn([&] {
                    static_cast<void>(sleep_for(milliseconds_below(random, 200)));   // who is canceled here finds out at the next wait
                    auto const got = c.receive(patience());
                    if (got) ++received[static_cast<std::size_t>(**got)], ++passed;
                    else ++gave_up;
                }));
            }
            settle();
            for (int i = 0; i != crowd / 2; ++i) {
                tasks[random.below(2 * crowd)].cancel();
                if (random.chance(50)) CHECK(sleep_for(1ms).ok());
            }
            CHECK(sleep_for(1s).ok());
            c.close();
            for (auto& t : tasks) REQUIRE(t.join().ok());
            while (auto left = c.receive()) ++received[static_cast<std::size_t>(**left)];
            CHECK(sent == received);
            CHECK(passed > 50 && gave_up > 50);
            return {};
        });
        CHECK(r.ok());
    }
}

namespace {
// Senders and receivers at random, against two lines and a queue.
result<void> follow_model(harness::random& random, std::size_t capacity) {
    struct call : followed {
        bool sends = false;
        int value = -1, told = -1;
        box mine;
    };
    channel<box> c(capacity);
    std::deque<int> kept;
    std::deque<std::unique_ptr<call>> calls;   // in the order in which they came
    model_time time(random);
    int next = 0;
    long passed = 0, expired = 0, canceled = 0;
    auto first = [&](bool sends) -> call* {
        for (auto& w : calls)
            if (w->waits && w->sends == sends) return w.get();
        return nullptr;
    };
    auto ends = [&](call& w, errc how) { w.waits = false, w.expected = how; };
    auto model_sends = [&](int value) {
        if (call* const to = first(false)) return to->value = value, ends(*to, errc{}), true;
        if (kept.size() == capacity) return false;
        kept.push_back(value);
        return true;
    };
    auto model_receives = [&](int* value) {
        call* const from = first(true);
        if (kept.empty() && !from) return false;
        if (from) kept.push_back(from->value), ends(*from, errc{});
        *value = kept.front();
        kept.pop_front();
        return ++passed, true;
    };
    for (long step = 0; step != model_steps(); ++step) {
        switch (random.below(9)) {
        case 0:
        case 1:
        case 2:
        case 3: {
            if (calls.size() > 30) break;
            auto made = std::make_unique<call>();
            call& w = *made;
            w.sends = random.chance(50);
            deadline const dl = time.draw(w);
            if (w.sends) w.mine = boxed(w.value = next++);
            w.handle = spawn([&c, &w, dl] {
                if (w.sends) {
                    w.ended = ending_of(c.send(std::move(w.mine), dl));
                    CHECK_EQ(w.ended == errc{}, w.mine == nullptr);
                } else {
                    auto const got = c.receive(dl);
                    w.ended = ending_of(got);
                    if (got) w.told = **got;
                }
                w.done = true;
            });
            if (w.sends ? model_sends(w.value) : model_receives(&w.value)) w.expected = errc{};
            else if (w.due <= time.moment()) w.expected = errc::timed_out;
            else w.waits = true;
            calls.push_back(std::move(made));
            CHECK(yield().ok());
            break;
        }
        case 4: {
            box mine = boxed(next);
            bool const goes = model_sends(next++);
            CHECK_EQ(c.try_send(std::move(mine)).ok(), goes);
            CHECK_EQ(mine == nullptr, goes);
            break;
        }
        case 5: {
            int value = -1;
            auto const got = c.try_receive();
            CHECK_EQ(got.ok(), model_receives(&value));
            if (got) CHECK_EQ(**got, value);
            break;
        }
        case 6: {
            if (calls.empty()) break;
            auto& w = *calls[random.below(calls.size())];
            w.handle.cancel();
            if (w.waits) ends(w, errc::canceled), ++canceled;
            break;
        }
        default:
            time.pass();
            for (auto& w : calls)
                if (w->waits && w->due <= time.moment()) ends(*w, errc::timed_out), ++expired;
            break;
        }
        CHECK_EQ(c.size(), kept.size());
        if (random.chance(50)) continue;   // more in the same turn
        settle();
        for (auto i = calls.begin(); i != calls.end();) {
            call& w = **i;
            CHECK_EQ(w.done, !w.waits);
            if (w.done) CHECK(w.ended == w.expected);
            if (w.done && w.ended == errc{} && !w.sends) CHECK_EQ(w.told, w.value);
            if (w.done) i = calls.erase(i);
            else ++i;
        }
    }
    CHECK(passed > 1'000 && expired > 300 && canceled > 100);
    for (auto& w : calls) w->handle.cancel();
    settle();
    return {};
}
}  // namespace

TEST_FOR(300, "a channel does what its model does: values, deadlines and cancels at random, with and without room") {
    harness::random random(harness::seed());
    for (std::size_t capacity : {0U, 1U, 5U})
        CHECK(run_virtually([&] { return follow_model(random, capacity); }).ok());
}

TEST("a channel may be destroyed right after close(), or later: who waits for it among others does not look at it any more") {
    auto r = run_virtually([] {
        auto c = std::make_unique<channel<int>>(1);
        event other;
        auto any = spawn([&] {
            auto won = wait_any(*c, in(1s));
            REQUIRE(won.ok());
            CHECK_EQ(ending_of(won->get<0>()), errc::closed);
        });
        auto all = spawn([&] {
            auto both = wait_all(*c, other, in(1s));
            REQUIRE(both.ok());
            CHECK_EQ(ending_of(std::get<0>(*both)), errc::closed);
        });
        settle();
        c->close();
        c.reset();
        settle();
        CHECK(any.done());
        other.set();
        REQUIRE(any.join().ok() && all.join().ok());
    });
    CHECK(r.ok());
}

TEST("an error sent through a channel ends a range-for, and status() tells it; the next range-for goes on behind it") {
    auto r = run_virtually([]() -> result<void> {
        for (std::size_t const capacity : {0u, 4u}) {
            channel<int> c(capacity);
            auto sender = spawn([&]() -> result<void> {
                SPRUCE_CHECK(c.send(1));
                SPRUCE_CHECK(c.send_error(errc::broken));
                SPRUCE_CHECK(c.send(2));
                c.close();
                return {};
            });
            int sum = 0;
            for (int n : c) sum += n;
            CHECK_EQ(sum, 1);
            CHECK_EQ(ending_of(c.status()), errc::broken);
            for (int n : c) sum += n;
            CHECK_EQ(sum, 3);
            CHECK(c.status().ok());
            CHECK(sender.get().ok());
        }
        return {};
    });
    CHECK(r.ok());
}

TEST("a range-for over a channel that dies meanwhile ends, whoever waits and whoever has been given an error") {
    auto r = run_virtually([]() -> result<void> {
        for (bool const sends : {false, true}) {
            auto c = std::make_unique<channel<int>>();
            auto receiver = spawn([&] {
                int n = 0;
                for (int value : *c) n += value, c.reset();
                return n;
            });
            settle();
            CHECK(c->try_send(1).ok());
            settle();
            CHECK_EQ(receiver.get().value_or(0), 1);
            c = std::make_unique<channel<int>>();
            auto waiter = spawn([&] { for (int value : *c) static_cast<void>(value); });
            settle();
            if (sends) CHECK(c->send_error(errc::broken).ok());
            c.reset();
            CHECK(waiter.join().ok());
        }
        return {};
    });
    CHECK(r.ok());
}
