// What keeps a run going though there is nothing to do.
#pragma once
#include <cstdint>
#include <utility>

#include "config.hpp"

namespace spruce::inline v0 {

// While one lives, run() does not end for want of work. Thread: the loop's; on a dead loop it is harmless.
class hold_token {
public:
    hold_token() noexcept = default;
    hold_token(std::uint32_t loop, bool of_shutdown) noexcept : loop_(loop), of_shutdown_(of_shutdown) {}
    hold_token(hold_token&& other) noexcept : loop_(std::exchange(other.loop_, 0)), of_shutdown_(other.of_shutdown_) {}
    hold_token& operator=(hold_token&& other) noexcept {
        if (this != &other) {
            release();
            loop_ = std::exchange(other.loop_, 0);
            of_shutdown_ = other.of_shutdown_;
        }
        return *this;
    }
    ~hold_token() { release(); }
    // Gives it back early; twice is harmless.
    SPRUCE_API void release() noexcept;

private:
    std::uint32_t loop_ = 0;
    bool of_shutdown_ = false;   // it delays the next phase of hooks
};

}  // namespace spruce::inline v0
