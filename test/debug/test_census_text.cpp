// The census as text: into room of the caller's, to a file descriptor, and on a signal.
#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstring>
#include <string>
#include <thread>

#include "../harness/axes.hpp"
#include "../harness/forked.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
std::string census_now() {
    char room[4096];
    std::size_t const size = debug::census_text(room, sizeof room);
    REQUIRE(size < sizeof room);
    CHECK_EQ(std::strlen(room), size);
    return room;
}
bool has_line(std::string const& text, std::string const& begin) {
    return text.starts_with(begin) || text.find("\n" + begin) != std::string::npos;
}
std::string with_id(char const* name, task_id id, char const* rest) {
    return "task " + std::to_string(id.value) + name + rest;
}
}  // namespace

TEST("the census as text names each task, its state, what it waits for and since when, and its stack") {
    testing::simulation world;
    loop l(loop_options{.on = world.on()});
    event e;
    auto a = spawn({.name = "waiter", .stack_size = 16 << 10}, [&] { static_cast<void>(e.wait()); });
    auto b = spawn([] { static_cast<void>(sleep_for(1h)); });
    CHECK(l.run_once(in(0s)).ok());
    CHECK(l.advance(12'042ms).ok());
    auto c = spawn({.name = "newborn", .stack_size = 8 << 20}, [] {});
    std::string const text = census_now();
    REQUIRE(text.starts_with("loop "));
    CHECK_EQ(text.substr(text.find(':'), 10), std::string(": 3 tasks\n"));
    CHECK(has_line(text, with_id(" 'waiter'", a.id(), " waits for event since 12.042 s; stack ")));
    CHECK(text.find(" of 16384 bytes\n") != std::string::npos);
    CHECK(has_line(text, with_id("", b.id(), " waits for sleep since 12.042 s; stack ")));
    CHECK(has_line(text, with_id(" 'newborn'", c.id(), " is fresh; stack ")));
    CHECK(text.find(" of 8388608 bytes\n") != std::string::npos);
    CHECK_EQ(std::count(text.begin(), text.end(), '\n'), 4);
    // Asked again, names that were only made up are no names given.
    CHECK(has_line(census_now(), with_id("", b.id(), " waits for sleep since ")));
    a.cancel();
    b.cancel();
    CHECK(l.run().ok());
    CHECK_EQ(census_now().substr(text.find(':')), std::string(": 0 tasks\n"));
}

TEST("a wait counts from the turn in which it began, whether it has a deadline or not") {
    testing::simulation world;
    loop l(loop_options{.on = world.on()});
    event first, second;
    auto a = spawn({.name = "a"}, [&] {
        static_cast<void>(first.wait());
        static_cast<void>(second.wait(in(1h)));
    });
    CHECK(l.run_once(in(0s)).ok());
    CHECK(l.advance(5s).ok());
    CHECK(census_now().find("since 5.000 s") != std::string::npos);
    first.set();
    CHECK(l.run_once(in(0s)).ok());
    CHECK(census_now().find("since 0.000 s") != std::string::npos);
    CHECK(l.advance(3s).ok());
    CHECK(census_now().find("since 3.000 s") != std::string::npos);
    for (task_info const& t : l.census()) CHECK_EQ((l.time() - t.since).count(), duration(3s).count());
    second.set();
    CHECK(l.run().ok());
}

TEST("a task that looks at the census itself is running, and others are ready") {
    harness::world world;
    std::string text;
    CHECK(run(world.options(), [&] {
        auto other = spawn({.name = "other"}, [] { static_cast<void>(yield()); });
        static_cast<void>(yield());
        text = census_now();
        static_cast<void>(other.join());
    }).ok());
    CHECK(text.find(" is running; ") != std::string::npos);
    CHECK(text.find(" 'other' is ready; ") != std::string::npos);
}

TEST("the census is cut to the room it gets, and says how much it needs; without a loop it is empty") {
    testing::simulation world;
    loop l(loop_options{.on = world.on()});
    auto t = spawn({.name = "one"}, [] {});
    std::string const whole = census_now();
    for (std::size_t size = 0; size != whole.size() + 2; ++size) {
        std::string room(size + 1, '#');
        CHECK_EQ(debug::census_text(size ? room.data() : nullptr, size), whole.size());
        if (size != 0) CHECK_EQ(std::string(room.c_str()), whole.substr(0, size - 1));
        CHECK_EQ(room[size], '#');
    }
    std::thread([] {
        char room[] = "before";
        CHECK_EQ(debug::census_text(room, sizeof room), 0U);
        CHECK_EQ(room[0], '\0');
        debug::write_census(2);
        CHECK(debug::census_on_signal(SIGUSR2) == errc::no_loop);
    }).join();
}

TEST("the census takes no memory, whether as text or to a file descriptor") {
    harness::world world;
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    CHECK(run(world.options(), [&] {
        long const blocks = harness::memory_blocks();
        auto const before = harness::refused_allocations().calls;
        std::string const text = census_now();
        debug::write_census(ends[1]);
        CHECK_EQ(harness::memory_blocks(), blocks);
        CHECK_EQ(harness::refused_allocations().calls, before);
    }).ok());
    ::close(ends[1]);
    char room[512];
    ssize_t const got = ::read(ends[0], room, sizeof room);
    CHECK(got > 0 && std::string(room, static_cast<std::size_t>(got)).find(" is running; ") != std::string::npos);
    ::close(ends[0]);
}

TEST("on a signal each loop that was asked writes its census, on its own thread, and none once it was taken back") {
    auto const e = harness::forked([] {
        std::atomic<int> waiting{0};
        auto const one_loop = [&](char const* name) {
            static_cast<void>(run([&] {
                auto const h = debug::census_on_signal(SIGUSR2);
                CHECK(h.ok());
                auto t = spawn({.name = name}, [] { static_cast<void>(sleep_for(20s)); });
                ++waiting;
                // The signal's own handlers on each loop have run when all have seen it.
                auto seen = loop::current()->add_signal_handler(SIGUSR2, [&t] { t.cancel(); });
                CHECK(seen.ok());
                ++waiting;
                static_cast<void>(t.join());
            }));
        };
        std::thread other([&] { one_loop("there"); });
        std::thread sender([&] {
            while (waiting != 4) std::this_thread::yield();
            ::kill(::getpid(), SIGUSR2);
        });
        one_loop("here");
        other.join();
        sender.join();
        static_cast<void>(run([] {
            auto h = debug::census_on_signal(SIGUSR2);
            CHECK(h.ok() && h->cancel());
            ::signal(SIGUSR2, SIG_IGN);
            ::raise(SIGUSR2);
            static_cast<void>(spawn({.name = "silent"}, [] { static_cast<void>(sleep_for(1ms)); }).join());
        }));
    });
    CHECK(WIFEXITED(e.status) && WEXITSTATUS(e.status) == 0);
    CHECK(e.says(" 'here' waits for sleep since "));
    CHECK(e.says(" 'there' waits for sleep since "));
    CHECK(!e.says("silent"));
}
