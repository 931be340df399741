// The process's one dispatcher of signals. The handler runs anywhere, at any time, on any thread: it reads a list
// without a lock, marks the signal in each port, and wakes the port's loop. Whoever takes a port out of the list
// waits until no handler can still be looking at it.
#include <atomic>
#include <cerrno>
#include <csignal>
#include <new>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "native_calls.hpp"
#include "signal_fd.hpp"
#include "signals.hpp"

namespace spruce::inline v0::detail {

namespace {

struct subscription {
    std::atomic<subscription*> next{nullptr};
    signal_port* port = nullptr;
};
constinit std::atomic<subscription*> listeners[signal_limit] = {};
struct sigaction found[signal_limit];           // what was there before us, while somebody listens
constinit pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;   // for all but the handler
constinit std::atomic<int> owner_pid{0};

// Handlers count themselves in one of two counters; who waits for them turns new ones to the other first, so that a
// storm of signals cannot keep it waiting.
constinit std::atomic<unsigned> side{0};
constinit std::atomic<unsigned> inside[2] = {};

void on_signal(int signal) {
    int const kept = errno;
    unsigned const mine = side.load(std::memory_order_seq_cst) & 1;
    inside[mine].fetch_add(1, std::memory_order_seq_cst);
    // A forked child has our handlers until it execs, but its parent's loops are not its own.
    if (owner_pid.load(std::memory_order_relaxed) == ::getpid()) {
        for (subscription* s = listeners[signal].load(std::memory_order_seq_cst); s; s = s->next.load(std::memory_order_seq_cst)) {
            std::uint32_t const bit = std::uint32_t{1} << (signal % 32);
            signal_port& port = *s->port;
            // Where the poller tells, the handler is there so that the signal does nothing else. SIG_IGN would lose SIGCHLD.
            if (port.by_poller) continue;
            std::uint32_t const before = port.pending[signal / 32].fetch_or(bit, std::memory_order_seq_cst);
            if ((before & bit) == 0) port.on->calls->wake(port.on->context, port.write_fd);
        }
    }
    inside[mine].fetch_sub(1, std::memory_order_seq_cst);
    errno = kept;
}

void wait_for_handlers() noexcept {
    // Twice: a handler may have read the side just before it was turned, and counted itself just after.
    for (int round = 0; round != 2; ++round) {
        unsigned const old = side.fetch_add(1, std::memory_order_seq_cst) & 1;
        while (inside[old].load(std::memory_order_seq_cst) != 0) ::sched_yield();
    }
}

struct locked {
    // Signals are held off meanwhile: a handler on this thread must not find itself waited for by its own thread.
    locked() noexcept {
        sigset_t all;
        sigfillset(&all);
        ::pthread_sigmask(SIG_BLOCK, &all, &before);
        ::pthread_mutex_lock(&lock);
    }
    ~locked() {
        ::pthread_mutex_unlock(&lock);
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }
    sigset_t before;
};

bool can_be_handled(int signal) noexcept {
    if (signal < 1 || signal >= signal_limit) return false;
    // A fault would be met again at once when its handler returned.
    return signal != SIGSEGV && signal != SIGBUS && signal != SIGFPE && signal != SIGILL;
}

subscription* find(signal_port const* port, int signal, std::atomic<subscription*>** where) noexcept {
    std::atomic<subscription*>* at = &listeners[signal];
    for (subscription* s = at->load(); s; at = &s->next, s = at->load()) {
        if (s->port != port) continue;
        *where = at;
        return s;
    }
    return nullptr;
}

bool is_ours(struct sigaction const& a) noexcept { return (a.sa_flags & SA_SIGINFO) == 0 && a.sa_handler == on_signal; }

// What was found is put back, unless somebody has put his own there meanwhile. Nobody listens any more.
void put_back(int signal) noexcept {
    struct sigaction now {};
    if (::sigaction(signal, nullptr, &now) == 0 && is_ours(now))
        ::sigaction(signal, &found[signal], nullptr);
}

// In a forked child: other threads' loops stayed with the parent. Their subscriptions are forgotten, not freed into a
// stranger's list; what nobody listens for then is as it was found. Locked.
void forget_parents(signal_port const* ours) noexcept {
    owner_pid.store(::getpid(), std::memory_order_relaxed);
    inside[0].store(0);
    inside[1].store(0);
    for (int signal = 1; signal != signal_limit; ++signal) {
        std::atomic<subscription*>* at = &listeners[signal];
        if (!at->load()) continue;
        while (subscription* const s = at->load()) {
            if (s->port == ours) at = &s->next;
            else at->store(s->next.load());
        }
        if (!listeners[signal].load()) put_back(signal);
    }
}
}  // namespace

bool handled_elsewhere(int signal) noexcept {
    locked const hold;
    struct sigaction now {};
    if (::sigaction(signal, nullptr, &now) != 0) return false;
    if (is_ours(now)) now = found[signal];   // another loop listens: whose it was before
    return (now.sa_flags & SA_SIGINFO) != 0 || now.sa_handler != SIG_DFL;
}

int dispatcher_subscribe(void*, signal_port* port, int signal) noexcept {
    if (!can_be_handled(signal)) return -EINVAL;
    if (port->use_signalfd) return signal_fd_add(*port, signal);
    locked const hold;
    if (owner_pid.load(std::memory_order_relaxed) != ::getpid()) forget_parents(port);
    std::atomic<subscription*>* where = nullptr;
    if (find(port, signal, &where)) return 0;
    void* const room = allocate({}, sizeof(subscription), alignof(subscription));
    if (!room) return -ENOMEM;
    auto* const s = ::new (room) subscription;
    s->port = port;
    bool const first = listeners[signal].load() == nullptr;
    s->next.store(listeners[signal].load());
    listeners[signal].store(s, std::memory_order_seq_cst);
    if (!first) return 0;
    struct sigaction ours {};
    ours.sa_handler = on_signal;
    ours.sa_flags = SA_RESTART | SA_ONSTACK;
    sigfillset(&ours.sa_mask);
    if (::sigaction(signal, &ours, &found[signal]) == 0) return 0;
    int const failed = -errno;
    listeners[signal].store(nullptr, std::memory_order_seq_cst);
    release({}, s, sizeof(subscription), alignof(subscription));
    return failed;
}

int dispatcher_unsubscribe(void*, signal_port* port, int signal) noexcept {
    if (!can_be_handled(signal)) return -EINVAL;
    std::uint32_t const bit = std::uint32_t{1} << (signal % 32);
    if (port->use_signalfd) {
        signal_fd_remove(*port, signal);
        return 0;
    }
    locked const hold;
    std::atomic<subscription*>* where = nullptr;
    subscription* const s = find(port, signal, &where);
    if (!s) return 0;
    where->store(s->next.load(), std::memory_order_seq_cst);
    if (listeners[signal].load() == nullptr) put_back(signal);
    wait_for_handlers();
    release({}, s, sizeof(subscription), alignof(subscription));
    port->pending[signal / 32].fetch_and(~bit, std::memory_order_seq_cst);
    return 0;
}

void dispatcher_after_fork(signal_port* ours) noexcept {
    // Perhaps a thread that is not here held it.
    lock = PTHREAD_MUTEX_INITIALIZER;
    locked const hold;
    forget_parents(ours);
}

int signal_take(signal_port& port) noexcept {
    if (port.use_signalfd) return signal_fd_take(port);
    for (int word = 0; word != signal_limit / 32; ++word) {
        std::uint32_t const bits = port.pending[word].load(std::memory_order_relaxed);
        if (bits == 0) continue;
        std::uint32_t const lowest = bits & (~bits + 1);
        port.pending[word].fetch_and(~lowest, std::memory_order_seq_cst);
        int number = word * 32;
        for (std::uint32_t b = lowest; b != 1; b >>= 1) ++number;
        return number;
    }
    return 0;
}

}  // namespace spruce::inline v0::detail
