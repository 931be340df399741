// Runs a few threads of its own making through every order of their steps. A step is one access to what they share;
// each is announced before it is made. The program is run again and again from its beginning, each time along an
// order that was not tried; an order that comes to a state that was seen is left there.
//
// A state is what the shared memory holds, and what each thread has learnt so far from what it read: threads that learnt
// the same did the same. Orders that differ only in steps that commute are one, and only one of them is tried: two steps
// commute that use different places, or only read. The accesses are in one order for all, as if each were sequentially consistent: what weaker orders allow on
// top is the thread sanitizer's to find.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace explorer {

inline constexpr int most_threads = 4;

// What is run. All three are called anew for each order, and must do the same for the same reads.
struct program {
    int threads;
    void (*begin)(void* context);              // alone, before; its accesses are no steps
    void (*thread)(void* context, int which);
    void (*end)(void* context);                // alone, afterwards; called by the last that ends
    void* context;
};
struct outcome {
    bool complete = false;       // all orders that differ were tried, or something wrong was found
    std::uint64_t states = 0, runs = 0;
    std::uint64_t again = 0;     // how often all began anew, with more known of what is ahead
    std::size_t deepest = 0;     // steps of the longest order
    char const* wrong = nullptr; // the first rule that was broken
    std::string order;           // which threads' steps led there
    std::vector<std::uint64_t> ends;   // what ended_as() was told, each once, in order
};
// How much of it is tried.
enum class extent {
    reduced,   // of orders that end alike, one where that can be seen
    full       // every order, and all that a thread ever read tells states apart: what the former is held against
};
// Tries all orders, or gives up after `most_runs` or `most_states`.
// With a seed it draws that many orders instead.
struct effort {
    std::uint64_t most_runs = 0, most_states = 80'000'000, seed = 0;
    explorer::extent extent = explorer::extent::reduced;
};
outcome explore(program const& p, effort const& e);

// -- for the threads; outside explore() all of these do nothing

// The calling thread's next access, to this place, comes now: others may have theirs first.
enum class access { read, write };
void step(void const* at, access kind) noexcept;
// Memory that the calling thread took, and nobody else knows of until its address is put somewhere.
void keep_secret(void const* from, std::size_t bytes) noexcept;
// What it learnt of what the access gave.
void saw(std::uint64_t value) noexcept;
// What it keeps of it at a place of its own, and has not looked at; until it lets go.
void keep(void const* where, std::uint64_t value) noexcept;
void let_go(void const* where, std::uint64_t value) noexcept;
// The calling thread is at a place where all that it goes by, but for shared memory, is in this number: orders that
// differ in how it came here are one from here on. Its parts are numbered upwards as it goes on; what it may still use
// from a step of a part on is learnt by that. A part that `turns` in itself is one step.
inline constexpr unsigned most_parts = 200;
void forget_but(std::uint64_t all_it_knows, unsigned part, bool turns = false) noexcept;
// What it changed: the value at a place, or that there is (was) none.
void put(void const* at, std::uint64_t value) noexcept;
void drop(void const* at, std::uint64_t value) noexcept;
// Goes on only after another thread has changed something, or ended.
void step_aside() noexcept;
// Goes on only once that holds; it must depend on this place alone, and on who has ended.
void wait_until(void const* at, bool (*holds)(void* argument), void* argument) noexcept;
// Whether all other threads have ended.
bool alone() noexcept;
// Which thread calls; most_threads outside of them, and at the end.
int self() noexcept;
// At the end: all that an outcome is known by.
void ended_as(std::uint64_t sum) noexcept;
// A rule is broken: the run ends here, once it is the caller's turn again.
void wrong(char const* rule) noexcept;

}  // namespace explorer
