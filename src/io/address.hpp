// Addresses as the system takes them.
#pragma once
#include <spruce/net.hpp>

#include <sys/socket.h>

namespace spruce::inline v0::detail {

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
    static char* text(address const& a) noexcept { return a.text_; }
    static std::size_t text_room() noexcept { return sizeof(address::text_); }
};

}  // namespace spruce::inline v0::detail
