#include <stdexcept>

#include "virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
// Counts up for ever, and tells how far it has come, and when it is over.
struct counted {
    int made = 0, over = 0;
    generator<int> count(generator_options options = {}) {
        return generator<int>([this](yielder<int>& yield) -> result<void> {
            struct goodbye {
                int& n;
                ~goodbye() { ++n; }
            } const at_the_end{over};
            for (;;) {
                ++made;
                SPRUCE_CHECK(yield(int(made)));
            }
        }, options);
    }
};
}  // namespace

TEST("a generator's values come in a range-for, to its end; several go on where the first was left") {
    auto r = run_virtually([]() -> result<void> {
        generator<std::unique_ptr<int>> three([](yielder<std::unique_ptr<int>>& yield) {
            for (int i = 1; i != 4; ++i) {
                CHECK(sleep_for(1ms).ok());   // it waits as it likes
                CHECK(yield(std::make_unique<int>(i)).ok());
            }
        });
        std::string seen;
        for (auto& n : three) {
            seen += std::to_string(*n);
            if (*n == 2) break;
        }
        for (auto& n : three) seen += '.', seen += std::to_string(*n);
        CHECK_EQ(std::string_view(seen), "12.3");
        CHECK(!three.active());
        CHECK(three.status().ok());
        CHECK(three.next() == errc::end_of_stream);
        CHECK(three.next() == errc::end_of_stream);
        CHECK(!three.cancel());
        generator<int> none([](yielder<int>&) {});
        for (int n : none) CHECK(n == 0 && false);
        generator<int> const empty;
        CHECK(empty.status() == errc::wrong_state);
        CHECK(generator<int>().next() == errc::wrong_state);
        return {};
    });
    CHECK(r.ok());
}

TEST("a generator makes as many values as it may look ahead and no more, and none before one is wanted if it may not") {
    auto r = run_virtually([]() -> result<void> {
        for (std::size_t ahead : {0U, 1U, 2U, 7U}) {
            counted c;
            auto numbers = c.count({.look_ahead = ahead});
            CHECK_EQ(c.made, 0);
            settle(20);
            CHECK_EQ(c.made, static_cast<int>(ahead));
            for (int i = 1; i != 4; ++i) {
                CHECK_EQ(numbers.next().value_or(0), i);
                settle(20);
                CHECK_EQ(c.made, static_cast<int>(ahead) + i);
            }
        }
        return {};
    });
    CHECK(r.ok());
}

TEST("a wait for a value that ends without one leaves no value lost or made twice") {
    auto r = run_virtually([]() -> result<void> {
        int made = 0;
        generator<int> slow([&](yielder<int>& yield) -> result<void> {
            for (;;) {
                SPRUCE_CHECK(sleep_for(10ms));
                ++made;
                SPRUCE_CHECK(yield(int(made)));
            }
        }, {.look_ahead = 0});
        for (int i = 0; i != 3; ++i) CHECK(slow.next(in(1ms)) == errc::timed_out);
        auto waits = spawn([&] { return slow.next(); });
        settle();
        waits.cancel();
        CHECK(waits.get() == errc::task_canceled);
        CHECK(sleep_for(100ms).ok());
        CHECK_EQ(made, 1);   // what one of them has asked for is there for the next
        CHECK_EQ(slow.next().value_or(0), 1);
        CHECK(sleep_for(100ms).ok());
        CHECK_EQ(made, 1);
        CHECK_EQ(slow.next().value_or(0), 2);
        CHECK_EQ(slow.next(in(1s)).value_or(0), 3);
        CHECK(sleep_for(100ms).ok());
        CHECK_EQ(made, 3);
        // Canceled already, one does not even ask.
        auto late = spawn([&] { static_cast<void>(this_task::sleep_for(1h)), static_cast<void>(slow.next()); });
        settle();
        late.cancel();
        CHECK(late.join().ok());
        CHECK(sleep_for(100ms).ok());
        CHECK_EQ(made, 3);
        return {};
    });
    CHECK(r.ok());
}

TEST("who breaks off ends the generator's task: its destructors have run when the generator is gone") {
    auto r = run_virtually([]() -> result<void> {
        counted c;
        {
            int sum = 0;
            auto numbers = c.count();
            for (int n : numbers) {
                sum += n;
                if (n == 10) break;
            }
            CHECK_EQ(sum, 55);
            CHECK_EQ(c.over, 0);
            auto moved = std::move(numbers);
            CHECK(!numbers.active() && moved.active());
            CHECK_EQ(moved.next().value_or(0), 11);
        }
        CHECK_EQ(c.over, 1);
        // Also where the one that breaks off is canceled itself; and where the task takes its time.
        bool ended = false;
        auto consumer = spawn([&]() -> result<void> {
            generator<int> stubborn([&](yielder<int>& yield) {
                while (yield(1)) {}
                cancel_shield const once_more;
                CHECK(sleep_for(1s).ok());
                ended = true;
            });
            SPRUCE_CHECK(stubborn.next());
            return sleep_for(1h);
        });
        settle();
        consumer.cancel();
        CHECK(consumer.get() == errc::task_canceled);
        CHECK(ended);
        // One that never began never does.
        { auto unused = c.count(); }
        CHECK_EQ(c.over, 1);
        // The end of a generator wakes who waits for its values.
        auto mute = std::make_unique<generator<int>>([](yielder<int>&) { return sleep_for(1h); });
        auto waits = spawn([&] { return mute->next(); });
        settle();
        mute.reset();
        CHECK(waits.get() == errc::task_canceled);
        return {};
    });
    CHECK(r.ok());
}

