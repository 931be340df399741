// The harness tests itself: tests that must not pass run in a child of this program, and its report is read.
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include <spruce/spruce.hpp>

#include "../../src/sys/mapping.hpp"
#include "harness.hpp"

namespace {
struct report {
    std::string text;
    int code = -1;   // the exit code
    bool has(std::string_view what) const { return text.find(what) != std::string::npos; }
};

// This program, run with these words.
report run_self(std::string const& words) {
    char path[4096];
    ssize_t const length = ::readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0) harness::skip("this system does not tell a program's own path");
    path[length] = '\0';
    report r;
    FILE* const out = ::popen((std::string("'") + path + "' " + words + " 2>&1").c_str(), "r");
    REQUIRE(out != nullptr);
    char room[1024];
    for (;;) {
        std::size_t const n = std::fread(room, 1, sizeof room, out);
        r.text.append(room, n);
        if (n != 0) continue;
        if (std::feof(out) || errno != EINTR) break;
        std::clearerr(out);
    }
    int const status = ::pclose(out);
    r.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return r;
}
report run_hidden(char const* name) { return run_self(std::string("--seed 4711 --exact '") + name + "'"); }

void expect_failure(char const* name, std::string_view why) {
    report const r = run_hidden(name);
    CHECK_EQ(r.code, 1);
    CHECK(r.has("FAILED  harness/test_harness: "));
    CHECK(r.has(name));
    CHECK(r.has(why));
    CHECK(r.has("(seed 4711)"));
    CHECK(r.has("0 passed, 1 failed"));
    if (!r.has(why)) std::printf("%s", r.text.c_str());
}
}  // namespace

// -- what is run

TEST_HIDDEN("hidden: fine") { CHECK_EQ(harness::seed(), 4711U); }
TEST_HIDDEN("hidden: a check fails") {
    CHECK(1 + 1 == 3);
    std::puts("it went on");
}
TEST_HIDDEN("hidden: a check fails in a task") {
    auto r = spruce::run([] {
        CHECK(spruce::yield().ok());
        auto t = spruce::spawn([] { CHECK(2 + 2 == 5); });
        CHECK(t.join().ok());
        std::puts("it went on");
    });
    CHECK(r.ok());
}
TEST_HIDDEN("hidden: a requirement fails in a task") {
    auto r = spruce::run([] {
        auto t = spruce::spawn([] { REQUIRE(2 + 2 == 5); });
        CHECK(t.join().ok());
        std::puts("it went on");
    });
    CHECK(r.ok());
}
TEST_HIDDEN("hidden: numbers differ") { CHECK_EQ(6 * 7, 43); }
TEST_HIDDEN("hidden: texts differ") { CHECK_EQ(std::string_view("left text"), "right text"); }
TEST_HIDDEN("hidden: a requirement fails") {
    REQUIRE(1 + 1 == 3);
    std::puts("it went on");
}
TEST_HIDDEN("hidden: checks nothing") {}
TEST_HIDDEN("hidden: never ends") {
    CHECK(true);
    for (;;) ::pause();
}
TEST_HIDDEN("hidden: leaks memory") { CHECK(spruce::detail::allocate({}, 100, 16) != nullptr); }
TEST_HIDDEN("hidden: leaks a mapping") {
    auto const& m = spruce::detail::process_mappings();
    void* at = nullptr;
    CHECK_EQ(m.calls->map(m.context, spruce::detail::page_size(), &at), 0);
}
TEST_HIDDEN("hidden: leaks an fd") { CHECK(::open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0); }
TEST_HIDDEN("hidden: closes an fd that was not its own") { CHECK_EQ(::close(0), 0); }
TEST_HIDDEN("hidden: dies") {
    CHECK(true);
    std::puts("last words");
    std::fflush(stdout);
    ::raise(SIGKILL);
}
TEST_HIDDEN("hidden: ends with a code") {
    CHECK(true);
    ::_exit(5);
}
TEST_HIDDEN("hidden: is skipped") { harness::skip("no such thing here"); }
TEST_HIDDEN("hidden: a check fails, and it passes early") {
    CHECK(1 + 1 == 3);
    harness::pass();
}
TEST_HIDDEN("hidden: passes early with a leak") {
    CHECK(spruce::detail::allocate({}, 100, 16) != nullptr);
    harness::pass();
}
HARNESS_TEST("hidden: must die and lives", "last words", 2, true) { CHECK(true); }
HARNESS_TEST("hidden: must die and does with other words", "last words", 2, true) {
    std::puts("other words");
    std::fflush(stdout);
    ::raise(SIGKILL);
}
HARNESS_TEST("hidden: must die and does", "last words", 2, true) {
    std::puts("last words");
    std::fflush(stdout);
    ::raise(SIGKILL);
}
HARNESS_TEST("hidden: must die and ends with a code", "last words", 2, true) {
    std::puts("last words");
    std::fflush(stdout);
    ::_exit(1);
}
TEST_HIDDEN("hidden: leaves a child behind") {
    int const pid = ::fork();
    if (pid == 0) {
        ::alarm(60);   // where nobody is left who would end it
        for (;;) ::pause();
    }
    std::printf("child %d.\n", pid);
    CHECK(pid < 0);
}

// -- the tests

TEST("a test whose checks hold passes, and its seed is the one that was given") {
    report const r = run_hidden("hidden: fine");
    CHECK_EQ(r.code, 0);
    CHECK(r.has("1 passed, 0 failed"));
}

