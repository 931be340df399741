// Where the processor keeps shadow stacks no task is made. Few machines do, so here the tests answer for it.
#include <chrono>
#include <memory>
#include <string_view>

#include <spruce/spruce.hpp>

#include "../../src/context/switch.hpp"
#include "../harness/harness.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
struct shadow_stacks {
    shadow_stacks() {
        detail::set_shadow_stack_question([]() noexcept { return true; });
    }
    ~shadow_stacks() { detail::set_shadow_stack_question(nullptr); }
};
bool is_told(error const& e) {
    return e == errc::not_supported && std::string_view(e.detail()).find("shadow stacks") != std::string_view::npos;
}
}  // namespace

TEST("where shadow stacks are active no task is made: each way is refused by name, and what it was given is destroyed") {
    auto const given = std::make_shared<int>(0);
    {
        shadow_stacks const active;
        CHECK(is_told(run([given] { ++*given; }).error()));
    }
    {
        loop l;
        REQUIRE(l.status().ok());
        {
            shadow_stacks const active;
            auto t = spawn([given] { ++*given; });
            CHECK(is_told(t.get().error()) && is_told(t.join().error()));
            CHECK(!t.cancel() && t.done());
            auto named = spawn(task_options{.name = "one"}, [given] { ++*given; });
            CHECK(is_told(named.get().error()));
            CHECK_EQ(given.use_count(), 1L);
            // The rest of the loop works, and knows of no task.
            int calls = 0;
            l.call_soon([&] { ++calls; });
            l.call_later(1ms, [&] { ++calls; });
            CHECK(l.run().ok());
            CHECK_EQ(calls, 2);
            for (auto const& each : l.census()) CHECK(each.id == task_id{});   // none
        }
        // Nothing stands in the way of tasks where the answer is another.
        auto t = spawn([given] { ++*given; });
        CHECK(l.run().ok());
        CHECK(t.get().ok());
    }
    CHECK_EQ(*given, 1);
    CHECK_EQ(given.use_count(), 1L);
}

TEST("a loop that could make no task for shadow stacks leaves nothing behind when it is destroyed") {
    shadow_stacks const active;
    for (int n = 0; n != 100; ++n) {
        loop l;
        REQUIRE(l.status().ok());
        CHECK(is_told(spawn([] {}).get().error()));
        CHECK(l.destroy().ok());
    }
}
