#include "fault_signals.hpp"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <pthread.h>

#include "write_text.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
struct watched_signal {
    int const number;
    bool installed = false;
    std::atomic<unsigned> spent{0};   // `before` was there for one signal only, and has had that
    struct sigaction before {};       // what stands behind our handler
};
constinit watched_signal watched[] = {{SIGSEGV}, {SIGBUS}};
constinit std::atomic<fault_teller> teller{nullptr};
constinit unsigned users = 0;
constinit pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;   // for all but the handler

// Whether an access of this thread made it, which has an address and is made again when the handler returns. Not so
// what somebody sent, what the machine tells late, and what the kernel says of a signal that it could not deliver.
bool is_access(int signal, siginfo_t const& info) noexcept {
    if (signal == SIGSEGV) return info.si_code == SEGV_MAPERR || info.si_code == SEGV_ACCERR;
    return info.si_code == BUS_ADRALN || info.si_code == BUS_ADRERR || info.si_code == BUS_OBJERR;
}
bool was_sent(siginfo_t const& info) noexcept {
    return info.si_code <= 0 || info.si_code == SI_USER || info.si_code == SI_QUEUE;
}

bool is_function(struct sigaction const& a) noexcept {
    return (a.sa_flags & SA_SIGINFO) != 0 || (a.sa_handler != SIG_DFL && a.sa_handler != SIG_IGN);
}

void pass_on(watched_signal& s, siginfo_t* info, void* context) noexcept {
    struct sigaction const& to = s.before;
    if (is_function(to) && ((to.sa_flags & static_cast<int>(SA_RESETHAND)) == 0 || s.spent.exchange(1) == 0)) {
        if ((to.sa_flags & SA_SIGINFO) != 0) to.sa_sigaction(s.number, info, context);
        else to.sa_handler(s.number);
        return;
    }
    // Ignored signals are those that were sent; a fault cannot be.
    if (!is_function(to) && to.sa_handler == SIG_IGN && was_sent(*info)) return;
    // The access is made again, and ends the process with its own address in the core; anything else is sent again.
    struct sigaction plain {};
    plain.sa_handler = SIG_DFL;
    ::sigaction(s.number, &plain, nullptr);
    if (!is_access(s.number, *info)) ::raise(s.number);
}

void on_fault(int signal, siginfo_t* info, void* context) {
    int const kept = errno;
    fault_teller const tell = teller.load(std::memory_order_acquire);
    if (tell && is_access(signal, *info)) {
        char line[256];
        std::size_t const size = tell(info->si_addr, line, sizeof line);
        if (size != 0) write_text(2, line, size);
    }
    errno = kept;
    pass_on(watched[signal == SIGSEGV ? 0 : 1], info, context);
}

bool ours_stands(int signal) noexcept {
    struct sigaction now {};
    return ::sigaction(signal, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_fault;
}

int install(watched_signal& s) noexcept {
    // Left under somebody else's handler, which may pass on to it: twice would be a circle. If there is none now, ours
    // is nowhere.
    if (s.installed) {
        struct sigaction now {};
        if (::sigaction(s.number, nullptr, &now) != 0 || is_function(now)) return 0;
        s.installed = false;
    }
    // Asked first: another thread may fault as soon as ours is there.
    if (::sigaction(s.number, nullptr, &s.before) != 0) return -errno;
    s.spent.store(0);
    struct sigaction ours {};
    ours.sa_sigaction = on_fault;
    // What the former handler asked for it gets; but the stack of a task that overflowed has no room for any handler.
    ours.sa_mask = s.before.sa_mask;
    ours.sa_flags = (s.before.sa_flags & (SA_RESTART | SA_NODEFER)) | SA_SIGINFO | SA_ONSTACK;
    if (::sigaction(s.number, &ours, nullptr) != 0) return -errno;
    s.installed = true;
    return 0;
}

void uninstall() noexcept {
    teller.store(nullptr, std::memory_order_release);
    for (watched_signal& s : watched)
        if (s.installed && ours_stands(s.number)) s.installed = ::sigaction(s.number, &s.before, nullptr) != 0;
}
}  // namespace

int faults_begin(fault_teller tell) noexcept {
    ::pthread_mutex_lock(&lock);
    int failed = 0;
    if (users++ == 0) {
        teller.store(tell, std::memory_order_release);
        for (watched_signal& s : watched)
            if (failed == 0) failed = install(s);
        if (failed != 0) {
            uninstall();
            --users;
        }
    }
    ::pthread_mutex_unlock(&lock);
    return failed;
}

void faults_end() noexcept {
    ::pthread_mutex_lock(&lock);
    if (--users == 0) uninstall();
    ::pthread_mutex_unlock(&lock);
}

}}}  // namespace spruce::v0::detail
