// The simulated kernel's poller, which behaves as epoll does: see poller_calls for the interface.
#pragma once
#include "simulated_kernel.hpp"

namespace spruce::inline v0::detail {

struct simulated_poller {
    simulated_kernel& kernel;
    memory_hook memory;
    simulated_bell* bell;
    std::int64_t sleeps_until_ns = 0;                        // while it sleeps for real; INT64_MAX: for ever
    intrusive_list<simulated_watch_ready> ready;             // whose state changed, in that order; or was reported, if level
    intrusive_list<simulated_watch_of_poller> watches;
};

}  // namespace spruce::inline v0::detail
