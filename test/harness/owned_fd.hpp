// An fd that a test has opened, closed wherever the test ends. A stream that there is no place for leaves its fd to whoever
// has it: that is here.
#pragma once
#include <utility>

#include <spruce/io.hpp>

#include "axes.hpp"

namespace harness {

class owned_fd {
public:
    owned_fd() noexcept = default;
    explicit owned_fd(int fd, spruce::kernel& of = spruce::detail::native_kernel()) noexcept : on_(&of), fd_(fd) {}
    owned_fd(owned_fd&& other) noexcept : on_(other.on_), fd_(other.release()) {}
    owned_fd& operator=(owned_fd&& other) noexcept {
        if (this == &other) return *this;
        close();
        on_ = other.on_;
        fd_ = other.release();
        return *this;
    }
    ~owned_fd() { close(); }

    int operator*() const noexcept { return fd_; }
    // What close() gives; 0 if there is nothing to close.
    int close() noexcept { return fd_ < 0 ? 0 : on_->calls->close(on_->context, release()); }
    int release() noexcept { return std::exchange(fd_, -1); }
    spruce::result<spruce::stream> adopt() {
        auto made = spruce::stream::adopt(fd_);
        if (made.ok()) release();
        return made;
    }

private:
    spruce::kernel* on_ = nullptr;
    int fd_ = -1;
};

// Both ends of what a world gives, or the kernel.
struct owned_pair {
    owned_fd first, second;
    owned_pair(std::pair<int, int> ends, spruce::kernel& of) noexcept : first(ends.first, of), second(ends.second, of) {}
    explicit owned_pair(int const (&ends)[2]) noexcept : first(ends[0]), second(ends[1]) {}
};

}  // namespace harness
