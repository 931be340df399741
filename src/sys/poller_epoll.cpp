// epoll. The kernel keeps {generation, fd} with each registration and gives it back with its events.
#include "native_calls.hpp"

#if defined(__linux__)
#include <atomic>
#include <new>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace spruce { inline namespace v0 { namespace detail {

#if defined(__linux__)
namespace {

struct epoll_poller {
    int set = -1;
    int outer = -1;       // what backend_fd() hands out: a set that holds the other, so that its number can stay
    memory_hook memory;
};
epoll_poller& self(void* context) noexcept { return *static_cast<epoll_poller*>(context); }

std::uint32_t to_epoll(std::uint8_t wanted) noexcept {
    return ((wanted & interest_read) ? std::uint32_t{EPOLLIN} | EPOLLRDHUP : 0) |
           ((wanted & interest_write) ? std::uint32_t{EPOLLOUT} : 0) |
           ((wanted & interest_edge) ? std::uint32_t{EPOLLET} | EPOLLPRI : 0);
}

std::uint8_t from_epoll(std::uint32_t events) noexcept {
    return static_cast<std::uint8_t>(
        ((events & (EPOLLIN | EPOLLPRI)) ? ready_read : 0) | ((events & EPOLLOUT) ? ready_write : 0) |
        ((events & EPOLLRDHUP) ? ready_read_closed : 0) | ((events & EPOLLHUP) ? ready_hangup : 0) |
        ((events & EPOLLERR) ? ready_error : 0) | ((events & EPOLLPRI) ? ready_urgent : 0));
}

int change_one(int set, poll_change const& c) noexcept {
    epoll_event e{};
    e.events = to_epoll(c.wanted);
    e.data.u64 = std::uint64_t{c.generation} << 32 | static_cast<std::uint32_t>(c.fd);
    int const operation = c.wanted == interest_none   ? EPOLL_CTL_DEL
                          : c.before == interest_none ? EPOLL_CTL_ADD
                                                      : EPOLL_CTL_MOD;
    if (::epoll_ctl(set, operation, c.fd, &e) == 0) return 0;
    // The number was closed, and perhaps given out again, behind our back: the set knows it otherwise than we do.
    if (operation == EPOLL_CTL_ADD && errno == EEXIST)
        return ::epoll_ctl(set, EPOLL_CTL_MOD, c.fd, &e) == 0 ? 0 : -errno;
    if (operation == EPOLL_CTL_MOD && errno == ENOENT)
        return ::epoll_ctl(set, EPOLL_CTL_ADD, c.fd, &e) == 0 ? 0 : -errno;
    return -errno;
}

void change(void* context, poll_change* changes, std::size_t count) noexcept {
    for (std::size_t i = 0; i != count; ++i)
        changes[i].result = changes[i].before == changes[i].wanted ? 0 : change_one(self(context).set, changes[i]);
}

// epoll_pwait2 (Linux 5.11) takes nanoseconds, always as 64 bits; before it there are milliseconds.
constinit std::atomic<unsigned> has_pwait2{1};
#if !defined(SYS_epoll_pwait2)
#define SYS_epoll_pwait2 441
#endif
struct timespec64 {
    std::int64_t seconds, nanoseconds;
};

int wait_raw(int set, epoll_event* events, int room, std::int64_t timeout_ns) noexcept {
    if (timeout_ns > 0 && has_pwait2.load(std::memory_order_relaxed) != 0) {
        timespec64 const t{timeout_ns / 1'000'000'000, timeout_ns % 1'000'000'000};
        long const got = ::syscall(SYS_epoll_pwait2, set, events, room, &t, nullptr, std::size_t{0});
        if (got >= 0) return static_cast<int>(got);
        if (!is_refusal(errno)) return -errno;
        has_pwait2.store(0, std::memory_order_relaxed);
    }
    int const got = ::epoll_wait(set, events, room, poll_timeout_ms(timeout_ns));
    return got >= 0 ? got : -errno;
}

int wait(void* context, poll_event* events, int room, std::int64_t timeout_ns) noexcept {
    epoll_event got[128];
    if (room > 128) room = 128;
    int const count = wait_raw(self(context).set, got, room, timeout_ns);
    // Interrupted: whoever asked looks at the clock and at what the signal brought.
    if (count < 0) return count == -EINTR ? 0 : count;
    for (int i = 0; i < count; ++i) {
        events[i].fd = static_cast<int>(static_cast<std::uint32_t>(got[i].data.u64));
        events[i].generation = static_cast<std::uint32_t>(got[i].data.u64 >> 32);
        events[i].ready = from_epoll(got[i].events);
    }
    return count;
}

int add_inner(int outer, int set) noexcept {
    epoll_event e{};
    e.events = EPOLLIN;
    return ::epoll_ctl(outer, EPOLL_CTL_ADD, set, &e) == 0 ? 0 : -errno;
}

int backend_fd(void* context) noexcept {
    epoll_poller& p = self(context);
    if (p.outer >= 0) return p.outer;
    p.outer = ::epoll_create1(EPOLL_CLOEXEC);
    if (p.outer < 0) return -errno;
    if (int const failed = add_inner(p.outer, p.set); failed < 0) {
        ::close(p.outer);
        p.outer = -1;
        return failed;
    }
    return p.outer;
}

int renew(void* context, bool after_fork) noexcept {
    epoll_poller& p = self(context);
    int const fresh = ::epoll_create1(EPOLL_CLOEXEC);
    if (fresh < 0) return -errno;
    if (p.outer >= 0 && !after_fork) {
        // Before the old one goes: a set that the outer one does not hold would be heard by nobody.
        if (int const failed = add_inner(p.outer, fresh); failed < 0) {
            ::close(fresh);
            return failed;
        }
    }
    // Closing the old set's last fd frees it with all its ghosts; after a fork the parent keeps its own.
    ::close(p.set);
    p.set = fresh;
    if (p.outer < 0 || !after_fork) return 0;
    ::close(p.outer);
    p.outer = -1;
    int const outer = backend_fd(context);
    return outer < 0 ? outer : 0;
}

// The outer set is ready as long as the other has anything to tell, and looking at it takes nothing.
int lie_down(void* context) noexcept {
    int const outer = backend_fd(context);
    return outer < 0 ? outer : 0;
}
int sleep(void* context, std::int64_t timeout_ns) noexcept {
    epoll_event only;
    int const count = wait_raw(self(context).outer, &only, 1, timeout_ns);
    return count < 0 ? count : 0;
}

void close_poller(void* context) noexcept {
    epoll_poller& p = self(context);
    if (p.outer >= 0) ::close(p.outer);
    ::close(p.set);
    memory_hook const memory = p.memory;
    release(memory, &p, sizeof p, alignof(epoll_poller));
}

std::int64_t grain_ns(void*) noexcept { return has_pwait2.load(std::memory_order_relaxed) != 0 ? 0 : 1'000'000; }

constexpr poller_calls calls{"epoll", false, change, wait, backend_fd, renew, close_poller, grain_ns,
                             nullptr, nullptr, lie_down, sleep, true};
}  // namespace

