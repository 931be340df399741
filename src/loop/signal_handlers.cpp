// A loop's signal handlers. The dispatcher in sys/ owns the dispositions; here its port is read, and each handler
// of a signal that arrived goes into the ready ring.
#include <cerrno>
#include <csignal>

#include "hub.hpp"

namespace spruce::inline v0::detail {

namespace {
void open_port(hub& h) noexcept {
    h.port.on = &h.on;
    h.port.write_fd = h.wake.write_fd;
    h.port.use_signalfd = h.options.use_signalfd;
    h.port.by_poller = h.poller->watch_signal && !h.options.use_signalfd;
    h.port_open = true;
}

bool anybody_listens(hub& h, int signal) noexcept {
    for (handler_slot* s = h.signal_handlers.front(); s; s = h.signal_handlers.after(*s))
        if (s->number == signal) return true;
    return false;
}
}  // namespace

// With signalfd the port has an fd of its own, which the poller must know; its events are for signal_phase().
int watch_signal_fd(hub& h) noexcept {
    if (h.port.signal_fd < 0 || h.watched_signal_fd == h.port.signal_fd) return 0;
    poll_change c{h.port.signal_fd, 0, interest_none, interest_read, 0};
    h.poller->change(h.poller_context, &c, 1);
    if (c.result == 0) h.watched_signal_fd = h.port.signal_fd;
    return c.result;
}

int rewatch_signals(hub& h) noexcept {
    h.watched_signal_fd = -1;
    int failed = watch_signal_fd(h);
    if (h.port.by_poller) {
        for (handler_slot* s = h.signal_handlers.front(); s; s = h.signal_handlers.after(*s))
            if (int const f = h.poller->watch_signal(h.poller_context, s->number, true); f < 0) failed = f;
        if (h.children_by_signal != 0)
            if (int const f = h.poller->watch_signal(h.poller_context, SIGCHLD, true); f < 0) failed = f;
    }
    h.signals_watched = failed == 0;
    return failed;
}

void signal_told(hub& h, int signal) noexcept {
    h.port.pending[signal / 32].fetch_or(std::uint32_t{1} << (signal % 32), std::memory_order_relaxed);
}

int subscribe_signal(hub& h, int signal) noexcept {
    if (!h.port_open) open_port(h);
    int const got = h.calls->signal_subscribe(h.on.context, &h.port, signal);
    if (got < 0) return got;
    int failed = watch_signal_fd(h);
    // The dispatcher sees to the disposition, the poller tells. What arrives in between is as if it came before both.
    if (failed == 0 && h.port.by_poller) failed = h.poller->watch_signal(h.poller_context, signal, true);
    if (failed < 0) h.calls->signal_unsubscribe(h.on.context, &h.port, signal);
    return failed < 0 ? failed : 0;
}

result<handler> arm_signal(hub* on, handler_slot* s, callable_ops const* ops, int signal) noexcept {
    s->ops = ops;
    hub& h = *on;
    if (signal < 1 || signal >= signal_limit) {
        h.handlers.dispose(*s);
        return with_detail(errc::invalid_argument, "sig: no such signal");
    }
    s->kind = slot_kind::signal;
    s->number = signal;
    bool const have = anybody_listens(h, signal) || (signal == SIGCHLD && h.children_by_signal != 0);
    if (!have) {
        if (int const failed = subscribe_signal(h, signal); failed < 0) {
            s->kind = slot_kind::none;
            h.handlers.dispose(*s);
            if (failed == -EINVAL) return with_detail(errc::invalid_argument, "sig: the system does not let it be handled");
            if (failed == -EPERM) return with_detail(errc::not_supported, "use_signalfd: a thread does not block the signal");
            return kernel_error(failed);
        }
    }
    s->state = slot_state::armed;
    h.signal_handlers.push_back(*s);
    h.rouse();
    return handler_access::name(h.serial, *s);
}

// When nobody of this loop needs the signal any more.
void drop_signal(hub& h, int signal) noexcept {
    if (anybody_listens(h, signal) || (signal == SIGCHLD && h.children_by_signal != 0)) return;
    if (h.port.by_poller) h.poller->watch_signal(h.poller_context, signal, false);
    h.calls->signal_unsubscribe(h.on.context, &h.port, signal);
    if (h.port.signal_fd < 0) h.watched_signal_fd = -1;   // closed with its last signal
}

void signal_phase(hub& h) noexcept {
    while (int const signal = signal_take(h.port)) {
        if (signal == SIGCHLD && h.children_by_signal) reap_children(h);
        for (handler_slot* s = h.signal_handlers.front(); s; s = h.signal_handlers.after(*s)) {
            if (s->number != signal) continue;
            if (s->state == slot_state::armed) make_ready(h, *s);
            else if (s->state == slot_state::running) s->again = true;
        }
    }
}

}  // namespace spruce::inline v0::detail

namespace spruce::inline v0 {

bool loop::remove_signal_handlers(int sig) noexcept {
    if (!hub_ || hub_ != detail::current_hub) return false;
    bool any = false;
    for (detail::handler_slot* s = hub_->signal_handlers.front(); s;) {
        detail::handler_slot* const next = hub_->signal_handlers.after(*s);
        // The callable's destructor may remove others: begin again after each.
        if (s->number == sig && detail::cancel_slot(*hub_, *s)) {
            any = true;
            s = hub_->signal_handlers.front();
            continue;
        }
        s = next;
    }
    return any;
}

}  // namespace spruce::inline v0
