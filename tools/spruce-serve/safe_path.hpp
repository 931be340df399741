// From the path of a request to a path below the served folder. Pure: whatever comes in, what comes out has no
// way up. (Links on the disk are file_root's matter.)
#pragma once
#include <cstddef>
#include <string_view>

#include "http_request.hpp"

namespace serve {

// A relative path without empty, "." and ".." segments, ended by NUL; "" is the served folder itself.
class safe_path {
public:
    // Decodes %XX, takes out "." and "..", and refuses what would climb above the root (403), is badly encoded
    // or contains NUL (400), or is too long for any file system (414). After a refusal the path is "".
    // A slash may be written %2F: no file name can contain one, so nothing becomes reachable by that.
    refusal take(std::string_view url_path) noexcept;
    // Adds a segment of ours (index.html). False: no room.
    bool append(std::string_view name) noexcept;

    char const* c_str() const noexcept { return room_; }
    std::string_view text() const noexcept { return {room_, size_}; }
    // The request asked for a folder: its path ended in a slash, or in "." or "..".
    bool asks_for_folder() const noexcept { return asks_for_folder_; }

private:
    refusal end_segment(std::size_t begin) noexcept;

    static constexpr std::size_t capacity = 4096;  // with the NUL: Linux's PATH_MAX
    char room_[capacity] = "";
    std::size_t size_ = 0;
    bool asks_for_folder_ = false;
};

// The value of a hexadecimal digit, or -1.
int hex_value(char c) noexcept;

}  // namespace serve
