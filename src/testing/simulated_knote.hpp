// What the model of kqueue keeps: queues, and in each its registrations, which are called knotes.
#pragma once
#include <unistd.h>

#include "simulated_kevent.hpp"
#include "simulated_poller.hpp"

namespace spruce { inline namespace v0 { namespace detail {

struct simulated_knote_of_queue : list_link {};
struct simulated_knote : simulated_knote_of_subject, simulated_knote_of_queue, simulated_watch_ready {
    simulated_queue* queue;
    simulated_file* file;      // of a signal or a child: null
    std::uintptr_t ident, udata;
    std::int64_t count;        // signals since it was taken; a child's end: 1
    kevent_filter filter;
    bool clear;
    bool once;                 // gone when it is taken
};

struct simulated_queue : simulated_sleeper {
    simulated_queue(simulated_kernel& k) noexcept : simulated_sleeper{k, nullptr, 0, false, {}} {}
    intrusive_list<simulated_knote_of_queue> knotes;
    int pid = ::getpid();   // a forked child does not have it
};

// What a filter says: whether there is something to tell, and what.
struct simulated_told {
    bool active;
    std::int64_t data = 0;
    bool eof = false;
    int error = 0;
};

simulated_told ask_filter(simulated_knote& n) noexcept;
void activate(simulated_knote& n) noexcept;
inline simulated_knote& from_subject(simulated_knote_of_subject& at) noexcept {
    return static_cast<simulated_knote&>(at);
}
}}}  // namespace spruce::v0::detail
