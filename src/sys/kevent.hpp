// kevent(2) in records and numbers of our own. The filters' numbers differ from one BSD to the next, and so does the
// layout of what is passed, so nothing here equals any system's: kevent_native.cpp translates to the real ones, and
// simulated_kevent.cpp takes these as they are. poller_kqueue.cpp knows only this page, and so compiles everywhere.
#pragma once
#include <cstdint>

#include "kernel.hpp"

namespace spruce { inline namespace v0 { namespace detail {

enum class kevent_filter : std::uint8_t { none, read, write, signal, process };

enum kevent_flags : std::uint16_t {
    // -- of changes
    kevent_add = 1,          // or, of what is there already: gives it new udata, and looks at it afresh
    kevent_delete = 2,
    kevent_clear = 4,        // report changes only; counts when it is new: one that is there stays as it was made
    kevent_receipt = 8,      // answer this change in its place, whether it failed or not
    // -- of events
    // No more will come (read), or be taken (write); bytes that came before may be pending still
    kevent_eof = 16,
    kevent_error = 32        // the answer to a change: `data` is 0 or an errno
};

struct kevent_record {
    std::uintptr_t ident;    // fd, signal, or pid
    std::uintptr_t udata;    // the registration's generation; as wide as a pointer, that is 32 bits at the least
    std::int64_t data;       // bytes, connections, signals; of an answer its errno
    std::uint32_t notes;     // of an event at its end: the socket's error, or 0
    std::uint16_t flags;
    kevent_filter filter;
};

// What a kqueue is made of.
struct kevent_calls {
    int (*create)(void* context) noexcept;   // a new queue's fd, or -errno
    // All changes are applied, in order; then come up to `room` events. When any change has an answer (each has that
    // asks for a receipt, and each that fails, while there is room), only answers come, in the order of the changes.
    // The number of records in `events`, or -errno; -EINTR is passed on. timeout_ns: negative waits for ever.
    int (*kevent)(void* context, int queue, kevent_record const* changes, int count, kevent_record* events, int room,
                  std::int64_t timeout_ns) noexcept;
    void (*close)(void* context, int queue) noexcept;
    // In a forked child, before anything else: its parent's queues are not there, and their numbers may be others' by
    // now.
    void (*forked)(void* context) noexcept;
    int (*kind_of)(void* context, int fd) noexcept;   // as in kernel_calls
    // Null where timeouts end neither too soon nor, by a part of them, too late
    std::int64_t (*now_ns)(void* context) noexcept;
    bool has_receipts;       // false: each change is a call of its own
    bool pollable;           // a queue's fd may be polled
    std::int64_t grain_ns;   // how late a short timeout may be
    // Blocks until kevent() would give an event, or for so long; takes none, and may be called while another thread
    // makes changes. 1: there may be one; 0: the time is over; or -errno; -EINTR is passed on. Null where there is
    // none.
    int (*sleep)(void* context, int queue, std::int64_t timeout_ns) noexcept = nullptr;
    // A timeout may end late by this part of it: 16, by a sixteenth; 0: by nothing. With it goes now_ns
    int late_part = 0;
};

int make_kqueue_poller(kevent_calls const& calls, void* context, memory_hook memory, kernel::made_poller* out) noexcept;

// The system's own kqueue, where it has one. -ENOSYS where not.
int make_native_kqueue_poller(memory_hook memory, kernel::made_poller* out) noexcept;

}}}  // namespace spruce::v0::detail
