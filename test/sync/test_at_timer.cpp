#include <memory>
#include <cstdlib>
#include <ctime>

#include "virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
// A simulated kernel whose wall clock is the test's: it goes with the virtual time, and is put as one likes.
class wall_world {
public:
    explicit wall_world(char const* zone) : world_(harness::as_asked()), kernel_(*world_.on()), calls_(*kernel_.calls) {
        if (harness::spoilt_kernel()) harness::skip("what it tests makes no system call");
        ::setenv("TZ", zone, 1);
        ::tzset();
        calls_.realtime_ns = [](void* context) noexcept { return offset_ns + real_(context); };
        real_ = kernel_.calls->monotonic_ns;
        kernel_.calls = &calls_;
        offset_ns = 0;
    }
    // What the local clock shows is put to this.
    void set(int year, int month, int day, int hour, int minute, int second = 0) {
        std::tm t{};
        t.tm_year = year - 1900;
        t.tm_mon = month - 1;
        t.tm_mday = day;
        t.tm_hour = hour;
        t.tm_min = minute;
        t.tm_sec = second;
        t.tm_isdst = -1;
        offset_ns = std::int64_t{std::mktime(&t)} * 1'000'000'000 - real_(kernel_.context);
    }
    void step(duration by) { offset_ns += by.count(); }
    std::int64_t now_ns() { return offset_ns + real_(kernel_.context); }
    std::string shows(char const* format = "%d %H:%M:%S ") {
        auto const now = static_cast<std::time_t>(now_ns() / 1'000'000'000);
        std::tm t{};
        ::localtime_r(&now, &t);
        char text[64];
        std::strftime(text, sizeof text, format, &t);
        return text;
    }
    template <class F> void run(F&& f) {
        loop_options o;
        o.on = &kernel_;
        CHECK(spruce::run(o, std::forward<F>(f)).ok());
    }

private:
    testing::simulation world_;
    kernel kernel_;
    detail::kernel_calls calls_;
    static inline std::int64_t (*real_)(void*) noexcept = nullptr;
    static inline std::int64_t offset_ns = 0;
};
}  // namespace

TEST("an at_timer calls at the times of day that its hours, minutes and seconds make, at no other, and exactly then") {
    wall_world world("UTC0");
    world.set(2026, 11, 21, 7, 59, 58);
    world.run([&]() -> result<void> {
        std::string seen;
        auto put = [&] { seen += world.shows(); };
        at_timer t(put);
        CHECK(t.next() == errc::wrong_state);
        CHECK(t.start({.hours = {8, 20}, .minutes = {0, 30}}).ok());
        CHECK(*t.next() == 2s);
        SPRUCE_CHECK(sleep_for(26h));
        CHECK_EQ(std::string_view(seen), "21 08:00:00 21 08:30:00 21 20:00:00 21 20:30:00 22 08:00:00 22 08:30:00 ");
        seen.clear();
        CHECK(t.start({.hours = {23}, .minutes = {59}, .seconds = {58, 59}}).ok());
        SPRUCE_CHECK(sleep_for(24h));
        CHECK_EQ(std::string_view(seen), "22 23:59:58 22 23:59:59 ");
        seen.clear();
        int calls = 0;
        at_timer minutes([&] { return ++calls != 3; });
        CHECK(minutes.start().ok());
        CHECK(t.stop());
        SPRUCE_CHECK(sleep_for(1h));
        CHECK_EQ(calls, 3);
        CHECK(!minutes.active());
        CHECK(t.start({.hours = {24}}) == errc::invalid_argument);
        CHECK(t.start({.minutes = {60}}) == errc::invalid_argument);
        CHECK(t.start({.seconds = {-1}}) == errc::invalid_argument);
        return {};
    });
}

TEST("times of day are those of the local time zone: what summer time leaves out is made up for, what it repeats is not") {
    wall_world world("CET-1CEST,M3.5.0,M10.5.0/3");
    world.set(2026, 3, 28, 12, 0);
    world.run([&]() -> result<void> {
        std::string seen;
        at_timer t([&] { seen += world.shows("%d.%m. %H:%M:%S "); });
        CHECK(t.start({.hours = {2, 3}, .minutes = {30}}).ok());
        SPRUCE_CHECK(sleep_for(36h));
        // There is no 2:30 on the 29th: it is made up for as soon as the clock has left it out.
        CHECK_EQ(std::string_view(seen), "29.03. 03:00:00 29.03. 03:30:00 ");
        seen.clear();
        world.set(2026, 10, 24, 12, 0);
        CHECK(t.start({.hours = {2, 3}, .minutes = {30}}).ok());
        SPRUCE_CHECK(sleep_for(36h));
        CHECK_EQ(std::string_view(seen), "25.10. 02:30:00 25.10. 03:30:00 ");
        return {};
    });
}

