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

namespace {
struct waits_at_its_end {
    int* ends = nullptr;
    event* until = nullptr;
    waits_at_its_end(int* e, event* u) : ends(e), until(u) {}
    waits_at_its_end(waits_at_its_end&& o) noexcept : ends(std::exchange(o.ends, nullptr)), until(o.until) {}
    ~waits_at_its_end() {
        if (!ends) return;
        static_cast<void>(yield());
        static_cast<void>(sleep_for(1ms));
        static_cast<void>(until->wait(in(1s)));
        ++*ends;
    }
};
}  // namespace

TEST("the destructor of a value that nobody took may wait, and the loop waits for it") {
    testing::simulation world;
    int ends = 0;
    {
        loop l(loop_options{.on = world.on()});
        event until;
        spawn([&] { return waits_at_its_end(&ends, &until); });
        CHECK(l.run().ok());
        CHECK_EQ(ends, 1);
        spawn([&] { return waits_at_its_end(&ends, &until); });
        spawn([&] {
            sleep_for(5ms);
            until.set();
        });
        CHECK(l.run().ok());
        CHECK_EQ(ends, 2);
    }
}

namespace {
struct spawner {
    int more = 0;
    int* ran = nullptr;
    spawner(int m, int* r) : more(m), ran(r) {}
    spawner(spawner&& o) : more(std::exchange(o.more, 0)), ran(o.ran) {
        for (; more > 0; --more) spawn([r = ran] { ++*r; });
    }
    void operator()() const { ++*ran; }
};
}  // namespace

TEST("arguments that spawn while they are moved into a task cost nobody a place") {
    testing::simulation world;
    loop l(loop_options{.max_tasks = 100, .on = world.on()});
    int ran = 0;
    for (int i = 0; i != 63; ++i) spawn([&] { ++ran; });
    // The outer tasks' places were promised before the inner ones are.
    spawn(spawner(70, &ran));
    CHECK(l.run().ok());
    CHECK_EQ(ran, 100);
}

