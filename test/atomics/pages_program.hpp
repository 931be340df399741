// Threads that take blocks from pages and give them back, in every order of their steps: no block is two threads', no page
// is used after it went back, none is left, and the last to use them tells the owner, once.
#pragma once
#include "explorer.hpp"

namespace pages {

// What each thread does, a letter a deed: take a block (t), of which a page holds three; give back the oldest of its own
// (g); close (c), while others only give. Some blocks are taken before, and are the threads' by turns; some pages spare.
struct plan {
    char const* threads[3];
    int before = 3, spare = 0;
    bool crowd = false;   // broken: several at a time may take spare pages
};

explorer::outcome explore(plan const& p, explorer::effort const& e, bool refuses = false);

}  // namespace pages