namespace {
// A set whose other calls are not refused, either: to the loop EPERM of epoll_ctl() says that an fd is always ready.
int make_set() noexcept {
    int const set = ::epoll_create1(EPOLL_CLOEXEC);
    if (set < 0) return -errno;
    epoll_event e{};
    int refused = 0;
    // A set is not its own: EINVAL
    if (::epoll_ctl(set, EPOLL_CTL_ADD, set, &e) != 0 && is_refusal(errno)) refused = errno;
    if (refused == 0 && ::epoll_wait(set, &e, 1, 0) < 0 && is_refusal(errno)) refused = errno;
    if (refused == 0) return set;
    ::close(set);
    return -refused;
}
}  // namespace

int make_epoll_poller(memory_hook memory, kernel::made_poller* out) noexcept {
    void* const room = allocate(memory, sizeof(epoll_poller), alignof(epoll_poller));
    if (!room) return -ENOMEM;
    int const set = make_set();
    if (set < 0) {
        release(memory, room, sizeof(epoll_poller), alignof(epoll_poller));
        return set;
    }
    out->calls = &calls;
    out->context = ::new (room) epoll_poller{set, -1, memory};
    return 0;
}
#else
int make_epoll_poller(memory_hook, kernel::made_poller*) noexcept { return -ENOSYS; }
#endif

}}}  // namespace spruce::v0::detail
