#include <deque>
#include <optional>

#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

TEST("emitted gives what is emitted while a task waits, and between two waits, as nothing, a value or a tuple") {
    auto r = run_virtually([]() -> result<void> {
        SPRUCE_TRY(loop& hub, loop::current());
        emitter<> bells;
        emitter<int> numbers;
        emitter<int, std::string> both;
        emitted bell(bells);
        emitted number(numbers);
        emitted pair(both);
        hub.call_soon([&] { numbers.emit(7); });
        auto won = wait_any(bell, number, pair);
        REQUIRE(won.ok());
        CHECK(won->is(number));
        CHECK_EQ(*won->get<1>(), 7);
        both.emit(1, "one");
        bells.emit();
        numbers.emit(8);
        won = wait_any(bell, number, pair);
        REQUIRE(won.ok());
        CHECK_EQ(won->index(), 0U);
        CHECK(won->get<0>().ok());
        auto next = wait_any(pair, number);
        REQUIRE(next.ok());
        auto [n, text] = *next->get<0>();
        CHECK_EQ(n, 1);
        CHECK_EQ(std::string_view(text), "one");
        CHECK_EQ(*wait_any(number)->get<0>(), 8);
        CHECK(wait_any(bell, number, pair, in(1ms))->timed_out());
        return {};
    });
    CHECK(r.ok());
}

TEST("emissions beyond the backlog are lost up to where that is told, once") {
    auto r = run_virtually([]() -> result<void> {
        emitter<int> e;
        emitted seen(e, 3);
        for (int i = 0; i != 5; ++i) e.emit(i);
        CHECK_EQ(*wait_any(seen)->get<0>(), 0);
        e.emit(5);   // there is room, but nobody has been told yet
        CHECK_EQ(*wait_any(seen)->get<0>(), 1);
        CHECK_EQ(*wait_any(seen)->get<0>(), 2);
        CHECK(wait_any(seen)->get<0>() == errc::full);
        CHECK(wait_any(seen, in(0ms))->timed_out());
        e.emit(6);
        CHECK_EQ(*wait_any(seen)->get<0>(), 6);
        return {};
    });
    CHECK(r.ok());
}

TEST("an emitter that dies, or disconnects it, ends the wait with closed, after what was kept") {
    auto r = run_virtually([]() -> result<void> {
        auto e = std::make_unique<emitter<int>>();
        emitted waits(*e), kept(*e), let_go(*e);
        auto t = spawn([&] {
            auto won = wait_any(waits);
            REQUIRE(won.ok());
            return won->get<0>() == errc::closed;
        });
        settle();
        auto u = spawn([&] {
            auto won = wait_any(let_go);
            REQUIRE(won.ok());
            CHECK_EQ(*won->get<0>(), 1);
            won = wait_any(let_go);
            REQUIRE(won.ok());
            return won->get<0>() == errc::closed;
        });
        kept.disarm();
        e->emit(1);
        CHECK_EQ(e->size(), 3U);
        settle();
        e->disconnect_all();
        CHECK(u.get().value());
        CHECK_EQ(*wait_any(kept)->get<0>(), 1);
        CHECK_EQ(e->size(), 0U);
        CHECK(!t.get().value());   // it got the emission first
        e.reset();
        CHECK(wait_any(kept)->get<0>() == errc::closed);
        CHECK(wait_any(kept)->get<0>() == errc::closed);
        return {};
    });
    CHECK(r.ok());
}

TEST("emitted is connected as long as it lives, and says why it could not be; two waits cannot share it") {
    auto r = run_virtually([]() -> result<void> {
        emitter<int> e(1);
        {
            emitted one(e);
            CHECK_EQ(e.size(), 1U);
            emitted refused(e);
            CHECK(wait_any(refused) == errc::full);
            auto t = spawn([&] { return wait_any(one).ok(); });
            settle();
            CHECK(wait_any(one) == errc::already_registered);
            e.emit(1);
            CHECK(t.get().value());
        }
        CHECK_EQ(e.size(), 0U);
        emitted huge(e, static_cast<std::size_t>(-1) / 2);
        CHECK(wait_any(huge) == errc::no_memory);
        return {};
    });
    CHECK(r.ok());
}

TEST("called marries a callback to a wait: each call is kept up to the backlog, beyond it the caller gets full") {
    auto r = run_virtually([]() -> result<void> {
        SPRUCE_TRY(loop& hub, loop::current());
        called<> plain;
        called<std::unique_ptr<int>> moves(1);
        called<int, int const&> two(0);
        hub.call_later(1ms, std::ref(plain));
        auto won = wait_any(moves, plain, two);
        REQUIRE(won.ok());
        CHECK(won->is(plain));
        CHECK(won->get<1>().ok());
        CHECK(moves(std::make_unique<int>(5)).ok());
        CHECK(moves(std::make_unique<int>(6)) == errc::full);
        CHECK_EQ(**wait_any(moves)->get<0>(), 5);
        CHECK(moves(std::make_unique<int>(7)).ok());   // dies with it
        int n = 2;
        CHECK(two(1, n).ok());
        n = 3;
        CHECK(two(1, n) == errc::full);
        auto [a, b] = *wait_any(two)->get<0>();
        CHECK_EQ(a + b, 3);
        called<> huge(static_cast<std::size_t>(-1));
        CHECK(wait_any(huge) == errc::no_memory);
        CHECK(huge() == errc::no_memory);
        return {};
    });
    CHECK(r.ok());
}

TEST_FOR(300, "random emissions against random waits: nothing is lost, doubled or out of order but what is told") {
    auto r = run_virtually([]() -> result<void> {
        harness::random draws(harness::seed());
        emitter<long> e;
        std::deque<std::optional<long>> model;   // what is still to come; empty: full
        emitted seen(e, 4);
        long numbers = 0;
        bool losing = false;
        std::size_t kept = 0;
        auto expect = [&](result<long> const& got) {
            REQUIRE(!model.empty());
            if (model.front()) {
                REQUIRE(got.ok());
                CHECK_EQ(*got, *model.front());
                --kept;
            } else {
                CHECK(got == errc::full);
                losing = false;
            }
            model.pop_front();
        };
        for (long n = model_steps(); n != 0; --n) {
            auto t = spawn([&]() -> result<long> {
                auto won = wait_any(seen, in(10ms));
                REQUIRE(won.ok());
                return won->timed_out() ? result<long>(errc::timed_out) : won->get<0>();
            });
            if (draws.chance(50)) settle(1);
            for (auto m = t.done() ? 0 : draws.below(6); m != 0; --m) {
                e.emit(++numbers);
                if (losing) continue;
                if (kept != 4) ++kept, model.push_back(numbers);
                else losing = true, model.push_back(std::nullopt);
                if (draws.chance(20)) settle(1);
                if (t.done()) break;
            }
            auto const got = t.get();
            if (got == errc::timed_out) CHECK(model.empty());
            else expect(got);
        }
        return {};
    });
    CHECK(r.ok());
}

TEST("who waits for an emitter that dies is woken with closed, also where it dies in a call of its own") {
    auto r = run_virtually([]() -> result<void> {
        for (bool const within : {false, true}) {
            auto e = std::make_unique<emitter<int>>();
            auto ends = e->connect([&](int) { e.reset(); });
            emitted headlines(*e);
            auto t = spawn([&] {
                auto won = wait_any(headlines, in(1s));
                return won.ok() && won->is(headlines) && won->get<0>() == errc::closed;
            });
            settle();
            if (within) e->emit(1);
            else e.reset();
            CHECK(t.get().value_or(false));
        }
        return {};
    });
    CHECK(r.ok());
}
