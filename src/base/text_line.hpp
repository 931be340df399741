// A line of text put together without allocation, locale or stdio: fit for signal handlers. What does not fit is cut.
#pragma once
#include <cstddef>
#include <cstdint>

namespace spruce::inline v0::detail {

class text_line {
public:
    text_line(char* room, std::size_t size) noexcept : room_(room), size_(size) {}

    text_line& put(char const* text) noexcept {
        while (*text != '\0' && used_ != size_) room_[used_++] = *text++;
        return *this;
    }
    text_line& put(std::uint64_t number, unsigned base = 10, int least_digits = 1) noexcept {
        char digits[24];
        int count = 0;
        do {
            digits[count++] = "0123456789abcdef"[number % base];
            number /= base;
        } while (number != 0 || count < least_digits);
        while (count != 0 && used_ != size_) room_[used_++] = digits[--count];
        return *this;
    }
    text_line& put(void const* address) noexcept {
        return put("0x").put(std::uint64_t{reinterpret_cast<std::uintptr_t>(address)}, 16);
    }
    // The line's end; there is always room for it, if there is for anything.
    text_line& end() noexcept {
        if (used_ == size_ && used_ != 0) --used_;
        return put("\n");
    }
    std::size_t size() const noexcept { return used_; }
    char const* text() const noexcept { return room_; }

private:
    char* room_;
    std::size_t size_, used_ = 0;
};

}  // namespace spruce::inline v0::detail
