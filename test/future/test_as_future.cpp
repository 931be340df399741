#include <stdexcept>

#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

TEST("a future of an emitter is its next emission: nothing, a value or a tuple; or its end") {
    auto r = run_virtually([]() -> result<void> {
        emitter<> bell;
        emitter<int> news;
        auto both = std::make_unique<emitter<int, std::string>>();
        auto rung = as_future(bell);
        auto one = as_future(news);
        auto again = as_future(news);
        auto two = as_future(*both);
        CHECK(!one.done());
        bell.emit();
        news.emit(4);
        news.emit(5);
        both->emit(6, "x");
        CHECK(rung.get().ok());
        CHECK_EQ(one.get().value_or(0), 4);
        CHECK_EQ(again.get().value_or(0), 4);
        CHECK(*two.get() == std::tuple<int, std::string>(6, "x"));
        CHECK_EQ(news.size(), 0U);
        auto late = as_future(*both);
        both.reset();
        CHECK(late.get() == errc::closed);
        emitter<int> few(0);
        CHECK(as_future(few).get() == errc::full);
        return {};
    });
    CHECK(r.ok());
}

TEST("a future of an emitter that is canceled or dropped is connected no more") {
    auto r = run_virtually([]() -> result<void> {
        emitter<int> news;
        auto f = as_future(news);
        auto copy = f;
        CHECK(f.cancelable() && f.cancel());
        CHECK_EQ(news.size(), 1U);   // until the next pass, and to no purpose
        news.emit(1);
        CHECK(copy.get() == errc::task_canceled);
        settle(1);
        CHECK_EQ(news.size(), 0U);
        f = as_future(news);
        copy = f;
        f = {};
        settle();
        CHECK_EQ(news.size(), 1U);   // somebody still has it
        copy = {};
        settle();
        CHECK_EQ(news.size(), 0U);
        // Who waits for it, follows or gathers it has it, too.
        auto waits = spawn([&] { return as_future(news).get(); });
        promise<int> p;
        CHECK(p.follow(as_future(news)).ok());
        auto some = when_any(as_future(news), as_future(news));
        settle();
        CHECK_EQ(news.size(), 4U);
        waits.cancel();   // a cancellation goes on to what only it wants
        settle();
        CHECK_EQ(news.size(), 3U);
        { auto const gone = std::move(p); }
        some = {};
        settle();
        CHECK_EQ(news.size(), 0U);
        // For thousands of rounds: nothing is left behind.
        for (int i = 0; i != 3'000; ++i) {
            if (wait_any(as_future(news), in(0s)).ok()) continue;
            CHECK(false);
        }
        settle();
        CHECK_EQ(news.size(), 0U);
        return {};
    });
    CHECK(r.ok());
}

TEST("a future of a task has its value, error and exception; canceling it cancels the task, and it ends when that has") {
    auto r = run_virtually([]() -> result<void> {
        auto f = as_future(spawn([] { return static_cast<void>(sleep_for(1ms)), std::make_unique<int>(3); }));
        CHECK_EQ(**f.get(), 3);
        CHECK(as_future(spawn([]() -> result<void> { return errc::broken; })).get() == errc::broken);
        CHECK(as_future(spawn([] {})).get().ok());
        CHECK(as_future(task<int>()).get() == errc::wrong_state);
        bool over = false;
        auto slow = as_future(spawn([&]() -> result<int> {
            auto const slept = sleep_for(1h);
            cancel_shield const once_more;
            CHECK(sleep_for(1s).ok());
            over = true;
            return slept.error();
        }));
        settle();
        CHECK(slow.cancel());
        CHECK(!slow.done());
        CHECK(slow.get() == errc::task_canceled);
        CHECK(over);
        // A future that is dropped lets it go on.
        over = false;
        static_cast<void>(as_future(spawn([&] { over = sleep_for(1s).ok(); })));
        CHECK(sleep_for(2s).ok());
        CHECK(over);
#if SPRUCE_EXCEPTIONS
        auto throws = as_future(spawn([]() -> int { throw std::runtime_error("words"); }));
        CHECK(throws.get() == errc::task_failed);
        CHECK(throws.exception() != nullptr);
#endif
        auto const same = as_future(f);
        CHECK(same.done());
        return {};
    });
    CHECK(r.ok());
}

