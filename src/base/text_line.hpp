// A line of text put together without allocation, locale or stdio: fit for signal handlers. What does not fit is cut.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace spruce { inline namespace v0 { namespace detail {

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
    // A task, as all reports name it: by its number, and by its name if somebody gave it one.
    text_line& put_task(std::uint64_t id, char const* name) noexcept {
        char usual[32];
        text_line number(usual, sizeof usual);
        number.put("task ").put(id);
        usual[number.size()] = '\0';
        put(usual);
        if (name[0] != '\0' && std::strcmp(name, usual) != 0) put(" '").put(name).put("'");
        return *this;
    }
    // Seconds, with milliseconds.
    text_line& put_seconds(std::int64_t ns) noexcept {
        auto const ms = static_cast<std::uint64_t>(ns > 0 ? ns : 0) / 1'000'000;
        return put(ms / 1000).put(".").put(ms % 1000, 10, 3).put(" s");
    }
    // The line's end; there is always room for it, if there is for anything.
    text_line& end() noexcept {
        if (used_ == size_ && used_ != 0) --used_;
        return put("\n");
    }
    // As a string, whose end goes over the last character if there is no room left. There must be some.
    char const* string() noexcept {
        room_[used_ < size_ ? used_ : size_ - 1] = '\0';
        return room_;
    }
    std::size_t size() const noexcept { return used_; }
    char const* text() const noexcept { return room_; }

private:
    char* room_;
    std::size_t size_, used_ = 0;
};

}}}  // namespace spruce::v0::detail
