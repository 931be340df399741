// Waiting for all of several things: nothing is taken until all are there.
#include <memory>

#include "virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

TEST("wait_all gives each one's value, whatever the order in which they came") {
    auto r = run_virtually([]() -> result<void> {
        event e;
        semaphore s(0);
        channel<int> c(1);
        auto t = spawn([]() -> result<int> {
            SPRUCE_CHECK(sleep_for(2s));
            return errc::broken;
        });
        spawn([&]() -> result<void> {
            SPRUCE_CHECK(sleep_for(1s));
            CHECK(c.try_send(4).ok());
            SPRUCE_CHECK(sleep_for(5s));
            CHECK(s.release().ok());
            e.set();
            e.clear();
            return {};
        });
        SPRUCE_TRY(auto all, wait_all(e, s, c, t));
        CHECK(std::get<0>(all).ok());
        CHECK(std::get<1>(all).ok());
        CHECK_EQ(std::get<2>(all).value_or(0), 4);
        CHECK(std::get<3>(all) == errc::broken);
        CHECK_EQ(s.available(), 0U);
        return {};
    });
    CHECK(r.ok());
}

TEST("a wait for all whose time is over has taken nothing") {
    auto r = run_virtually([]() -> result<void> {
        semaphore s(1);
        channel<int> c(1), d(1);
        CHECK(c.try_send(4).ok());
        time_point const begin = loop_clock::now();
        CHECK(wait_all(s, c, d, in(1s)) == errc::timed_out);
        CHECK(loop_clock::now() - begin >= 1s);
        CHECK_EQ(s.available(), 1U);
        CHECK_EQ(c.size(), 1U);
        CHECK(wait_all(s, d, in(0s)) == errc::timed_out);
        CHECK(wait_all(s, c, in(0s)).ok());
        return {};
    });
    CHECK(r.ok());
}

TEST("what others take meanwhile is waited for again") {
    auto r = run_virtually([]() -> result<void> {
        semaphore s(1);
        event e;
        bool both = false;
        auto t = spawn([&]() -> result<void> {
            SPRUCE_TRY(auto all, wait_all(s, e));
            both = std::get<0>(all).ok();
            return {};
        });
        settle();
        auto mine = s.try_acquire();   // it is nobody's until all are there
        CHECK(mine.ok());
        e.set();
        settle();
        CHECK(!both);
        mine->release();
        CHECK(t.join().ok());
        CHECK(both);
        CHECK_EQ(s.available(), 1U);
        return {};
    });
    CHECK(r.ok());
}

TEST("those who wait for all stand in nobody's way: who takes at once is served") {
    auto r = run_virtually([]() -> result<void> {
        semaphore s(0);
        channel<int> c;
        event e;
        auto all = spawn([&]() -> result<void> { return wait_all(s, c, e).ok() ? result<void>() : errc::canceled; });
        settle();
        auto one = spawn([&]() -> result<void> {
            SPRUCE_TRY(auto p, s.acquire());
            SPRUCE_TRY(int const v, c.receive());
            return v == 3 ? result<void>() : errc::broken;
        });
        settle();
        CHECK(s.release().ok());
        settle();
        CHECK(c.try_send(3).ok());
        CHECK(one.get().ok());
        e.set();
        CHECK(c.send(5).ok());   // a rendezvous with who waits for all, now that all are there
        CHECK(all.get().ok());
        CHECK_EQ(s.available(), 1U);
        return {};
    });
    CHECK(r.ok());
}

TEST("a source that dies is there, with closed; a canceled wait for all takes nothing") {
    auto r = run_virtually([]() -> result<void> {
        auto e = std::make_unique<event>();
        semaphore s(1);
        auto t = spawn([&]() -> result<void> {
            SPRUCE_TRY(auto all, wait_all(*e, s));
            CHECK(std::get<1>(all).ok());
            return std::get<0>(all);
        });
        settle();
        e.reset();
        CHECK(t.get() == errc::closed);
        event f;
        auto u = spawn([&] { return wait_all(s, f).ok(); });
        settle();
        u.cancel();
        CHECK_EQ(u.get().value_or(true), false);
        CHECK_EQ(s.available(), 1U);
        return {};
    });
    CHECK(r.ok());
}

TEST("a value that is closed on after it was told of is still received") {
    auto r = run_virtually([]() -> result<void> {
        channel<int> c(2);
        event e;
        auto t = spawn([&]() -> result<int> {
            SPRUCE_TRY(auto all, wait_all(c, e));
            return std::move(std::get<0>(all));
        });
        settle();
        CHECK(c.try_send(1).ok());
        c.close();
        settle();
        e.set();
        CHECK_EQ(t.get().value_or(0), 1);
        CHECK(c.try_receive() == errc::end_of_stream);
        return {};
    });
    CHECK(r.ok());
}

