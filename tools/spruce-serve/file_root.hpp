// The folder that is served: opens what lies below it, and nothing else, whatever links lie there.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "safe_path.hpp"

namespace serve {

// An open regular file, read with plain calls: a disk that is slow makes the hub's thread wait. The kernel's cache
// makes that rare; a server for disks that are not cached would read through spruce::file instead.
class open_file {
public:
    open_file() noexcept = default;
    explicit open_file(int fd) noexcept : fd_(fd) {}
    open_file(open_file&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
    open_file& operator=(open_file&& other) noexcept;
    ~open_file();
    int fd() const noexcept { return fd_; }
    // Up to `room` bytes from there: how many, 0 at the end of the file, -1 on an error.
    std::ptrdiff_t read_at(std::uint64_t offset, char* into, std::size_t room) const noexcept;

private:
    int fd_ = -1;
};

// What a path led to.
struct found {
    refusal refused;         // nothing that may be served
    bool is_folder = false;  // a folder; no file is open then
    open_file file;
    std::uint64_t size = 0;
    std::int64_t modified = 0;  // seconds since 1970, UTC
};

class file_root {
public:
    // How the kernel is kept below the folder.
    enum class walk : std::uint8_t {
        best,      // by openat2's RESOLVE_BENEATH where the kernel has it: links that stay below are followed
        each_step  // one openat a segment, which follows no link at all: kernels without openat2
    };
    file_root() noexcept = default;
    file_root(file_root&& other) noexcept : fd_(other.fd_), walk_(other.walk_) { other.fd_ = -1; }
    file_root& operator=(file_root&&) = delete;
    ~file_root();
    // 0, or the errno.
    int open(char const* folder, walk how = walk::best) noexcept;
    found find(safe_path const& path) const noexcept;
    walk walks() const noexcept { return walk_; }

private:
    int open_beneath(char const* path, int flags) const noexcept;
    int open_plain_beneath(char const* path) const noexcept;
    int open_by_steps(char const* path) const noexcept;

    int fd_ = -1;
    walk walk_ = walk::best;
};

}  // namespace serve
