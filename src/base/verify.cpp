#include <spruce/verify.hpp>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

// The archive's side of the profile tag: the one name that the headers of the same profile refer to.
#if SPRUCE_EXCEPTIONS
extern "C" char const spruce_built_for_programs_with_exceptions_but_this_library_is_the_embedded_profile = 1;
#else
extern "C" char const spruce_built_for_programs_without_exceptions_but_this_library_is_the_hosted_profile = 1;
#endif

namespace spruce { inline namespace v0 { namespace detail {

namespace {
void put(char* line, std::size_t room, std::size_t& used, char const* text) noexcept {
    std::size_t const length = std::strlen(text);
    std::size_t const take = length < room - used ? length : room - used;
    std::memcpy(line + used, text, take);
    used += take;
}
}  // namespace

void panic(char const* rule, char const* file, int line) noexcept {
    // One write, without stdio: the caller may be anywhere, with any lock held.
    char text[512];
    char digits[16];
    std::size_t used = 0, at = sizeof digits - 1;
    digits[at] = '\0';
    for (unsigned n = line < 0 ? 0U : static_cast<unsigned>(line); at > 0 && (n != 0 || at == sizeof digits - 1);
         n /= 10)
        digits[--at] = static_cast<char>('0' + n % 10);
    put(text, sizeof text - 1, used, "spruce: ");
    put(text, sizeof text - 1, used, rule);
    put(text, sizeof text - 1, used, " (");
    put(text, sizeof text - 1, used, file);
    put(text, sizeof text - 1, used, ":");
    put(text, sizeof text - 1, used, digits + at);
    put(text, sizeof text - 1, used, ")");
    text[used++] = '\n';
    [[maybe_unused]] auto written = ::write(2, text, used);
    std::abort();
}

}}}  // namespace spruce::v0::detail
