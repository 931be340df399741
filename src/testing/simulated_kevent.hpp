// A model of kqueue(2) inside the simulated kernel, after the manual of FreeBSD, so that poller_kqueue.cpp is run where
// no BSD is. Where the BSDs differ, it is as the one that simulation_options names.
#pragma once
#include "../sys/kevent.hpp"
#include "simulated_kernel.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// What is done otherwise on one BSD than on another.
struct kevent_manners {
    bool receipts;              // EV_RECEIPT is known
    int no_reader;              // what watching a pipe for writing gives when nobody reads it
    std::int64_t longest_ns;    // a longer timeout …
    bool refuses_longer;        // … is refused; otherwise it counts as this
    std::int64_t early_ns;      // by how much a timeout may end too soon
    bool knows_ended;           // a child that has ended can be watched still, and is told of at once
    bool tells_early;           // a child's end may be told before its status can be had
    // -- pipes. The reader's read filter and the writer's write filter are asked together, whatever was done.
    // A pipe that is over tells a write filter so once, and drops it; else nobody asks that filter after the end, which
    // may come while the pipe is full
    bool ends_once;
    bool both_ways;             // the reading end can be written, too
    bool empty_reads_tell;      // a read at the end of a pipe asks the filters though it takes nothing
    // -- and the rest
    bool accepts_tell;          // an accept asks the filters
    int late_part;              // a timeout ends late by this part of it: 16, a sixteenth; 0: by nothing
};

kevent_manners const& manners_of(simulated_kernel const& k) noexcept;
kevent_calls const& simulated_kevent_calls(simulated_kernel const& k) noexcept;

// With the lock held.
// ready_read, ready_write or both
void notify_knotes(simulated_kernel& k, simulated_file& f, unsigned filters) noexcept;
// The other end closes; before it is over, and then
void notify_pipe_end(simulated_kernel& k, simulated_file& left, bool over) noexcept;
void drop_knotes(simulated_kernel& k, simulated_file& f, int fd) noexcept;   // of this number; -1: of all
void notify_signal_knotes(simulated_kernel& k, int signal) noexcept;
bool notify_child_knotes(simulated_kernel& k, simulated_child& c) noexcept;  // true: they were told before the others
void drop_child_knotes(simulated_child& c) noexcept;
void leave_queue(simulated_kernel& k, simulated_file& f) noexcept;           // its last number was closed

}}}  // namespace spruce::v0::detail