TEST("a generator's error comes after its values, and is told to the hook only if nobody looked") {
    std::string told;
    auto r = run_virtually([&]() -> result<void> {
        SPRUCE_TRY(loop& hub, loop::current());
        hub.on_unhandled([&](unhandled const& u) { told += u.reason.name(), told += ' '; });
        auto make = [] {
            return generator<int>([](yielder<int>& yield) -> result<void> {
                SPRUCE_CHECK(yield(1));
                SPRUCE_CHECK(yield(2));
                return errc::broken;
            });
        };
        int sum = 0;
        {
            auto fails = make();
            for (int n : fails) sum += n;
            CHECK_EQ(sum, 3);
            CHECK(fails.status() == errc::broken);
            CHECK(fails.next() == errc::broken);
        }
        CHECK_EQ(std::string_view(told), "");
        {
            auto fails = make();
            for (int n : fails) sum += n;
        }
        CHECK_EQ(std::string_view(told), "broken ");
        // Canceled by name: what was made can still be taken.
        counted c;
        auto numbers = c.count({.look_ahead = 2});
        settle();
        CHECK(numbers.cancel());
        settle();
        CHECK(numbers.active());
        CHECK_EQ(numbers.next().value_or(0), 1);
        CHECK_EQ(numbers.next().value_or(0), 2);
        CHECK(numbers.next() == errc::task_canceled);
#if SPRUCE_EXCEPTIONS
        generator<int> throws([](yielder<int>& yield) {
            static_cast<void>(yield(1));
            throw std::runtime_error("out of numbers");
        });
        CHECK(throws.next().ok());
        CHECK(throws.next() == errc::task_failed);
        CHECK(throws.exception() != nullptr);
        CHECK_EQ(std::string_view(told), "broken ");
#endif
        return {};
    });
    CHECK(r.ok());
}

TEST("a generator is a condition: its next value among other things, and none is lost to the others") {
    auto r = run_virtually([]() -> result<void> {
        counted c;
        auto numbers = c.count({.look_ahead = 0});
        event other;
        other.set();
        auto won = wait_any(other, numbers);
        CHECK(won.ok() && won->is(other));
        settle();
        CHECK(c.made <= 1);
        other.clear();
        for (int i = 1; i != 4; ++i) {
            auto next = wait_any(other, numbers, in(1s));
            CHECK(next.ok() && next->is(numbers));
            CHECK_EQ(next->get<1>().value_or(0), i);
        }
        CHECK_EQ(c.made, 3);
        auto all = wait_all(numbers, in(1s));
        CHECK(all.ok() && std::get<0>(*all).value_or(0) == 4);
        numbers.cancel();
        auto last = wait_any(numbers);
        CHECK(last.ok() && last->get<0>() == errc::task_canceled);
        generator<int> empty;
        CHECK(wait_any(empty) == errc::wrong_state);
        return {};
    });
    CHECK(r.ok());
}

TEST("a generator in plain code's hands: its task ends in its turn, and what could not be made says why") {
    testing::simulation world(harness::as_asked());
    loop_options o;
    o.on = world.on();
    o.max_tasks = 1;
    loop hub(o);
    REQUIRE(hub.status().ok());
    counted c;
    {
        auto numbers = c.count();
        auto refused = c.count();
        CHECK(refused.next() == errc::full);
        CHECK(refused.status() == errc::full);
        CHECK(!refused.active());
        CHECK(hub.run_until([&] { return c.made != 0; }).ok());
        CHECK_EQ(numbers.next().value_or(0), 1);   // it is there already
        CHECK(numbers.next() == errc::not_in_task);
    }
    CHECK_EQ(c.over, 0);
    CHECK(hub.run().ok());
    CHECK_EQ(c.over, 1);
    CHECK(c.count({.look_ahead = static_cast<std::size_t>(-1)}).next() == errc::no_memory);
}

