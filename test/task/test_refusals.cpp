// What a task's handle, a group and a loop refuse, and with which error.
#include <spruce/spruce.hpp>
#include <thread>

#include "../harness/axes.hpp"

using namespace spruce;

TEST("only the task that made a group joins it; who else tries is told so") {
    auto r = run([]() -> result<void> {
        task_group g;
        auto member = g.spawn([&] { return g.join(); });
        CHECK(member.get() == errc::wrong_state);
        CHECK(g.join() == errc::wrong_state);   // the member's error
        return g.join();
    });
    CHECK(r.ok());
}

TEST("on_done() on another thread is refused with wrong_thread, and with closed after the loop's end") {
    task<void> t;
    {
        loop l;
        REQUIRE(l.status().ok());
        t = spawn([] {});
        std::thread([&] { CHECK(t.on_done([] {}).error() == errc::wrong_thread); }).join();
        CHECK(l.run().ok());
    }
    CHECK(t.on_done([] {}).error() == errc::closed);
}

TEST("a loop that has ended refuses calls from threads with closed") {
    loop l;
    REQUIRE(l.status().ok());
    CHECK(l.destroy().ok());
    CHECK(l.call_from_thread([] {}) == errc::closed);
}
