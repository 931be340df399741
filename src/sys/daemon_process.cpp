// Two forks: the first child leads a new session and ends; the second, the daemon, leads none, so that it can never get
// a terminal. What the daemon does before it is one may fail, and the caller waits for its word:
//
//   caller      opens pidfile, /dev/null, a pipe; forks; waits for the first child; reads the pipe to its end
//   first child setsid; forks; ends
//   daemon      chdir, standard fds, pid into the file; says that all went well, or what did not
#include "daemon_process.hpp"

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <initializer_list>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/text_line.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
enum class step : std::int32_t {
    none,
    pidfile,
    lock,
    null_device,
    pipe,
    fork,
    session,
    directory,
    standard_fds,
    write_pid
};
char const* sentence(step s) noexcept {
    switch (s) {
    case step::pidfile: return "pidfile: cannot be opened";
    case step::lock: return "pidfile: locked by a process that runs";
    case step::null_device: return "/dev/null cannot be opened";
    case step::pipe: return "no pipe between the processes";
    case step::fork: return "fork failed";
    case step::session: return "setsid failed";
    case step::directory: return "chdir to / failed";
    case step::standard_fds: return "the standard fds cannot be replaced";
    case step::write_pid: return "pidfile: cannot be written";
    default: return "the daemon ended before it said that it runs";
    }
}

// What the daemon, or the process in between, says through the pipe. Smaller than PIPE_BUF: it comes whole.
struct word {
    std::int32_t failed;
    step at;
};

// An fd that is not among the standard ones, which the daemon replaces; they may have been closed. -1 and errno.
int above_standard(int fd) noexcept {
    if (fd < 0 || fd > 2) return fd;
    int const higher = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
    int const why = errno;
    ::close(fd);
    errno = why;
    return higher;
}

struct open_fds {
    int pidfile = -1, null_device = -1, reads = -1, writes = -1;
    ~open_fds() {
        for (int const fd : {pidfile, null_device, reads, writes})
            if (fd >= 0) ::close(fd);
    }
};

step open_all(char const* pidfile, open_fds& fds) noexcept {
    if (pidfile) {
        fds.pidfile = above_standard(::open(pidfile, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644));
        if (fds.pidfile < 0) return step::pidfile;
        while (::flock(fds.pidfile, LOCK_EX | LOCK_NB) != 0)
            if (errno != EINTR) return step::lock;
    }
    fds.null_device = above_standard(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (fds.null_device < 0) return step::null_device;
    int ends[2];
    if (::pipe(ends) != 0) return step::pipe;
    fds.reads = above_standard(ends[0]);
    int const why = errno;
    fds.writes = above_standard(ends[1]);
    if (fds.reads < 0 || fds.writes < 0) {
        if (fds.reads < 0) errno = why;
        return step::pipe;
    }
    return step::none;
}

bool write_all(int fd, void const* bytes, std::size_t size) noexcept {
    for (auto const* at = static_cast<char const*>(bytes); size != 0;) {
        ssize_t const n = ::write(fd, at, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        at += n;
        size -= static_cast<std::size_t>(n);
    }
    return true;
}

step settle_as_daemon(open_fds const& fds) noexcept {
    if (::chdir("/") != 0) return step::directory;
    for (int standard = 0; standard != 3; ++standard)
        while (::dup2(fds.null_device, standard) < 0)
            if (errno != EINTR && errno != EBUSY) return step::standard_fds;
    if (fds.pidfile >= 0) {
        char text[24];
        text_line line(text, sizeof text);
        line.put(static_cast<std::uint64_t>(::getpid())).end();
        if (::ftruncate(fds.pidfile, 0) != 0 || !write_all(fds.pidfile, text, line.size()))
            return step::write_pid;
    }
    return step::none;
}

[[noreturn]] void give_up(open_fds const& fds, step at) noexcept {
    word const said{-errno, at};
    static_cast<void>(write_all(fds.writes, &said, sizeof said));
    ::_exit(1);
}

// The caller's end of it. The pipe ends when the first child and the daemon have closed their ends, or are gone.
daemon_answer hear(open_fds& fds, pid_t between) noexcept {
    ::close(fds.writes);
    fds.writes = -1;
    word said{-ECHILD, step::none};
    ssize_t n;
    do n = ::read(fds.reads, &said, sizeof said);
    while (n < 0 && errno == EINTR);
    // Where SIGCHLD is ignored the kernel has reaped it, which is as well.
    while (::waitpid(between, nullptr, 0) < 0 && errno == EINTR) {}
    if (n == static_cast<ssize_t>(sizeof said) && said.failed == 0) return {};
    if (n != static_cast<ssize_t>(sizeof said)) said = {-ECHILD, step::none};
    return {said.failed, sentence(said.at)};
}
}  // namespace

daemon_answer become_daemon(char const* pidfile) noexcept {
    open_fds fds;
    if (step const failed = open_all(pidfile, fds); failed != step::none) {
        int const why = errno;
        return {-why, sentence(failed), false, failed == step::lock && why == EWOULDBLOCK};
    }
    std::fflush(nullptr);   // else both processes would write what the streams hold
    pid_t const between = ::fork();
    if (between < 0) return {-errno, sentence(step::fork)};
    if (between != 0) return hear(fds, between);
    ::close(fds.reads);
    fds.reads = -1;
    if (::setsid() < 0) give_up(fds, step::session);
    pid_t const daemon = ::fork();
    if (daemon < 0) give_up(fds, step::fork);
    if (daemon != 0) ::_exit(0);
    if (step const failed = settle_as_daemon(fds); failed != step::none) give_up(fds, failed);
    word const fine{0, step::none};
    static_cast<void>(write_all(fds.writes, &fine, sizeof fine));
    fds.pidfile = -1;   // stays open, and with it the lock
    return {0, "", true};
}

}}}  // namespace spruce::v0::detail