TEST("who waits for two values of one generator gets two") {
    auto r = run_virtually([]() -> result<void> {
        generator<int> g([](yielder<int>& yield) -> result<void> {
            for (int i = 1;; ++i) {
                SPRUCE_CHECK(sleep_for(10ms));
                SPRUCE_CHECK(yield(i));
            }
        });
        CHECK(wait_all(g, g, in(15ms)) == errc::timed_out);   // one was there, and it still is
        SPRUCE_TRY(auto both, wait_all(g, g, in(1s)));
        CHECK_EQ(std::get<0>(both).value_or(-1), 1);
        CHECK_EQ(std::get<1>(both).value_or(-1), 2);
        generator<int> none;
        CHECK(wait_all(none, none, in(1s)) == errc::wrong_state);
        return {};
    });
    CHECK(r.ok());
}

TEST("a generator's values are given by its own task alone") {
    auto r = run_virtually([]() -> result<void> {
        SPRUCE_TRY(loop& hub, loop::current());
        yielder<int>* of = nullptr;
        generator<int> g([&](yielder<int>& yield) -> result<void> {
            of = &yield;
            SPRUCE_CHECK(sleep_for(1s));
            return yield(1);
        }, {.look_ahead = 3});
        settle();
        REQUIRE(of != nullptr);
        auto other = spawn([&] { return (*of)(2); });
        CHECK(other.get() == errc::not_in_task);
        result<void> plain;
        hub.call_soon([&] { plain = (*of)(3); });
        settle();
        CHECK(plain == errc::not_in_task);
        CHECK_EQ(g.next().value_or(-1), 1);
        CHECK(g.next() == errc::end_of_stream);
        return {};
    });
    CHECK(r.ok());
}

TEST("a generator canceled before its task began never begins, and who waits for its values is told; afterwards it is over") {
    auto r = run_virtually([]() -> result<void> {
        counted c;
        auto numbers = c.count();
        auto waits = spawn([&] { return numbers.next(); });
        auto among_others = spawn([&]() -> result<int> {
            SPRUCE_TRY(auto won, wait_any(numbers, in(1h)));
            return won.get<0>();
        });
        CHECK(numbers.cancel());
        CHECK(waits.get() == errc::task_canceled);
        CHECK(among_others.get() == errc::task_canceled);
        CHECK_EQ(c.made + c.over, 0);
        CHECK(!numbers.cancel() && !numbers.active());
        CHECK(numbers.next() == errc::task_canceled);
        return {};
    });
    CHECK(r.ok());
}

TEST("a generator's end waits for no function that shields itself, and gives on: each yield of it says canceled") {
    for (std::size_t const look_ahead : {0U, 1U, 3U}) {
        auto r = run_virtually([&]() -> result<void> {
            int given = 0, refused = 0;
            {
                generator<int> g([&](yielder<int>& yield) -> result<void> {
                    cancel_shield const deaf;
                    while (refused != 3) (yield(given) == errc::canceled ? refused : given) += 1;
                    return {};
                }, {.look_ahead = look_ahead});
                SPRUCE_CHECK(g.next());
                if (look_ahead == 0) CHECK(g.next(in(0s)) == errc::timed_out);   // and one is on its way
                settle();
                CHECK_EQ(refused, 0);
            }
            CHECK_EQ(refused, 3);
            return {};
        });
        CHECK(r.ok());
    }
}

TEST("a generator's function that waits for its own values is told of its deadlock, and may destroy its generator") {
    auto r = run_virtually([]() -> result<void> {
        std::unique_ptr<generator<int>> g;
        result<int> own = 0;
        errc among_others{};
        bool refused = false;
        g = std::make_unique<generator<int>>([&](yielder<int>& yield) -> result<void> {
            own = g->next(in(1h));
            among_others = ending_of(wait_any(*g, in(1h)));
            SPRUCE_CHECK(yield(1));
            g.reset();
            refused = yield(2) == errc::canceled;
            return {};
        });
        CHECK_EQ(g->next().value_or(0), 1);
        CHECK(own == errc::deadlock);
        CHECK(among_others == errc::deadlock);
        settle();
        CHECK(g == nullptr);
        CHECK(refused);
        return {};
    });
    CHECK(r.ok());
}

TEST("a generator that outlives run() leaves it in deadlock, unless its task is one in the background, which ends with the run") {
    for (bool const background : {false, true}) {
        testing::simulation world(harness::as_asked());
        loop hub(loop_options{.on = world.on()});
        counted c;
        {
            auto numbers = c.count({.look_ahead = 0, .task = {.name = "counts", .background = background}});
            int sum = 0;
            spawn([&] { sum = numbers.next().value_or(0) + numbers.next().value_or(0); });
            auto const ran = hub.run();
            REQUIRE(sum == 3);   // else its task is left, and writes there
            if (background) {
                CHECK(ran.ok());
                CHECK_EQ(c.over, 1);
                CHECK(numbers.status() == errc::task_canceled);
            } else {
                CHECK(ran == errc::deadlock);
                CHECK(std::string_view(ran.error().detail()).find("counts") != std::string_view::npos);
                CHECK_EQ(c.over, 0);
            }
        }
        CHECK(hub.run().ok());   // the generator has gone
        CHECK_EQ(c.over, 1);
    }
}
