// The simulated network: ports, listeners and their backlogs, and how a connect ends.
#include <cerrno>

#include "simulated_kevent.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
using family = simulated_address::family;

constexpr std::uint16_t first_port = 40'000;   // of those chosen by the kernel

bool overlap(simulated_file const& a, simulated_file const& b) noexcept {
    if (a.local.port != b.local.port) return false;
    if (a.local.kind != b.local.kind) {
        // An IPv6 socket stands in IPv4's way only if it takes IPv4 as well.
        simulated_file const& six = a.local.kind == family::ipv6 ? a : b;
        simulated_file const& four = a.local.kind == family::ipv6 ? b : a;
        if (six.only_ipv6) return false;
        return six.local.is_any() || (six.local.holds_ipv4() && (four.local.is_any() || six.local.same_ip(four.local)));
    }
    return a.local.is_any() || b.local.is_any() || a.local.same_ip(b.local);
}

// Whether one that comes may have the port beside one that is there.
bool may_share(simulated_file const& comes, simulated_file const& there) noexcept {
    if (comes.reuse_port && there.reuse_port) return true;
    return comes.reuse_address && there.reuse_address && there.state != stream_state::listening;
}

bool port_is_free(simulated_kernel& k, simulated_file& f) noexcept {
    for (simulated_bound* at = k.bound.front(); at; at = k.bound.after(*at)) {
        auto& other = *static_cast<simulated_file*>(at);
        if (&other != &f && overlap(f, other) && !may_share(f, other)) return false;
    }
    return true;
}

bool take_any_port(simulated_kernel& k, simulated_file& f) noexcept {
    for (int tries = 0; tries != 65'536 - first_port; ++tries) {
        f.local.port = k.next_port;
        k.next_port = k.next_port == 65'535 ? first_port : static_cast<std::uint16_t>(k.next_port + 1);
        bool taken = false;
        for (simulated_bound* at = k.bound.front(); at && !taken; at = k.bound.after(*at))
            taken = overlap(f, *static_cast<simulated_file*>(at));
        if (!taken) return true;
    }
    f.local.port = 0;
    return false;
}

// How well a listener fits where a connect goes: 0 not at all, 2 by name, 1 as one that takes all.
int fit(simulated_file const& listener, simulated_address const& to) noexcept {
    if (listener.local.port != to.port) return 0;
    if (listener.local.kind == family::ipv4 && !to.holds_ipv4()) return 0;
    if (listener.local.kind == family::ipv6 && listener.only_ipv6 && to.holds_ipv4()) return 0;
    if (listener.local.same_ip(to)) return 2;
    return listener.local.is_any() ? 1 : 0;
}

// The listener for an address; among several that share the port, one that is drawn.
simulated_file* find_listener(simulated_kernel& k, simulated_address const& to) noexcept {
    simulated_file* found = nullptr;
    int best = 0;
    std::uint64_t equals = 0;
    for (simulated_bound* at = k.bound.front(); at; at = k.bound.after(*at)) {
        auto& f = *static_cast<simulated_file*>(at);
        int const fits = f.state == stream_state::listening ? fit(f, to) : 0;
        if (fits == 0 || fits < best) continue;
        equals = fits > best ? 1 : equals + 1;
        best = fits;
        if (equals == 1 || draw(k, equals) == 0) found = &f;
    }
    return found;
}

void link_bound(simulated_kernel& k, simulated_file& f) noexcept { k.bound.push_back(f); }

// The listener's side of a new connection.
simulated_file* make_server_side(simulated_kernel& k, simulated_file& listener, simulated_file& client) noexcept {
    simulated_file* const s = make_simulated_file(k, simulated_kind::stream);
    if (!s) return nullptr;
    s->state = stream_state::established;
    s->local = client.remote;
    s->remote = client.local;
    s->local.kind = s->remote.kind = listener.local.kind;
    s->reuse_address = listener.reuse_address;
    s->reuse_port = listener.reuse_port;
    s->no_delay = listener.no_delay;
    s->keep_alive = listener.keep_alive;
    s->room_to_send = listener.room_to_send;
    s->room_to_receive = listener.room_to_receive;
    s->peer = &client;
    return s;
}

// All that wait for room try again; those whose listener has gone are refused.
void try_parked(simulated_kernel& k) noexcept {
    intrusive_list<simulated_turn> waiting;
    k.parked.splice_to(waiting);
    while (simulated_turn* const at = waiting.take_front()) syn_arrives(k, *static_cast<simulated_file*>(at));
}
}  // namespace

int open_socket(simulated_kernel& k, simulated_address::family kind) noexcept {
    simulated_file* const f = make_simulated_file(k, simulated_kind::stream);
    if (!f) return -ENOMEM;
    f->local = f->remote = any_address(kind);
    int const fd = install(k, *f);
    if (fd < 0) discard_file(k, *f);
    return fd;
}

