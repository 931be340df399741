// The simulated kernel's pollers: one behaves as epoll does, see poller_calls for the interface; the other is the queue
// of simulated_kevent.hpp. What both share is how they wait.
#pragma once
#include "../sys/kevent.hpp"
#include "simulated_kevent.hpp"
#include "simulated_kernel.hpp"

namespace spruce { inline namespace v0 { namespace detail {

struct simulated_sleeper {
    simulated_kernel& kernel;
    simulated_bell* bell;
    std::int64_t sleeps_until_ns = 0;                        // while it sleeps for real; INT64_MAX: for ever
    // It may do so without a hope of an end that can be seen here
    bool patient = false;
    // Whose state changed, in that order; or was reported, if level
    intrusive_list<simulated_watch_ready> ready;
};

struct simulated_poller : simulated_sleeper {
    memory_hook memory;
    intrusive_list<simulated_watch_of_poller> watches;
};

// With the lock held: what `take` puts into `into`, once that is something, or 0 at the end of the time.
int wait_on(simulated_sleeper& p, int (*take)(simulated_sleeper& on, void* into, int room) noexcept, void* into,
            int room, std::int64_t timeout_ns) noexcept;
// The same without taking anything: until the first in line is ready, as `is_ready` says of each; those that are not
// lose their place. 1: one is.
int sleep_until_ready(simulated_sleeper& p, bool (*is_ready)(simulated_watch_ready& link) noexcept,
                      std::int64_t timeout_ns) noexcept;
// In a forked child, without the lock.
void leave_parents(simulated_kernel& k) noexcept;

}}}  // namespace spruce::v0::detail
