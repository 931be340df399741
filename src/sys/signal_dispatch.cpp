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

#include "fork_mark.hpp"
#include "native_calls.hpp"
#include "signal_fd.hpp"
#include "signals.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {

struct subscription {
    std::atomic<subscription*> next{nullptr};
    signal_port* port = nullptr;
};
constinit std::atomic<subscription*> listeners[signal_limit] = {};
struct sigaction found[signal_limit];           // what was there before us, while somebody listens
constinit pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;   // for all but the handler
constinit std::atomic<int> lock_pid{0};         // the process that the lock belongs to; its negative: being made anew
constinit std::atomic<int> owner_pid{0};        // the process whose loops the listeners are
constinit std::atomic<std::uint32_t> owner_mark{0};
// The pid of the process that got the signal while the listeners were still its parent's.
constinit std::atomic<int> came_to[signal_limit] = {};

// Handlers count themselves in one of two counters; who waits for them turns new ones to the other first, so that a
// storm of signals cannot keep it waiting. Only those of the owner are counted.
constinit std::atomic<unsigned> side{0};
constinit std::atomic<unsigned> inside[2] = {};

void mark(signal_port& port, int signal) noexcept {
    std::uint32_t const bit = std::uint32_t{1} << (signal % 32);
    std::uint32_t const before = port.pending[signal / 32].fetch_or(bit, std::memory_order_seq_cst);
    if ((before & bit) == 0) port.on->calls->wake(port.on->context, port.write_fd);
}

void deliver(int signal) noexcept {
    unsigned const mine = side.load(std::memory_order_seq_cst) & 1;
    inside[mine].fetch_add(1, std::memory_order_seq_cst);
    for (subscription* s = listeners[signal].load(std::memory_order_seq_cst); s;
         s = s->next.load(std::memory_order_seq_cst)) {
        // Where the poller reports it, the handler is there so that the signal does nothing else. SIG_IGN would lose
        // SIGCHLD.
        if (s->port->by_poller.load(std::memory_order_relaxed) == 0) mark(*s->port, signal);
    }
    inside[mine].fetch_sub(1, std::memory_order_seq_cst);
}

// In a forked child, which has our handlers until it execs, though its parent's loops are not its own. Kept until
// after_fork(), which may be under way on another thread.
void keep(int signal, int pid) noexcept {
    if (fork_mark() == owner_mark.load(std::memory_order_relaxed)) {
        // A child of vfork(), in its parent's memory: it will exec, and no loop of its own is to come. Its dispositions
        // are its own, so that the signal does there what it would have done without us, as soon as this handler
        // returns.
        ::sigaction(signal, &found[signal], nullptr);
        ::kill(pid, signal);
        return;
    }
    came_to[signal].store(pid, std::memory_order_seq_cst);
    if (owner_pid.load(std::memory_order_seq_cst) == pid && came_to[signal].compare_exchange_strong(pid, 0))
        deliver(signal);
}

void on_signal(int signal) {
    int const kept = errno;
    int const pid = ::getpid();
    if (owner_pid.load(std::memory_order_seq_cst) == pid) deliver(signal);
    else keep(signal, pid);
    errno = kept;
}

void wait_for_handlers() noexcept {
    // None counts here; those counted are the parent's
    if (owner_pid.load(std::memory_order_relaxed) != ::getpid()) return;
    // Twice: a handler may have read the side just before it was turned, and counted itself just after.
    for (int round = 0; round != 2; ++round) {
        unsigned const old = side.fetch_add(1, std::memory_order_seq_cst) & 1;
        while (inside[old].load(std::memory_order_seq_cst) != 0) ::sched_yield();
    }
}

// In a forked child a thread that is not there may have held the lock: the first to ask for it makes it anew.
void own_lock() noexcept {
    int const pid = ::getpid();
    for (int seen = lock_pid.load(std::memory_order_acquire); seen != pid;
         seen = lock_pid.load(std::memory_order_acquire)) {
        if (seen == -pid || !lock_pid.compare_exchange_strong(seen, -pid)) {
            ::sched_yield();
            continue;
        }
        lock = PTHREAD_MUTEX_INITIALIZER;
        lock_pid.store(pid, std::memory_order_release);
    }
}

struct locked {
    // Signals are held off meanwhile: a handler on this thread must not find itself waited for by its own thread.
    locked() noexcept {
        sigset_t all;
        sigfillset(&all);
        held_off = ::pthread_sigmask(SIG_BLOCK, &all, &before) == 0;
        own_lock();
        ::pthread_mutex_lock(&lock);
    }
    ~locked() {
        ::pthread_mutex_unlock(&lock);
        if (held_off) ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }
    sigset_t before;
    bool held_off;
};

