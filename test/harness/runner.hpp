// What the two sides of the harness share: the one that starts tests, and the one inside a test's process.
#pragma once
#include <string>

#include "harness.hpp"

namespace harness {

struct settings {
    std::uint64_t seed = 0;
    bool nightly = false;
    char const* poller = "";
    char const* waker = "";
    char const* signals = "";
    char const* kernel = "";
    char const* host = "";
    std::string under;   // an emulator that the tests run in, or ""
};
extern settings chosen;
extern test_case* first_case;

inline constexpr int exit_failed = 3, exit_skipped = 77;

// Called between the test's body and the balances, if set.
extern void (*before_balances)();

// In a fork: it is killed with its parent, which may itself be a part of a test, and be ended any time.
void end_with_parent(int parent) noexcept;

// Runs the test here and now. The process's exit code.
int run_in_this_process(test_case const& t) noexcept;

}  // namespace harness
