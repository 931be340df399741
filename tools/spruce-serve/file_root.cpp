#define _FILE_OFFSET_BITS 64  // files beyond 2 GiB on 32 bits, too
#include "file_root.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace serve {
namespace {

// A folder on the way needs only the right to pass through it, where the system can say so.
#ifdef O_PATH
constexpr int step_flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
#else
constexpr int step_flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
#endif
// What is opened to be looked at alone: to open a named pipe or a device does something to it.
#ifdef O_PATH
constexpr int look_flags = O_PATH | O_CLOEXEC;
#endif
#ifdef O_LARGEFILE
constexpr int large_flags = O_LARGEFILE;  // which libc adds by itself, but not to a bare system call
#else
constexpr int large_flags = 0;
#endif
// NONBLOCK: the open of what became a named pipe since must not wait for its other end.
constexpr int file_flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | large_flags;

template <class Call> int again(Call&& call) noexcept {
    int r;
    do r = call();
    while (r < 0 && errno == EINTR);
    return r;
}

void close_keeping_errno(int fd) noexcept {
    int saved = errno;
    ::close(fd);
    errno = saved;
}

bool may_be_served(struct stat const& info) noexcept { return S_ISREG(info.st_mode) || S_ISDIR(info.st_mode); }

// openat that follows no link; a link is told apart (ELOOP) from what isn't there or is no folder.
int open_no_link(int folder, char const* name, int flags) noexcept {
    int fd = again([&] { return ::openat(folder, name, flags | O_NOFOLLOW); });
    if (fd >= 0) return fd;
    int saved = errno;
    struct stat info;
    bool is_link = ::fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(info.st_mode);
    errno = is_link ? ELOOP : saved;
    return -1;
}

refusal refuse_errno(int value) noexcept {
    switch (value) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG: return {404, "there is nothing of that name"};
    case EACCES:
    case EPERM: return {403, "the server may not read it"};
    case EXDEV: return {403, "a link leads out of the served folder"};
    case ELOOP: return {403, "a symbolic link is not followed"};
    case ENXIO:
    case ENODEV: return {403, "it is not a regular file"};
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN: return {503, "the server has too much open just now"};
    default: return {500, "the file cannot be read"};
    }
}

}  // namespace

open_file& open_file::operator=(open_file&& other) noexcept {
    if (this == &other) return *this;
    if (fd_ >= 0) ::close(fd_);
    fd_ = other.fd_;
    other.fd_ = -1;
    return *this;
}

open_file::~open_file() {
    if (fd_ >= 0) ::close(fd_);
}

std::ptrdiff_t open_file::read_at(std::uint64_t offset, char* into, std::size_t room) const noexcept {
    ssize_t n;
    do n = ::pread(fd_, into, room, static_cast<off_t>(offset));
    while (n < 0 && errno == EINTR);
    return n;
}

file_root::~file_root() {
    if (fd_ >= 0) ::close(fd_);
}

int file_root::open(char const* folder, walk how) noexcept {
    fd_ = again([&] { return ::open(folder, step_flags); });
    if (fd_ < 0) return errno;
    walk_ = how;
    if (how == walk::best) {
        // Old kernels lack the call, and some sandboxes refuse what they do not know.
        int probe = open_beneath(".", file_flags);
        if (probe >= 0) ::close(probe);
        else if (errno == ENOSYS || errno == EPERM || errno == EINVAL) walk_ = walk::each_step;
    }
    return 0;
}

// As open_beneath(), of a regular file or a folder alone; of any other kind ENXIO, without opening it.
int file_root::open_plain_beneath(char const* path) const noexcept {
#ifdef O_PATH
    int const looked = open_beneath(path, look_flags);
    if (looked < 0) return -1;
    struct stat info;
    int fd = -1;
    if (::fstat(looked, &info) == 0) {
        if (S_ISDIR(info.st_mode)) return looked;   // which is not read
        if (!may_be_served(info)) {
            errno = ENXIO;
        } else {
            // The same file, whatever has the name by now; by its name where there is no /proc.
            char name[32];
            std::snprintf(name, sizeof name, "/proc/self/fd/%d", looked);
            fd = again([&] { return ::open(name, file_flags); });
            if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) fd = open_beneath(path, file_flags);
        }
    }
    close_keeping_errno(looked);
    return fd;
#else
    return open_beneath(path, file_flags);
#endif
}

int file_root::open_beneath([[maybe_unused]] char const* path, [[maybe_unused]] int flags) const noexcept {
#ifdef SYS_openat2
    // The kernel's struct open_how and its flags, whose header is missing in some toolchains.
    struct {
        std::uint64_t flags, mode, resolve;
    } how{static_cast<unsigned>(flags), 0, 0x08 | 0x02};  // RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS
    static_assert(sizeof how == 24);
    // EAGAIN: something was renamed on the way and the kernel is not sure; a few tries are what it asks for.
    for (int tries = 0;; ++tries) {
        int fd = static_cast<int>(::syscall(SYS_openat2, fd_, path, &how, sizeof how));
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR) || tries == 8) return fd;
    }
#else
    errno = ENOSYS;
    return -1;
#endif
}

int file_root::open_by_steps(char const* path) const noexcept {
    int folder = fd_;
    for (;;) {
        char const* slash = std::strchr(path, '/');
        char name[256];
        std::size_t length = slash ? static_cast<std::size_t>(slash - path) : std::strlen(path);
        int next = -1;
        if (length >= sizeof name) {
            errno = ENAMETOOLONG;
        } else {
            std::memcpy(name, path, length);
            name[length] = '\0';
            struct stat info;
            if (!slash && ::fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISLNK(info.st_mode) && !may_be_served(info))
                errno = ENXIO;
            else
                next = open_no_link(folder, name, slash ? step_flags : file_flags);
        }
        if (folder != fd_) close_keeping_errno(folder);
        if (next < 0 || !slash) return next;
        folder = next;
        path = slash + 1;
    }
}

found file_root::find(safe_path const& path) const noexcept {
    char const* name = path.text().empty() ? "." : path.c_str();
    found out;
    int fd = walk_ == walk::best ? open_plain_beneath(name) : open_by_steps(name);
    if (fd < 0) {
        out.refused = refuse_errno(errno);
        return out;
    }
    open_file file(fd);
    struct stat info;
    if (::fstat(fd, &info) != 0) {
        out.refused = refuse_errno(errno);
    } else if (S_ISDIR(info.st_mode)) {
        out.is_folder = true;
    } else if (!S_ISREG(info.st_mode)) {
        out.refused = {403, "it is not a regular file"};
    } else {
        out.file = static_cast<open_file&&>(file);
        out.size = static_cast<std::uint64_t>(info.st_size);
        out.modified = static_cast<std::int64_t>(info.st_mtime);
    }
    return out;
}

}  // namespace serve