subscription* find(signal_port const* port, int signal, std::atomic<subscription*>** where) noexcept {
    std::atomic<subscription*>* at = &listeners[signal];
    for (subscription* s = at->load(); s; at = &s->next, s = at->load()) {
        if (s->port != port) continue;
        *where = at;
        return s;
    }
    return nullptr;
}

constexpr int our_flags = SA_RESTART | SA_ONSTACK;
bool is_ours(struct sigaction const& a) noexcept { return (a.sa_flags & SA_SIGINFO) == 0 && a.sa_handler == on_signal; }

// Sees to it that the disposition is ours, whatever others have made of it since. 1: it was not ours; 0; or -errno.
int take_over(int signal) noexcept {
    struct sigaction now {};
    if (::sigaction(signal, nullptr, &now) != 0) return -errno;
    constexpr int others = static_cast<int>(SA_RESETHAND | SA_NODEFER | SA_NOCLDSTOP | SA_NOCLDWAIT);
    if (is_ours(now) && (now.sa_flags & (our_flags | others)) == our_flags) return 0;
    struct sigaction ours {};
    ours.sa_handler = on_signal;
    ours.sa_flags = our_flags;
    sigfillset(&ours.sa_mask);
    // Before the other: a fork in between is to find both right. (Ours with other flags hides nobody else's.)
    struct sigaction const before = found[signal];
    if (!is_ours(now)) found[signal] = now;
    if (::sigaction(signal, &ours, nullptr) == 0) return 1;
    found[signal] = before;
    return -errno;
}

// What was found is put back, unless somebody has put his own there meanwhile. Nobody listens any more.
void put_back(int signal) noexcept {
    struct sigaction now {};
    if (::sigaction(signal, nullptr, &now) == 0 && is_ours(now))
        ::sigaction(signal, &found[signal], nullptr);
}

// In a forked child: other threads' loops stayed with the parent. Their subscriptions are forgotten, not freed into a
// stranger's list; what nobody listens for then is as it was found. Locked.
void forget_parents(signal_port const* ours) noexcept {
    inside[0].store(0);
    inside[1].store(0);
    owner_mark.store(fork_mark());
    owner_pid.store(::getpid(), std::memory_order_seq_cst);
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

// Whether this process got the signal before it had loops of its own; asked once.
bool take_kept(int signal) noexcept {
    int pid = ::getpid();
    return came_to[signal].compare_exchange_strong(pid, 0);
}

// A child may have ended while SIGCHLD was not ours. Locked.
void mark_all(int signal) noexcept {
    for (subscription* s = listeners[signal].load(); s; s = s->next.load()) mark(*s->port, signal);
}

int subscribe(signal_port* port, int signal) noexcept {
    std::atomic<subscription*>* where = nullptr;
    if (find(port, signal, &where)) return take_over(signal);
    void* const room = allocate({}, sizeof(subscription), alignof(subscription));
    if (!room) return -ENOMEM;
    auto* const s = ::new (room) subscription;
    s->port = port;
    s->next.store(listeners[signal].load());
    listeners[signal].store(s, std::memory_order_seq_cst);
    int const got = take_over(signal);
    if (got >= 0) return got;
    listeners[signal].store(s->next.load(), std::memory_order_seq_cst);
    wait_for_handlers();
    release({}, s, sizeof(subscription), alignof(subscription));
    return got;
}
}  // namespace

bool can_be_handled(int signal) noexcept {
    if (signal < 1 || signal >= signal_limit || signal == SIGKILL || signal == SIGSTOP) return false;
    // A fault would be met again at once when its handler returned.
    if (signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL) return false;
    sigset_t set;
    sigemptyset(&set);
    return sigaddset(&set, signal) == 0;   // where the system has fewer, or keeps some for itself
}

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
    bool const first = listeners[signal].load() == nullptr;
    int const got = subscribe(port, signal);
    if (got < 0) return got;
    if (take_kept(signal)) mark(*port, signal);
    if (got == 1 && !first && signal == SIGCHLD) mark_all(signal);
    return 0;
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
    bool unheard[signal_limit] = {};
    {
        locked const hold;
        // What has come to the parent and was not yet taken is the parent's.
        for (auto& word : ours->pending) word.store(0);
        forget_parents(ours);
        for (int signal = 1; signal != signal_limit; ++signal) {
            if (!take_kept(signal)) continue;
            std::atomic<subscription*>* where = nullptr;
            if (find(ours, signal, &where)) mark(*ours, signal);
            else unheard[signal] = true;
        }
    }
    // Those that only other threads' loops listened for do now what they would have done without us.
    for (int signal = 1; signal != signal_limit; ++signal)
        if (unheard[signal]) ::kill(::getpid(), signal);
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

}}}  // namespace spruce::v0::detail
