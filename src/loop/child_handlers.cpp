// Children: each is watched by its own descriptor, or by the poller, or, where the system has neither, looked at when
// SIGCHLD comes.
// Only pids that were asked for are ever reaped.
#include <cerrno>
#include <csignal>

#include "plain_scope.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
// Takes the child's status if it is there. 1: known now; 0: it still runs. `failed`: why it cannot be had.
int look(hub& h, handler_slot& s, int* failed = nullptr) noexcept {
    child_status status{};
    int const got = h.sys.reap_child(s.number, s.child.fd, &status);
    if (got == 0) return 0;
    if (got < 0) {
        if (failed) *failed = got;
        s.ended = child_end::lost;
    } else {
        s.ended = status.exited ? child_end::exited : child_end::killed;
        s.child.code = status.code;
    }
    return 1;
}

void close_child_fd(hub& h, handler_slot& s) noexcept {
    if (s.child.fd < 0) return;
    if (fd_entry* const e = h.fds.find(s.child.fd)) {
        h.fds.unwatch(s.child.fd, false, s);
        h.fds.close(*e);
    } else {
        h.sys.close(s.child.fd);
    }
    s.child.fd = -1;
}

void finish(hub& h, handler_slot& s) noexcept {
    close_child_fd(h, s);
    if (s.state == slot_state::armed) make_ready(h, s);
}

// The children that SIGCHLD stands for, if any: the subscription comes with the first and goes with the last.
int need_sigchld(hub& h) noexcept {
    int const got = subscribe_signal(h, SIGCHLD);
    if (got >= 0) ++h.signals.children;
    return got;
}

// Of a child without a descriptor. 0, or -errno.
int watch_by_pid(hub& h, handler_slot& s) noexcept {
    s.by_poller = h.poller->watch_child && h.poller->watch_child(h.poller_context, s.number, true) >= 0;
    if (s.by_poller) return 0;
    int const failed = need_sigchld(h);
    s.by_signal = failed >= 0;
    return failed;
}

// The poller knows it no more, or told of its end too soon: SIGCHLD comes with the status. Listened for before the
// look, so that the end cannot fall between the two.
void fall_back_to_signal(hub& h, handler_slot& s) noexcept {
    s.by_poller = false;
    s.by_signal = need_sigchld(h) >= 0;
    bool const known = look(h, s) != 0;
    if (!known && !s.by_signal) s.ended = child_end::lost;   // nobody would ever tell
    if (known || !s.by_signal) finish(h, s);
}
// Its descriptor was closed behind the loop's back, and the number is somebody else's now: its end is heard of
// otherwise.
void lose_fd(hub& h, handler_slot& s) noexcept {
    s.child.fd = -1;
    if (s.state != slot_state::armed || s.ended != child_end::unknown) return;
    if (watch_by_pid(h, s) < 0) fall_back_to_signal(h, s);
    else if (look(h, s)) finish(h, s);
}

void told(listener& self, unsigned what) noexcept {
    auto& s = static_cast<handler_slot&>(self);
    hub& h = *current_hub;
    if ((what & told_closed) != 0) lose_fd(h, s);
    else if (s.state == slot_state::armed && look(h, s)) finish(h, s);
}
}  // namespace

void child_told(hub& h, int pid) noexcept {
    for (handler_slot* s = h.children.front(); s; s = h.children.after(*s)) {
        if (!s->by_poller || s->number != pid) continue;
        s->by_poller = false;   // it is told once
        if (s->state != slot_state::armed || s->ended != child_end::unknown) return;
        if (look(h, *s)) finish(h, *s);
        else fall_back_to_signal(h, *s);
        return;
    }
}

void rewatch_children(hub& h) noexcept {
    for (handler_slot* s = h.children.front(); s; s = h.children.after(*s)) {
        if (!s->by_poller || h.poller->watch_child(h.poller_context, s->number, true) >= 0) continue;
        if (s->state == slot_state::armed && s->ended == child_end::unknown) fall_back_to_signal(h, *s);
    }
}

result<handler> arm_child(hub* on, handler_slot* s, callable_ops const* ops, int pid) noexcept {
    hub& h = *on;
    plain_scope const scope(on);   // where it is refused, the callable ends here
    s->ops = ops;
    auto refuse = [&](error why) {
        s->kind = slot_kind::none;
        h.handlers.dispose(*s);
        return why;
    };
    if (pid <= 0) return refuse(with_detail(errc::invalid_argument, "pid: not positive"));
    for (handler_slot* other = h.children.front(); other; other = h.children.after(*other))
        if (other->number == pid) return refuse(with_detail(errc::already_registered, "pid: it has a handler"));
    s->number = pid;
    s->child.fd = -1;
    s->ended = child_end::unknown;
    s->child.code = 0;
    int const fd = h.sys.open_child(pid);
    if (fd == -ESRCH || fd == -EINVAL) return refuse(with_detail(errc::invalid_argument, "pid: no such child"));
    if (fd < 0 && fd != -ENOSYS && fd != -EPERM) return refuse(kernel_error(fd));
    s->child.fd = fd < 0 ? -1 : fd;
    char const* const evicted = fd < 0 ? nullptr : h.fds.evict(fd);
    s->notify = told;
    // SIGCHLD is listened for before the first look, so that no end falls between the two.
    if (fd < 0) {
        if (int const failed = watch_by_pid(h, *s); failed < 0) return refuse(signal_refused(h, failed));
    } else if (auto watched = h.fds.watch(fd, false, *s); !watched) {
        h.sys.close(fd);
        return refuse(watched.error());
    }
    s->kind = slot_kind::child;
    s->state = slot_state::armed;
    h.children.push_back(*s);
    add_hold(h, *s);
    int failed = 0;
    if (look(h, *s, &failed)) {
        if (s->ended == child_end::lost) {
            detach_slot(h, *s);
            if (failed != -ECHILD) return refuse(with_detail(kernel_error(failed), "waitid() and waitpid()"));
            return refuse(with_detail(errc::invalid_argument, "pid: no child of this process"));
        }
        finish(h, *s);
    }
    h.rouse();
    handler const made = handler_access::name(h.serial, *s);
    tell_evicted(h, fd, evicted);
    return made;
}

void detach_child(hub& h, handler_slot& s) noexcept {
    s.unlink();
    close_child_fd(h, s);
    if (s.by_poller) h.poller->watch_child(h.poller_context, s.number, false);
    s.by_poller = false;
    if (!s.by_signal) return;
    s.by_signal = false;
    if (--h.signals.children == 0) drop_signal(h, SIGCHLD);
}

void reap_children(hub& h) noexcept {
    for (handler_slot* s = h.children.front(); s; s = h.children.after(*s))
        if (s->by_signal && s->state == slot_state::armed && s->ended == child_end::unknown && look(h, *s))
            finish(h, *s);
}

result<exit_status> child_outcome(handler_slot const& s) noexcept {
    if (s.ended == child_end::exited) return exit_status(s.child.code, 0);
    if (s.ended == child_end::killed) return exit_status(0, s.child.code);
    return errc::status_lost;
}

}}}  // namespace spruce::v0::detail
