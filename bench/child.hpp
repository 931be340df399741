// A part of a benchmark in a process of its own: servers, whose processor time is told apart from the load's so.
#pragma once
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "floors/echo_floor.hpp"
#include "measure.hpp"

#if defined(__linux__)
#include <sys/prctl.h>
#endif

namespace measure {

// Tells the parent a number; once, when all is ready.
class teller {
public:
    explicit teller(int fd) noexcept : fd_(fd) {}
    void operator()(double value) const noexcept {
        if (::write(fd_, &value, sizeof value) != sizeof value) std::_Exit(3);
    }

private:
    int fd_;
};

// A process that runs `body` until that ends, or the object does. Make it before any loop or thread.
class child {
public:
    explicit child(std::function<void(teller const&)> const& body) {
        int ends[2];
        if (::pipe(ends) != 0) std::abort();
        std::fflush(stdout);
        pid_ = ::fork();
        if (pid_ < 0) std::abort();
        if (pid_ == 0) {
#if defined(__linux__)
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
            ::close(ends[0]);
            body(teller(ends[1]));
            std::fflush(stdout);
            std::_Exit(0);
        }
        ::close(ends[1]);
        from_ = ends[0];
        if (::clock_getcpuclockid(pid_, &clock_) != 0) std::abort();
    }
    child(child const&) = delete;
    child& operator=(child const&) = delete;
    ~child() {
        ::kill(pid_, SIGKILL);
        while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {}
        ::close(from_);
    }
    // The next number that it tells; -1 if it ended without.
    double told() const noexcept {
        double value = -1;
        return ::read(from_, &value, sizeof value) == sizeof value ? value : -1;
    }
    std::int64_t cpu_ns() const noexcept { return now_ns(clock_); }
    pid_t pid() const noexcept { return pid_; }

private:
    pid_t pid_ = -1;
    int from_ = -1;
    clockid_t clock_{};
};

// Who is woken does not interrupt who runs, here and in the children made from now on: a server meets what the load
// has sent in one go, each of them alike, however the machine's scheduler feels.
inline void run_in_batches() noexcept {
#if defined(__linux__)
    sched_param none{};
    ::sched_setscheduler(0, SCHED_BATCH, &none);
#endif
}

// Raises the bound of open fds as far as it may be. Returns it.
inline long most_fds() noexcept {
    rlimit now{};
    ::getrlimit(RLIMIT_NOFILE, &now);
    now.rlim_cur = now.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &now);
    ::getrlimit(RLIMIT_NOFILE, &now);
    return now.rlim_cur > 1'000'000 ? 1'000'000 : static_cast<long>(now.rlim_cur);
}

#ifdef HAVE_BARE_SERVERS
// The body of a child that serves on a socket which listens already, and tells its port.
inline std::function<void(teller const&)> with_listener(void (*serve)(int)) {
    return [serve](teller const& tell) {
        int port = 0;
        int const listener = floors::listen_anywhere(port);
        tell(port);
        serve(listener);
    };
}
#endif

}  // namespace measure
