// Simulated signals and children: a test raises and ends them, the loop hears of it as of real ones.
#include <cerrno>
#include <csignal>
#include <new>

#include "simulated_kevent.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
simulated_subscription** find_subscription(simulated_kernel& k, signal_port* port, int signal) noexcept {
    simulated_subscription** at = &k.subscriptions;
    while (*at && ((*at)->port != port || (*at)->signal != signal)) at = &(*at)->next;
    return at;
}

simulated_child** find_child(simulated_kernel& k, int pid) noexcept {
    simulated_child** at = &k.children;
    while (*at && (*at)->pid != pid) at = &(*at)->next;
    return at;
}

// Its pid is free again; fds that name it stay as they are, readable.
void forget_child(simulated_child** at) noexcept {
    simulated_child* const c = *at;
    *at = c->next;
    while (c->watchers.take_front()) {}
    drop_child_knotes(*c);
    c->~simulated_child();
    release({}, c, sizeof *c, alignof(simulated_child));
}
}  // namespace

int subscribe_to(simulated_kernel& k, signal_port* port, int signal) noexcept {
    if (!can_be_handled(signal)) return -EINVAL;
    if (*find_subscription(k, port, signal)) return 0;
    void* const at = allocate({}, sizeof(simulated_subscription), alignof(simulated_subscription));
    if (!at) return -ENOMEM;
    k.subscriptions = ::new (at) simulated_subscription{k.subscriptions, port, signal};
    return 0;
}

int unsubscribe_from(simulated_kernel& k, signal_port* port, int signal) noexcept {
    simulated_subscription** const at = find_subscription(k, port, signal);
    simulated_subscription* const s = *at;
    if (!s) return -ENOENT;
    *at = s->next;
    release({}, s, sizeof *s, alignof(simulated_subscription));
    return 0;
}

std::size_t tell_signal(simulated_kernel& k, int signal) noexcept {
    std::size_t told = 0;
    for (simulated_subscription* s = k.subscriptions; s; s = s->next) {
        if (s->signal != signal) continue;
        ++told;
        if (s->port->by_poller.load(std::memory_order_relaxed) != 0) continue;
        auto const number = static_cast<unsigned>(signal);
        s->port->pending[number / 32].fetch_or(1U << (number % 32), std::memory_order_release);
        kernel const& on = s->port->on ? *s->port->on : k.seam;
        on.calls->wake(on.context, s->port->write_fd);
    }
    notify_signal_knotes(k, signal);
    return told;
}

int begin_child(simulated_kernel& k) noexcept {
    void* const at = allocate({}, sizeof(simulated_child), alignof(simulated_child));
    if (!at) return -ENOMEM;
    k.children = ::new (at) simulated_child{k.children, k.next_pid++, simulated_child::running, {}, {}, {}};
    return k.children->pid;
}

int finish_child(simulated_kernel& k, int pid, child_status status) noexcept {
    simulated_child* const c = *find_child(k, pid);
    if (!c || c->state != simulated_child::running) return -ESRCH;
    c->status = status;
    // Where a queue is told of an end before it is one, it is one when nothing else is left to tell.
    c->state = simulated_child::ending;
    ++k.ending;
    if (!notify_child_knotes(k, *c)) end_children(k);
    return 0;
}

namespace {
void end_child(simulated_kernel& k, simulated_child& c) noexcept {
    c.state = simulated_child::ended;
    --k.ending;
    for (simulated_turn* at = c.watchers.front(); at; at = c.watchers.after(*at)) {
        auto& f = *static_cast<simulated_file*>(at);
        f.ended = true;
        notify(k, f, ready_read);
    }
    tell_signal(k, SIGCHLD);
}
}  // namespace

bool end_children(simulated_kernel& k) noexcept {
    if (k.ending == 0) return false;
    for (simulated_child* c = k.children; c; c = c->next)
        if (c->state == simulated_child::ending) end_child(k, *c);
    return true;
}

int steal_child(simulated_kernel& k, int pid) noexcept {
    end_children(k);
    simulated_child** const at = find_child(k, pid);
    if (!*at) return -ESRCH;
    if ((*at)->state != simulated_child::ended) return -EBUSY;
    forget_child(at);
    return 0;
}

int open_child_fd(simulated_kernel& k, int pid) noexcept {
    if (k.options.refuse_child_fds || k.options.kqueue != testing::kqueue_of::none) return -ENOSYS;
    if (pid <= 0) return -EINVAL;
    simulated_child* const c = *find_child(k, pid);
    if (!c) return -ESRCH;
    simulated_file* const f = make_simulated_file(k, simulated_kind::child);
    if (!f) return -ENOMEM;
    f->pid = pid;
    f->ended = c->state == simulated_child::ended;
    int const fd = install(k, *f);
    if (fd < 0) {
        discard_file(k, *f);
        return fd;
    }
    c->watchers.push_back(*f);
    return fd;
}

int take_child(simulated_kernel& k, int pid, child_status* out) noexcept {
    simulated_child** const at = find_child(k, pid);
    if (!*at) return -ECHILD;
    if ((*at)->state != simulated_child::ended) return 0;
    *out = (*at)->status;
    forget_child(at);
    return 1;
}

void drop_children(simulated_kernel& k) noexcept {
    while (k.children) forget_child(&k.children);
    while (k.subscriptions) unsubscribe_from(k, k.subscriptions->port, k.subscriptions->signal);
}

}}}  // namespace spruce::v0::detail
