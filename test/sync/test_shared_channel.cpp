// Channels between threads: what is sent is received once, whoever waits, gives up, or dies meanwhile.
#include <memory>
#include <string>

#include "../../src/sync/shared_wait.hpp"
#include "shared_threads.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

namespace {
// Whether it comes to hold, in the loop's next turns: how many that takes is the machine's load.
template <class F> bool comes(F&& holds) {
    for (int i = 0; i != 10'000 && !holds(); ++i) CHECK(sleep_for(1ms).ok());
    return holds();
}
}  // namespace

TEST("a value goes through a shared channel from a thread to a task and back, in the order of sending, and none is copied") {
    shared_channel<std::unique_ptr<int>> there(2), back(2);
    thread_with_loop echo([&] {
        for (auto& v : there) CHECK(back.send(std::move(v)).ok());
        REQUIRE(there.receive() == errc::end_of_stream);   // else the sender waits for room
        back.close();
    });
    std::thread sender([&] {
        for (int i = 0; i != 1000; ++i) CHECK(there.send(std::make_unique<int>(i)).ok());
        there.close();
    });
    int next = 0;
    for (auto& v : back) CHECK_EQ(*v, next++);
    CHECK_EQ(next, 1000);
    CHECK(back.receive() == errc::end_of_stream);
    sender.join();
}

TEST("try_ calls of a shared channel never wait: full, would_wait, and after close() closed and end_of_stream") {
    shared_channel<int> c(1);
    CHECK(c.try_receive() == errc::would_wait);
    CHECK(c.try_send(1).ok());
    CHECK(c.try_send(2) == errc::full);
    c.close();
    CHECK(c.try_send(3) == errc::closed);
    CHECK(c.send(3) == errc::closed);
    CHECK_EQ(*c.try_receive(), 1);
    CHECK(c.try_receive() == errc::end_of_stream);
}

TEST("a shared channel without room answers every call with invalid_argument, one for which there is no memory with no_memory") {
    shared_channel<int> none(0);
    CHECK(none.send(1) == errc::invalid_argument);
    CHECK(none.try_receive() == errc::invalid_argument);
    shared_channel<int> huge(static_cast<std::size_t>(-1) / 2);
    CHECK(huge.try_send(1) == errc::no_memory);
    CHECK(huge.receive() == errc::no_memory);
    huge.close();
    std::uint64_t const before = harness::refused_allocations().calls;
    for (std::uint64_t n = 1; n != 3; ++n) {
        harness::refused_allocations() = {0, n};
        shared_channel<int> refused(4);
        harness::refused_allocations() = {before, 0};
        CHECK(refused.try_send(1) == errc::no_memory);
    }
}

TEST("a wait that finds no memory for its note fails with no_memory, and the channel goes on") {
    shared_channel<int> c(1);
    bool done = false;
    world w;
    loop l(w.options());
    spawn([&] {
        harness::refused_allocations() = {0, 1};
        CHECK(c.receive() == errc::no_memory);
        harness::refused_allocations() = {0, 1};
        CHECK(wait_any(c) == errc::no_memory);
        harness::refused_allocations() = {0, 0};
        CHECK(c.send(1).ok());
        CHECK_EQ(*c.receive(), 1);
        done = true;
    });
    CHECK(l.run().ok());
    CHECK(done);
}

TEST("a deadline ends a wait of a shared channel with timed_out; one that has passed tries once; a failed send keeps the value") {
    in_both([](bool) {
        shared_channel<std::unique_ptr<int>> c(1);
        time_point const begun = loop_clock::now();
        CHECK(c.receive(in(20ms)) == errc::timed_out);
        CHECK(loop_clock::now() - begun >= 20ms);
        CHECK(c.receive(at(begun + 30ms)) == errc::timed_out);
        CHECK(loop_clock::now() - begun >= 30ms);
        CHECK(c.send(std::make_unique<int>(1), in(0s)).ok());
        auto kept = std::make_unique<int>(2);
        CHECK(c.send(std::move(kept), in(1ms)) == errc::timed_out);
        CHECK(kept != nullptr);
        CHECK_EQ(**c.receive(in(0s)), 1);
        CHECK(c.receive(in(0s)) == errc::timed_out);
    });
}

TEST("plain code on a thread with a loop gets not_in_task where a shared source would have to wait, and what is there else") {
    world w;
    loop l(w.options());
    REQUIRE(l.status().ok());
    shared_channel<int> c(1);
    CHECK(c.receive() == errc::not_in_task);
    CHECK(c.send(1).ok());
    CHECK(c.send(2, in(1s)) == errc::not_in_task);
    CHECK_EQ(*c.receive(), 1);
    CHECK(wait_any(c) == errc::not_in_task);
    CHECK(c.send(3).ok());
    auto got = wait_any(c);
    REQUIRE(got.ok());
    CHECK_EQ(*got->get<0>(), 3);
}

TEST("a canceled task gets canceled from a shared channel, also where it would not have to wait, and takes nothing") {
    shared_channel<int> c(1);
    world w;
    loop l(w.options());
    auto waits = spawn([&] { CHECK(c.receive() == errc::canceled); });
    spawn([&] {
        waits.cancel();
        CHECK(waits.join().ok());
        CHECK(c.try_send(1).ok());
        auto late = spawn([&] {
            static_cast<void>(this_task::yield());
            CHECK(c.receive() == errc::canceled);
        });
        CHECK(this_task::yield().ok());
        late.cancel();
        CHECK(late.join().ok());
        CHECK_EQ(*c.try_receive(), 1);
    });
    CHECK(l.run().ok());
}

TEST("who was woken for a value and is canceled before its loop has heard of it passes it on to the next") {
    shared_channel<int> c(4);
    bool second_got = false;
    errc first{};
    world w;
    loop l(w.options());
    auto one = spawn([&] {
        auto const got = c.receive();
        first = got.ok() ? errc{} : static_cast<errc>(got.error().code());
    });
    spawn([&] {
        auto const got = c.receive();
        second_got = got.ok() && *got == 7;
    });
    spawn([&] {
        CHECK(c.try_send(7).ok());   // the notice is in the inbox
        one.cancel();
        CHECK(one.join().ok());
        CHECK(first == errc::canceled);
    });
    CHECK(l.run().ok());
    CHECK(second_got);
}

TEST("who was woken and finds that another was faster waits on, as the first, and can still be canceled") {
    shared_channel<int> c(4);
    std::string order;
    errc ended{};
    world w;
    loop l(w.options());
    auto first = spawn([&] {
        for (auto& v : c) order += static_cast<char>('a' + v);
        ended = static_cast<errc>(c.receive().error().code());
    });
    spawn([&] {
        auto got = c.receive();
        if (got.ok()) order += static_cast<char>('A' + *got);
    });
    spawn([&] {
        CHECK(c.try_send(0).ok());
        CHECK_EQ(*c.try_receive(), 0);
        CHECK(sleep_for(1ms).ok());               // the first was woken in vain
        CHECK_EQ(order, "");
        CHECK(c.try_send(1).ok());
        CHECK(sleep_for(1ms).ok());
        CHECK_EQ(order, "b");
        CHECK(c.try_send(2).ok());    // the second's turn
        CHECK(sleep_for(1ms).ok());
        CHECK_EQ(order, "bC");
        CHECK(c.try_send(3).ok());
        CHECK_EQ(*c.try_receive(), 3);
        REQUIRE(l.remote().call([&] { first.cancel(); }).ok());   // woken, canceled, and only then it runs
        CHECK(first.join(in(10s)).ok());
        CHECK(ended == errc::canceled);
    });
    CHECK(l.run().ok());
}

TEST("two who were woken in vain wait on in the order in which they came") {
    shared_channel<int> c(2);   // what tasks use outlives their loop
    std::string order;
    world w;
    loop l(w.options());
    for (char who : {'a', 'b', 'c'})
        spawn([&, who] {
            auto const got = c.receive();
            if (got.ok()) order += who;
        });
    spawn([&] {
        CHECK(c.try_send(0).ok());
        CHECK(c.try_send(1).ok());
        CHECK(c.try_receive().ok());
        CHECK(c.try_receive().ok());
        CHECK(sleep_for(1ms).ok());
        for (int i = 0; i != 3; ++i) {
            REQUIRE(c.try_send(int(i)).ok());
            int passes = 0;
            while (order.size() != static_cast<std::size_t>(i + 1)) REQUIRE(++passes != 1'000 && sleep_for(1ms).ok());
        }
        CHECK_EQ(order, "abc");
    });
    CHECK(l.run().ok());
}

TEST("close() of a shared channel wakes all: senders keep their values, receivers get what is left, then end_of_stream") {
    shared_channel<int> full(1), empty(1);
    CHECK(full.try_send(1).ok());
    std::atomic<int> closed{0}, ended{0}, begun{0};
    std::vector<std::thread> threads;
    std::vector<thread_with_loop> loops;
    auto const sends = [&] { ++begun; closed += full.send(2) == errc::closed; };
    auto const receives = [&] { ++begun; ended += empty.receive() == errc::end_of_stream; };
    for (int i = 0; i != 3; ++i) {
        threads.emplace_back(sends);
        threads.emplace_back(receives);
        loops.emplace_back(sends);
        loops.emplace_back(receives);
    }
    spin_until([&] { return begun == 12; });
    full.close();
    empty.close();
    for (auto& t : threads) t.join();
    loops.clear();
    CHECK_EQ(closed.load(), 6);
    CHECK_EQ(ended.load(), 6);
    CHECK_EQ(*full.receive(), 1);
    CHECK(full.receive() == errc::end_of_stream);
}

TEST("a shared channel that dies wakes those who wait with closed, and ends the values it keeps") {
    struct counted {
        explicit counted(std::atomic<int>& n) noexcept : count(&n) { ++*count; }
        counted(counted&& o) noexcept : count(std::exchange(o.count, nullptr)) {}
        ~counted() {
            if (count) --*count;
        }
        std::atomic<int>* count;
    };
    std::atomic<int> alive{0};
    auto full = std::make_unique<shared_channel<counted>>(2);
    auto empty = std::make_unique<shared_channel<counted>>(2);
    int closed = 0;
    world w;
    loop l(w.options());
    CHECK(full->try_send(counted(alive)).ok());
    CHECK(full->try_send(counted(alive)).ok());
    spawn([&] {
        counted third(alive);
        closed += full->send(std::move(third)) == errc::closed;
        CHECK(third.count != nullptr);
    });
    spawn([&] { closed += empty->receive().error() == error(errc::closed); });
    spawn([&] {
        auto won = wait_any(*empty);
        closed += won.ok() && won->get<0>().error() == error(errc::closed);
    });
    spawn([&] {
        auto won = wait_all(*empty, *full);   // one has a value, which dies with it
        closed += won.ok() && std::get<0>(*won).error() == error(errc::closed) && std::get<1>(*won).error() == error(errc::closed);
    });
    spawn([&] {
        full.reset();
        empty.reset();
    });
    CHECK(l.run().ok());
    CHECK_EQ(closed, 4);
    CHECK_EQ(alive.load(), 0);
}

TEST("a thread that blocks, and a task of another loop, get closed when the shared channel dies") {
    auto c = std::make_unique<detail::shared_channel_core>(1, detail::item_ops_of<int>);
    REQUIRE(c->state != nullptr);
    auto& state = *c->state;
    std::atomic<int> closed{0};
    auto const receives = [&, core = c.get()] {
        result<int> item(errc::broken);
        REQUIRE(core->receive(&item, {}) == errc::closed);
        ++closed;
    };
    std::thread blocked(receives);
    thread_with_loop other(receives);
    auto const waiting = [&] {
        std::size_t n = 0;
        state.lock.lock();
        auto& line = state.receivers.waiting;
        for (auto* w = line.front(); w; w = line.after(*w)) ++n;
        state.lock.unlock();
        return n;
    };
    spin_until([&] { return waiting() == 2; });
    c.reset();
    blocked.join();
    other.join();
    CHECK_EQ(closed.load(), 2);
}

TEST("wait_any takes from the shared channel that has won alone, and passes on what it was woken for by the others") {
    shared_channel<int> a(4), b(4);
    int got = 0, other = 0;
    world w;
    loop l(w.options());
    spawn([&] {
        auto won = wait_any(a, b, in(10s));
        REQUIRE(won.ok() && won->index() == 0);
        got = *won->get<0>();
        auto late = wait_any(a, in(1ms));
        REQUIRE(late.ok());
        CHECK(late->timed_out());
    });
    spawn([&] { other = *b.receive(); });
    spawn([&] {
        CHECK(b.try_send(2).ok());   // both notices come in the same turn
        CHECK(a.try_send(1).ok());
    });
    CHECK(l.run().ok());
    CHECK_EQ(got, 1);
    CHECK_EQ(other, 2);
}

TEST("wait_any that is woken in vain by a shared channel waits on, for the conditions behind it, too") {
    shared_channel<int> a(1);
    event e;
    std::size_t winner = 9;
    shared_channel<int>::condition kept(a);
    world w;
    loop l(w.options());
    auto waits = spawn([&] {
        auto won = wait_any(kept, e);
        REQUIRE(won.ok());
        winner = won->index();
        auto again = wait_any(kept);   // the same condition, another wait
        REQUIRE(again.ok());
        CHECK_EQ(*again->get<0>(), 5);
        winner = 5;
        CHECK(wait_any(kept) == errc::canceled);
    });
    spawn([&] {
        CHECK(a.try_send(1).ok());
        CHECK_EQ(*a.try_receive(), 1);
        CHECK(sleep_for(1ms).ok());
        CHECK_EQ(winner, std::size_t{9});
        e.set();
        CHECK(comes([&] { return winner == 1; }));
        CHECK(a.try_send(5).ok());
        CHECK(comes([&] { return winner == 5; }));
        CHECK(a.try_send(6).ok());
        CHECK_EQ(*a.try_receive(), 6);
        REQUIRE(l.remote().call([&] { waits.cancel(); }).ok());   // woken, canceled, and only then it runs
        CHECK(waits.join(in(10s)).ok());
    });
    CHECK(l.run().ok());
}

TEST("wait_all keeps nothing from a shared channel while it waits for another, and takes when all are there") {
    shared_channel<int> a(2), b(2);
    bool all = false;
    int other = 0;
    world w;
    loop l(w.options());
    spawn([&] {
        auto won = wait_all(a, b, in(10s));
        REQUIRE(won.ok());
        CHECK_EQ(*std::get<0>(*won), 2);
        CHECK_EQ(*std::get<1>(*won), 3);
        all = true;
    });
    spawn([&] { other = *a.receive(); });
    spawn([&] {
        CHECK(a.try_send(1).ok());
        CHECK(comes([&] { return other == 1; }));   // the value was the other's, who came later
        CHECK(b.try_send(3).ok());
        CHECK(sleep_for(1ms).ok());
        CHECK(!all);
        CHECK(a.try_send(2).ok());
        CHECK(comes([&] { return all; }));
    });
    CHECK(l.run().ok());
    CHECK(a.try_receive() == errc::would_wait);
    CHECK(b.try_receive() == errc::would_wait);
}

TEST("a loop that ends while its task waits passes on what the task was woken for") {
    shared_channel<int> c(4);
    std::atomic<int> stage{0};
    std::thread dying([&] {
        world w;
        loop l(w.options());
        auto waits = spawn([&] { CHECK(c.receive() == errc::canceled); });
        spawn([&] { l.stop(); });
        static_cast<void>(l.run());
        stage = 1;
        spin_until([&] { return stage == 2; });
        CHECK(l.destroy(in(10s)).ok());
    });
    spin_until([&] { return stage == 1; });
    int got = 0;
    {
        world w;
        loop l(w.options());
        spawn([&] { got = c.receive().value_or(0); });
        spawn([&] {
            CHECK(c.try_send(1).ok());   // for the first who waits, whose loop does not run
            stage = 2;
        });
        CHECK(l.run().ok());
    }
    stage = 2;   // or it could not be sent
    dying.join();
    CHECK_EQ(got, 1);
}

TEST("a loop that abandons its task passes on what the task is woken for") {
    shared_channel<int> c(4);
    // On a thread and a loop of its own, with a task that waits and hears of no cancellation.
    auto const while_one_waits = [&](auto&& then) {
        std::thread([&] {
            world w;
            loop l(w.options());
            spawn([&] {
                cancel_shield const shield;
                static_cast<void>(c.receive());
            });
            spawn([&] { l.stop(); });
            static_cast<void>(l.run());
            then(l);
        }).join();
    };
    while_one_waits([&](loop& l) {
        CHECK(c.try_send(1).ok());
        CHECK(l.destroy(in(0s)).ok());   // whose one turn the task needs
    });
    CHECK(c.try_receive() == errc::would_wait);
    while_one_waits([](loop& l) { CHECK(l.destroy(in(1ms)) == errc::tasks_left); });
    std::atomic<int> got{0};
    std::thread other([&] { got = *c.receive(in(10s)); });
    CHECK(c.try_send(2).ok());   // the first in the line is on a loop that is gone
    other.join();
    CHECK_EQ(got.load(), 2);
    harness::pass();   // the abandoned stack is left
}