int bind_to(simulated_kernel& k, simulated_file& f, simulated_address const& to) noexcept {
    if (!is_tcp(f) || f.state != stream_state::fresh || f.local.port != 0) return -EINVAL;
    if (!to.is_any() && !to.is_loopback()) return -EADDRNOTAVAIL;
    simulated_address const before = f.local;
    f.local = to;
    bool const got = to.port != 0 ? port_is_free(k, f) : take_any_port(k, f);
    if (!got) {
        f.local = before;
        return -EADDRINUSE;
    }
    link_bound(k, f);
    return 0;
}

int listen_on(simulated_kernel& k, simulated_file& f, int backlog) noexcept {
    if (!is_tcp(f)) return -EOPNOTSUPP;
    if (f.state != stream_state::fresh && f.state != stream_state::listening) return -EINVAL;
    if (f.local.port == 0) {
        if (int const failed = bind_to(k, f, any_address(f.local.kind)); failed < 0) return failed;
    }
    stream_state const before = f.state;
    f.state = stream_state::listening;
    if (!port_is_free(k, f)) {
        f.state = before;
        return -EADDRINUSE;
    }
    f.backlog = backlog < 0 || backlog > 4'096 ? 4'096U : static_cast<unsigned>(backlog);
    f.shut = 0;
    try_parked(k);
    return 0;
}

int connect_to(simulated_kernel& k, simulated_file& f, simulated_address const& to) noexcept {
    if (!is_tcp(f)) return -EISCONN;
    switch (f.state) {
        case stream_state::listening: return -EISCONN;
        case stream_state::connecting: return -EALREADY;
        case stream_state::established: {
            bool const news = f.new_outcome;
            f.new_outcome = false;
            return news ? 0 : -EISCONN;
        }
        case stream_state::over: {
            if (!f.new_outcome) return -EISCONN;   // it was connected, as a connect() or accept() has said
            int const error = f.error ? f.error : ECONNABORTED;
            f.state = stream_state::fresh;
            f.error = 0;
            f.shut = 0;
            f.ended = f.new_outcome = false;
            return -error;
        }
        case stream_state::fresh: break;
    }
    if (to.port == 0) return -ECONNREFUSED;
    if (!to.is_any() && !to.is_loopback() && !to.is_silent()) return -ENETUNREACH;
    if (f.local.port == 0) {
        f.local = loopback_address(f.local.kind, 0);
        if (!take_any_port(k, f)) return -EADDRNOTAVAIL;
        link_bound(k, f);
    } else if (f.local.is_any()) {
        f.local = loopback_address(f.local.kind, f.local.port);
    }
    f.remote = to.is_any() ? loopback_address(to.kind, to.port) : to;
    f.state = stream_state::connecting;
    f.error = 0;
    f.shut = 0;
    f.new_outcome = true;
    f.starved = true;
    if (!to.is_silent()) send_off(k, f, under_way::syn, 0);
    return -EINPROGRESS;
}

void syn_arrives(simulated_kernel& k, simulated_file& f) noexcept {
    simulated_file* const listener = find_listener(k, f.remote);
    if (!listener && f.remote.port == f.local.port && f.remote.same_ip(f.local)) {
        // Its SYN meets itself, which TCP calls a simultaneous open: what it sends, it gets.
        f.peer = &f;
        f.state = stream_state::established;
        notify(k, f, any_change);
        return;
    }
    if (!listener) {
        break_off(k, f, ECONNREFUSED);
        return;
    }
    // As on Linux one more is taken than the backlog says. When there is no room the SYN is dropped, and comes again
    // as soon as there is.
    if (listener->queued > listener->backlog) {
        k.parked.push_back(f);
        return;
    }
    simulated_file* const server = make_server_side(k, *listener, f);
    if (!server) {
        break_off(k, f, ETIMEDOUT);   // dropped for want of memory, again and again
        return;
    }
    link_bound(k, *server);
    listener->queue.push_back(*server);
    ++listener->queued;
    f.peer = server;
    f.state = stream_state::established;
    notify(k, *listener, ready_read);
    notify(k, f, any_change);
}

int accept_from(simulated_kernel& k, simulated_file& f, simulated_file** taken) noexcept {
    if (f.kind != simulated_kind::stream) return -ENOTSOCK;
    if (f.state != stream_state::listening) return -EINVAL;
    simulated_turn* const first = f.queue.front();
    if (!first) return -EAGAIN;
    auto& s = *static_cast<simulated_file*>(first);
    // Without a number to give, the connection stays in the queue.
    int const fd = install(k, s);
    if (fd < 0) return fd;
    first->unlink();
    --f.queued;
    if (manners_of(k).accepts_tell) notify_knotes(k, f, ready_read);   // of those that wait still
    *taken = &s;
    try_parked(k);
    return fd;
}

void leave_socket(simulated_kernel& k, simulated_file& f) noexcept {
    static_cast<simulated_turn&>(f).unlink();
    static_cast<simulated_bound&>(f).unlink();
    if (f.state != stream_state::listening) return;
    f.state = stream_state::over;
    while (simulated_turn* const at = f.queue.take_front()) {
        auto& s = *static_cast<simulated_file*>(at);
        s.reset_on_close = true;
        discard_file(k, s);
    }
    f.queued = 0;
    try_parked(k);
}

}}}  // namespace spruce::v0::detail
