#include "errno_names.hpp"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>

namespace spruce { inline namespace v0 { namespace detail {

namespace {
struct row {
    int value;
    char const* name;
    char const* message;
};

// Searched in order: where two names share a number, the first one names it. Read by the compiler alone: see `packed`.
constexpr row rows[] = {
    {EPERM, "EPERM", "Operation not permitted"},
    {ENOENT, "ENOENT", "No such file or directory"},
    {ESRCH, "ESRCH", "No such process"},
    {EINTR, "EINTR", "Interrupted system call"},
    {EIO, "EIO", "Input/output error"},
    {ENXIO, "ENXIO", "No such device or address"},
    {E2BIG, "E2BIG", "Argument list too long"},
    {ENOEXEC, "ENOEXEC", "Exec format error"},
    {EBADF, "EBADF", "Bad file descriptor"},
    {ECHILD, "ECHILD", "No child processes"},
    {EAGAIN, "EAGAIN", "Resource temporarily unavailable"},
    {ENOMEM, "ENOMEM", "Cannot allocate memory"},
    {EACCES, "EACCES", "Permission denied"},
    {EFAULT, "EFAULT", "Bad address"},
    {EBUSY, "EBUSY", "Device or resource busy"},
    {EEXIST, "EEXIST", "File exists"},
    {EXDEV, "EXDEV", "Invalid cross-device link"},
    {ENODEV, "ENODEV", "No such device"},
    {ENOTDIR, "ENOTDIR", "Not a directory"},
    {EISDIR, "EISDIR", "Is a directory"},
    {EINVAL, "EINVAL", "Invalid argument"},
    {ENFILE, "ENFILE", "Too many open files in system"},
    {EMFILE, "EMFILE", "Too many open files"},
    {ENOTTY, "ENOTTY", "Inappropriate ioctl for device"},
    {ETXTBSY, "ETXTBSY", "Text file busy"},
    {EFBIG, "EFBIG", "File too large"},
    {ENOSPC, "ENOSPC", "No space left on device"},
    {ESPIPE, "ESPIPE", "Illegal seek"},
    {EROFS, "EROFS", "Read-only file system"},
    {EMLINK, "EMLINK", "Too many links"},
    {EPIPE, "EPIPE", "Broken pipe"},
    {EDOM, "EDOM", "Numerical argument out of domain"},
    {ERANGE, "ERANGE", "Numerical result out of range"},
    {EDEADLK, "EDEADLK", "Resource deadlock avoided"},
    {ENAMETOOLONG, "ENAMETOOLONG", "File name too long"},
    {ENOLCK, "ENOLCK", "No locks available"},
    {ENOSYS, "ENOSYS", "Function not implemented"},
    {ENOTEMPTY, "ENOTEMPTY", "Directory not empty"},
    {ELOOP, "ELOOP", "Too many levels of symbolic links"},
#ifdef EPROTO
    {EPROTO, "EPROTO", "Protocol error"},
#endif
    {EOVERFLOW, "EOVERFLOW", "Value too large for defined data type"},
    {EILSEQ, "EILSEQ", "Invalid or incomplete multibyte or wide character"},
    {ENOTSOCK, "ENOTSOCK", "Socket operation on non-socket"},
    {EDESTADDRREQ, "EDESTADDRREQ", "Destination address required"},
    {EMSGSIZE, "EMSGSIZE", "Message too long"},
    {EPROTOTYPE, "EPROTOTYPE", "Protocol wrong type for socket"},
    {ENOPROTOOPT, "ENOPROTOOPT", "Protocol not available"},
    {EPROTONOSUPPORT, "EPROTONOSUPPORT", "Protocol not supported"},
    {EOPNOTSUPP, "EOPNOTSUPP", "Operation not supported"},
    {EAFNOSUPPORT, "EAFNOSUPPORT", "Address family not supported by protocol"},
    {EADDRINUSE, "EADDRINUSE", "Address already in use"},
    {EADDRNOTAVAIL, "EADDRNOTAVAIL", "Cannot assign requested address"},
    {ENETDOWN, "ENETDOWN", "Network is down"},
    {ENETUNREACH, "ENETUNREACH", "Network is unreachable"},
    {ENETRESET, "ENETRESET", "Network dropped connection on reset"},
    {ECONNABORTED, "ECONNABORTED", "Software caused connection abort"},
    {ECONNRESET, "ECONNRESET", "Connection reset by peer"},
    {ENOBUFS, "ENOBUFS", "No buffer space available"},
    {EISCONN, "EISCONN", "Transport endpoint is already connected"},
    {ENOTCONN, "ENOTCONN", "Transport endpoint is not connected"},
    {ETIMEDOUT, "ETIMEDOUT", "Connection timed out"},
    {ECONNREFUSED, "ECONNREFUSED", "Connection refused"},
#ifdef EHOSTDOWN
    {EHOSTDOWN, "EHOSTDOWN", "Host is down"},
#endif
    {EHOSTUNREACH, "EHOSTUNREACH", "No route to host"},
    {EALREADY, "EALREADY", "Operation already in progress"},
    {EINPROGRESS, "EINPROGRESS", "Operation now in progress"},
#ifdef ESTALE
    {ESTALE, "ESTALE", "Stale file handle"},
#endif
#ifdef EDQUOT
    {EDQUOT, "EDQUOT", "Disk quota exceeded"},
#endif
    {ECANCELED, "ECANCELED", "Operation canceled"},
#ifdef EOWNERDEAD
    {EOWNERDEAD, "EOWNERDEAD", "Owner died"},
#endif
#ifdef ENOTRECOVERABLE
    {ENOTRECOVERABLE, "ENOTRECOVERABLE", "State not recoverable"},
#endif
#ifdef ETIME
    {ETIME, "ETIME", "Timer expired"},
#endif
#ifdef ENODATA
    {ENODATA, "ENODATA", "No data available"},
#endif
    {ENOTSUP, "ENOTSUP", "Operation not supported"},
};

constexpr std::size_t rows_count = sizeof rows / sizeof rows[0];
constexpr std::size_t size_of(char const* text) {
    std::size_t n = 0;
    while (text[n]) ++n;
    return n + 1;
}
constexpr std::size_t all_bytes = [] {
    std::size_t n = 0;
    for (row const& r : rows) n += size_of(r.name) + size_of(r.message);
    return n;
}();

// The same without pointers: two thirds of the size, and nothing to relocate. Each name, its message behind it.
struct table {
    std::uint16_t values[rows_count];
    char texts[all_bytes];
};
constexpr table packed = [] {
    table t{};
    char* to = t.texts;
    for (std::size_t i = 0; i != rows_count; ++i) {
        t.values[i] = static_cast<std::uint16_t>(rows[i].value);
        for (char const* const text : {rows[i].name, rows[i].message})
            for (std::size_t at = 0, n = size_of(text); at != n; ++at) *to++ = text[at];
    }
    return t;
}();

// The name, or null.
char const* find(int value) noexcept {
    char const* at = packed.texts;
    for (std::uint16_t const known : packed.values) {
        if (known == value) return at;
        at += std::strlen(at) + 1;
        at += std::strlen(at) + 1;
    }
    return nullptr;
}
}  // namespace

char const* errno_name(int value) noexcept {
    char const* const name = find(value);
    return name ? name : "errno";
}

char const* errno_message(int value) noexcept {
    char const* const name = find(value);
    return name ? name + std::strlen(name) + 1 : "the system reported an error without a name here";
}

}}}  // namespace spruce::v0::detail
