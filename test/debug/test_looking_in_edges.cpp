// Looking into a program where it is odd: the monitor's thread, what it reads while it is written, fds that take nothing, loops
// without tasks, and threads that cannot be made.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "../../src/context/sanitizers.hpp"
#include "../../src/loop/hub.hpp"
#include "../../src/sys/ticker.hpp"
#include "../harness/axes.hpp"
#include "../harness/forked.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
struct beats {
    std::atomic<int> count{0};
    std::chrono::steady_clock::time_point at[6] = {};
    static void beat(void* self) noexcept {
        auto& b = *static_cast<beats*>(self);
        int const n = b.count;
        if (n < 6) b.at[n] = std::chrono::steady_clock::now();
        b.count = n + 1;
    }
};
}  // namespace

TEST("a ticker sleeps between its calls: none comes before its period is over") {
    constexpr std::chrono::nanoseconds period = 5ms;
    beats b;
    detail::ticker* made = nullptr;
    auto const began = std::chrono::steady_clock::now();
    REQUIRE(detail::start_ticker(period.count(), beats::beat, &b, &made) == 0);
    while (b.count < 6) std::this_thread::sleep_for(1ms);
    REQUIRE(detail::stop_ticker(made));
    int const over = b.count;
    CHECK(b.at[0] - began >= period);
    // The call takes its time first, so that the next may look nearer than it is by what lies between: not by half of it.
    for (int i = 1; i != 6; ++i) CHECK(b.at[i] - b.at[i - 1] >= period / 2);
    std::this_thread::sleep_for(2 * period);
    CHECK_EQ(b.count.load(), over);   // after its end none comes
}

TEST("a ticker is stopped at once, however long its period") {
    detail::ticker* made = nullptr;
    beats b;
    REQUIRE(detail::start_ticker(std::chrono::nanoseconds(1h).count(), beats::beat, &b, &made) == 0);
    CHECK(detail::stop_ticker(made));   // else the test runs out of time
    CHECK_EQ(b.count.load(), 0);
}

