#include "signal_fd.hpp"

#include "native_calls.hpp"

#include <cerrno>

#if defined(__linux__)
#include <csignal>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <sys/signalfd.h>
#include <unistd.h>
#endif

namespace spruce { inline namespace v0 { namespace detail {

#if defined(__linux__)
namespace {
// Whether the thread blocks the signal; what cannot be read counts as no.
bool thread_blocks(char const* thread, int signal) noexcept {
    char path[64] = "/proc/self/task/";
    std::strncat(path, thread, 20);
    std::strcat(path, "/status");
    int const fd = ::open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT;   // it has just ended
    char text[4096];
    ssize const got = ::read(fd, text, sizeof text - 1);
    ::close(fd);
    if (got <= 0) return got < 0 && errno == ESRCH;
    text[got] = '\0';
    // The line "SigBlk:", a tab, digits. By hand: strstr() and strtoull() are 3 KB of a small program.
    constexpr char head[] = "\nSigBlk:\t";
    constexpr std::size_t length = sizeof head - 1;
    for (char const* at = text; *at != '\0'; ++at) {
        if (std::strncmp(at, head, length) != 0) continue;
        std::uint64_t mask = 0;
        for (at += length; *at > ' '; ++at)
            mask = mask << 4 | static_cast<std::uint64_t>(*at <= '9' ? *at - '0' : *at - 'a' + 10);
        return (mask >> (signal - 1) & 1) != 0;
    }
    return false;
}

bool every_thread_blocks(int signal) noexcept {
    DIR* const dir = ::opendir("/proc/self/task");
    if (!dir) return false;
    bool all = true;
    while (dirent const* const e = ::readdir(dir))
        if (e->d_name[0] != '.') all = all && thread_blocks(e->d_name, signal);
    ::closedir(dir);
    return all;
}

sigset_t mask_of(signal_port const& port) noexcept {
    sigset_t set;
    sigemptyset(&set);
    for (int s = 1; s != signal_limit; ++s)
        if ((port.by_fd[s / 32] >> (s % 32) & 1) != 0) sigaddset(&set, s);
    return set;
}
}  // namespace

int signal_fd_add(signal_port& port, int signal) noexcept {
    if (!every_thread_blocks(signal)) return -EPERM;
    std::uint32_t const bit = std::uint32_t{1} << (signal % 32);
    if ((port.by_fd[signal / 32] & bit) != 0) return 0;
    port.by_fd[signal / 32] |= bit;
    sigset_t const set = mask_of(port);
    int const got = ::signalfd(port.signal_fd, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (got < 0) {
        port.by_fd[signal / 32] &= ~bit;
        return is_refusal(errno) ? -ENOSYS : -errno;   // a strict sandbox
    }
    port.signal_fd = got;
    return 0;
}

void signal_fd_remove(signal_port& port, int signal) noexcept {
    port.by_fd[signal / 32] &= ~(std::uint32_t{1} << (signal % 32));
    if (port.signal_fd < 0) return;
    bool any = false;
    for (std::uint32_t const word : port.by_fd) any |= word != 0;
    if (any) {
        sigset_t const set = mask_of(port);
        ::signalfd(port.signal_fd, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        return;
    }
    ::close(port.signal_fd);
    port.signal_fd = -1;
}

int signal_fd_take(signal_port& port) noexcept {
    if (!port.signal_fd_ready || port.signal_fd < 0) return 0;
    signalfd_siginfo info;
    for (;;) {
        ssize const got = ::read(port.signal_fd, &info, sizeof info);
        if (got == static_cast<ssize>(sizeof info)) return static_cast<int>(info.ssi_signo);
        if (got < 0 && errno == EINTR) continue;
        port.signal_fd_ready = false;
        return 0;
    }
}
#else
int signal_fd_add(signal_port&, int) noexcept { return -ENOSYS; }
void signal_fd_remove(signal_port&, int) noexcept {}
int signal_fd_take(signal_port&) noexcept { return 0; }
#endif

}}}  // namespace spruce::v0::detail
