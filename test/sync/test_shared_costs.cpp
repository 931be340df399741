// What grows with the number of those who wait for a source that threads share grows no faster.
#include <vector>

#include "virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
constexpr task_options small{.stack_size = 16 << 10};
}  // namespace

TEST("waiters of a shared channel who are told in vain again and again keep their order") {
    constexpr int count = 5'000;
    auto r = run_virtually([]() -> result<void> {
        shared_channel<int> c(count);
        std::vector<int> order;
        task_group g;
        for (int i = 0; i != count; ++i)
            REQUIRE(g.spawn(small, [&, i] {
                if (c.receive()) order.push_back(i);
            }).id() != task_id{});   // all are waited for
        CHECK(yield().ok());
        for (int round = 0; round != 5; ++round) {
            for (int i = 0; i != count; ++i) CHECK(c.try_send(int(i)).ok());
            for (int i = 0; i != count; ++i) CHECK(c.try_receive().ok());
            for (int n = 0; n != 4; ++n) CHECK(sleep_for(1us).ok());
            CHECK(order.empty());
        }
        for (int i = 0; i != count; ++i) {
            REQUIRE(c.send(int(i)).ok());
            int passes = 0;
            while (order.size() != static_cast<std::size_t>(i + 1)) REQUIRE(++passes != 1'000 && sleep_for(1us).ok());
        }
        for (int i = 0; i != count; ++i) CHECK_EQ(order[static_cast<std::size_t>(i)], i);
        return g.join();
    });
    CHECK(r.ok());
}
