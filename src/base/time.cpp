#include <spruce/time.hpp>

#include <climits>
#include <ctime>

namespace spruce { inline namespace v0 {

namespace detail {
constinit thread_local clock_source thread_clock{};
}

loop_clock::time_point loop_clock::now() noexcept {
    detail::clock_source const& source = detail::thread_clock;
    if (source.now_ns) return time_point(duration(source.now_ns(source.context)));
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return time_point(duration(static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec));
}

duration deadline::remaining() const noexcept {
    if (kind_ == kind::never) return duration::max();
    if (kind_ == kind::relative) return duration(ns_);
    std::int64_t const now = loop_clock::now().time_since_epoch().count();
    return ns_ <= now ? duration::zero() : duration(ns_ - now);
}

int deadline::poll_timeout_ms() const noexcept {
    if (kind_ == kind::never) return -1;
    std::int64_t const left = remaining().count();
    if (left <= 0) return 0;
    std::int64_t const ms = (left - 1) / 1'000'000 + 1;
    return ms > INT_MAX ? INT_MAX : static_cast<int>(ms);
}

}}  // namespace spruce::v0
