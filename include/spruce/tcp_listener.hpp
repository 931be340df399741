// What takes TCP connections.
#pragma once
#include <cstdint>
#include <string_view>
#include <utility>

#include "address.hpp"
#include "io.hpp"
#include "tcp_stream.hpp"

namespace spruce { inline namespace v0 {

// How a tcp_listener listens.
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
    // Stops listening; a task that waits in accept() gets closed.
    void close() noexcept { detail::close_core(core_); }
    bool is_open() const noexcept { return core_.fd >= 0; }

private:
    tcp_listener() noexcept = default;
    result<void> pause(detail::hub& h, error why, deadline& dl);
    detail::stream_core core_;
    address local_;
    std::uint64_t setbacks_ = 0;
    std::int64_t told_ns_ = 0;   // when the last setback was reported
};

}}  // namespace spruce::v0
