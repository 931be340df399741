#include <functional>
#include <memory>
#include <thread>

#include "virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
// So many milliseconds after the test's beginning.
struct stopwatch {
    time_point start = loop_clock::now();
    std::string operator()() const { return std::to_string((loop_clock::now() - start) / 1ms) + " "; }
};
}  // namespace

TEST("a timer calls again and again without drift, begins anew when it is started again, and stops when told or by false") {
    auto r = run_virtually([]() -> result<void> {
        stopwatch ms;
        std::string seen;
        int left = 3;
        timer t([&] {
            seen += ms();
            return --left != 0;
        });
        CHECK(!t.active());
        CHECK(!t.stop());
        CHECK(t.start(10ms).ok());
        CHECK(t.active());
        SPRUCE_CHECK(sleep_for(50ms));
        CHECK_EQ(std::string_view(seen), "10 20 30 ");
        CHECK(!t.active());
        seen.clear();
        left = 100;
        CHECK(t.start(10ms, true).ok());
        settle(1);
        CHECK_EQ(std::string_view(seen), "50 ");
        SPRUCE_CHECK(sleep_for(15ms));
        CHECK(t.start(20ms).ok());   // at 65
        SPRUCE_CHECK(sleep_for(30ms));
        CHECK(t.stop());
        CHECK(!t.stop());
        SPRUCE_CHECK(sleep_for(50ms));
        CHECK_EQ(std::string_view(seen), "50 60 85 ");
        CHECK(t.start(0ms) == errc::invalid_argument);
        return {};
    });
    CHECK(r.ok());
}

TEST("a timer may be started, stopped or destroyed in its own callable, which gets the handler behind it if it wants it") {
    auto r = run_virtually([]() -> result<void> {
        stopwatch ms;
        std::string seen;
        std::unique_ptr<timer> t;
        t = std::make_unique<timer>([&] {
            seen += ms();
            if (seen.size() < 8) CHECK(t->start(seen.size() < 4 ? 5ms : 7ms).ok());
            return false;   // that was for before
        });
        CHECK(t->start(10ms).ok());
        SPRUCE_CHECK(sleep_for(60ms));
        CHECK_EQ(std::string_view(seen), "10 15 22 ");
        CHECK(!t->active());
        seen.clear();
        t = std::make_unique<timer>([&] {
            seen += ms();
            t.reset();
            seen += "gone ";
        });
        CHECK(t->start(10ms).ok());
        SPRUCE_CHECK(sleep_for(30ms));
        CHECK_EQ(std::string_view(seen), "70 gone ");
        seen.clear();
        timer own([&](handler h) {
            seen += ms();
            CHECK(own.active());
            h.cancel();
            CHECK(!own.active());
        });
        CHECK(own.start(10ms).ok());
        SPRUCE_CHECK(sleep_for(30ms));
        CHECK_EQ(std::string_view(seen), "100 ");
        return {};
    });
    CHECK(r.ok());
}

TEST("a one-shot timer calls once each time it is started, also from within its callable, and its end stops it") {
    auto r = run_virtually([]() -> result<void> {
        stopwatch ms;
        std::string seen;
        one_shot_timer t([&] {
            CHECK(!t.active());
            seen += ms();
            if (seen.size() < 6) CHECK(t.start(5ms).ok());
            return false;   // means nothing here
        });
        CHECK(t.start(10ms).ok());
        CHECK(t.start(20ms).ok());
        SPRUCE_CHECK(sleep_for(50ms));
        CHECK_EQ(std::string_view(seen), "20 25 ");
        {
            one_shot_timer gone([&] { seen += "never "; });
            CHECK(gone.start(1ms).ok());
        }
        CHECK(t.start(0ms).ok());
        settle(1);
        CHECK_EQ(std::string_view(seen), "20 25 50 ");
        return {};
    });
    CHECK(r.ok());
}

TEST("a timer that is active holds the run, allocates nothing when it fires, and without a loop says so") {
    timer lonely([] {});
    one_shot_timer once([] {});
    at_timer daily([] {});
    std::thread([&] {
        CHECK(lonely.start(1ms) == errc::no_loop);
        CHECK(once.start(1ms) == errc::no_loop);
        CHECK(daily.start() == errc::no_loop);
        auto none = timed(1ms, [] {});
        CHECK(!none());
    }).join();
    if (harness::spoilt_kernel()) harness::skip("what it tests makes no system call");
    testing::simulation world(harness::as_asked());
    loop_options o;
    o.on = world.on();
    loop hub(o);
    int calls = 0;
    std::uint64_t before = 0;
    timer t([&] {
        if (++calls == 1) before = (harness::refused_allocations().calls = 0);
        return calls != 10;
    });
    CHECK(t.start(1ms).ok());
    CHECK(hub.run().ok());
    CHECK_EQ(calls, 10);
    CHECK_EQ(harness::refused_allocations().calls, before);
}

