// What a loop is made with: its bounds, its poller, its memory.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "memory.hpp"
#include "time.hpp"

namespace spruce { inline namespace v0 {

struct kernel;

// Which of the kernel's mechanisms for readiness a loop uses. best: the first that works.
enum class poller : std::uint8_t { best, epoll, kqueue, poll };

// What a loop is made with. All bounds are counts; at a bound the call that would pass it gives `full`.
struct loop_options {
    std::size_t max_tasks = 1'048'576;      // tasks that have not ended
    std::size_t max_fds = 1'048'576;        // the highest fd number, plus one
    std::size_t max_timers = 1'048'576;     // callbacks of all kinds, and timers
    std::size_t inbox = 65'536;             // calls from other threads that have not run
    std::size_t turn_budget = 256;          // entries of the ready ring before the next poll; at least 1
    // The next poll comes earlier where entries, or calls from other threads, take so long together: then no more than
    // eight of each are begun, so that timers, fds and signals come. At most eleven days.
    any_duration turn_time = std::chrono::milliseconds(1);
    // So many calls of a task that need not wait complete in one dispatch; then the task goes once round the ready ring
    // before the next one, so that a peer that is never slower than it does not keep others waiting. At least 1.
    std::size_t call_budget = 128;
    std::size_t ignored_cancels = 1'000;    // failing waits before "task N ignores cancel" is reported; 0: never
    any_duration tick = duration(65'536);   // the timers' resolution; rounded to a power of two nanoseconds
    any_duration destroy_grace = std::chrono::seconds(5);   // what ~loop() gives the tasks
    // How long a loop that sleeps between other threads' calls, though they come that quickly, waits for the next one
    // awake; 0: never; at most a second. About what being woken costs. A guest never waits awake, nor any loop for a
    // thread on its own core.
    any_duration spin = std::chrono::microseconds(30);
    bool stop_on_signals = false;           // SIGTERM stops it, and SIGINT unless the program handles or ignores it
    bool keep_failing_fd_callbacks =
        false;  // a reader or writer that throws stays; else it is canceled once that is reported
    bool use_signalfd = false;              // signals by signalfd; every thread must block them
    spruce::poller poller = spruce::poller::best;
    memory_hook memory{};                   // for all that belongs to this loop
    kernel* on = nullptr;                   // null: the real one
};

}}  // namespace spruce::v0
