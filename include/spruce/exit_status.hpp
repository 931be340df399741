// What is known of a child process that has ended.
#pragma once

namespace spruce { inline namespace v0 {

// How a child process ended.
class exit_status {
public:
    exit_status(int code, int signal) noexcept : code_(code), signal_(signal) {}
    bool ok() const noexcept { return signal_ == 0 && code_ == 0; }
    // Its exit code, 0 to 255, or -1 if a signal killed it.
    int code() const noexcept { return signal_ == 0 ? code_ : -1; }
    // The number of the signal that killed it, or 0.
    int signal() const noexcept { return signal_; }

private:
    int code_, signal_;
};

}}  // namespace spruce::v0
