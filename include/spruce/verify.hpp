// For what cannot answer: a broken rule ends the program, with the rule in words.
#pragma once
#include "config.hpp"

namespace spruce { inline namespace v0 { namespace detail {
// Writes "spruce: RULE (FILE:LINE)" to stderr and aborts. Thread: any.
[[noreturn, gnu::cold]] SPRUCE_API void panic(char const* rule, char const* file, int line) noexcept;
}}}  // namespace spruce::v0::detail

// Holds in every build. Only for wrong uses of what has no way to answer, and for the library's own invariants.
#define SPRUCE_VERIFY(condition, rule) \
    (__builtin_expect(static_cast<bool>(condition), 1) ? void() : ::spruce::detail::panic(rule, __FILE__, __LINE__))