TEST("a timed function calls later: many each for itself, once ignores, restart takes the place of the call that waits") {
    auto r = run_virtually([]() -> result<void> {
        stopwatch ms;
        std::string seen;
        auto say = [&](std::string what, std::unique_ptr<int>) { seen += what + ms(); };
        auto many = timed(10ms, say);
        auto once = timed(10ms, say, timer_policy::once);
        auto restart = timed(10ms, say, timer_policy::restart);
        for (int i = 0; i != 3; ++i) {
            CHECK(many("m" + std::to_string(i) + "@", nullptr));
            CHECK_EQ(once("o" + std::to_string(i) + "@", nullptr), i == 0);
            CHECK(restart("r" + std::to_string(i) + "@", nullptr));
            SPRUCE_CHECK(sleep_for(2ms));
        }
        SPRUCE_CHECK(sleep_for(20ms));
        CHECK_EQ(std::string_view(seen), "m0@10 o0@10 m1@12 m2@14 r2@14 ");
        seen.clear();
        CHECK(once("again@", std::make_unique<int>(1)));
        CHECK(many("x", nullptr));
        CHECK(many("y", nullptr));
        auto moved = std::move(many);
        CHECK(!many("nothing", nullptr));
        CHECK(moved.stop());
        CHECK(!moved.stop());
        CHECK(moved("end", nullptr));
        { auto ends = std::move(moved); }
        SPRUCE_CHECK(sleep_for(20ms));
        CHECK_EQ(std::string_view(seen), "again@36 ");
        return {};
    });
    CHECK(r.ok());
}

TEST("a timed function may be called, stopped or destroyed by the function itself") {
    auto r = run_virtually([]() -> result<void> {
        std::string seen;
        struct again {
            std::string* seen;
            std::unique_ptr<timed_function<again>>* self;
            void operator()(int n) {
                *seen += std::to_string(n);
                if (n == 3) self->reset();
                else CHECK((**self)(n + 1));
                *seen += '.';
            }
        };
        std::unique_ptr<timed_function<again>> f;
        f = std::make_unique<timed_function<again>>(timed(1ms, again{&seen, &f}, timer_policy::once));
        CHECK((*f)(1));
        SPRUCE_CHECK(sleep_for(10ms));
        CHECK_EQ(std::string_view(seen), "1.2.3.");
        CHECK(!f);
        return {};
    });
    CHECK(r.ok());
}

TEST("arguments that own the timed function may go when their calls are taken back, and it with them") {
    auto r = run_virtually([] {
        using later = timed_function<void (*)(std::shared_ptr<void>)>;
        for (timer_policy how : {timer_policy::many, timer_policy::restart}) {
            auto owner = std::make_shared<later>(5ms, +[](std::shared_ptr<void>) {}, how);
            std::weak_ptr<later> const seen = owner;
            later& f = *owner;
            REQUIRE(f(std::shared_ptr<void>(std::move(owner))));   // it is gone else
            if (how == timer_policy::many) CHECK(f.stop());
            else CHECK(!f(std::shared_ptr<void>()));
            CHECK(seen.expired());
        }
    });
    CHECK(r.ok());
}

namespace {
template <class T> concept starts_at_once = requires { T([] {}).start(1ms); };
template <class F> concept called_at_once = requires(F f) { std::move(f)(); };
}  // namespace

TEST("timers and functions that would die with the expression that starts them do not compile") {
    static_assert(!starts_at_once<timer> && !starts_at_once<one_shot_timer>);
    static_assert(!called_at_once<timed_function<void (*)()>>);
    CHECK(!starts_at_once<timer>);
}

TEST("what the ends of taken-back arguments call is not called later, and stop() comes to an end") {
    struct calls_again {
        timed_function<std::function<void(std::shared_ptr<void>)>>* of;
        std::shared_ptr<void> operator()() const {
            return {static_cast<void*>(nullptr), [f = of](void*) { static_cast<void>((*f)(std::shared_ptr<void>())); }};
        }
    };
    for (auto const how : {timer_policy::once, timer_policy::many, timer_policy::restart}) {
        auto r = run_virtually([how]() -> result<void> {
            int ran = 0;
            timed_function<std::function<void(std::shared_ptr<void>)>> f(1ms, [&](std::shared_ptr<void>) { ++ran; }, how);
            CHECK(f(calls_again{&f}()));
            CHECK(f.stop());
            CHECK(!f.stop());
            SPRUCE_CHECK(sleep_for(5ms));
            CHECK_EQ(ran, 0);
            CHECK(f(std::shared_ptr<void>()));
            SPRUCE_CHECK(sleep_for(5ms));
            CHECK_EQ(ran, 1);
            return {};
        });
        CHECK(r.ok());
    }
}
