// The one shape of "tell me": what the hub calls when an fd is ready or a time has come, for callbacks and for
// waiting tasks alike, so that it need not know which of them listens.
#pragma once

namespace spruce { inline namespace v0 { namespace detail {

// What a listener is told.
enum : unsigned {
    // for fds: the bits of `readiness` (poller), and
    told_closed = 32,      // the fd was closed on our side, and is gone
    notify_expired = 64      // for timers: the time has come
};

// Lives in whoever listens. Notified on the loop's thread, between dispatches; it may do no more than put something
// into the ready ring and change its own registrations.
struct listener {
    using notify_call = void (*)(listener& self, unsigned what) noexcept;
    explicit listener(notify_call n) noexcept : notify(n) {}
    notify_call notify;
};

}}}  // namespace spruce::v0::detail
