// Addresses and TCP.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "io.hpp"

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

// A TCP connection.
class tcp_stream : public stream {
public:
    // Connects. Errors: an errno (ECONNREFUSED, also where the connection met itself; …; detail() is the address),
    // invalid_argument, timed_out, canceled, not_in_task, no_loop, full, no_memory. Cancel: nothing is left open.
    [[nodiscard]] SPRUCE_API static result<tcp_stream> connect(std::string_view host_and_port, deadline dl = {});
    [[nodiscard]] SPRUCE_API static result<tcp_stream> connect(address const& to, deadline dl = {});
    // Its two ends; empty where the system would not tell. Lifetime: the stream's.
    address const& local() const noexcept { return local_; }
    address const& peer() const noexcept { return peer_; }
    // Whether small writes go out at once. Errors: closed, an errno.
    SPRUCE_API result<void> no_delay(bool on);

private:
    friend class tcp_listener;
    explicit tcp_stream(detail::stream_core core) noexcept : stream(core) {}
    address local_, peer_;
};

struct listen_options {
    int backlog = 511;
    bool reuse_port = false;      // several sockets may listen on one port; the system spreads what comes
};

// Takes TCP connections. Thread, Lifetime: as a stream.
class tcp_listener {
public:
    // Listens; port 0 is any: local() tells. Errors: EADDRINUSE and other errnos (detail() is the address),
    // invalid_argument, no_loop, full, no_memory.
    [[nodiscard]] SPRUCE_API static result<tcp_listener> listen(std::string_view host_and_port,
                                                                listen_options options = {});
    tcp_listener(tcp_listener&& other) noexcept
        : core_(std::exchange(other.core_, {})),
          local_(other.local_),
          setbacks_(other.setbacks_),
          told_ns_(other.told_ns_) {}
    tcp_listener& operator=(tcp_listener&& other) noexcept {
        if (this != &other) {
            close();
            core_ = std::exchange(other.core_, {});
            local_ = other.local_;
            setbacks_ = other.setbacks_;
            told_ns_ = other.told_ns_;
        }
        return *this;
    }
    ~tcp_listener() { close(); }

    // Waits for a connection. What can pass is retried inside: a peer that gave up at once; no fds or no memory left,
    // after a pause of 10 ms, and reported to the unhandled hook once a spell.
    // Errors: closed, wrong_thread, canceled, timed_out, not_in_task, already_registered, or an errno that can never
    // pass.
    // Cancel: no connection is lost.
    [[nodiscard]] SPRUCE_API result<tcp_stream> accept(deadline dl = {});
    address const& local() const noexcept { return local_; }
    // How often a connection had to be given up or put off.
    std::uint64_t setbacks() const noexcept { return setbacks_; }
    // Stops listening; who waits in accept() gets closed.
    void close() noexcept { detail::close_core(core_); }
    bool is_open() const noexcept { return core_.fd >= 0; }

private:
    tcp_listener() noexcept = default;
    detail::stream_core core_;
    address local_;
    std::uint64_t setbacks_ = 0;
    std::int64_t told_ns_ = 0;   // when the last setback was reported
};

}}  // namespace spruce::v0
