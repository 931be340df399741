#include <spruce/net.hpp>

#include <cerrno>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "../base/text_line.hpp"
#include "../loop/plain_scope.hpp"
#include "socket_address.hpp"
#include "fd_wait.hpp"

namespace spruce { inline namespace v0 {

using access = detail::address_access;
using detail::hub;
using detail::stream_core;

namespace {
// A refusal names the call as well: who denies it must be told of that.
error socket_error(int failed, address const& of, char const* call) noexcept {
    if (failed != -EPERM && failed != -EACCES && failed != -ENOSYS)
        return detail::with_detail(error::from_errno(-failed), of.text());
    char text[120];
    detail::text_line line(text, sizeof text);
    line.put(call).put("() for ").put(of.text());
    return detail::with_detail(error::from_errno(-failed), line.string());
}

// A stream socket of the address's family, in this loop's hands.
result<stream_core> make_socket(address const& of) noexcept {
    SPRUCE_TRY(loop& here, loop::current());
    int const family = access::family(of);
    if (family != AF_INET && family != AF_INET6)
        return detail::with_detail(errc::invalid_argument, "no address of TCP");
    hub& h = *here.impl();
    int const fd = h.sys.socket(family, SOCK_STREAM, 0);
    if (fd < 0) return socket_error(fd, of, "socket");
    auto core = detail::open_fresh(fd, detail::fd_tcp_socket);
    if (!core) h.sys.close(fd);
    return core;
}

// Asks for a socket's own end. 0, or -errno.
int learn_local(hub& h, stream_core const& c, address& local) noexcept {
    unsigned length = access::capacity();
    int const got = h.sys.getsockname(c.fd, access::room(local), &length);
    if (got == 0) access::filled(local, length);
    return got;
}

// Whether a connection's two ends are one: an ephemeral port may meet itself where nobody listens.
bool meets_itself(hub& h, stream_core const& c, address const& local, address const& to) noexcept {
    if (local.port() == 0 || local.port() != to.port()) return false;
    // What was asked for need not be its name: "every address" is this machine's.
    address peer;
    unsigned length = access::capacity();
    if (h.sys.getpeername(c.fd, access::room(peer), &length) != 0) return false;
    access::filled(peer, length);
    return access::same(local, peer);
}

// Closes unless it is kept: every error on the way leaves nothing open.
struct closing {
    stream_core core;
    ~closing() { detail::close_core(core); }
    stream_core keep() noexcept { return std::exchange(core, {}); }
};
}  // namespace

result<tcp_stream> tcp_stream::connect(std::string_view host_and_port, deadline dl) {
    auto const to = address::parse(host_and_port);
    return to ? connect(*to, dl) : result<tcp_stream>(detail::refused_call(to.error()));
}

result<tcp_stream> tcp_stream::connect(address const& to, deadline dl) {
    detail::plain_scope const scope;   // whose number it was, or the hook, may be the last to own the loop
    detail::counted_call const counted;
    SPRUCE_CHECK(detail::begin_wait());
    SPRUCE_TRY(auto core, make_socket(to));
    closing guard{core};
    hub& h = *detail::current_hub;
    int got = h.sys.connect(core.fd, access::raw(to), access::length(to));
    if (got == -EINPROGRESS) {
        if (auto waited = detail::wait_ready(core, true, "connect", dl); !waited) {
            // Closed under us: the stream_core here is the only one, so it was the loop that ended.
            return waited.error();
        }
        unsigned size = sizeof got;
        int failed = 0;
        got = h.sys.getsockopt(core.fd, SOL_SOCKET, SO_ERROR, &failed, &size);
        if (got < 0) return socket_error(got, to, "getsockopt");
        got = -failed;
    }
    if (got < 0) return socket_error(got, to, "connect");
    address local;
    (void)learn_local(h, core, local);   // for show: a connection without it is one
    if (meets_itself(h, core, local, to)) {
        // Without a trace of it: the port is for a server that may come.
        linger const at_once{1, 0};
        (void)h.sys.setsockopt(core.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        return socket_error(-ECONNREFUSED, to, "connect");
    }
    tcp_stream made(guard.keep());
    made.local_ = local;
    made.peer_ = to;
    return made;
}

result<void> tcp_stream::no_delay(bool on) {
    SPRUCE_CHECK(detail::usable(core_));
    hub& h = *detail::current_hub;
    int const value = on ? 1 : 0;
    if (int const failed = h.sys.setsockopt(core_.fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value);
        failed < 0)
        return detail::call_error(failed, "setsockopt()");
    return {};
}

result<tcp_listener> tcp_listener::listen(std::string_view host_and_port, listen_options options) {
    detail::plain_scope const scope;   // whose number it was, or the hook, may be the last to own the loop
    SPRUCE_TRY(auto at, address::parse(host_and_port));
    SPRUCE_TRY(auto core, make_socket(at));
    closing guard{core};
    hub& h = *detail::current_hub;
    int const yes = 1;
    // A server that starts again must not wait for its last connections' end.
    char const* call = "setsockopt";
    int failed = h.sys.setsockopt(core.fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (failed >= 0 && options.reuse_port)
        failed = h.sys.setsockopt(core.fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
    if (failed >= 0) call = "bind", failed = h.sys.bind(core.fd, access::raw(at), access::length(at));
    if (failed >= 0) call = "listen", failed = h.sys.listen(core.fd, options.backlog);
    tcp_listener made;
    // The caller needs to know which port it got
    if (failed >= 0) call = "getsockname", failed = learn_local(h, core, made.local_);
    if (failed < 0) return socket_error(failed, at, call);
    made.core_ = guard.keep();
    return made;
}

namespace {
enum class setback { none, at_once, pause };
// What a failed accept means. The peer's troubles are over with it; the system's may pass; the rest never will.
setback judge(int failed) noexcept {
    switch (-failed) {
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENOPROTOOPT:
    case EPERM:   // a firewall's rule
        return setback::at_once;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return setback::pause;
    default: return setback::none;
    }
}
// Whether it stands for every address of this machine.
bool is_any(address const& a) noexcept {
    if (access::family(a) == AF_INET)
        return reinterpret_cast<sockaddr_in const*>(access::raw(a))->sin_addr.s_addr == INADDR_ANY;
    return access::family(a) == AF_INET6 &&
           IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<sockaddr_in6 const*>(access::raw(a))->sin6_addr);
}
constexpr duration accept_pause = std::chrono::milliseconds(10);
}  // namespace

// After a setback that may pass. Errors: what ends accept(): closed (the unhandled hook, or another task, has ended
// the listener meanwhile), timed_out, canceled.
result<void> tcp_listener::pause(detail::hub& h, error why, deadline& dl) {
    stream_core const mine = core_;   // the unhandled hook may end the listener
    // Once a second: under churn there may be room for one connection at a time, for long.
    if (std::int64_t const now = h.fresh_now(); told_ns_ == 0 || now - told_ns_ >= 1'000'000'000) {
        told_ns_ = now;
        detail::tell_unhandled(&h, {this_task::id(), this_task::name(), "accept waits until there is room", why});
        if (mine.entry->owners != mine.owner) return errc::closed;
    }
    if (dl.how() == deadline::kind::relative) dl = at(time_point(duration(h.due_from_now(dl))));
    if (dl.passed()) return errc::timed_out;
    // The pause is a wait for the other side of the fd, which never comes but which close() ends.
    deadline until = in(dl.remaining() < accept_pause ? dl.remaining() : accept_pause);
    auto const paused = detail::wait_ready(core_, true, "accept", until);
    return paused == error(errc::timed_out) ? result<void>() : paused;
}

result<tcp_stream> tcp_listener::accept(deadline dl) {
    detail::plain_scope const scope;   // whose number it was, or the hook, may be the last to own the loop
    detail::counted_call const counted;
    SPRUCE_CHECK(detail::begin_wait());
    SPRUCE_CHECK(detail::usable(core_));
    hub& h = *detail::current_hub;
    // What passes at once may come again at once, and a sandbox's refusal never ends: then others get their turn.
    unsigned in_a_row = 0;
    for (bool tried = false;; tried = true) {
        detail::fd_entry& e = *core_.entry;
        if (e.on_read) return detail::with_detail(errc::already_registered, "an accept() is already pending");
        if ((e.ready & detail::ready_read) == 0 && (tried || !detail::must_not_wait(h, dl))) {
            SPRUCE_CHECK(detail::wait_ready(core_, false, "accept", dl));
            continue;
        }
        address peer;
        unsigned length = access::capacity();
        int const fd = h.sys.accept(core_.fd, access::room(peer), &length);
        if (fd == -EAGAIN) {
            h.fds.clear_ready(e, detail::ready_read);
            continue;
        }
        if (fd < 0) {
            setback const kind = judge(fd);
            if (kind == setback::none) return socket_error(fd, local_, "accept");
            ++setbacks_;
            if (kind == setback::pause || ++in_a_row % 32 == 0) SPRUCE_CHECK(pause(h, error::from_errno(-fd), dl));
            continue;
        }
        stream_core const mine = core_;   // the destructors of callbacks that the number had may end the listener
        tcp_stream made(stream_core{});
        bool const many = is_any(local_);
        if (!many) made.local_ = local_;
        auto const core = detail::open_fresh(fd, detail::fd_tcp_socket);
        if (core) {
            made.core_ = *core;
            access::filled(peer, length);
            made.peer_ = peer;
            // Mostly the listener's own, which saves a call; behind "*" each connection has another.
            if (many) (void)learn_local(h, made.core_, made.local_);
            return made;
        }
        // Our own bounds are like the system's: they may pass. The connection itself is lost.
        h.sys.close(fd);
        if (mine.entry->owners != mine.owner) return errc::closed;
        ++setbacks_;
        SPRUCE_CHECK(pause(h, core.error(), dl));
    }
}

}}  // namespace spruce::v0
