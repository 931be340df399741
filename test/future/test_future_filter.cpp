#include <stdexcept>

#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
auto const failures = [](auto const& outcome) { return !outcome.ok(); };
}

TEST("when_any with a filter passes over those it ignores, unless one is the last of all") {
    auto r = run_virtually([]() -> result<void> {
        std::vector<promise<int>> p(4);
        std::vector<future<int>> f;
        for (auto& each : p) f.push_back(each.get_future());
        auto first = when_any(failures, std::span(f));
        CHECK(p[3].fail(errc::broken).ok() && p[0].fail(errc::closed).ok());
        settle();
        CHECK(!first.done());
        CHECK(p[2].set(2).ok());
        CHECK_EQ(first.get().value_or(9), 2U);
        CHECK(!f[1].done());
        // All of them are ignored: the last one it is.
        auto odd = when_any([](result<int> const& o) { return o.value_or(1) % 2 != 0; }, std::span(f).first(2));
        settle();
        CHECK(!odd.done());
        CHECK(p[1].set(3).ok());
        CHECK_EQ(odd.get().value_or(9), 1U);
        // Those that were done before count, as they stand.
        CHECK_EQ(when_any(failures, std::span(f)).get().value_or(9), 1U);
        CHECK(when_any(failures, std::span<future<int>>()).get() == errc::invalid_argument);
        std::vector<future<int>> empty(2);
        CHECK_EQ(when_any(failures, std::span(empty)).get().value_or(9), 1U);
        return {};
    });
    CHECK(r.ok());
}

TEST("when_any with a filter takes several types, and does not look at those that come after the answer") {
    auto r = run_virtually([]() -> result<void> {
        SPRUCE_TRY(loop& hub, loop::current());
        int told = 0;
        hub.on_unhandled([&](unhandled const&) { ++told; });
        {
            promise<int> a;
            promise<std::string> b;
            promise<void> c;
            auto won = when_any(failures, a.get_future(), b.get_future(), c.get_future());
            CHECK(a.fail(errc::broken).ok());
            settle();
            CHECK(!won.done());
            CHECK(b.set("good").ok());
            auto got = std::move(won).get();
            CHECK(got.ok() && got->index() == 1 && got->get<1>().value_or("") == "good");
            CHECK(c.fail(errc::too_long).ok());
            settle();
        }
        CHECK_EQ(told, 1);   // of the loser that failed later; the filter has seen the other one
        {
            promise<int> a;
            auto won = when_any(failures, a.get_future(), future<int>());
            CHECK(a.fail(errc::broken).ok());
            auto got = std::move(won).get();
            CHECK(got.ok() && got->index() == 0 && got->get<0>() == errc::broken);
        }
        CHECK_EQ(told, 1);
        return {};
    });
    CHECK(r.ok());
}

#if SPRUCE_EXCEPTIONS
TEST("a filter that throws ends the search with closed, whatever comes then") {
    auto r = run_virtually([]() -> result<void> {
        promise<int> p[3];
        future<int> f[3] = {p[0].get_future(), p[1].get_future(), p[2].get_future()};
        int asked = 0;
        auto first = when_any([&](result<int> const& outcome) -> bool {
            ++asked;
            if (*outcome == 1) throw std::runtime_error("not a number for a filter");
            return true;
        }, std::span(f));
        CHECK(p[1].set(0).ok());
        CHECK(p[0].set(1).ok());
        CHECK(first.get(in(1ms)) == errc::closed);
        CHECK(p[2].set(2).ok());
        settle();
        CHECK_EQ(asked, 2);
        auto won = when_any([](result<int> const&) -> bool { throw std::runtime_error("none will do"); }, f[0], f[1]);
        CHECK(won.get(in(1ms)) == errc::closed);
        return {};
    });
    CHECK(r.ok());
}
#endif

TEST("a search with a filter ends when its answer is canceled or dropped: the filter is not asked any more, and is gone") {
    auto r = run_virtually([]() -> result<void> {
        auto const life = std::make_shared<int>(0);
        auto const counts = [life](auto const&) {
            ++*life;
            return false;
        };
        std::vector<promise<int>> p(3);
        std::vector<future<int>> f;
        for (auto& each : p) f.push_back(each.get_future());
        {
            auto dropped = when_any(counts, std::span(f));
            auto several = when_any(counts, f[0], f[1]);
            auto canceled = when_any(counts, f[1], f[2]);
            auto copy = canceled;
            CHECK(canceled.cancelable() && canceled.cancel());
            CHECK(copy.get() == errc::task_canceled);
        }
        // Whoever waits for one, and for no longer than that.
        CHECK(when_any(counts, f[0], f[1]).get(in(1s)) == errc::timed_out);
        auto waits = spawn([&] { return when_any(counts, std::span(f)).get(); });
        settle();
        waits.cancel();
        CHECK(waits.join().ok());
        CHECK(p[0].set(1).ok() && p[1].set(1).ok());   // in the same turn
        settle();
        CHECK_EQ(*life, 0);
        CHECK_EQ(life.use_count(), 2);   // with the one in `counts`
        CHECK(!f[2].done());
        CHECK_EQ(when_any(counts, std::span(f)).get().value_or(9), 0U);
        return {};
    });
    CHECK(r.ok());
}

TEST("the first failure of several is what a filter that ignores successes waits for, also where some were done before") {
    auto const successes = [](auto const& outcome) { return outcome.ok(); };
    auto r = run_virtually([&]() -> result<void> {
        std::vector<promise<int>> p(4);
        std::vector<future<int>> f;
        for (auto& each : p) f.push_back(each.get_future());
        CHECK(p[2].set(1).ok());   // done, and well
        auto first = when_any(successes, std::span(f));
        settle();
        CHECK(!first.done());
        CHECK(p[3].fail(errc::broken).ok());
        CHECK_EQ(first.get().value_or(9), 3U);
        // Failed before.
        CHECK_EQ(when_any(successes, std::span(f)).get().value_or(9), 3U);
        // Without a failure: once all are done.
        auto none = when_any(successes, std::span(f).first(3));
        CHECK(p[0].set(1).ok());
        settle();
        CHECK(!none.done());
        CHECK(p[1].set(1).ok());
        CHECK(none.wait(in(1s)).ok());
        CHECK(f[none.get().value_or(0)].get().ok());
#if SPRUCE_EXCEPTIONS
        // An exception is its outcome as it was thrown, in whatever the future is among.
        promise<int> thrown;
        auto of = thrown.get_future();
        CHECK(thrown.fail(std::make_exception_ptr(std::runtime_error("words"))).ok());
        auto both = when_all(of, f[0]);
        auto all = both.get();
        REQUIRE(all.ok());
        CHECK(std::get<0>(*all) == errc::task_failed);
        CHECK_EQ(std::string_view(std::get<0>(*all).error().detail()), "words");
        CHECK_EQ(when_any(successes, of, f[0]).get()->index(), 0U);
#endif
        return {};
    });
    CHECK(r.ok());
}
