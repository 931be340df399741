// The side of the harness that runs inside a test's process.
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>
#if defined(__linux__)
#include <csignal>
#include <sys/prctl.h>
#endif

#include "runner.hpp"

// A sanitizer that ends a process does so with this code: a test that must die has died.
extern "C" {
char const* __asan_default_options();
char const* __asan_default_options() { return "exitcode=99"; }
char const* __tsan_default_options();
char const* __tsan_default_options() { return "exitcode=99"; }
}

namespace harness {

settings chosen;
test_case* first_case = nullptr;
void (*before_balances)() = nullptr;

void end_with_parent([[maybe_unused]] int parent) noexcept {
#if defined(__linux__)
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(exit_failed);   // it was too late
#endif
}

namespace {
test_case** last_case = &first_case;
unsigned long checks = 0, failures = 0;

struct balance {
    char const* what;
    long (*count)() noexcept;
    long before;
};
balance balances[16];
int balance_count = 0;
}  // namespace

test_case::test_case(char const* n, char const* f, void (*b)(), char const* d, int limit, bool h) noexcept
    : name(n), file(f), body(b), dies_with(d), time_limit_s(limit), hidden(h) {
    *last_case = this;
    last_case = &next;
}

std::uint64_t seed() noexcept { return chosen.seed; }
bool nightly() noexcept { return chosen.nightly; }
std::string_view option(std::string_view axis) noexcept {
    if (axis == "poller") return chosen.poller;
    if (axis == "waker") return chosen.waker;
    if (axis == "signals") return chosen.signals;
    if (axis == "kernel") return chosen.kernel;
    if (axis == "host") return chosen.host;
    return "";
}

std::uint64_t random::next() noexcept {
    // Steele and others' SplitMix64 (OOPSLA 2014).
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

void note_check() noexcept { __atomic_add_fetch(&checks, 1, __ATOMIC_RELAXED); }

void fail(char const* file, int line, char const* what) noexcept {
    __atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
    std::printf("%s:%d: does not hold: %s\n", file, line, what);
}
void fail_equal(char const* file, int line, char const* what, long long left, long long right) noexcept {
    __atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
    std::printf("%s:%d: does not hold: %s   (%lld, %lld)\n", file, line, what, left, right);
}
void fail_text(char const* file, int line, char const* what, std::string_view left, std::string_view right) noexcept {
    __atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
    std::printf("%s:%d: does not hold: %s   (\"%.*s\", \"%.*s\")\n", file, line, what, static_cast<int>(left.size()),
                left.data(), static_cast<int>(right.size()), right.data());
}

void skip(char const* why) noexcept {
    std::printf("%s\n", why);
    std::fflush(stdout);
    ::_exit(exit_skipped);
}
void give_up() noexcept {
    std::fflush(stdout);
    ::_exit(exit_failed);
}

void pass() noexcept {
    std::fflush(stdout);
    ::_exit(failures || checks == 0 ? exit_failed : 0);
}

void on_balance(char const* what, long (*count)() noexcept) noexcept {
    if (balance_count < static_cast<int>(sizeof balances / sizeof balances[0])) balances[balance_count++] = {what, count, 0};
}

int run_in_this_process(test_case const& t) noexcept {
    for (int i = 0; i != balance_count; ++i) balances[i].before = balances[i].count();
    t.body();
    if (before_balances) before_balances();
    if (checks == 0) {
        std::printf("%s: it checks nothing\n", t.file);
        failures = 1;
    }
    for (int i = 0; i != balance_count; ++i) {
        long const after = balances[i].count();
        if (after == balances[i].before) continue;
        std::printf("not in balance: %s, before %ld, after %ld\n", balances[i].what, balances[i].before, after);
        ++failures;
    }
    std::fflush(stdout);
    return failures ? exit_failed : 0;
}

}  // namespace harness
