// What keeps a run going though there is nothing to do.
#pragma once
#include <cstdint>
#include <utility>

#include "config.hpp"

namespace spruce { inline namespace v0 {

namespace detail {
// Whose next phase of hooks a token delays.
enum class delayed : std::uint8_t { nothing, start, shutdown };
}  // namespace detail

// While one lives, run() goes on, though nothing is left to do. Thread: the loop's; on a dead loop it is harmless.
class [[nodiscard]] hold_token {
public:
    hold_token() noexcept = default;
    hold_token(std::uint32_t loop, detail::delayed what) noexcept : loop_(loop), delays_(what) {}
    hold_token(hold_token&& other) noexcept : loop_(std::exchange(other.loop_, 0)), delays_(other.delays_) {}
    hold_token& operator=(hold_token&& other) noexcept {
        if (this != &other) {
            release();
            loop_ = std::exchange(other.loop_, 0);
            delays_ = other.delays_;
        }
        return *this;
    }
    ~hold_token() { release(); }
    // Gives it back early; twice is harmless.
    SPRUCE_API void release() noexcept;

private:
    std::uint32_t loop_ = 0;
    detail::delayed delays_ = detail::delayed::nothing;
};

}}  // namespace spruce::v0
