// The acts of the demo, each a few seconds at most, each for tasks. What is wrong is complained of; an error comes
// back only when the demo cannot or should not go on.
#pragma once
#include <spruce/spruce.hpp>

#include "demo_files.hpp"
#include "demo_screen.hpp"
#include "demo_server.hpp"

namespace demo {

// 10,000 timers: all fire, none early, in the order of their times.
spruce::result<void> show_timers(screen& shown);
// 1,000 sleeping tasks in a group, canceled: all unwind, nobody is left.
spruce::result<void> show_canceled_group(screen& shown);
// Requests that are no good get the status that says why.
spruce::result<void> show_refusals(demo_server& server, screen& shown);
// SIGTERM in the middle of a download: idle connections end, nobody new comes in, the download comes whole.
spruce::result<void> show_stop(demo_files const& files, demo_server& server, screen& shown);

}  // namespace demo
