#include "thread_signals.hpp"

#include <cerrno>
#include <cstddef>
#include <ctime>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <spruce/memory.hpp>

#include "threads.hpp"

#if defined(__linux__)
#include <sys/auxv.h>
#include <sys/syscall.h>
#elif defined(__FreeBSD__) || defined(__OpenBSD__) || defined(__NetBSD__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace spruce { inline namespace v0 { namespace detail {

bool on_main_thread() noexcept {
#if defined(__linux__)
    return ::syscall(SYS_gettid) == ::getpid();
#elif defined(__FreeBSD__) || defined(__APPLE__)
    return ::pthread_main_np() != 0;
#else
    return false;   // no way to know: main() makes its loop itself
#endif
}

int core_of_thread() noexcept {
#if defined(__linux__) || defined(__FreeBSD__)
    int const before = errno;
    int const core = ::sched_getcpu();
    errno = before;   // of whom a signal handler has interrupted
    return core;
#else
    return -1;
#endif
}

namespace {
enum class pending_pipe { none, one, unknown };
pending_pipe find_pending_pipe() noexcept {
    sigset_t pending;
    if (::sigpending(&pending) != 0) return pending_pipe::unknown;
    return sigismember(&pending, SIGPIPE) == 1 ? pending_pipe::one : pending_pipe::none;
}

// Takes a pending SIGPIPE of this thread. false: that was refused, and there may be one.
bool take_pending_pipe(sigset_t const& pipe) noexcept {
#if defined(__OpenBSD__) || defined(__APPLE__)
    int taken = 0;
    return find_pending_pipe() == pending_pipe::unknown || ::sigwait(&pipe, &taken) == 0;
#else
    timespec const at_once{};
    while (::sigtimedwait(&pipe, nullptr, &at_once) < 0)
        if (errno != EINTR) return errno == EAGAIN;
    return true;
#endif
}

// What is pending is dropped when it is ignored, whoever blocks it.
bool drop_pending_pipe() noexcept {
    struct sigaction before {}, ignored {};
    ignored.sa_handler = SIG_IGN;
    return ::sigaction(SIGPIPE, &ignored, &before) == 0 && ::sigaction(SIGPIPE, &before, nullptr) == 0;
}

// Where a thread's mask cannot be had: as if the program ignored the signal, unless it has a handler.
void ignore_pipe() noexcept {
    struct sigaction before {};
    if (::sigaction(SIGPIPE, nullptr, &before) != 0 || before.sa_handler != SIG_DFL) return;
    before.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &before, nullptr);
}

unsigned long wanted_stack() noexcept {
    long least = -1;
#if defined(__linux__)
    // AT_MINSIGSTKSZ, which not every libc names; 0 where the kernel is older
    constexpr unsigned long at_minimum = 51;
    least = static_cast<long>(::getauxval(at_minimum));
#elif defined(_SC_MINSIGSTKSZ)
    least = ::sysconf(_SC_MINSIGSTKSZ);
#endif
    unsigned long const machine =
        least > 0 ? static_cast<unsigned long>(least) : static_cast<unsigned long>(MINSIGSTKSZ);
    return (machine + 16 * 1024 + 4095) & ~4095UL;
}
}  // namespace

void hub_thread_signals::begin() noexcept {
    if (depth_++ != 0) return;
    pending_pipe_ = find_pending_pipe() == pending_pipe::one;
    sigset_t pipe, before;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    bool const blocked = ::pthread_sigmask(SIG_BLOCK, &pipe, &before) == 0;
    blocked_pipe_ = blocked && sigismember(&before, SIGPIPE) == 0;
    if (!blocked) ignore_pipe();

    stack_t now{};
    gave_stack_ = false;
    if (::sigaltstack(nullptr, &now) != 0 || (now.ss_flags & SS_DISABLE) == 0) return;
    if (!stack_) {
        stack_bytes_ = wanted_stack();
        stack_ = allocate({}, stack_bytes_, 16);
        if (!stack_) return;   // handlers run where they can, as without us
    }
    stack_t ours{};
    ours.ss_sp = stack_;
    ours.ss_size = stack_bytes_;
    gave_stack_ = ::sigaltstack(&ours, nullptr) == 0;
}

void hub_thread_signals::end() noexcept {
    if (--depth_ != 0) return;
    if (blocked_pipe_) {
        sigset_t pipe;
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        // Not known to be free of one: it is taken, or dropped, or the signal stays blocked.
        bool const clean = pending_pipe_ || find_pending_pipe() == pending_pipe::none || take_pending_pipe(pipe) ||
                           drop_pending_pipe();
        if (clean) ::pthread_sigmask(SIG_UNBLOCK, &pipe, nullptr);
    }
    if (gave_stack_) {
        // Unless somebody has put his own there meanwhile.
        stack_t now{}, none{};
        none.ss_flags = SS_DISABLE;
        none.ss_size = stack_bytes_;
        if (::sigaltstack(nullptr, &now) == 0 && now.ss_sp == stack_) ::sigaltstack(&none, nullptr);
        gave_stack_ = false;
    }
}

hub_thread_signals::~hub_thread_signals() { release({}, stack_, stack_bytes_, 16); }

}}}  // namespace spruce::v0::detail
