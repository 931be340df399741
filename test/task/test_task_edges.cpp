// Tasks in odd states: what their outcomes, arguments and destructors do to the loop.
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>

#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;

TEST("task_failed handed on by a task that nobody looks at is told as it is: it threw nothing itself") {
    testing::simulation world;
    loop l(loop_options{.on = world.on()});
    int told = 0;
    std::string what;
    l.on_unhandled([&](unhandled const& u) {
        ++told;
        what = u.what;
    });
    auto t = spawn([]() -> result<void> { return errc::task_failed; });
    { auto dropped = std::move(t); }
    CHECK(l.run().ok());
    CHECK_EQ(told, 1);
    CHECK_EQ(std::string_view(what), error(errc::task_failed).message());
}

TEST("values that are references, over-aligned or only movable come out of a task as they are") {
    struct alignas(256) wide {
        int value;
        explicit wide(int v) : value(v) {}
        wide(wide&& o) noexcept : value(o.value) {}
    };
    auto const r = run([] {
        int x = 1;
        auto ref = spawn([&]() -> int& { return x; });
        CHECK(&*ref.get() == &x);
        CHECK(&*ref.get() == &x);
        auto w = spawn([] { return wide(7); });
        auto got = w.get();
        CHECK(got.ok());
        CHECK_EQ(got->value, 7);
        CHECK_EQ(reinterpret_cast<std::uintptr_t>(&*got) % 256, 0U);
        CHECK(w.get() == errc::wrong_state);
        wide captured(3);
        auto held = spawn([c = std::move(captured)] { return reinterpret_cast<std::uintptr_t>(&c) % 256; });
        CHECK_EQ(held.get().value_or(1), 0U);
    });
    CHECK(r.ok());
}
