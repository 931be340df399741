// What kind of thing a file is, by the end of its name.
#pragma once
#include <string_view>

namespace serve {

// The value of Content-Type for this path; application/octet-stream for what is not known.
std::string_view media_type(std::string_view path) noexcept;

}  // namespace serve