TEST("a check that does not hold fails the test, is shown with its place, and lets it go on") {
    expect_failure("hidden: a check fails", "does not hold: 1 + 1 == 3");
    report const r = run_hidden("hidden: a check fails");
    CHECK(r.has("test_harness.cpp:"));
    CHECK(r.has("it went on"));
    expect_failure("hidden: numbers differ", "(42, 43)");
    expect_failure("hidden: texts differ", "(\"left text\", \"right text\")");
}

TEST("a requirement that does not hold ends the test") {
    expect_failure("hidden: a requirement fails", "does not hold: 1 + 1 == 3");
    CHECK(!run_hidden("hidden: a requirement fails").has("it went on"));
}

TEST("a check that does not hold in a task fails the test, as anywhere; a requirement ends it there") {
    expect_failure("hidden: a check fails in a task", "does not hold: 2 + 2 == 5");
    CHECK(run_hidden("hidden: a check fails in a task").has("it went on"));
    expect_failure("hidden: a requirement fails in a task", "does not hold: 2 + 2 == 5");
    CHECK(!run_hidden("hidden: a requirement fails in a task").has("it went on"));
}

TEST("a test that checks nothing fails") { expect_failure("hidden: checks nothing", "it checks nothing"); }

TEST("a test that does not end is killed when its time is up, and not before") {
    auto const began = std::chrono::steady_clock::now();
    expect_failure("hidden: never ends", "time is up");
    CHECK(std::chrono::steady_clock::now() - began >= std::chrono::seconds(2));
}

TEST("what a test leaves behind fails it: memory, a mapping, an fd; and so does an fd too few") {
    expect_failure("hidden: leaks memory", "not in balance: memory blocks");
    expect_failure("hidden: leaks a mapping", "not in balance: mappings");
    expect_failure("hidden: leaks an fd", "not in balance: open fds");
    expect_failure("hidden: closes an fd that was not its own", "not in balance: open fds");
}

TEST("a test that dies fails, and its last words are shown") {
    expect_failure("hidden: dies", "it dies by Killed");
    CHECK(run_hidden("hidden: dies").has("last words"));
    expect_failure("hidden: ends with a code", "it ends with code 5");
}

TEST("a test that must die fails if it lives, or dies without the words") {
    expect_failure("hidden: must die and lives", "it lives on");
    expect_failure("hidden: must die and does with other words", "it dies without saying: last words");
    expect_failure("hidden: must die and ends with a code", "it lives on");
    report const r = run_hidden("hidden: must die and does");
    CHECK_EQ(r.code, 0);
    CHECK(r.has("1 passed, 0 failed"));
}

TEST("a skipped test is counted and named, with its reason") {
    report const r = run_hidden("hidden: is skipped");
    CHECK_EQ(r.code, 0);
    CHECK(r.has("skipped harness/test_harness: hidden: is skipped (no such thing here)"));
    CHECK(r.has("0 passed, 0 failed, 1 skipped"));
}

TEST("a test that passes early is spared the balances, but not its checks") {
    expect_failure("hidden: a check fails, and it passes early", "does not hold: 1 + 1 == 3");
    CHECK_EQ(run_hidden("hidden: passes early with a leak").code, 0);
}

TEST("a process that a test leaves behind neither holds the run up nor outlives it") {
    report const r = run_hidden("hidden: leaves a child behind");
    CHECK_EQ(r.code, 1);
    CHECK(!r.has("time is up"));
    std::size_t const at = r.text.find("child ");
    REQUIRE(at != std::string::npos);
    std::string const stat = "/proc/" + std::to_string(std::atoi(r.text.c_str() + at + 6)) + "/stat";
    // Killed; a process that nobody waits for may be listed still, as a zombie.
    for (;;) {
        FILE* const f = std::fopen(stat.c_str(), "r");
        if (!f) break;
        char line[256] = {};
        std::size_t const got = std::fread(line, 1, sizeof line - 1, f);
        std::fclose(f);
        std::string_view const text(line, got);
        if (got == 0 || text.find(") Z") != text.npos || text.find(") X") != text.npos) break;
    }
    CHECK(true);   // else its time would be up
}

TEST("hidden tests run only by their whole name, and a name that fits nothing is an error") {
    CHECK(!run_self("--list").has("hidden: fine"));
    report const none = run_self("--filter 'hidden: fine'");
    CHECK_EQ(none.code, 2);
    CHECK(none.has("no test has such a name"));
    CHECK_EQ(run_self("--no-such-option 1").code, 2);
    report const listed = run_self("--list --filter 'harness/test_harness: hidden tests run only'");
    CHECK_EQ(listed.code, 0);
    CHECK(listed.has("harness/test_harness: hidden tests run only by their whole name"));
}

TEST("several filters name what any of them names, and what is left out is left out of that") {
    report const two = run_self("--list --filter 'several filters name' --filter 'a repeated test is run'");
    CHECK(two.has("several filters name") && two.has("a repeated test is run"));
    report const one = run_self("--list --filter harness/ --without 'several filters name' --without 'hidden tests run'");
    CHECK(one.has("a repeated test is run") && !one.has("several filters name") && !one.has("hidden tests run"));
    CHECK_EQ(run_self("--filter harness/ --without harness/").code, 2);
}

TEST("a repeated test is run as often, each time afresh") {
    report const r = run_self("--seed 4711 --exact 'hidden: fine' --repeat 7 --jobs 3");
    CHECK_EQ(r.code, 0);
    CHECK(r.has("7 passed, 0 failed"));
}