TEST("what a monitor reads while it is being written it does not believe") {
    static char const* const kinds[] = {"reader of fd", "task"};
    static char names[2][detail::stall_watch::name_bytes] = {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"};
    detail::stall_watch watch;
    watch.publish({kinds[0], 0, 0, 0, names[0]});
    std::atomic<bool> enough{false};
    std::thread writer([&] {
        for (std::uint32_t n = 0; !enough; ++n) {
            std::uint64_t const which = n % 2;
            watch.publish({kinds[which], static_cast<int>(which), n % 2, which | which << 32, names[which]});
        }
    });
    auto const end = std::chrono::steady_clock::now() + 5s;
    long whole = 0, refused = 0, torn = 0;
    while ((whole < 20'000 || refused < 200) && std::chrono::steady_clock::now() < end) {
        for (int i = 0; i != 1'000; ++i) {
            detail::running_now now;
            char name[detail::stall_watch::name_bytes];
            if (!watch.read(now, name)) {
                ++refused;
                continue;
            }
            ++whole;
            auto const which = static_cast<std::size_t>(now.number);
            torn += which > 1 || now.kind != kinds[which] || now.dispatch != which || now.id != (which | std::uint64_t{which} << 32) ||
                    std::memcmp(name, names[which], sizeof name) != 0;
        }
    }
    enough = true;
    writer.join();
    CHECK(whole != 0);
    CHECK_EQ(torn, 0L);
}

TEST("the end of an old loop's monitor leaves the next loop's alone") {
    static std::atomic<int> told{0};
    told = 0;
    auto const report = [](debug::stall const&, void*) noexcept { ++told; };
    debug::stall_monitor old;
    {
        loop l;
        auto made = debug::watch_stalls(1ms, report);
        REQUIRE(made.ok());
        old = std::move(*made);
        CHECK(l.run().ok());
    }
    loop l;
    auto const mine = debug::watch_stalls(1ms, report);
    REQUIRE(mine.ok());
    old = {};
    CHECK(debug::watch_stalls(1ms, report) == errc::already_registered);
    l.call_soon([] { while (told == 0) std::this_thread::yield(); });   // else the test runs out of time
    CHECK(l.run().ok());
}

TEST("the end of a monitor on another thread leaves that thread's loop its own") {
    static std::atomic<int> told{0};
    told = 0;
    auto const report = [](debug::stall const&, void*) noexcept { ++told; };
    debug::stall_monitor gone;
    std::thread([&] {
        loop l;
        auto made = debug::watch_stalls(1h);
        REQUIRE(made.ok());
        gone = std::move(*made);
    }).join();
    loop l;
    auto const mine = debug::watch_stalls(1ms, report);
    REQUIRE(mine.ok());
    gone = {};   // of a loop that has ended
    l.call_soon([] { while (told == 0) std::this_thread::yield(); });
    CHECK(l.run().ok());
}

TEST("reports to an fd that takes nothing are lost, and nothing else is") {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    ::close(ends[1]);   // a number that is free, and one that cannot be written to
    for (int const bad : {-1, ends[1], ends[0]}) {
        harness::world w;
        {
            loop l(w.options());
            errno = 7;
            debug::write_census(bad);
            CHECK_EQ(errno, 7);
            REQUIRE(debug::report_deadlocks(bad).ok());
            REQUIRE(debug::report_leaks(bad).ok());
            event never_set;
            auto t = spawn({.name = "stuck"}, [&] { static_cast<void>(never_set.wait()); });
            auto const r = l.run();
            CHECK(r == errc::deadlock);
            CHECK(!r.ok() && std::strstr(r.error().detail(), "stuck") != nullptr);
            l.call_later(1h, [] {});
            CHECK(l.destroy().ok());
        }
    }
    ::close(ends[0]);
}

TEST("the census of a loop that never had a task is its line alone, and no deadlock") {
    harness::world w;
    loop l(w.options());
    std::size_t tasks = 0;
    for (auto const& t : l.census()) static_cast<void>(t), ++tasks;
    CHECK_EQ(tasks, 0U);
    char room[256];
    std::size_t const size = debug::census_text(room, sizeof room);
    std::string const text(room);
    CHECK_EQ(text.size(), size);
    CHECK(text.starts_with("loop ") && text.ends_with(": 0 tasks\n"));
    CHECK_EQ(std::count(text.begin(), text.end(), '\n'), 1);
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    debug::write_census(ends[1]);
    REQUIRE(debug::report_deadlocks(ends[1]).ok());
    REQUIRE(debug::report_leaks(ends[1]).ok());
    CHECK(l.run().ok());
    CHECK(l.destroy().ok());
    ::close(ends[1]);
    char said[256];
    auto const n = ::read(ends[0], said, sizeof said);
    CHECK_EQ(std::string_view(said, n > 0 ? static_cast<std::size_t>(n) : 0), std::string_view(text));
    ::close(ends[0]);
    CHECK_EQ(debug::census_text(room, sizeof room), 0U);   // without a loop there is none
    CHECK_EQ(room[0], '\0');
}

TEST("where no thread can be made, what needs one is refused by name, and the loop goes on without") {
    if (harness::simulated()) harness::skip("memory of the real kernel");
    if (SPRUCE_ASAN || SPRUCE_TSAN) harness::skip("a sanitizer needs all of the address space");
    if (!harness::option("host").empty()) harness::skip("a guest needs a thread for itself");
    auto const e = harness::forked([] {
        ::alarm(10);
        bool fine = true;
        {
            loop l;
            fine = fine && spawn([] {}).join() == errc::not_in_task;   // its stack is mapped
            fine = fine && l.run().ok();
            rlimit little{};
            ::getrlimit(RLIMIT_AS, &little);
            little.rlim_cur = 1 << 20;   // less than there is: no mapping is given any more
            ::setrlimit(RLIMIT_AS, &little);
            auto const refused = [](auto const& r) { return !r.ok() && (r.error().errno_value() == EAGAIN || r == errc::no_memory); };
            auto const names = [](auto const& r) { return std::strstr(r.error().detail(), "pthread_create()") != nullptr; };
            for (int i = 0; i != 3; ++i) {
                auto const other = loop_thread::start();
                fine = fine && refused(other) && (other == errc::no_memory || names(other));
                auto const monitor = debug::watch_stalls(1s);
                fine = fine && refused(monitor) && (monitor == errc::no_memory || names(monitor));
                auto const guest = l.interleave([](host_turn) { return true; });
                fine = fine && refused(guest) && (guest == errc::no_memory || names(guest));
            }
            int ran = 0;
            l.call_later(1ms, [&] { ++ran; });
            fine = fine && l.run().ok() && ran == 1;
            little.rlim_cur = little.rlim_max;
            ::setrlimit(RLIMIT_AS, &little);
            auto again = debug::watch_stalls(1s);   // nothing was left behind by the refused ones
            fine = fine && again.ok();
        }
        auto works = loop_thread::start();
        fine = fine && works.ok() && works->stop().ok() && works->join().ok();
        ::_exit(fine ? 0 : 1);
    });
    CHECK(WIFEXITED(e.status) && WEXITSTATUS(e.status) == 0);
}
