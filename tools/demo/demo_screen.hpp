// What the person sees: lines, a progress bar where stdout is a terminal, and the troubles that were met.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace demo {

class screen {
public:
    screen() noexcept;
    // "  topic       text": one line, which stays.
    void say(std::string_view topic, std::string const& text);
    void blank();
    // A bar that the next say() or bar() writes over. Only on a terminal; elsewhere it shows nothing.
    void bar(std::string_view topic, std::string const& what, double part, std::string const& right);
    // Something was not as it should be: the demo goes on, and fails at its end. The first few are kept.
    void complain(std::string const& what);
    std::vector<std::string> const& complaints() const noexcept { return complaints_; }
    std::uint64_t complaint_count() const noexcept { return count_; }
    bool is_terminal() const noexcept { return terminal_; }
    std::string_view bold() const noexcept { return colours_ ? "\x1b[1m" : ""; }
    std::string_view green() const noexcept { return colours_ ? "\x1b[32m" : ""; }
    std::string_view red() const noexcept { return colours_ ? "\x1b[31m" : ""; }
    std::string_view plain() const noexcept { return colours_ ? "\x1b[0m" : ""; }

private:
    void clear_bar();

    bool terminal_, colours_, bar_shown_ = false;
    std::vector<std::string> complaints_;
    std::uint64_t count_ = 0;
};

// printf's text as a string.
[[gnu::format(printf, 1, 2)]] std::string text(char const* format, ...);
// 1234567 as "1,234,567".
std::string grouped(std::uint64_t number);
// Bytes for people: "37.3 MB".
std::string size_text(std::uint64_t bytes);
// Nanoseconds for people: "0.42 ms".
std::string time_text(std::uint64_t ns);
// The real time, for measuring what a user would feel: monotonic, in nanoseconds.
std::uint64_t now_ns() noexcept;

}  // namespace demo
