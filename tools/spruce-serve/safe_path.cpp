#include "safe_path.hpp"

#include <cstring>

namespace serve {

int hex_value(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// Looks at the segment that was just written to [begin, size_), and keeps it, drops it, or drops one more.
refusal safe_path::end_segment(std::size_t begin) noexcept {
    std::string_view segment(room_ + begin, size_ - begin);
    asks_for_folder_ = segment.empty() || segment == "." || segment == "..";
    if (!asks_for_folder_) return {};
    size_ = begin;
    if (segment != "..") return {};
    if (size_ == 0) return {403, "the path leads out of the served folder"};
    --size_;  // the slash before
    auto slash = std::string_view(room_, size_).rfind('/');
    size_ = slash == std::string_view::npos ? 0 : slash + 1;
    return {};
}

refusal safe_path::take(std::string_view url_path) noexcept {
    size_ = 0;
    auto refuse = [&](refusal why) {
        size_ = 0;
        room_[0] = '\0';
        return why;
    };
    std::size_t segment = 0;  // where the current one begins; what is before it ends in a slash or is nothing
    for (std::size_t i = 0; i != url_path.size(); ++i) {
        char c = url_path[i];
        if (c == '%') {
            if (url_path.size() - i < 3) return refuse({400, "a % is not followed by two hexadecimal digits"});
            int high = hex_value(url_path[i + 1]), low = hex_value(url_path[i + 2]);
            if (high < 0 || low < 0) return refuse({400, "a % is not followed by two hexadecimal digits"});
            c = static_cast<char>(high * 16 + low);
            i += 2;
        }
        if (c == '\0') return refuse({400, "the path contains a zero byte"});
        if (c == '/') {
            if (auto bad = end_segment(segment)) return refuse(bad);
            if (size_ <= segment) {  // dropped, alone or with the one before: what is left already ends in a slash
                segment = size_;
                continue;
            }
        }
        if (size_ + 1 == capacity) return refuse({414, "the path is longer than any file's"});
        room_[size_++] = c;
        if (c == '/') segment = size_;
    }
    if (auto bad = end_segment(segment)) return refuse(bad);
    // A folder's own path has no slash at its end.
    if (size_ != 0 && room_[size_ - 1] == '/') --size_;
    room_[size_] = '\0';
    return {};
}

bool safe_path::append(std::string_view name) noexcept {
    std::size_t slash = size_ == 0 ? 0 : 1;
    if (capacity - 1 - size_ < slash + name.size()) return false;
    if (slash != 0) room_[size_++] = '/';
    std::memcpy(room_ + size_, name.data(), name.size());
    size_ += name.size();
    room_[size_] = '\0';
    return true;
}

}  // namespace serve