TEST("a wait for all that was woken, and finds that others were faster, sees that it was canceled meanwhile, and by whom") {
    auto r = run_virtually([]() -> result<void> {
        semaphore s(0);
        event e;
        error why = errc::would_wait;
        auto waits = spawn([&] {
            auto const all = wait_all(s, e);
            if (!all) why = all.error();
        });
        settle();
        e.set();
        CHECK(s.release().ok());         // all are there: it is woken
        auto const taken = s.try_acquire();
        CHECK(taken.ok());               // and comes too late
        waits.cancel();
        auto const ended = waits.join(in(1s));
        CHECK(ended.ok());
        if (!ended) return s.release();
        CHECK(why == error(errc::canceled));
        CHECK(why.is_from(waits.id()));
        return {};
    });
    CHECK(r.ok());
}

TEST("one permit, or one value, does not stand for two in a wait for all: it waits for the second, and takes both") {
    auto r = run_virtually([]() -> result<void> {
        semaphore s(1);
        channel<int> c(2);
        auto permits = spawn([&]() -> result<void> {
            SPRUCE_TRY(auto both, wait_all(s, s));
            CHECK(std::get<0>(both).ok() && std::get<1>(both).ok());
            return {};
        });
        CHECK(c.try_send(1).ok());
        auto values = spawn([&]() -> result<int> {
            SPRUCE_TRY(auto both, wait_all(c, c));
            return 10 * std::get<0>(both).value_or(0) + std::get<1>(both).value_or(0);
        });
        settle();
        CHECK(!permits.done() && !values.done());
        CHECK_EQ(s.available(), 1U);
        CHECK_EQ(c.size(), 1U);
        CHECK(s.release().ok());
        CHECK(c.try_send(2).ok());
        CHECK(permits.get().ok());
        CHECK_EQ(values.get().value_or(0), 12);
        CHECK_EQ(s.available(), 2U);
        return {};
    });
    CHECK(r.ok());
}

TEST("a task that offers two things, and gives one, is not both for a wait for all: that takes neither until another comes") {
    auto r = run_virtually([]() -> result<void> {
        channel<int> in_, out;
        auto offers = spawn([&]() -> result<std::size_t> {
            sending gives(in_, 7);
            SPRUCE_TRY(auto won, wait_any(gives, out));
            return won.index();
        });
        auto wants = spawn([&]() -> result<int> {
            sending mine(out, 3);
            SPRUCE_TRY(auto both, wait_all(in_, mine));
            CHECK(std::get<1>(both).ok());
            return std::move(std::get<0>(both));
        });
        settle();
        CHECK(!offers.done() && !wants.done());
        auto other = spawn([&]() -> result<int> { return out.receive(); });
        CHECK_EQ(wants.get().value_or(0), 7);
        CHECK_EQ(offers.get().value_or(9), 0U);
        CHECK_EQ(other.get().value_or(0), 3);
        return {};
    });
    CHECK(r.ok());
}

TEST("a wait for several allocates nothing, whoever wins, once its sources have been waited for") {
    auto r = run_virtually([]() -> result<void> {
        event e;
        semaphore s(0, 1);
        channel<int> c(1);
        promise<int> p;
        future<int> f = p.get_future();
        auto t = spawn([] { return sleep_for(1h); });
        mailbox<int> box;
        emitter<int> from;
        received letters(box, "x");
        emitted news(from);
        called<> asked;
        every beat(10ms);
        idle rest;
        auto& counted = harness::refused_allocations();
        for (int round = 0; round != 3; ++round) {
            if (round == 1) counted.calls = 0;
            for (int who = 0; who != 7; ++who) {
                auto const tell = [&, who] {
                    switch (who) {
                    case 0: e.set(); break;
                    case 1: static_cast<void>(s.release()); break;
                    case 2: static_cast<void>(c.send(1)); break;
                    case 3: static_cast<void>(box.send({.name = "x"})); break;
                    case 4: from.emit(1); break;
                    case 5: static_cast<void>(asked()); break;
                    default: break;   // time
                    }
                };
                auto const teller = loop::current()->call_soon([&tell] { tell(); });   // small enough for no block of its own
                CHECK(teller.active());
                auto won = wait_any(e, s, c, letters, news, asked, f, t, in(1ms));
                REQUIRE(won.ok());
                CHECK_EQ(won->index(), who < 6 ? static_cast<std::size_t>(who) : 8U);
                if (who == 1) won->get<1>()->keep();   // else it goes back
                e.clear();
            }
            SPRUCE_TRY(auto rested, wait_any(f, beat, rest, in(1s)));
            CHECK_EQ(rested.index(), 2U);
            CHECK(wait_all(f, s, beat, in(1ms)) == errc::timed_out);
        }
        CHECK_EQ(counted.calls, 0U);
        t.cancel();
        return {};
    });
    CHECK(r.ok());
}
