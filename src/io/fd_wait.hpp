// A task's wait for one of its own fds.
#pragma once
#include <spruce/io.hpp>

#include "../task/task_block.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// Takes an fd that the kernel has just made, and as what: it need not be asked. Errors: those of open_core().
result<stream_core> open_fresh(int fd, fd_kind kind) noexcept;

// ok, or why this thread cannot use the stream now: closed, wrong_thread.
result<void> why_unusable(stream_core const& c) noexcept;
inline result<void> usable(stream_core const& c) noexcept {
    if (c.fd >= 0 && current_hub && current_hub->serial == c.serial && c.entry->owners == c.owner) [[likely]] return {};
    return why_unusable(c);
}

// Waits until the poller says that the fd is ready again. `dl` becomes absolute at the first wait, so that a call
// which waits several times has one deadline. After `closed` the stream itself may be gone: touch nothing of it.
result<void> wait_ready(stream_core const& c, bool write, char const* noun, deadline& dl) noexcept;

// A single call of the kernel moves no more than this, about 0.1 ms of copying.
inline constexpr std::size_t most_at_once = std::size_t{1} << 20;
inline std::size_t at_once_of(std::size_t n) noexcept { return n < most_at_once ? n : most_at_once; }
// Counts a transfer of so many bytes, as one call and one more for each page.
inline void count_bytes(hub& h, std::size_t n) noexcept { h.count_calls(n / 4096); }
// Between two transfers of one call, as at the end of each call that need not wait: after so many of them others run.
// The side stays this call's meanwhile. Errors: canceled, closed. After an error touch nothing of the stream.
result<void> between_transfers(stream_core const& c, bool write) noexcept;

// Whether the deadline has passed. Such a call tries once, even if the fd is not known to be ready: news of it come
// with the loop's turns, and who only ever asks without waiting gives it none.
inline bool must_not_wait(hub& h, deadline const& dl) noexcept {
    if (dl.how() == deadline::kind::relative) return dl.ns() <= 0;
    return dl.how() == deadline::kind::absolute && dl.ns() <= h.fresh_now();
}

}}}  // namespace spruce::v0::detail
