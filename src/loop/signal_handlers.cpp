// A loop's signal handlers. The dispatcher in sys/ owns the dispositions; here its port is read, and each handler
// of a signal that arrived goes into the ready ring.
#include <cerrno>
#include <csignal>
#include <iterator>

#include "plain_scope.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
bool poller_reports(hub const& h) noexcept { return h.poller->watch_signal && !h.options.use_signalfd; }

void open_port(hub& h) noexcept {
    h.signals.port.on = &h.on;
    h.signals.port.write_fd = h.wake.write_fd;
    h.signals.port.use_signalfd = h.options.use_signalfd;
    h.signals.port.by_poller.store(poller_reports(h), std::memory_order_relaxed);
    h.signals.port_open = true;
}

intrusive_list<handler_slot>& handlers_of(hub& h, int signal) noexcept {
    return h.signals.handlers[static_cast<unsigned>(signal) % std::size(h.signals.handlers)];
}
// The first at `s`, or behind it, that handles the signal: where a system has more signals than we have lists, two
// share one.
handler_slot* from(intrusive_list<handler_slot>& list, handler_slot* s, int signal) noexcept {
    while (s && s->number != signal) s = list.after(*s);
    return s;
}
bool has_handler(hub& h, int signal) noexcept {
    auto& list = handlers_of(h, signal);
    return from(list, list.front(), signal) != nullptr;
}
bool is_listened_for(hub& h, int signal) noexcept {
    return (signal == SIGCHLD && h.signals.children != 0) || has_handler(h, signal);
}
}  // namespace

// With signalfd the port has an fd of its own, which the poller must know; its events are for signal_phase().
int watch_signal_fd(hub& h) noexcept {
    if (h.signals.port.signal_fd < 0 || h.signals.watched_fd == h.signals.port.signal_fd) return 0;
    poll_change c{h.signals.port.signal_fd, 0, interest_none, interest_read, 0};
    h.poller->change(h.poller_context, &c, 1);
    if (c.result == 0) h.signals.watched_fd = h.signals.port.signal_fd;
    return c.result;
}

int rewatch_signals(hub& h) noexcept {
    h.signals.watched_fd = -1;
    int failed = watch_signal_fd(h);
    if (poller_reports(h)) {
        for (int signal = 1; signal != signal_limit; ++signal)
            if (has_handler(h, signal))
                if (int const f = h.poller->watch_signal(h.poller_context, signal, true); f < 0) failed = f;
        if (h.signals.children != 0)
            if (int const f = h.poller->watch_signal(h.poller_context, SIGCHLD, true); f < 0) failed = f;
    }
    h.signals.watched = failed == 0;
    // Until the poller has them all, the handler reports.
    h.signals.port.by_poller.store(poller_reports(h) && failed == 0, std::memory_order_relaxed);
    return failed;
}

void signal_told(hub& h, int signal) noexcept {
    h.signals.port.pending[signal / 32].fetch_or(std::uint32_t{1} << (signal % 32), std::memory_order_relaxed);
}

int subscribe_signal(hub& h, int signal) noexcept {
    if (!h.signals.port_open) open_port(h);
    bool const listens = is_listened_for(h, signal);
    // Also when it is listened for already: somebody else may have changed the disposition meanwhile.
    int const got = h.sys.signal_subscribe(&h.signals.port, signal);
    if (got < 0 || listens) return got < 0 ? got : 0;
    int const fd = h.signals.port.signal_fd;
    char const* const evicted = fd >= 0 && h.signals.watched_fd != fd ? h.fds.evict(fd) : nullptr;
    int failed = watch_signal_fd(h);
    // The dispatcher sees to the disposition, the poller reports. What arrives in between is as if it came before both.
    if (failed == 0 && poller_reports(h)) failed = h.poller->watch_signal(h.poller_context, signal, true);
    if (failed < 0) h.sys.signal_unsubscribe(&h.signals.port, signal);
    tell_evicted(h, h.signals.port.signal_fd, evicted);
    return failed < 0 ? failed : 0;
}

error signal_refused(hub const& h, int failed) noexcept {
    if (failed == -EINVAL)
        return with_detail(errc::invalid_argument, "sig: no such signal, or one that no handler may have");
    if (failed == -ENOMEM) return errc::no_memory;
    if (!h.options.use_signalfd) return with_detail(kernel_error(failed), "sigaction()");
    if (failed == -EPERM)
        return with_detail(errc::not_supported,
                           "use_signalfd: a thread does not block the signal, or /proc cannot be read");
    if (failed == -ENOSYS)
        return with_detail(errc::not_supported, "use_signalfd: the system has no signalfd(), or refuses it");
    return with_detail(kernel_error(failed), "signalfd()");
}

result<handler> arm_signal(hub* on, handler_slot* s, callable_ops const* ops, int signal) noexcept {
    s->ops = ops;
    hub& h = *on;
    plain_scope const scope(on);   // where it is refused, the callable ends here
    if (int const failed = can_be_handled(signal) ? subscribe_signal(h, signal) : -EINVAL; failed < 0) {
        h.handlers.dispose(*s);
        return signal_refused(h, failed);
    }
    s->kind = slot_kind::signal;
    s->number = signal;
    s->state = slot_state::armed;
    handlers_of(h, signal).push_back(*s);
    h.rouse();
    return handler_access::name(h.serial, *s);
}

// When nobody of this loop needs the signal any more.
void drop_signal(hub& h, int signal) noexcept {
    if (is_listened_for(h, signal)) return;
    if (poller_reports(h)) h.poller->watch_signal(h.poller_context, signal, false);
    h.sys.signal_unsubscribe(&h.signals.port, signal);
    if (h.signals.port.signal_fd < 0) h.signals.watched_fd = -1;   // closed with its last signal
}

void signal_phase(hub& h) noexcept {
    while (int const signal = signal_take(h.signals.port)) {
        if (signal == SIGCHLD && h.signals.children) reap_children(h);
        auto& list = handlers_of(h, signal);
        for (handler_slot* s = from(list, list.front(), signal); s; s = from(list, list.after(*s), signal)) {
            if (s->state == slot_state::armed) make_ready(h, *s);
            else if (s->state == slot_state::running) s->again = true;
        }
    }
}

}}}  // namespace spruce::v0::detail

namespace spruce { inline namespace v0 {

bool loop::remove_signal_handlers(int sig) noexcept {
    if (!hub_ || hub_ != detail::current_hub) return false;
    detail::hub& h = *hub_;   // a callable may be the last to own the loop, of which this object is all
    detail::plain_scope const scope(&h);
    if (sig < 1 || sig >= detail::signal_limit) return false;
    auto& list = detail::handlers_of(h, sig);
    bool any = false;
    // The callable's destructor may add and remove others: what the list holds is looked at anew after each, and who is
    // canceled is in it no more.
    while (detail::handler_slot* const s = detail::from(list, list.front(), sig)) {
        if (!detail::cancel_slot(h, *s)) break;
        any = true;
    }
    return any;
}

}}  // namespace spruce::v0
