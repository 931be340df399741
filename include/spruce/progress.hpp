// How far something is: what a future's on_progress() gets.
#pragma once
#include <cstdint>

#include "time.hpp"

namespace spruce { inline namespace v0 {

// How far something is, of how much.
struct progress {
    std::uint64_t position = 0, maximum = 0;   // in whatever unit; a maximum of 0: unknown
    duration elapsed{};                        // from when the future was made until the report
    duration remaining{};                      // at that speed; duration::max() when it is unknown
    // In units a second; 0 before any time has passed.
    double speed() const noexcept {
        return elapsed.count() > 0 ? static_cast<double>(position) * 1e9 / static_cast<double>(elapsed.count()) : 0;
    }
    // 0 to 100; 0 when it is unknown.
    double percentage() const noexcept {
        return maximum != 0 ? static_cast<double>(position) * 100 / static_cast<double>(maximum) : 0;
    }
};

}}  // namespace spruce::v0
