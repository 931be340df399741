// TCP connections.
#pragma once
#include <string_view>

#include "address.hpp"
#include "io.hpp"

namespace spruce { inline namespace v0 {

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

}}  // namespace spruce::v0
