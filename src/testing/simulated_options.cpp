// Socket options of the simulated network. What only tunes a real network is taken and given back, without effect.
#include <cerrno>
#include <cstring>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "simulated_kernel.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
int give(void* value, unsigned* length, int number) noexcept {
    if (!value || !length) return -EFAULT;
    std::memcpy(value, &number, *length < sizeof number ? *length : sizeof number);
    if (*length > sizeof number) *length = sizeof number;
    return 0;
}

int family_of(simulated_file const& f) noexcept {
    switch (f.local.kind) {
        case simulated_address::family::ipv4: return AF_INET;
        case simulated_address::family::ipv6: return AF_INET6;
        case simulated_address::family::local:
        case simulated_address::family::none: break;
    }
    return AF_UNIX;
}

int get_socket_option(simulated_file& f, int name, void* value, unsigned* length) noexcept {
    switch (name) {
        case SO_ERROR: {
            int const error = f.error;
            f.error = 0;
            return give(value, length, error);
        }
        case SO_TYPE: return give(value, length, SOCK_STREAM);
#ifdef SO_DOMAIN
        case SO_DOMAIN: return give(value, length, family_of(f));
#endif
        case SO_ACCEPTCONN: return give(value, length, f.state == stream_state::listening);
        case SO_REUSEADDR: return give(value, length, f.reuse_address);
        case SO_REUSEPORT: return give(value, length, f.reuse_port);
        case SO_KEEPALIVE: return give(value, length, f.keep_alive);
        case SO_SNDBUF: return give(value, length, static_cast<int>(f.room_to_send));
        case SO_RCVBUF: return give(value, length, static_cast<int>(f.room_to_receive));
        case SO_LINGER: {
            linger const l{f.reset_on_close, 0};
            std::memcpy(value, &l, *length < sizeof l ? *length : sizeof l);
            if (*length > sizeof l) *length = sizeof l;
            return 0;
        }
        default: return -ENOPROTOOPT;
    }
}

int set_socket_option(simulated_kernel& k, simulated_file& f, int name, void const* value, unsigned length) noexcept {
    if (name == SO_LINGER) {
        linger l;
        if (length < sizeof l) return -EINVAL;
        std::memcpy(&l, value, sizeof l);
        f.reset_on_close = l.l_onoff != 0 && l.l_linger == 0;
        return 0;
    }
    int number = 0;
    if (length < sizeof number) return -EINVAL;
    std::memcpy(&number, value, sizeof number);
    switch (name) {
        case SO_REUSEADDR: f.reuse_address = number != 0; return 0;
        case SO_REUSEPORT: f.reuse_port = number != 0; return 0;
        case SO_KEEPALIVE: f.keep_alive = number != 0; return 0;
        case SO_SNDBUF:
        case SO_RCVBUF: {
            std::size_t const room = number < 1'024 ? 1'024U : static_cast<std::size_t>(number);
            (name == SO_SNDBUF ? f.room_to_send : f.room_to_receive) = room;
            notify(k, f, ready_write);
            if (f.peer) notify(k, *f.peer, ready_write);
            return 0;
        }
        case SO_OOBINLINE:
        case SO_BROADCAST:
#ifdef SO_NOSIGPIPE
        case SO_NOSIGPIPE:
#endif
        case SO_RCVLOWAT: return 0;
        default: return -ENOPROTOOPT;
    }
}
}  // namespace

int get_option(simulated_kernel&, simulated_file& f, int level, int name, void* value, unsigned* length) noexcept {
    if (f.kind != simulated_kind::stream) return -ENOTSOCK;
    if (!value || !length) return -EFAULT;
    if (level == SOL_SOCKET) return get_socket_option(f, name, value, length);
    if (f.local.kind == simulated_address::family::local) return -EOPNOTSUPP;
    if (level == IPPROTO_TCP) return name == TCP_NODELAY ? give(value, length, f.no_delay) : -ENOPROTOOPT;
    if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY) return give(value, length, f.only_ipv6);
    return -ENOPROTOOPT;
}

int set_option(simulated_kernel& k, simulated_file& f, int level, int name, void const* value,
               unsigned length) noexcept {
    if (f.kind != simulated_kind::stream) return -ENOTSOCK;
    if (!value) return -EFAULT;
    if (level == SOL_SOCKET) return set_socket_option(k, f, name, value, length);
    if (f.local.kind == simulated_address::family::local) return -EOPNOTSUPP;
    int number = 0;
    if (length < sizeof number) return -EINVAL;
    std::memcpy(&number, value, sizeof number);
    if (level == IPPROTO_TCP) {
        if (name == TCP_NODELAY) f.no_delay = number != 0;
        return 0;
    }
    if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY) {
        if (f.local.kind != simulated_address::family::ipv6) return -ENOPROTOOPT;
        if (f.local.port != 0) return -EINVAL;
        f.only_ipv6 = number != 0;
        return 0;
    }
    return level == IPPROTO_IP ? 0 : -ENOPROTOOPT;
}
}}}  // namespace spruce::v0::detail
