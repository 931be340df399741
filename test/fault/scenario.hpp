// What the fault campaigns run: one program that uses each part of a loop once, and takes every failure as it comes.
#pragma once
#include <spruce/faults.hpp>
#include <spruce/spruce.hpp>
#include <spruce/testing.hpp>

namespace fault {

// What the program met with.
struct report {
    int complaints = 0;      // errors that somebody was given: a caller, the unhandled hook, run()
    bool finished = false;   // the loop could be made, ran, and ran once more afterwards
    char const* missed = nullptr;   // a rule that was broken
};

// Runs it on a kernel; with `world` its signals and children are the simulation's. `calm()` is called when the
// program is over: from then on nothing may fail, and the loop must be as good as new.
report run_scenario(spruce::kernel& on, spruce::testing::simulation* world, void (*calm)());

}  // namespace fault
