// Addresses of the simulated network: IPv4 and IPv6 with a port, all kept in IPv6's form.
#pragma once
#include <cstdint>

struct sockaddr;

namespace spruce { inline namespace v0 { namespace detail {

struct simulated_address {
    enum class family : std::uint8_t { none, local, ipv4, ipv6 };   // local: a socket pair's, which has no name
    family kind = family::none;
    std::uint16_t port = 0;                                          // 0: not bound
    unsigned char ip[16] = {};                                       // IPv4 as ::ffff:a.b.c.d

    bool is_any() const noexcept;            // 0.0.0.0 or ::
    bool is_loopback() const noexcept;       // 127.0.0.0/8 or ::1
    bool is_silent() const noexcept;         // 192.0.2.0/24, where nobody ever answers
    bool holds_ipv4() const noexcept;        // of IPv4, or mapped into IPv6
    bool same_ip(simulated_address const& other) const noexcept;
};

simulated_address any_address(simulated_address::family kind) noexcept;
simulated_address loopback_address(simulated_address::family kind, std::uint16_t port) noexcept;
// 0, or -EINVAL, -EAFNOSUPPORT when it is not of the wanted family.
int read_address(sockaddr const* from, unsigned length, simulated_address::family wanted,
                 simulated_address* out) noexcept;
// As the system's calls do it: cut to *length, and *length becomes what it would have been.
void write_address(simulated_address const& from, sockaddr* out, unsigned* length) noexcept;

}}}  // namespace spruce::v0::detail
