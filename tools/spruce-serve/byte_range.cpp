#include "byte_range.hpp"

#include "http_request.hpp"

namespace serve {
namespace {

// A number of any length: what does not fit is as good as the largest. False: not a number.
bool read_number(std::string_view text, std::uint64_t& value) noexcept {
    value = 0;
    for (char c : text) {
        if (c < '0' || c > '9') return false;
        auto digit = static_cast<std::uint64_t>(c - '0');
        value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
    }
    return !text.empty();
}

}  // namespace

byte_range choose_range(std::string_view field, std::uint64_t size) noexcept {
    byte_range whole{byte_range::kind::whole, 0, size}, none{byte_range::kind::unsatisfiable, 0, 0};
    auto equals = field.find('=');
    if (equals == field.npos || !same_word(field.substr(0, equals), "bytes")) return whole;
    auto spec = field.substr(equals + 1);
    while (spec.starts_with(' ')) spec.remove_prefix(1);
    auto dash = spec.find('-');
    if (dash == spec.npos || spec.find(',') != spec.npos) return whole;
    auto first = spec.substr(0, dash), last = spec.substr(dash + 1);
    std::uint64_t begin = 0, end = 0;
    if (first.empty()) {  // the last so many bytes
        if (!read_number(last, end)) return whole;
        if (end == 0 || size == 0) return none;
        begin = end < size ? size - end : 0;
        return {byte_range::kind::part, begin, size - begin};
    }
    if (!read_number(first, begin)) return whole;
    if (last.empty()) end = UINT64_MAX;
    else if (!read_number(last, end) || end < begin) return whole;
    if (begin >= size) return none;
    if (end >= size) end = size - 1;
    return {byte_range::kind::part, begin, end - begin + 1};
}

}  // namespace serve
