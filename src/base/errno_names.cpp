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
    {EPERM, "EPERM", "the operation is not permitted"},
    {ENOENT, "ENOENT", "there is no such file or directory"},
    {ESRCH, "ESRCH", "there is no such process"},
    {EINTR, "EINTR", "a signal interrupted the call"},
    {EIO, "EIO", "the device reported an input or output error"},
    {ENXIO, "ENXIO", "there is no such device or address"},
    {E2BIG, "E2BIG", "the argument list is too long"},
    {ENOEXEC, "ENOEXEC", "the file is not an executable"},
    {EBADF, "EBADF", "the file descriptor is not open, or not for this use"},
    {ECHILD, "ECHILD", "there is no such child process"},
    {EAGAIN, "EAGAIN", "the resource is busy for now"},
    {ENOMEM, "ENOMEM", "the system has no memory left"},
    {EACCES, "EACCES", "permission was denied"},
    {EFAULT, "EFAULT", "an address is outside the process"},
    {EBUSY, "EBUSY", "the resource is in use"},
    {EEXIST, "EEXIST", "it exists already"},
    {EXDEV, "EXDEV", "the link would cross file systems"},
    {ENODEV, "ENODEV", "there is no such device"},
    {ENOTDIR, "ENOTDIR", "a part of the path is not a directory"},
    {EISDIR, "EISDIR", "it is a directory"},
    {EINVAL, "EINVAL", "the system rejects an argument"},
    {ENFILE, "ENFILE", "the system has no file descriptors left"},
    {EMFILE, "EMFILE", "the process has no file descriptors left"},
    {ENOTTY, "ENOTTY", "it is not a terminal, or does not know this request"},
    {ETXTBSY, "ETXTBSY", "the program is being run"},
    {EFBIG, "EFBIG", "the file would become too large"},
    {ENOSPC, "ENOSPC", "the device has no space left"},
    {ESPIPE, "ESPIPE", "it cannot seek"},
    {EROFS, "EROFS", "the file system is read-only"},
    {EMLINK, "EMLINK", "there are too many links"},
    {EPIPE, "EPIPE", "nobody reads the other end"},
    {EDOM, "EDOM", "an argument is outside the function's domain"},
    {ERANGE, "ERANGE", "the result does not fit"},
    {EDEADLK, "EDEADLK", "it would deadlock"},
    {ENAMETOOLONG, "ENAMETOOLONG", "the name is too long"},
    {ENOLCK, "ENOLCK", "no locks are left"},
    {ENOSYS, "ENOSYS", "the system does not have this call"},
    {ENOTEMPTY, "ENOTEMPTY", "the directory is not empty"},
    {ELOOP, "ELOOP", "there are too many symbolic links"},
#ifdef EPROTO
    {EPROTO, "EPROTO", "the protocol was broken"},
#endif
    {EOVERFLOW, "EOVERFLOW", "the value does not fit its type"},
    {EILSEQ, "EILSEQ", "the bytes are not valid text"},
    {ENOTSOCK, "ENOTSOCK", "it is not a socket"},
    {EDESTADDRREQ, "EDESTADDRREQ", "an address is needed"},
    {EMSGSIZE, "EMSGSIZE", "the message is too long"},
    {EPROTOTYPE, "EPROTOTYPE", "the protocol does not fit the socket"},
    {ENOPROTOOPT, "ENOPROTOOPT", "the protocol does not have this option"},
    {EPROTONOSUPPORT, "EPROTONOSUPPORT", "the protocol is not supported"},
    {EOPNOTSUPP, "EOPNOTSUPP", "the operation is not supported here"},
    {EAFNOSUPPORT, "EAFNOSUPPORT", "the address family is not supported"},
    {EADDRINUSE, "EADDRINUSE", "the address is in use"},
    {EADDRNOTAVAIL, "EADDRNOTAVAIL", "the address is not one of this machine"},
    {ENETDOWN, "ENETDOWN", "the network is down"},
    {ENETUNREACH, "ENETUNREACH", "the network cannot be reached"},
    {ENETRESET, "ENETRESET", "the network dropped the connection"},
    {ECONNABORTED, "ECONNABORTED", "the connection was given up on this side"},
    {ECONNRESET, "ECONNRESET", "the peer reset the connection"},
    {ENOBUFS, "ENOBUFS", "no buffer space is left"},
    {EISCONN, "EISCONN", "it is connected already"},
    {ENOTCONN, "ENOTCONN", "it is not connected"},
    {ETIMEDOUT, "ETIMEDOUT", "the peer did not answer in time"},
    {ECONNREFUSED, "ECONNREFUSED", "the peer refused the connection"},
#ifdef EHOSTDOWN
    {EHOSTDOWN, "EHOSTDOWN", "the host is down"},
#endif
    {EHOSTUNREACH, "EHOSTUNREACH", "the host cannot be reached"},
    {EALREADY, "EALREADY", "it is under way already"},
    {EINPROGRESS, "EINPROGRESS", "it is under way now"},
#ifdef ESTALE
    {ESTALE, "ESTALE", "the file handle is stale"},
#endif
#ifdef EDQUOT
    {EDQUOT, "EDQUOT", "the disk quota is used up"},
#endif
    {ECANCELED, "ECANCELED", "the system canceled the operation"},
#ifdef EOWNERDEAD
    {EOWNERDEAD, "EOWNERDEAD", "the owner of the lock has died"},
#endif
#ifdef ENOTRECOVERABLE
    {ENOTRECOVERABLE, "ENOTRECOVERABLE", "the state cannot be recovered"},
#endif
#ifdef ETIME
    {ETIME, "ETIME", "the timer expired"},
#endif
#ifdef ENODATA
    {ENODATA, "ENODATA", "there is no data"},
#endif
    {ENOTSUP, "ENOTSUP", "the operation is not supported"},
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
