#include "demo_screen.hpp"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include <unistd.h>

namespace demo {

screen::screen() noexcept : terminal_(::isatty(STDOUT_FILENO) == 1), colours_(terminal_ && !std::getenv("NO_COLOR")) {}

void screen::clear_bar() {
    if (bar_shown_) std::fputs("\r\x1b[K", stdout);
    bar_shown_ = false;
}

void screen::say(std::string_view topic, std::string const& what) {
    clear_bar();
    std::printf("  %s%-10.*s%s%s\n", bold().data(), static_cast<int>(topic.size()), topic.data(), plain().data(), what.c_str());
    std::fflush(stdout);
}

void screen::blank() {
    clear_bar();
    std::fputs("\n", stdout);
}

void screen::bar(std::string_view topic, std::string const& what, double part, std::string const& right) {
    if (!terminal_) return;
    constexpr int width = 30;
    int filled = part <= 0 ? 0 : part >= 1 ? width : static_cast<int>(part * width);
    std::string cells(static_cast<std::size_t>(filled), '#');
    cells.append(static_cast<std::size_t>(width - filled), '.');
    std::printf("\r  %s%-10.*s%s%s [%s%s%s] %s\x1b[K", bold().data(), static_cast<int>(topic.size()), topic.data(), plain().data(), what.c_str(),
                green().data(), cells.c_str(), plain().data(), right.c_str());
    std::fflush(stdout);
    bar_shown_ = true;
}

void screen::complain(std::string const& what) {
    constexpr std::size_t most_kept = 8;
    ++count_;
    for (auto const& known : complaints_)
        if (known == what) return;
    if (complaints_.size() != most_kept) complaints_.push_back(what);
}

std::string text(char const* format, ...) {
    char room[512];
    std::va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(room, sizeof room, format, arguments);
    va_end(arguments);
    return room;
}

std::string grouped(std::uint64_t number) {
    std::string digits = std::to_string(number);
    for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, 1, ',');
    return digits;
}

std::string size_text(std::uint64_t bytes) {
    auto n = static_cast<double>(bytes);
    if (n >= 1e9) return text("%.2f GB", n / 1e9);
    if (n >= 1e6) return text("%.1f MB", n / 1e6);
    if (n >= 1e3) return text("%.1f KB", n / 1e3);
    return text("%.0f B", n);
}

std::string time_text(std::uint64_t ns) { return text(ns < 100'000'000 ? "%.2f ms" : "%.0f ms", static_cast<double>(ns) / 1e6); }

std::uint64_t now_ns() noexcept {
    timespec now;
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace demo
