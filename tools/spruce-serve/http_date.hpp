// Dates as HTTP writes them. Pure arithmetic: no locale, no time zone.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace serve {

inline constexpr std::size_t http_date_size = 29;  // "Sun, 06 Nov 1994 08:49:37 GMT"

// Writes the date of these seconds since 1970 (UTC; years 1970 to 9999, others are clamped).
void write_http_date(std::int64_t seconds, char (&out)[http_date_size]) noexcept;

// Reads any of the three forms that RFC 9110 names. False: it is none of them. Two-digit years are taken as in
// 1970 to 2069.
bool read_http_date(std::string_view text, std::int64_t& seconds) noexcept;

}  // namespace serve
