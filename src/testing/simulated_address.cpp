#include "simulated_address.hpp"

#include <cerrno>
#include <cstddef>
#include <cstring>

#include <netinet/in.h>
#include <sys/socket.h>

namespace spruce { inline namespace v0 { namespace detail {

namespace {
constexpr unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr unsigned char zeros[16] = {};
}  // namespace

bool simulated_address::holds_ipv4() const noexcept {
    return kind == family::ipv4 || std::memcmp(ip, mapped, sizeof mapped) == 0;
}

bool simulated_address::is_any() const noexcept {
    return holds_ipv4() ? std::memcmp(ip + 12, zeros, 4) == 0 : std::memcmp(ip, zeros, 16) == 0;
}

bool simulated_address::is_loopback() const noexcept {
    if (holds_ipv4()) return ip[12] == 127;
    return std::memcmp(ip, zeros, 15) == 0 && ip[15] == 1;
}

bool simulated_address::is_silent() const noexcept {
    return holds_ipv4() && ip[12] == 192 && ip[13] == 0 && ip[14] == 2;
}

bool simulated_address::same_ip(simulated_address const& other) const noexcept {
    return std::memcmp(ip, other.ip, sizeof ip) == 0;
}

simulated_address any_address(simulated_address::family kind) noexcept {
    simulated_address a;
    a.kind = kind;
    if (kind == simulated_address::family::ipv4) std::memcpy(a.ip, mapped, sizeof mapped);
    return a;
}

simulated_address loopback_address(simulated_address::family kind, std::uint16_t port) noexcept {
    simulated_address a = any_address(kind);
    a.port = port;
    if (kind == simulated_address::family::ipv4) a.ip[12] = 127;
    a.ip[15] = 1;
    return a;
}

int read_address(sockaddr const* from, unsigned length, simulated_address::family wanted,
                 simulated_address* out) noexcept {
    if (!from || length < offsetof(sockaddr, sa_data)) return -EINVAL;
    simulated_address a = any_address(wanted);
    if (wanted == simulated_address::family::ipv4) {
        if (length < sizeof(sockaddr_in)) return -EINVAL;
        sockaddr_in in;
        std::memcpy(&in, from, sizeof in);
        if (in.sin_family != AF_INET) return -EAFNOSUPPORT;
        a.port = ntohs(in.sin_port);
        std::memcpy(a.ip + 12, &in.sin_addr, 4);
    } else {
        if (length < sizeof(sockaddr_in6)) return -EINVAL;
        sockaddr_in6 in;
        std::memcpy(&in, from, sizeof in);
        if (in.sin6_family != AF_INET6) return -EAFNOSUPPORT;
        a.port = ntohs(in.sin6_port);
        std::memcpy(a.ip, &in.sin6_addr, 16);
    }
    *out = a;
    return 0;
}

void write_address(simulated_address const& from, sockaddr* out, unsigned* length) noexcept {
    if (!length) return;
    sockaddr_storage full;
    std::memset(&full, 0, sizeof full);
    std::size_t size = 0;
    if (from.kind == simulated_address::family::ipv4) {
        sockaddr_in in;
        std::memset(&in, 0, sizeof in);
        in.sin_family = AF_INET;
        in.sin_port = htons(from.port);
        std::memcpy(&in.sin_addr, from.ip + 12, 4);
        std::memcpy(&full, &in, size = sizeof in);
    } else if (from.kind == simulated_address::family::ipv6) {
        sockaddr_in6 in;
        std::memset(&in, 0, sizeof in);
        in.sin6_family = AF_INET6;
        in.sin6_port = htons(from.port);
        std::memcpy(&in.sin6_addr, from.ip, 16);
        std::memcpy(&full, &in, size = sizeof in);
    } else {
        full.ss_family = AF_UNIX;
        size = offsetof(sockaddr, sa_data);
    }
    // The systems that have a length in the address have it in the first byte, before a family of one byte.
    if constexpr (offsetof(sockaddr_storage, ss_family) == 1)
        *reinterpret_cast<unsigned char*>(&full) = static_cast<unsigned char>(size);
    if (out) std::memcpy(out, &full, *length < size ? *length : size);
    *length = static_cast<unsigned>(size);
}

}}}  // namespace spruce::v0::detail
