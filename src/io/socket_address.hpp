// Addresses as the system takes them.
#pragma once
#include <spruce/address.hpp>

#include <cstring>
#include <netinet/in.h>
#include <sys/socket.h>

namespace spruce { inline namespace v0 { namespace detail {

struct address_access {
    static sockaddr const* raw(address const& a) noexcept { return reinterpret_cast<sockaddr const*>(a.raw_); }
    static unsigned length(address const& a) noexcept { return a.length_; }
    static int family(address const& a) noexcept { return a.length_ ? raw(a)->sa_family : 0; }
    // For calls that fill one in.
    static sockaddr* room(address& a) noexcept { return reinterpret_cast<sockaddr*>(a.raw_); }
    static unsigned capacity() noexcept { return sizeof(address::raw_); }
    static void filled(address& a, unsigned length) noexcept {
        a.length_ = length > sizeof a.raw_ ? sizeof a.raw_ : length;
        a.text_[0] = '\0';
    }
    // Of IPv4 or IPv6: the same address and port.
    static bool same(address const& a, address const& b) noexcept {
        if (family(a) != family(b)) return false;
        if (family(a) == AF_INET) {
            auto const& one = *reinterpret_cast<sockaddr_in const*>(a.raw_);
            auto const& other = *reinterpret_cast<sockaddr_in const*>(b.raw_);
            return one.sin_port == other.sin_port && one.sin_addr.s_addr == other.sin_addr.s_addr;
        }
        if (family(a) != AF_INET6) return false;
        auto const& one = *reinterpret_cast<sockaddr_in6 const*>(a.raw_);
        auto const& other = *reinterpret_cast<sockaddr_in6 const*>(b.raw_);
        return one.sin6_port == other.sin6_port &&
               std::memcmp(&one.sin6_addr, &other.sin6_addr, sizeof one.sin6_addr) == 0;
    }
    static char* text(address const& a) noexcept { return a.text_; }
    static std::size_t text_room() noexcept { return sizeof(address::text_); }
};

}}}  // namespace spruce::v0::detail
