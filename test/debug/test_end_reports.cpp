// What is told when a run ends as a deadlock, and when a loop ends with something left.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
// Where a report goes, and what came there.
class page {
public:
    page() {
        REQUIRE(::pipe(ends_) == 0);
        ::fcntl(ends_[0], F_SETFL, O_NONBLOCK);
    }
    ~page() {
        ::close(ends_[0]);
        ::close(ends_[1]);
    }
    page(page const&) = delete;
    page& operator=(page const&) = delete;
    int fd() const { return ends_[1]; }
    std::string text() {
        char room[8192];
        ssize_t const n = ::read(ends_[0], room, sizeof room);
        return n > 0 ? std::string(room, static_cast<std::size_t>(n)) : std::string();
    }

private:
    int ends_[2];
};
bool says(std::string const& text, std::string const& what) {
    if (text.find(what) != std::string::npos) return true;
    std::printf("no \"%s\" in:\n%s", what.c_str(), text.c_str());
    return false;
}
std::string id_of(task_id id) { return "task " + std::to_string(id.value); }
long lines_of(std::string const& text) {
    long n = 0;
    for (char const c : text) n += c == '\n';
    return n;
}
}  // namespace

TEST("a run that ends as a deadlock writes who waits for what, if asked, and only then") {
    testing::simulation world;
    loop l(loop_options{.on = world.on()});
    event never_set;
    auto a = spawn({.name = "first"}, [&] { static_cast<void>(never_set.wait()); });
    auto b = spawn({.name = "second"}, [&] { static_cast<void>(a.join()); });
    CHECK(l.run() == errc::deadlock);
    page p;
    CHECK_EQ(p.text(), std::string());
    CHECK(debug::report_deadlocks(p.fd()).ok());
    CHECK(l.run() == errc::deadlock);
    std::string const text = p.text();
    CHECK(text.starts_with("spruce: deadlock in loop "));
    CHECK(says(text, ": 2 tasks\n"));
    CHECK(says(text, id_of(a.id()) + " 'first' waits for event since "));
    CHECK(says(text, id_of(b.id()) + " 'second' waits for task since "));
    CHECK_EQ(lines_of(text), 3);
    never_set.set();
    CHECK(l.run().ok());
    CHECK_EQ(p.text(), std::string());
}

TEST("a deadlock's detail names as many as it has room for, and counts the rest") {
    for (std::size_t const count : {1U, 2U, 3U, 4U, 5U, 60U}) {
        testing::simulation world;
        loop l(loop_options{.on = world.on()});
        event e;
        for (std::size_t i = 0; i != count; ++i)
            spawn({.name = "reader " + std::to_string(i)}, [&] { static_cast<void>(e.wait()); });
        auto const r = l.run();
        REQUIRE(r == errc::deadlock);
        std::string const who = r.error().detail();
        CHECK(who.starts_with("'reader 0' waits for event"));
        std::size_t named = 0;
        for (std::size_t i = 0; i != count; ++i) named += who.find("'reader " + std::to_string(i) + "' waits for event") != std::string::npos;
        if (named == count) CHECK(who.ends_with("waits for event"));
        else CHECK(who.ends_with("waits for event, and " + std::to_string(count - named) + " more"));
        CHECK(named >= 3 || named == count);
        CHECK(named == count || count > 3);
        e.set();
        CHECK(l.run().ok());
    }
}

TEST("the longest names leave room for the count of the others") {
    testing::simulation world;
    loop l(loop_options{.on = world.on()});
    event e;
    for (int i = 0; i != 200; ++i)
        spawn({.name = "a name of thirty-one characters"}, [&] { static_cast<void>(e.wait()); });
    auto const r = l.run();
    REQUIRE(r == errc::deadlock);
    CHECK(says(r.error().detail(), "'a name of thirty-one characters' waits for event, and 198 more"));
    e.set();
    CHECK(l.run().ok());
}

