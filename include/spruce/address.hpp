// Addresses of sockets.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "config.hpp"
#include "result.hpp"

namespace spruce { inline namespace v0 {

namespace detail {
struct address_access;
}

// Where a socket is: "127.0.0.1:80", "[::1]:80", "/run/x.sock", "@abstract". A value. Thread: any, one at a time.
class address {
public:
    // None: text() is "".
    address() noexcept = default;
    // Reads numbers; "localhost" is 127.0.0.1, and "*:80" or ":80" every address of this machine. Names are for
    // resolve(). Errors: invalid_argument (detail() says what is wrong), too_long (a path).
    [[nodiscard]] SPRUCE_API static result<address> parse(std::string_view text) noexcept;
    // The port, or 0 where there is none.
    SPRUCE_API std::uint16_t port() const noexcept;
    // As parse() would read it. Lifetime: the object's, until it is assigned to.
    SPRUCE_API char const* text() const noexcept;

private:
    friend struct detail::address_access;
    alignas(8) unsigned char raw_[112] = {};
    std::uint32_t length_ = 0;
    mutable char text_[116] = {};
};

}}  // namespace spruce::v0
