// Each allocation, each call of the kernel and each mapping of the scenario fails once, for every n: somebody gets an
// error, nothing crashes, hangs or leaks, and the loop goes on.
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <string>

#include "../harness/axes.hpp"
#include "scenario.hpp"

using namespace spruce;

namespace {

testing::faulty_kernel* faulty_now = nullptr;
char const* struck_call = nullptr;

void calm() {
    harness::refused_allocations().at = 0;
    harness::refused_mapping_calls().at = 0;
    if (!faulty_now) return;
    struck_call = faulty_now->struck();
    faulty_now->fail_call(0);
    faulty_now = nullptr;
}

int open_fds() {
    int n = 0;
    for (int fd = 0; fd != 256; ++fd) n += ::fcntl(fd, F_GETFD) >= 0;
    return n;
}

// What must be the same after each round as before it.
struct holdings {
    long blocks = harness::memory_blocks(), mappings = harness::live_mappings();
    int fds = open_fds();
    bool operator==(holdings const&) const = default;
};

enum class spoil { kernel, memory, mapping };

// One round: the n-th of its kind fails. Whether there was an n-th.
bool round(spoil what, std::uint64_t n, bool simulated, std::size_t limit, std::string& silent) {
    if (harness::spoilt_kernel()) harness::skip("it spoils the kernel by itself");
    holdings const before;
    harness::refusals& memory = harness::refused_allocations();
    harness::refusals& mapping = harness::refused_mapping_calls();
    bool struck = false;
    fault::report seen;
    char name[64];
    {
        testing::simulation world(harness::as_asked({.pipe_wakers = harness::option("waker") == "pipe", .stuck_after = duration::zero()}));
        testing::faulty_kernel faulty(simulated ? world.on() : nullptr);
        faulty.limit_transfers(limit);
        faulty.fail_call(what == spoil::kernel ? n : 0);
        faulty_now = &faulty;
        struck_call = nullptr;
        memory = {0, what == spoil::memory ? n : 0};
        mapping = {0, what == spoil::mapping ? n : 0};
        seen = fault::run_scenario(*faulty.on(), simulated ? &world : nullptr, calm);
        struck = what == spoil::kernel ? struck_call != nullptr : what == spoil::memory ? memory.calls >= n : mapping.calls >= n;
        std::snprintf(name, sizeof name, "%s", what != spoil::kernel ? what == spoil::memory ? "memory" : "mapping" : struck ? struck_call : "");
    }
    calm();
    if (seen.missed) std::printf("%s %llu: %s\n", name, static_cast<unsigned long long>(n), seen.missed);
    CHECK(!seen.missed);
    bool const same = holdings() == before;
    if (!same) {
        holdings const after;
        std::printf("%s %llu: %ld blocks, %ld mappings, %d fds more than before\n", name, static_cast<unsigned long long>(n),
                    after.blocks - before.blocks, after.mappings - before.mappings, after.fds - before.fds);
    }
    CHECK(same);
    if (struck && seen.complaints == 0 && silent.find(name) == silent.npos) silent.append(name).append("; ");
    return struck;
}

// Every n, until a round that ends before its n-th call. Which failures nobody was told of.
std::string campaign(spoil what, bool simulated, std::size_t limit = 0) {
    std::string silent;
    std::uint64_t n = 1;
    while (round(what, n, simulated, limit, silent)) ++n;
    std::printf("%llu failures\n", static_cast<unsigned long long>(n - 1));
    CHECK(n > 5);
    return silent;
}

// Whether nothing else was silent. (A round may meet with an error besides: on a busy machine a deadline passes.)
bool only(std::string_view expected, std::string const& silent) {
    if (silent.empty() || silent == expected) return true;
    std::printf("nobody was told of: %s\n", silent.c_str());
    return false;
}

// Failures that nobody needs to hear of, as the library makes them good.
// A stream whose own address the system won't tell has an empty local().
constexpr char made_good_calls[] = "getsockname; ";
// A child that kqueue does not watch is looked for when SIGCHLD comes.
std::string made_good_simulated() { return harness::simulated() && harness::kqueue() ? "poller watch_child; getsockname; " : made_good_calls; }
// A wheel without memory chains its timers, and a slab that can't grow by much grows by little; without a stack of its
// own a signal handler runs on the one at hand; and where it was the hook itself that got no memory, stderr was told.
constexpr char made_good_memory[] = "memory; ";
// A guard that can't be light is made by splitting the mapping; pages that can't be counted are taken as touched.
constexpr char made_good_mappings[] = "mapping; ";

}  // namespace

