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
    CHECK_EQ(told, "parent|an exception escaped from the task: the kid threw;");
}

TEST("the text of an exception is the detail of the error that get(), join() of a group and run() give") {
    auto r = run([]() -> result<void> {
        auto t = spawn([] { throw std::runtime_error("from the task"); });
        CHECK_EQ(t.get().error().detail(), "from the task");
        task_group g;
        g.spawn([] { throw std::runtime_error("from the member"); });
        CHECK_EQ(g.join().error().detail(), "from the member");
        throw std::runtime_error("from the first task");
    });
    CHECK(r == errc::task_failed);
    CHECK_EQ(r.error().detail(), "from the first task");
}
#endif
