#include <cstdio>

#include <spruce/process.hpp>

#include "../sys/signal_end.hpp"

namespace spruce { inline namespace v0 {

void die_of(int signal) noexcept {
    std::fflush(nullptr);
    detail::end_by_signal(signal);
}

}}  // namespace spruce::v0
