// Runs in which something is spoilt for a whole test: its n-th allocation, mapping or call of the kernel fails, for
// every n; or transfers are short, system calls are interrupted, or the kernel refuses what it might.
#pragma once
#include <string_view>

#include "harness.hpp"

namespace harness {

struct spoilt {
    std::string_view each{};        // "calls", "memory" or "mappings": each one's failure, in turn
    unsigned most_seconds = 0;      // for the rounds of one test: as many as it has time for, spread evenly; 0: every one
    std::uint64_t at = 0;           // this failure alone; 0: all
    unsigned long transfers = 0;    // the most bytes a transfer moves; 0: any
    bool interrupts = false;        // signals without SA_RESTART, a thousand a second
    unsigned refused = 0;           // testing::faulty_kernel::refusal
};
extern spoilt how;

// Puts faulty kernels before those of all loops, and begins the interrupts, as `how` says.
void spoil_this_process();
// The test's body, once for each of its failures, in forks of this process. What a check says then is about nothing;
// but it must not crash, hang or leak. The process's exit code.
int run_every_failure(test_case const& t);

}  // namespace harness
