#include <stdexcept>
#include <string>
#include <utility>

#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;

TEST("a task that yields, or sleeps for no time, goes behind those who are ready") {
    for (int how = 0; how != 3; ++how) {
        testing::simulation world(harness::as_asked());
        std::string seen;
        auto r = run(loop_options{.on = world.on()}, [&]() -> result<void> {
            task_group g;
            for (char c : {'1', '2', '3'}) g.spawn([&, c]() -> result<void> {
                seen += c;
                SPRUCE_CHECK(how == 0 ? yield() : how == 1 ? sleep_for(0s) : sleep_until(world.now() - 1s));
                seen += c;
                return {};
            });
            return g.join();
        });
        CHECK(r.ok());
        CHECK_EQ(std::string_view(seen), "123123");
    }
}

TEST("switch_to_hub gives the thread away until somebody cancels; in plain code it does nothing") {
    testing::simulation world(harness::as_asked());
    loop l(loop_options{.on = world.on()});
    switch_to_hub();
    std::string seen;
    auto t = spawn([&] {
        seen += 'a';
        switch_to_hub();
        seen += this_task::cancel_requested() ? 'c' : '?';
    });
    l.call_later(1ms, [&] {
        seen += 'b';
        t.cancel();
    });
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(seen), "abc");
}

#if SPRUCE_EXCEPTIONS
TEST("an exception that escapes from a task goes to the hook once, with its text, and the others go on") {
    testing::simulation world(harness::as_asked());
    loop l(loop_options{.on = world.on()});
    int told = 0;
    std::string what, who;
    l.on_unhandled([&](unhandled const& u) {
        ++told;
        what = u.what;
        who = u.name;
        CHECK(u.reason == errc::task_failed);
    });
    bool after = false;
    spawn({.name = "thrower"}, [] { throw std::runtime_error("boom"); });
    spawn([&] { after = true; });
    CHECK(l.run().ok());
    CHECK(after);
    CHECK_EQ(told, 1);
    CHECK_EQ(std::string_view(what), "boom");
    CHECK_EQ(std::string_view(who), "thrower");
    {
        auto looked = spawn([]() -> int { throw 7; });
        CHECK(l.run().ok());
        CHECK(looked.get() == errc::task_failed);
        CHECK(looked.exception() != nullptr);
    }
    CHECK_EQ(told, 1);
}
#endif

TEST("the value of a task whose handle is gone is destroyed when it ends, and the value of one that is kept with its handle") {
    auto const r = run([] {
        struct counted {
            int* alive;
            explicit counted(int* a) : alive(a) { ++*alive; }
            counted(counted&& o) noexcept : alive(std::exchange(o.alive, nullptr)) {}
            ~counted() {
                if (alive) --*alive;
            }
        };
        int alive = 0;
        spawn([&] { return counted(&alive); });
        CHECK(yield().ok());
        CHECK_EQ(alive, 0);
        {
            auto kept = spawn([&] { return counted(&alive); });
            CHECK(yield().ok());
            CHECK_EQ(alive, 1);
        }
        CHECK_EQ(alive, 0);
    });
    CHECK(r.ok());
}
