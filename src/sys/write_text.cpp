#include "write_text.hpp"

#include <cerrno>
#include <unistd.h>

namespace spruce { inline namespace v0 { namespace detail {

void write_text(int fd, char const* text, std::size_t size) noexcept {
    int const kept = errno;
    while (size != 0) {
        auto const written = ::write(fd, text, size);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) break;
        text += written;
        size -= static_cast<std::size_t>(written);
    }
    errno = kept;
}

}}}  // namespace spruce::v0::detail
