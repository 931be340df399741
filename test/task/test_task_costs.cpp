// What tasks do for many at once is done for each of them a bounded number of times: sizes that were minutes before.
#include <spruce/spruce.hpp>

#include <memory>
#include <vector>

#include "../harness/axes.hpp"
#include "../harness/virtual_run.hpp"

using namespace spruce;

TEST("twenty thousand members of a cancel_rest group that all fail are each canceled once") {
    int const count = harness::tasks_at_once(20'000);
    int ended = 0;
    auto r = harness::run_virtually([&]() -> result<void> {
        (*loop::current()).on_unhandled([](unhandled const&) {});
        event go;
        task_group g(on_error::cancel_rest);
        for (int i = 0; i != count; ++i) {
            REQUIRE(g.spawn({.stack_size = 16 << 10}, [&]() -> result<void> {
                static_cast<void>(go.wait());
                ++ended;
                return errc::full;
            }).id() != task_id{});
        }
        CHECK(yield().ok());
        go.set();
        CHECK(g.join() == errc::full);
        return {};
    });
    CHECK(r.ok());
    CHECK_EQ(ended, count);
}

TEST("once a member of a group that cancels the rest has failed, thousands who come later never begin, at no cost to the others") {
    int const count = 5'000;
    auto r = harness::run_virtually([&]() -> result<void> {
        (*loop::current()).on_unhandled([](unhandled const&) {});
        task_group g(on_error::cancel_rest);
        event over;
        for (int i = 0; i != count; ++i) {
            static_cast<void>(g.spawn({.stack_size = 16 << 10}, [&] {
                cancel_shield const shield;
                static_cast<void>(over.wait());
            }));
        }
        CHECK(yield().ok());
        // The first failure cancels all there are; whoever comes later is canceled before it begins, and failures cancel
        // none again.
        CHECK(g.spawn([]() -> result<void> { return errc::full; }).join().ok());
        int begun = 0;
        for (int i = 0; i != count; ++i) {
            auto late = g.spawn([&begun] { ++begun; });
            CHECK(late.join().ok());
            CHECK(late.get() == errc::task_canceled);
        }
        CHECK_EQ(begun, 0);
        over.set();
        CHECK(g.join() == errc::full);
        return {};
    });
    CHECK(r.ok());
}

TEST("a hundred thousand task-local values of one task are found, reset and destroyed, the latest first") {
    constexpr int count = 100'000;
    static std::vector<int> ended;
    struct value {
        int n = 0;
        value() = default;
        explicit value(int i) noexcept : n(i) {}
        value(value const&) = default;
        ~value() { ended.push_back(n); }
    };
    auto r = harness::run_virtually([&]() -> result<void> {
        std::vector<std::unique_ptr<task_local<value>>> all;
        for (int i = 0; i != count; ++i) all.push_back(std::make_unique<task_local<value>>());
        auto uses = spawn([&] {
            for (int round = 0; round != 2; ++round) {
                for (int i = 0; i != count; ++i) {
                    auto const mine = all[static_cast<std::size_t>(i)]->get();
                    REQUIRE(mine.ok());
                    if (round == 0) mine->n = i + 1;
                    CHECK_EQ(mine->n, i + 1);
                }
            }
            // From the middle, from either end, and made anew.
            for (int i = 0; i < count; i += 3) CHECK(all[static_cast<std::size_t>(i)]->reset());
            for (int i = 0; i < count; i += 3) CHECK(!all[static_cast<std::size_t>(i)]->reset());
            all[0]->get()->n = -1;
            ended.clear();
        });
        auto beside = spawn([&] { CHECK_EQ(all[7]->get()->n, 0); });
        CHECK(uses.join().ok());
        CHECK(beside.join().ok());
        REQUIRE(ended.size() >= static_cast<std::size_t>(count / 3));
        CHECK_EQ(ended[0], -1);
        for (std::size_t i = 2; i + 1 < static_cast<std::size_t>(count) * 2 / 3; ++i) CHECK(ended[i - 1] > ended[i]);
        return {};
    });
    CHECK(r.ok());
}
