// The runs in which everything fails once: they find what leaks, dies or spins then, and let the rest pass.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <unistd.h>

#include <spruce/memory.hpp>
#include <spruce/spruce.hpp>
#include <spruce/testing.hpp>

#include "harness.hpp"

namespace {
void* get() { return spruce::detail::allocate({}, 8, 8); }
void put(void* block) { spruce::detail::release({}, block, 8, 8); }

std::string run_spoilt(char const* name, char const* how) {
    char path[4096];
    ssize_t const length = ::readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0) harness::skip("this system does not tell a program's own path");
    path[length] = '\0';
    std::string text, command = std::string("'") + path + "' --exact '" + name + "' " + how + " 2>&1";
    FILE* const out = ::popen(command.c_str(), "r");
    REQUIRE(out != nullptr);
    char room[512];
    for (;;) {
        if (std::fgets(room, sizeof room, out)) text += room;
        else if (std::feof(out) || errno != EINTR) break;
        else std::clearerr(out);
    }
    ::pclose(out);
    return text;
}
}  // namespace

TEST_HIDDEN("hidden: careful with memory") {
    void* const a = get();
    void* const b = get();
    CHECK(a && b);
    put(b);
    put(a);
}
TEST_HIDDEN("hidden: leaks when the second block is refused") {
    void* const a = get();
    void* const b = get();
    CHECK(a != nullptr);
    if (!b) return;
    put(b);
    put(a);
}
TEST_HIDDEN("hidden: dies when it is refused") {
    void* const a = get();
    CHECK(true);
    if (!a) std::abort();
    put(a);
}
TEST_HIDDEN("hidden: spins when it is refused") {
    void* const a = get();
    CHECK(true);
    for (bool volatile spin = !a; spin;) {}
    put(a);
}
TEST_HIDDEN("hidden: waits when it is refused") {
    void* const a = get();
    CHECK(a != nullptr);
    if (!a) ::pause();
    put(a);
}
TEST_HIDDEN("hidden: waits when any of a hundred is refused") {
    for (int i = 0; i != 100; ++i) {
        void* const a = get();
        CHECK(a != nullptr);
        if (!a) ::pause();
        put(a);
    }
}
TEST_HIDDEN("hidden: a loop on a simulated kernel") {
    spruce::testing::simulation world;
    spruce::loop l(spruce::loop_options{.on = world.on()});
    CHECK(l.status().ok());
    CHECK(l.run().ok());
}

TEST_FOR(60, "each failure has its round, and what leaks, dies or spins then is found") {
    if (harness::interrupted() || harness::spoilt_kernel()) harness::skip("it runs the runner as it is");
    std::string const fine = run_spoilt("hidden: careful with memory", "--each-failing memory");
    CHECK(fine.find("1 passed, 0 failed") != std::string::npos);
    std::string const leaks = run_spoilt("hidden: leaks when the second block is refused", "--each-failing memory");
    CHECK(leaks.find("it leaks: when memory 2, memory fails") != std::string::npos);
    CHECK(leaks.find("when memory 1") == std::string::npos || leaks.find("it leaks: when memory 1") == std::string::npos);
    CHECK(leaks.find("2 of 2 failures") != std::string::npos);
    CHECK(leaks.find("0 passed, 1 failed") != std::string::npos);
    CHECK(run_spoilt("hidden: dies when it is refused", "--each-failing memory").find("it dies: when memory 1") != std::string::npos);
    CHECK(run_spoilt("hidden: spins when it is refused", "--each-failing memory").find("it spins: when memory 1") != std::string::npos);
    CHECK(run_spoilt("hidden: waits when it is refused", "--each-failing memory").find("1 passed, 0 failed") != std::string::npos);
    // With a bound in time, what hangs takes its share of it.
    std::string const some = run_spoilt("hidden: waits when any of a hundred is refused", "--each-failing memory --seconds 2 --verbose");
    CHECK(some.find("1 passed, 0 failed") != std::string::npos);
    unsigned rounds = 0;
    CHECK(std::sscanf(some.c_str() + some.find("\n") + 1, "%u of 100 failures", &rounds) == 1);
    CHECK(rounds >= 1 && rounds <= 4);   // each takes more than half a second
    std::string const calls = run_spoilt("hidden: a loop on a simulated kernel", "--each-failing calls --verbose");
    CHECK(calls.find("1 passed, 0 failed") != std::string::npos);
}