TEST("a loop that ends with tasks, callbacks, calls and streams left tells them, if asked") {
    page p;
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    event e;
    std::optional<stream> kept;
    std::optional<result<posted>> call;
    hold_token held;
    std::string text;
    std::string who;
    pid_t const child = ::fork();
    if (child == 0) {
        ::pause();
        ::_exit(0);
    }
    {
        loop l;
        CHECK(debug::report_leaks(p.fd()).ok());
        auto waiter = spawn({.name = "waiter"}, [&] { static_cast<void>(e.wait()); });
        auto owner = spawn({.name = "owner"}, [] {
            auto pair = make_pipe();   // closed by its destructors when the task is canceled
            CHECK(pair.ok());
            static_cast<void>(sleep_for(1h));
        });
        who = id_of(waiter.id());
        CHECK(l.run_once(in(0s)).ok());
        auto fresh = spawn({.name = "fresh"}, [] {});
        l.call_later(1h, [] {});
        auto suspended = l.call_later(1h, [] {});
        CHECK(suspended.rearm(never()));
        l.call_soon([] {});
        CHECK(l.add_reader(ends[0], [] {}).ok());
        CHECK(l.add_child_handler(child, [](result<exit_status>) {}).ok());
        // What belongs to a loop as long as it lives is not told.
        CHECK(l.add_signal_handler(SIGUSR2, [] {}).ok());
        l.call_when_idle([] {});
        l.on_start([] {});
        l.on_unhandled([](unhandled const&) {});
        call.emplace(l.call_from_thread([] {}));
        auto one = stream::adopt(ends[1]);
        REQUIRE(one.ok());
        kept.emplace(std::move(*one));
        held = l.hold();
        l.call_later(1h, [token = l.hold()] {});   // goes with its callback
        CHECK_EQ(p.text(), std::string());
        CHECK(l.destroy().ok());
        text = p.text();
    }
    CHECK(text.starts_with("spruce: loop "));
    CHECK(says(text, " ends with these left:\n"));
    CHECK(says(text, "  " + who + " 'waiter' waits for event since "));
    CHECK(says(text, " 'owner' waits for sleep since "));
    CHECK(says(text, " 'fresh' is fresh\n"));
    CHECK(says(text, "  a timer, due in 3599.") || says(text, "  a timer, due in 3600.000 s\n"));
    CHECK(says(text, "  a timer, suspended\n"));
    CHECK(says(text, "  a callback\n"));
    CHECK(says(text, "  a reader of fd " + std::to_string(ends[0]) + "\n"));
    CHECK(says(text, "  a handler of process " + std::to_string(child) + "\n"));
    CHECK(says(text, "  1 call from other threads\n"));
    CHECK(says(text, " has ended, and these are left:\n  fd " + std::to_string(ends[1]) + ", a stream that was not closed\n"));
    CHECK(says(text, "\n  1 hold token\n"));
    CHECK_EQ(lines_of(text), 1 + 3 + 3 + 1 + 1 + 1 + 1 + 3);
    kept.reset();
    ::kill(child, SIGKILL);
    while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {}
    ::close(ends[0]);
}

TEST("a loop that ends with nothing left tells nothing, and neither does one that was not asked") {
    page p;
    {
        loop l;
        CHECK(debug::report_leaks(p.fd()).ok());
        CHECK(l.add_signal_handler(SIGUSR2, [] {}).ok());
        l.call_when_idle([] {});
        l.on_shutdown(shutdown_phase::after, [] {});
        auto pair = make_pipe();
        CHECK(pair.ok());
        auto t = spawn([] { static_cast<void>(yield()); });
        l.call_soon([] {});
        auto canceled = l.call_later(1h, [] {});
        CHECK(canceled.cancel());
        CHECK(l.run().ok());
    }
    CHECK_EQ(p.text(), std::string());
    {
        loop l;
        l.call_later(1h, [] {});
    }
    CHECK_EQ(p.text(), std::string());
    CHECK(run([&] { CHECK(debug::report_leaks(p.fd()).ok() && debug::report_deadlocks(p.fd()).ok()); }).ok());
    CHECK_EQ(p.text(), std::string());
    std::thread([] {
        CHECK(debug::report_leaks() == errc::no_loop);
        CHECK(debug::report_deadlocks() == errc::no_loop);
    }).join();
}

TEST("run() of a function tells its deadlock before the tasks are canceled, and what it leaves behind") {
    page p;
    event e;
    CHECK(run([&] {
        CHECK(debug::report_deadlocks(p.fd()).ok());
        auto t = spawn({.name = "other"}, [&] { static_cast<void>(e.wait()); });
        static_cast<void>(t.join());
    }) == errc::deadlock);
    std::string const text = p.text();
    CHECK(says(text, " 'other' waits for event since "));
    CHECK(says(text, " waits for task since "));
    static_cast<void>(run([&] {
        CHECK(debug::report_leaks(p.fd()).ok());
        loop::current()->call_later(1h, [] {});
        spawn({.name = "left behind"}, [] { static_cast<void>(sleep_for(1h)); });
        loop::current()->stop();
    }));
    CHECK(says(p.text(), " 'left behind' "));
}
