// So many connections at once, each asking for one file after another, for so long.
#pragma once
#include <spruce/spruce.hpp>

#include <cstdint>

#include "demo_files.hpp"
#include "demo_screen.hpp"
#include "latency_counts.hpp"

namespace demo {

struct load_report {
    unsigned connections = 0;
    std::uint64_t requests = 0, bytes = 0, errors = 0;
    double seconds = 0;
    latency_counts latency;
};

// For tasks. Errors: only the caller's cancellation; what goes wrong with a connection is counted and complained of.
spruce::result<void> run_load(demo_files const& files, spruce::address const& server, unsigned connections, spruce::duration length,
                              screen& shown, load_report& report);

}  // namespace demo
