// An exception's error that goes from task to task.
// needs: exceptions
#include <spruce/spruce.hpp>
#include <stdexcept>
#include <string>

#include "../harness/axes.hpp"

#if SPRUCE_EXCEPTIONS
using namespace spruce;

TEST("a task that hands on another one's task_failed is told with a sentence when nobody looks") {
    std::string told;
    auto r = run([&]() -> result<void> {
        (*loop::current()).on_unhandled([&](unhandled const& u) { told += std::string(u.name) + "|" + u.what + ";"; });
        spawn({.name = "parent"}, []() -> result<int> {
            auto kid = spawn([]() -> int { throw std::runtime_error("the kid threw"); });
            return kid.get();
        });
        for (int i = 0; i != 4; ++i) SPRUCE_CHECK(yield());
        return {};
    });
    CHECK(r.ok());
    CHECK_EQ(told, "parent|an exception escaped from the task;");
}
#endif
