#include <memory>
#include <stdexcept>
#include <thread>

#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

TEST("events are delivered in the next pass, one after another, to who has subscribed to their names, or to all") {
    auto r = run_virtually([]() -> result<void> {
        event_bus<int> bus;
        std::string seen;
        auto put = [&](char who) { return [&seen, who](std::string_view name, int const& n) { seen += who + std::string(name) + std::to_string(n); }; };
        auto a = bus.subscribe({"x", "y"}, put('a'));
        auto all = bus.subscribe({}, put('*'));
        auto b = bus.subscribe({"y"}, put('b'));
        CHECK(bus.post("x", 1).ok());
        CHECK(bus.post("y", 2).ok());
        CHECK(bus.post("z", 3).ok());
        CHECK_EQ(bus.size(), 3U);
        CHECK(seen.empty());
        settle(1);
        CHECK_EQ(std::string_view(seen), "ax1*x1ay2*y2by2*z3");
        seen.clear();
        CHECK(bus.post("y", 4).ok());
        a.disconnect();   // before it was delivered
        settle(1);
        CHECK_EQ(std::string_view(seen), "*y4by4");
        CHECK(bus.subscribe({"1", "2", "3", "4", "5", "6", "7", "8", "9"}, put('c')).error() == errc::invalid_argument);
        return {};
    });
    CHECK(r.ok());
}

TEST("a post wakes an idle loop, holds its run, and what is posted in a delivery comes in the pass after it") {
    if (harness::spoilt_kernel()) harness::skip("what it tests makes no system call");
    testing::simulation world(harness::as_asked());
    loop_options o;
    o.on = world.on();
    loop hub(o);
    event_bus<int> bus;
    std::string seen;
    auto c = bus.subscribe({}, [&](std::string_view, int n) {
        seen += std::to_string(n);
        if (n < 3) {
            CHECK(bus.post("again", n + 1).ok());
            hub.call_soon([&] { seen += '.'; });
        }
    });
    CHECK(bus.post("first", 1).ok());
    CHECK(hub.run().ok());
    CHECK_EQ(std::string_view(seen), "12.3.");
    // Asleep, until a call from another thread posts.
    CHECK(hub.remote().call([&] { CHECK(bus.post("late", 4).ok()); }).ok());
    CHECK(hub.run().ok());
    CHECK_EQ(std::string_view(seen), "12.3.4");
}

TEST("a bus bounds what is posted, and a failing subscriber does not keep the others from their events") {
    auto r = run_virtually([]() -> result<void> {
        SPRUCE_TRY(loop& hub, loop::current());
        int told = 0, calls = 0;
        hub.on_unhandled([&](unhandled const&) { ++told; });
        event_bus<std::unique_ptr<int>> bus(2);
#if SPRUCE_EXCEPTIONS
        auto fails = bus.subscribe({}, [](std::string_view, auto const&) { throw std::runtime_error("a subscriber"); });
#endif
        auto c = bus.subscribe({}, [&](std::string_view, std::unique_ptr<int> const& n) { calls += *n; });
        CHECK(bus.post("a", std::make_unique<int>(1)).ok());
        CHECK(bus.post("a", std::make_unique<int>(2)).ok());
        CHECK(bus.post("a", std::make_unique<int>(4)) == errc::full);
        settle(1);
        CHECK_EQ(calls, 3);
        CHECK_EQ(told, SPRUCE_EXCEPTIONS ? 2 : 0);
        event_bus<int> none(0);
        CHECK(none.post("a", 1) == errc::full);
        event_bus<int> huge(static_cast<std::size_t>(-1) / 2);
        CHECK(huge.post("a", 1) == errc::no_memory);
        return {};
    });
    CHECK(r.ok());
}

TEST("a bus may die in a delivery of its own, or with events that were not delivered") {
    auto r = run_virtually([]() -> result<void> {
        auto bus = std::make_unique<event_bus<std::shared_ptr<int>>>();
        auto const value = std::make_shared<int>(1);
        int calls = 0;
        auto a = bus->subscribe({}, [&](std::string_view name, auto const& v) {
            ++calls;
            bus.reset();
            CHECK(name == "x");
            CHECK_EQ(*v, 1);
        });
        auto b = bus->subscribe({}, [&](std::string_view, auto const&) { ++calls; });
        CHECK(bus->post("x", value).ok());
        CHECK(bus->post("y", value).ok());
        settle(1);
        CHECK_EQ(calls, 1);
        CHECK_EQ(value.use_count(), 1);
        {
            event_bus<std::shared_ptr<int>> short_lived;
            auto c = short_lived.subscribe({}, [&](std::string_view, auto const&) { ++calls; });
            CHECK(short_lived.post("x", value).ok());
        }
        settle(1);
        CHECK_EQ(calls, 1);
        CHECK_EQ(value.use_count(), 1);
        return {};
    });
    CHECK(r.ok());
}

TEST("posting where no loop is says so") {
    std::thread([] {
        event_bus<int> bus;
        CHECK(bus.post("a", 1) == errc::no_loop);
        CHECK_EQ(bus.size(), 0U);
    }).join();
}
