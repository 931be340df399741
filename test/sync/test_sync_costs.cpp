// What grows with the number of those who stand in a line, or of what lies in a queue, grows no faster: sizes that took
// minutes where a list was walked for one of its elements.
#include <span>
#include <string>
#include <vector>

#include "virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
constexpr task_options small{.stack_size = 16 << 10};
}  // namespace

TEST("tasks are run at once from anywhere among fifty thousand that are ready, and the others keep their order") {
    constexpr std::size_t count = 50'000;
    auto r = run_virtually([]() -> result<void> {
        std::vector<std::size_t> ran;
        std::vector<task<void>> tasks;
        harness::random random(harness::seed());
        for (std::size_t i = 0; i != count; ++i) tasks.push_back(spawn(small, [&ran, i] { ran.push_back(i); }));
        std::vector<bool> early(count);
        for (std::size_t n = 0; n != count / 2; ++n) {
            std::size_t const one = random.below(count);
            bool const again = early[one];
            early[one] = true;
            CHECK_EQ(run_now(tasks[one]).ok(), !again);
            if (!again) CHECK_EQ(ran.back(), one);
        }
        std::size_t const so_far = ran.size();
        for (auto& t : tasks) CHECK(t.join().ok());
        REQUIRE(ran.size() == count);
        for (std::size_t i = so_far + 1; i < count; ++i) CHECK(ran[i - 1] < ran[i]);
        return {};
    });
    CHECK(r.ok());
}