TEST("a wall clock that is put forward makes up by one call, noticed within a minute; put back it repeats nothing") {
    wall_world world("UTC0");
    world.set(2026, 11, 21, 12, 0, 10);
    world.run([&]() -> result<void> {
        std::string seen;
        at_timer t([&] { seen += world.shows("%H:%M:%S "); });
        CHECK(t.start({.hours = {}, .minutes = {0, 20, 40}}).ok());
        SPRUCE_CHECK(sleep_for(10min));
        world.step(35min);   // 12:45:10: two were left out
        SPRUCE_CHECK(sleep_for(20min));
        CHECK_EQ(std::string_view(seen), "12:46:00 13:00:00 ");
        seen.clear();
        world.step(-30min);   // 12:35:10: 12:40 and 13:00 come again
        SPRUCE_CHECK(sleep_for(50min));
        CHECK_EQ(std::string_view(seen), "13:20:00 ");
        seen.clear();
        world.step(-12s);   // 13:24:58
        SPRUCE_CHECK(sleep_for(20min));
        CHECK_EQ(std::string_view(seen), "13:40:00 ");
        seen.clear();
        // So far that it has been wrong: it begins anew, and makes up nothing.
        world.step(-24h * 400);
        SPRUCE_CHECK(sleep_for(20min));
        CHECK_EQ(std::string_view(seen), "14:00:00 ");
        world.step(24h * 800 + 25min);
        SPRUCE_CHECK(sleep_for(20min));
        CHECK_EQ(std::string_view(seen), "14:00:00 14:40:00 ");
        return {};
    });
}

TEST("an at_timer may stop, start or end itself in its callable") {
    wall_world world("UTC0");
    world.set(2026, 11, 21, 12, 0, 10);
    world.run([&]() -> result<void> {
        std::string seen;
        std::unique_ptr<at_timer> t;
        t = std::make_unique<at_timer>([&] {
            seen += world.shows("%H:%M:%S ");
            if (seen.size() == 9) CHECK(t->start({.minutes = {5}}).ok());
            else if (seen.size() == 18) t->stop();
            else t.reset();
            return false;
        });
        CHECK(t->start().ok());
        SPRUCE_CHECK(sleep_for(2h));
        CHECK_EQ(std::string_view(seen), "12:01:00 12:05:00 ");
        CHECK(!t->active());
        CHECK(t->start().ok());
        SPRUCE_CHECK(sleep_for(2h));
        CHECK_EQ(std::string_view(seen), "12:01:00 12:05:00 14:01:00 ");
        CHECK(!t);
        return {};
    });
}

TEST_FOR(60, "a wall clock that is put at random, by less than two days: no time is called for twice, and none is left out") {
    wall_world world("UTC0");
    world.set(2026, 11, 21, 12, 0, 10);
    world.run([&]() -> result<void> {
        harness::random draws(harness::seed());
        std::int64_t highest = 0, calls = 0;
        auto minute = [&] { return world.now_ns() / 60'000'000'000; };
        at_timer t([&] {
            ++calls;
            CHECK(minute() > highest);   // a new time each
            highest = minute();
        });
        CHECK(t.start({.minutes = {}, .seconds = {0}}).ok());
        // It has called once before the clock is put for the first time: one put back earlier than that has nothing that
        // it must not call for again, and its next look, up to a minute later, is the first that sees a time to come.
        time_point then = loop_clock::now() + 60s + 500ms;   // never at a full minute, when it is about to look
        SPRUCE_CHECK(sleep_until(then));
        CHECK_EQ(calls, 1);
        for (long n = model_steps(); n != 0; --n) {
            auto const by = std::chrono::seconds(draws.below(24 * 3600));
            bool const back = draws.chance(50) && highest - minute() < 23 * 60;
            if (draws.chance(30)) world.step(back ? -by : by);
            then += std::chrono::seconds(61 + draws.below(600));   // by then it has looked
            SPRUCE_CHECK(sleep_until(then));
            CHECK(minute() <= highest);
        }
        CHECK(calls > 10);
        return {};
    });
}

TEST("an at_timer that was begun again calls at a time of day that a clock put back shows once more; one that was not, does not") {
    for (bool again : {false, true}) {
        wall_world world("UTC0");
        world.set(2026, 11, 21, 7, 59, 58);
        world.run([&]() -> result<void> {
            std::string seen;
            at_timer t([&] { seen += world.shows(); });
            CHECK(t.start({.hours = {8}, .minutes = {0}}).ok());
            SPRUCE_CHECK(sleep_for(10min));
            if (again) CHECK(t.start({.hours = {8}, .minutes = {0}}).ok());
            world.step(-20min);
            SPRUCE_CHECK(sleep_for(30min));
            CHECK_EQ(std::string_view(seen), again ? "21 08:00:00 21 08:00:00 " : "21 08:00:00 ");
            return {};
        });
    }
}
