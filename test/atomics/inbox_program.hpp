// Programs of a few threads around one inbox, for the explorer: what each thread does, a letter a deed.
//
//   the loop   S sleeps until it is woken, then takes what is there     T the same, but the sleep may end by itself
//              P takes what is there, without a sleep                   C closes its door
//   others     c calls       x calls, and takes it back at once         z takes the last call back
//              s stops       w wakes a waker of its own                 d drops it
//              W wakes one that all share
//
// When all have done theirs the loop takes what is left, and closes if it hasn't. Rules are checked on the way.
#pragma once
#include <cstddef>

#include "explorer.hpp"

namespace inbox {

struct plan {
    char const* loop;
    char const* others[2];
    std::size_t bound = 1'000;
};
// What is to go wrong: the tests of the test.
enum class flaw {
    none,
    no_second_look,      // the loop sleeps without looking whether something came meanwhile
    looks_too_early,     // it looks before it says that it is going to sleep
    torn_exchange,       // an exchange is a load and a store
    closes_too_early,    // the door's end does not wait for those who are about to wake it
    forgets_gate         // calls are not counted as they enter
};
explorer::outcome explore(plan const& p, flaw f, explorer::effort const& e);

}  // namespace inbox
