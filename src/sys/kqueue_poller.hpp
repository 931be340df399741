// What kqueue's poller keeps. kqueue_changes.cpp fills it, poller_kqueue.cpp waits and tells.
#pragma once
#include <cerrno>
#include <climits>

#include "fork_mark.hpp"
#include "kevent.hpp"

namespace spruce { inline namespace v0 { namespace detail {

inline constexpr int kqueue_batch = 128;

struct kqueue_watched {
    std::uint32_t generation;
    std::uint8_t held;         // the interest that the kernel has, unless the number was closed since
    bool refused : 1;          // the kernel does not watch it for writing: the call tells at once what there is to tell
    bool told : 1;             // … and that was said
    bool pipe : 1;
    bool end_watched : 1;      // it is watched for reading, too, though only writing is wanted: for its end
    std::uint8_t in_batch;     // its place plus 1 among the events or the changes at hand, or 0
};
static_assert(kqueue_batch < UCHAR_MAX);

struct kqueue_poller {
    kevent_calls const* calls;
    void* context;
    memory_hook memory;
    int queue = -1;
    // Of the process that has it: a forked child does not, and its number may be another thing there
    std::uint32_t mark = 0;
    kqueue_watched* table = nullptr;   // by fd
    std::size_t places = 0;
    std::size_t refused = 0;        // whose refusal is still to be told
    std::size_t next_refused = 0;   // where in the table telling goes on
    bool news = false;              // a refusal since the last poll, so that there is nothing to sleep for
};
inline kqueue_watched* find_watched(kqueue_poller& p, int fd) noexcept {
    return fd >= 0 && static_cast<std::size_t>(fd) < p.places ? &p.table[fd] : nullptr;
}

// A change that asks for nothing but to be done or refused: 0, or -errno.
int submit_one(kqueue_poller& p, kevent_record record) noexcept;
// A pipe that is watched for writing is over. The kernel may have dropped that watch, or may not know yet what there is
// to tell: it is asked again, and from then on it tells, or refuses, which is told here.
void watch_end_again(kqueue_poller& p, int fd, kqueue_watched& w) noexcept;
void change_kqueue(kqueue_poller& p, poll_change* changes, std::size_t count) noexcept;

}}}  // namespace spruce::v0::detail
