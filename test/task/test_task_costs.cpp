// What tasks do for many at once is done for each of them a bounded number of times: sizes that were minutes before.
#include <spruce/spruce.hpp>

#include <vector>

#include "../harness/axes.hpp"
#include "../harness/virtual_run.hpp"

using namespace spruce;

TEST("twenty thousand members of a cancel_rest group that all fail are each cancelled once") {
    int const count = 20'000;
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

TEST("a member that fails cancels those who were spawned after an earlier failure, in the order in which they were") {
    int const count = 5'000;
    auto r = harness::run_virtually([&]() -> result<void> {
        (*loop::current()).on_unhandled([](unhandled const&) {});
        std::vector<int> order;
        task_group g(on_error::cancel_rest);
        event over;
        for (int i = 0; i != count; ++i) {
            static_cast<void>(g.spawn({.stack_size = 16 << 10}, [&] {
                cancel_shield const shield;
                static_cast<void>(over.wait());
            }));
        }
        CHECK(yield().ok());
        for (int i = 0; i != count; ++i) {
            auto const waits = [&order](int who) {
                return [&order, who]() -> result<void> {
                    auto slept = sleep_for(std::chrono::hours(1));
                    order.push_back(who);
                    return slept;
                };
            };
            auto first = g.spawn(waits(2 * i)), second = g.spawn(waits(2 * i + 1));
            CHECK(yield().ok());
            CHECK(g.spawn([]() -> result<void> { return errc::full; }).join().ok());
            CHECK(first.get() == errc::task_canceled);
            CHECK(second.get() == errc::task_canceled);
        }
        // Each failure has cancelled the two that came since the one before, in the order in which they were spawned.
        REQUIRE(order.size() == static_cast<std::size_t>(2 * count));
        for (int i = 0; i != 2 * count; ++i) CHECK_EQ(order[static_cast<std::size_t>(i)], i);
        over.set();
        CHECK(g.join() == errc::full);
        return {};
    });
    CHECK(r.ok());
}