TEST("whatever a task can wait for can be turned into a future: by name, moved in, or made where it is waited for") {
    auto r = run_virtually([]() -> result<void> {
        event e;
        channel<int> c;
        semaphore s(0);
        called<int> answer;
        auto set = as_future(e);
        auto value = as_future(c);
        auto permit = as_future(s);
        auto call = as_future(answer);
        auto later = as_future(in(1s));
        auto beat = as_future<every>(10ms);
        auto bad = as_future<every>(0ms);
        CHECK(bad.get() == errc::invalid_argument);
        e.set();
        CHECK(set.get().ok());
        CHECK(c.send(4).ok());
        CHECK_EQ(value.get().value_or(0), 4);
        CHECK(s.release().ok());
        { CHECK(std::move(permit).get().ok()); }
        CHECK(answer(7).ok());
        CHECK_EQ(call.get().value_or(0), 7);
        CHECK_EQ(beat.get().value_or(0), 1U);
        CHECK(!later.done());
        CHECK(later.get().ok());
        // Canceled, it takes nothing.
        auto unwanted = as_future(c);
        CHECK(unwanted.cancel());
        CHECK(unwanted.get() == errc::task_canceled);
        CHECK(c.try_send(5) == errc::full);
        // The first item of a generator; and a call, which is a future already.
        generator<int> numbers([](yielder<int>& yield) { static_cast<void>(yield(8)); });
        CHECK_EQ(as_future(numbers).get().value_or(0), 8);
        CHECK_EQ(as_future(async_function([] { return 9; })()).get().value_or(0), 9);
        return {};
    });
    CHECK(r.ok());
}

TEST("a callable finishes its future when it is called: with nothing, a value, a tuple, an error; once") {
    auto r = run_virtually([]() -> result<void> {
        future_callback<> none;
        future_callback<int> one;
        future_callback<int, std::string> two;
        CHECK(none().ok() && one(3).ok());
        auto copy = two;
        CHECK(copy(4, "y").ok());
        CHECK(none.get_future().get().ok());
        CHECK_EQ(one.get_future().get().value_or(0), 3);
        CHECK(*two.get_future().get() == std::tuple<int, std::string>(4, "y"));
        CHECK(two(5, "z") == errc::wrong_state);
        future_callback<int> fails;
        CHECK(fails(errc::broken).ok());
        CHECK(fails.get_future().get() == errc::broken);
        CHECK(fails(1) == errc::wrong_state);
        future<int> left;
        {
            future_callback<int> const forgotten;
            auto const other = forgotten;
            left = other.get_future();
        }
        CHECK(left.get() == errc::closed);
        // Into the hands of whatever calls back.
        emitter<int> news;
        future_callback<int> next;
        auto const c = news.connect(next);
        news.emit(6);
        news.emit(7);
        CHECK_EQ(next.get_future().get().value_or(0), 6);
        int stopped = 0;
        future_callback<int> stops;
        stops.on_cancel([&] { ++stopped; });
        CHECK(stops.get_future().cancel());
        settle();
        CHECK_EQ(stopped, 1);
        CHECK(stops(1) == errc::wrong_state);
#if SPRUCE_EXCEPTIONS
        future_callback<int> throws;
        CHECK(throws(std::make_exception_ptr(std::runtime_error("words"))).ok());
        CHECK(throws.get_future().get() == errc::task_failed);
#endif
        return {};
    });
    CHECK(r.ok());
}

TEST("one result for one waiter is a promise and its future: given before the wait or in it, a value or an error, once") {
    auto r = run_virtually([]() -> result<void> {
        auto ask = [](bool at_once, result<int> answer) {
            promise<int> p;
            auto f = p.get_future();
            auto give = [p = std::move(p), answer]() mutable {
                CHECK(answer ? p.set(*answer).ok() : p.fail(answer.error()).ok());
                CHECK(p.set(9) == errc::wrong_state);
            };
            if (at_once) give();
            else loop::current()->call_soon(std::move(give));
            return std::move(f).get();
        };
        for (bool at_once : {true, false}) {
            CHECK_EQ(ask(at_once, 3).value_or(0), 3);
            CHECK(ask(at_once, errc::broken) == errc::broken);
        }
        return {};
    });
    CHECK(r.ok());
}