TEST("the scenario itself runs without a complaint, on both kernels") {
    for (bool const simulated : {true, false}) {
        testing::simulation world(harness::as_asked({.stuck_after = duration::zero()}));
        auto const seen = fault::run_scenario(simulated ? *world.on() : detail::native_kernel(), simulated ? &world : nullptr, calm);
        CHECK_EQ(seen.complaints, 0);
        CHECK(seen.finished && !seen.missed);
        if (seen.missed) std::printf("%s\n", seen.missed);
    }
}

TEST_FOR(120, "every call of a simulated kernel may fail: an error each time, nothing leaks, the loop goes on") {
    CHECK(only(made_good_simulated(), campaign(spoil::kernel, true)));
}
TEST_FOR(120, "every call of the real kernel may fail: an error each time, nothing leaks, the loop goes on") {
    CHECK(only(made_good_calls, campaign(spoil::kernel, false)));
}
TEST_FOR(120, "every allocation may fail on a simulated kernel: an error each time, nothing leaks, the loop goes on") {
    CHECK(only(made_good_memory, campaign(spoil::memory, true)));
}
TEST_FOR(120, "every allocation may fail on the real kernel: an error each time, nothing leaks, the loop goes on") {
    CHECK(only(made_good_memory, campaign(spoil::memory, false)));
}
TEST_FOR(120, "every mapping of a stack may fail: an error each time, nothing leaks, the loop goes on") {
    CHECK(only(made_good_mappings, campaign(spoil::mapping, true)));
}
TEST_FOR(120, "every mapping of a stack may fail on the real kernel: an error each time, nothing leaks, the loop goes on") {
    CHECK(only(made_good_mappings, campaign(spoil::mapping, false)));
}
TEST_FOR(120, "every call may fail while each read and write moves one byte") {
    CHECK(only(made_good_simulated(), campaign(spoil::kernel, true, 1)));
}

TEST("an old kernel or a strict container that refuses eventfd, pidfd and epoll: pipes, SIGCHLD and poll do") {
    for (bool const simulated : {true, false}) {
        testing::simulation world(harness::as_asked({.stuck_after = duration::zero()}));
        testing::faulty_kernel old(simulated ? world.on() : nullptr);
        old.refuse(testing::faulty_kernel::refuse_eventfd | testing::faulty_kernel::refuse_child_fds | testing::faulty_kernel::refuse_epoll);
        auto const seen = fault::run_scenario(*old.on(), simulated ? &world : nullptr, calm);
        CHECK_EQ(seen.complaints, 0);
        CHECK(seen.finished && !seen.missed);
    }
}

TEST("what a faulty kernel does is what it was told: the n-th call, once, with the error that was asked for") {
    testing::simulation world(harness::as_asked());
    testing::faulty_kernel faulty(world.on());
    kernel& k = *faulty.on();
    int ends[2] = {-1, -1};
    faulty.fail_call(2, ENFILE);
    CHECK_EQ(k.calls->make_pipe(k.context, ends), 0);
    CHECK(!faulty.struck());
    int more[2] = {-1, -1};
    CHECK_EQ(k.calls->make_pipe(k.context, more), -ENFILE);
    CHECK_EQ(faulty.struck(), "make_pipe");
    CHECK_EQ(faulty.calls(), 2U);
    CHECK_EQ(k.calls->write(k.context, ends[1], "abc", 3), 3);
    faulty.limit_transfers(2);
    char room[4];
    CHECK_EQ(k.calls->read(k.context, ends[0], room, sizeof room), 2);
    CHECK_EQ(k.calls->read(k.context, ends[0], room, sizeof room), 1);
    for (int const fd : ends) CHECK_EQ(k.calls->close(k.context, fd), 0);
}
