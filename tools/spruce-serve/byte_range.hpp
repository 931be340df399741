// The part of a file that a Range field asks for.
#pragma once
#include <cstdint>
#include <string_view>

namespace serve {

struct byte_range {
    enum class kind : std::uint8_t {
        whole,        // no range, several, or none that can be read: the whole file is the right answer
        part,         // [begin, begin + size)
        unsatisfiable  // it begins behind the end: 416
    } what = kind::whole;
    std::uint64_t begin = 0, size = 0;
};

// `field` is the value of Range, "" when there is none; of a file of `size` bytes.
byte_range choose_range(std::string_view field, std::uint64_t size) noexcept;

}  // namespace serve
