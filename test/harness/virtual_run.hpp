// A run in virtual time, and how often something has ended.
#pragma once
#include "axes.hpp"

namespace harness {

// Runs f as the first task of a loop on a simulated kernel.
template <class F> auto run_virtually(F&& f, spruce::loop_options o = {}) {
    spruce::testing::simulation world(as_asked());
    o.on = world.on();
    return spruce::run(o, std::forward<F>(f));
}

struct note_end {
    int* count;
    ~note_end() { ++*count; }
};

}  // namespace harness
