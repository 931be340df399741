#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

TEST("a subscriber that gives a future or a task is waited for before the next one, and before the next event") {
    auto r = run_virtually([]() -> result<void> {
        event_bus<int> bus;
        std::string seen;
        async_function slow([&](std::string_view name, int n) -> result<void> {
            seen += 'a';
            SPRUCE_CHECK(sleep_for(10ms));
            seen += std::string(name) + std::to_string(n) + "A";
            return {};
        });
        auto a = bus.subscribe({}, slow);
        auto b = bus.subscribe({"x"}, [&](std::string_view, int) {
            return spawn([&] { static_cast<void>(sleep_for(1ms)), seen += 'b'; });
        });
        auto c = bus.subscribe({}, [&](std::string_view, int n) { seen += 'c' + std::to_string(n) + ' '; });
        CHECK(bus.post("x", 1).ok() && bus.post("y", 2).ok());
        settle();
        CHECK_EQ(std::string_view(seen), "a");
        CHECK(bus.post("x", 3).ok());   // one line, however it is delivered
        CHECK(sleep_for(100ms).ok());
        CHECK_EQ(std::string_view(seen), "ax1Abc1 ay2Ac2 ax3Abc3 ");
        CHECK_EQ(bus.size(), 0U);
        // The next post begins anew.
        seen.clear();
        a.disconnect();
        CHECK(bus.post("z", 4).ok());
        CHECK(seen.empty());
        settle(1);
        CHECK_EQ(std::string_view(seen), "c4 ");
        return {};
    });
    CHECK(r.ok());
}

TEST("events that were posted before anybody wanted to be waited for come in their order, too") {
    auto r = run_virtually([]() -> result<void> {
        event_bus<int> bus;
        std::string seen;
        connection late;
        auto slow = [&](std::string_view, int n) { return spawn([&seen, n] { static_cast<void>(sleep_for(1ms)), seen += 'L' + std::to_string(n); }); };
        auto first = bus.subscribe({}, [&](std::string_view, int n) {
            seen += 'f' + std::to_string(n);
            if (n == 1) late = bus.subscribe({}, slow);
        });
        for (int n : {1, 2, 3}) CHECK(bus.post("x", n).ok());
        CHECK(sleep_for(1s).ok());
        CHECK_EQ(std::string_view(seen), "f1f2L2f3L3");
        return {};
    });
    CHECK(r.ok());
}

TEST("who is the first to want to be waited for may be subscribed by a subscriber, who posts: events come one after another") {
    auto r = run_virtually([]() -> result<void> {
        event_bus<int> bus;
        std::string seen;
        connection waits;
        auto const first = bus.subscribe({}, [&](std::string_view, int n) {
            seen += std::to_string(n);
            if (n != 1) return;
            waits = bus.subscribe({}, [&](std::string_view, int m) {
                return spawn([&seen, m] {
                    seen += '(';
                    static_cast<void>(sleep_for(1s));
                    seen += std::to_string(m) + ")";
                });
            });
            CHECK(bus.post("x", 3).ok());
            CHECK(bus.post("x", 4).ok());
        });
        CHECK(bus.post("x", 1).ok());
        CHECK(bus.post("x", 2).ok());
        SPRUCE_CHECK(sleep_for(10s));
        CHECK_EQ(std::string_view(seen), "12(2)3(3)4(4)");
        return {};
    });
    CHECK(r.ok());
}

TEST("what a subscriber's future fails with is told once, and the others get their events") {
    auto r = run_virtually([]() -> result<void> {
        SPRUCE_TRY(loop& hub, loop::current());
        int told = 0, calls = 0;
        hub.on_unhandled([&](unhandled const&) { ++told; });
        event_bus<int> bus;
        auto a = bus.subscribe({}, async_function([](std::string_view, int) -> result<void> {
            SPRUCE_CHECK(sleep_for(1ms));
            return errc::broken;
        }));
        auto b = bus.subscribe({}, [&](std::string_view, int) { ++calls; });
        CHECK(bus.post("x", 1).ok());
        CHECK(sleep_for(1s).ok());
        CHECK_EQ(told, 1);
        CHECK_EQ(calls, 1);
        return {};
    });
    CHECK(r.ok());
}

TEST("a bus may die while a subscriber is waited for, or before: that one goes on, and nobody else is called") {
    auto r = run_virtually([]() -> result<void> {
        auto bus = std::make_unique<event_bus<int>>();
        int ended = 0, calls = 0;
        auto slow = async_function([&](std::string_view, int) { ended += sleep_for(1s).ok() ? 1 : 10; });
        auto a = bus->subscribe({}, slow);
        auto b = bus->subscribe({}, [&](std::string_view, int) { ++calls; });
        CHECK(bus->post("x", 1).ok() && bus->post("x", 2).ok());
        settle();
        bus.reset();
        CHECK(sleep_for(5s).ok());
        CHECK_EQ(ended, 1);
        CHECK_EQ(calls, 0);
        bus = std::make_unique<event_bus<int>>();
        auto c = bus->subscribe({}, slow);
        CHECK(bus->post("x", 1).ok());
        bus.reset();
        CHECK(sleep_for(5s).ok());
        CHECK_EQ(ended, 1);
        // Between two events, and in a subscriber's own call.
        bus = std::make_unique<event_bus<int>>();
        auto d = bus->subscribe({}, [&](std::string_view, int n) {
            ++calls;
            if (n == 1) CHECK(bus->post("x", 2).ok());
            return spawn([] {});
        });
        REQUIRE(bus->post("x", 1).ok());
        for (int n = 0; calls == 0 && n != 1'000; ++n) settle(1);
        REQUIRE(calls == 1);   // the delivery may have been refused
        settle(1);
        bus.reset();
        settle();
        CHECK_EQ(calls, 1);
        bus = std::make_unique<event_bus<int>>();
        auto e = bus->subscribe({}, [&](std::string_view, int) {
            bus.reset();
            return spawn([&] { static_cast<void>(sleep_for(1ms)), ++calls; });
        });
        CHECK(bus->post("x", 1).ok() && bus->post("x", 2).ok());
        CHECK(sleep_for(1s).ok());
        CHECK_EQ(calls, 2);
        return {};
    });
    CHECK(r.ok());
}

TEST("a bus may die between two passes of a delivery that waits for subscribers: nothing of it is looked at any more") {
    auto r = run_virtually([]() -> result<void> {
        // At each moment from the first event on.
        for (int moment = 0; moment != 6; ++moment) {
            auto bus = std::make_unique<event_bus<std::string>>();
            int calls = 0;
            auto const c = bus->subscribe({}, [&](std::string_view, std::string const&) {
                if (++calls == 1) CHECK(bus->post("x", std::string(100, 'b')).ok());   // for the next pass
                return spawn([] {});
            });
            CHECK(bus->post("x", std::string(100, 'a')).ok());
            for (int n = 0; calls == 0; ++n) {
                REQUIRE(n != 1'000);
                SPRUCE_CHECK(yield());
            }
            settle(moment);
            bus.reset();
            int const before = calls;
            settle();
            CHECK_EQ(calls, before);
        }
        return {};
    });
    CHECK(r.ok());
}
