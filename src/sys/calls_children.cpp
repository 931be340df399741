// Children of the real kernel. Only the pid asked for is ever waited for.
#include <csignal>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/syscall.h>
#endif

#include "native_calls.hpp"

namespace spruce { inline namespace v0 { namespace detail { namespace native {

int open_child([[maybe_unused]] void* context, [[maybe_unused]] int pid) noexcept {
#if defined(__linux__) && defined(SYS_pidfd_open)
    long const fd = ::syscall(SYS_pidfd_open, pid, 0);   // close-on-exec by birth
    if (fd >= 0) return static_cast<int>(fd);
    return is_refusal(errno) ? -ENOSYS : -errno;
#else
    return -ENOSYS;
#endif
}

namespace {
// By waitid(): as reap_child().
int reap_by(idtype_t what, int which, child_status* out) noexcept {
    siginfo_t info{};
    int const got =
        uninterrupted([&]() noexcept { return ::waitid(what, static_cast<id_t>(which), &info, WEXITED | WNOHANG); });
    if (got != 0 || info.si_pid == 0) return got;
    *out = {info.si_code == CLD_EXITED, info.si_status};
    return 1;
}
}  // namespace

// A way that is refused, or that an older kernel does not know, is no word about the child: the next one then.
int reap_child(void*, int pid, int child_fd, child_status* out) noexcept {
#if defined(__linux__)
    if (child_fd >= 0) {
        constexpr auto by_pidfd = static_cast<idtype_t>(3);   // P_PIDFD
        int const got = reap_by(by_pidfd, child_fd, out);
        if (got != -EINVAL && !is_refusal(-got)) return got;   // -EINVAL: it has the fd, but cannot wait by it
    }
#else
    static_cast<void>(child_fd);
#endif
    int status = 0;
    int const got = uninterrupted([&]() noexcept { return ::waitpid(pid, &status, WNOHANG); });
    if (is_refusal(-got)) return reap_by(P_PID, pid, out);
    if (got <= 0) return got;
    *out = WIFEXITED(status) ? child_status{true, WEXITSTATUS(status)} : child_status{false, WTERMSIG(status)};
    return 1;
}

}}}}  // namespace spruce::v0::detail::native
