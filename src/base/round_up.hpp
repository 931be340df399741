// Sizes that end where something aligned may begin.
#pragma once
#include <cstddef>

namespace spruce { inline namespace v0 { namespace detail {
// `alignment`: a power of two, as the language's are; known only at run time it would be a division otherwise.
constexpr std::size_t round_up(std::size_t bytes, std::size_t alignment) noexcept {
    return (bytes + alignment - 1) & ~(alignment - 1);
}
}}}  // namespace spruce::v0::detail
