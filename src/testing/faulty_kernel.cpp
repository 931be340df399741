// A kernel that counts its calls, and lets one of them fail.
#include <spruce/faults.hpp>

#include <cerrno>
#include <new>

#include "../sys/kernel.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
// What one poller was told to watch, so that a transfer that was cut short can be followed by a new event.
struct watched {
    std::uint32_t generation;
    std::uint8_t wanted;
};
}  // namespace

// A poller that stands before the other kernel's.
struct faulty_poller {
    faulty_state* owner;
    faulty_poller* next;
    kernel::made_poller below;
    poller_calls calls;
    memory_hook memory;
    watched* by_fd = nullptr;
    std::size_t room = 0;
};

struct faulty_state {
    kernel self;
    kernel* below;
    faulty_poller* pollers = nullptr;
    std::uint64_t counted = 0;
    std::uint64_t fails_at = 0;
    int with = 0;
    unsigned refusals = 0;
    std::size_t most_bytes = 0;
    char const* struck = nullptr;

    // Whether this call fails: 0, or -errno.
    int strikes(char const* name, int usual) noexcept {
        if (++counted != fails_at) return 0;
        struck = name;
        return -(with != 0 ? with : usual);
    }
    std::size_t limit(std::size_t size) const noexcept {
        return most_bytes != 0 && size > most_bytes ? most_bytes : size;
    }
};

namespace {
faulty_state& of(void* context) noexcept { return *static_cast<faulty_state*>(context); }

// One that is neither edge-triggered nor known reports what is left by itself.
void announce_again(faulty_state& s, int fd) noexcept {
    for (faulty_poller* p = s.pollers; p; p = p->next) {
        auto const index = static_cast<std::size_t>(fd);
        if (index >= p->room || (p->by_fd[index].wanted & interest_edge) == 0) continue;
        watched const w = p->by_fd[index];
        poll_change anew[2] = {{fd, w.generation, w.wanted, interest_none, 0},
                               {fd, w.generation, interest_none, w.wanted, 0}};
        p->below.calls->change(p->below.context, anew, 2);
    }
}

// A transfer of `asked` bytes that was given room for `allowed` only.
ssize moved(faulty_state& s, int fd, std::size_t asked, std::size_t allowed, ssize got) noexcept {
    if (got > 0 && allowed < asked) announce_again(s, fd);
    return got;
}

template <auto Call>
ssize read_some(void* c, int fd, void* into, std::size_t size, char const* name, int usual) noexcept {
    faulty_state& s = of(c);
    if (int const failed = s.strikes(name, usual)) return failed;
    std::size_t const allowed = s.limit(size);
    return moved(s, fd, size, allowed, (s.below->calls->*Call)(s.below->context, fd, into, allowed));
}
template <auto Call>
ssize write_some(void* c, int fd, void const* from, std::size_t size, char const* name, int usual) noexcept {
    faulty_state& s = of(c);
    if (int const failed = s.strikes(name, usual)) return failed;
    std::size_t const allowed = s.limit(size);
    return moved(s, fd, size, allowed, (s.below->calls->*Call)(s.below->context, fd, from, allowed));
}
template <auto Call>
ssize write_slices(void* c, int fd, io_slice const* slices, int count, char const* name, int usual) noexcept {
    faulty_state& s = of(c);
    if (int const failed = s.strikes(name, usual)) return failed;
    if (s.most_bytes == 0) return (s.below->calls->*Call)(s.below->context, fd, slices, count);
    std::size_t all = 0;
    for (int i = 0; i != count; ++i) all += slices[i].size;
    while (count > 1 && slices->size == 0) ++slices, --count;
    io_slice const one{slices->data, s.limit(slices->size)};
    return moved(s, fd, all, one.size, (s.below->calls->*Call)(s.below->context, fd, &one, 1));
}

ssize read(void* c, int fd, void* into, std::size_t size) noexcept {
    return read_some<&kernel_calls::read>(c, fd, into, size, "read", EIO);
}
ssize recv(void* c, int fd, void* into, std::size_t size) noexcept {
    return read_some<&kernel_calls::recv>(c, fd, into, size, "recv", ECONNRESET);
}
ssize write(void* c, int fd, void const* from, std::size_t size) noexcept {
    return write_some<&kernel_calls::write>(c, fd, from, size, "write", EIO);
}
ssize send(void* c, int fd, void const* from, std::size_t size) noexcept {
    return write_some<&kernel_calls::send>(c, fd, from, size, "send", ECONNRESET);
}
ssize writev(void* c, int fd, io_slice const* slices, int count) noexcept {
    return write_slices<&kernel_calls::writev>(c, fd, slices, count, "writev", EIO);
}
ssize sendv(void* c, int fd, io_slice const* slices, int count) noexcept {
    return write_slices<&kernel_calls::sendv>(c, fd, slices, count, "sendv", ECONNRESET);
}

// A call that is passed on as it is, unless it is its turn to fail.
template <auto Call, class... A> int passed_on(void* c, char const* name, int usual, A... arguments) noexcept {
    faulty_state& s = of(c);
    if (int const failed = s.strikes(name, usual)) return failed;
    return (s.below->calls->*Call)(s.below->context, arguments...);
}
using calls_t = kernel_calls;

std::int64_t monotonic_ns(void* c) noexcept { return of(c).below->calls->monotonic_ns(of(c).below->context); }
std::int64_t realtime_ns(void* c) noexcept { return of(c).below->calls->realtime_ns(of(c).below->context); }
int close(void* c, int fd) noexcept {
    for (faulty_poller* p = of(c).pollers; p; p = p->next)
        if (fd >= 0 && static_cast<std::size_t>(fd) < p->room) p->by_fd[fd] = {};
    return of(c).below->calls->close(of(c).below->context, fd);
}
int socket(void* c, int f, int t, int p) noexcept { return passed_on<&calls_t::socket>(c, "socket", EMFILE, f, t, p); }
int bind(void* c, int fd, sockaddr const* a, unsigned n) noexcept {
    return passed_on<&calls_t::bind>(c, "bind", EADDRINUSE, fd, a, n);
}
int listen(void* c, int fd, int b) noexcept { return passed_on<&calls_t::listen>(c, "listen", EADDRINUSE, fd, b); }
int accept(void* c, int fd, sockaddr* a, unsigned* n) noexcept {
    return passed_on<&calls_t::accept>(c, "accept", ENOBUFS, fd, a, n);
}
int connect(void* c, int fd, sockaddr const* a, unsigned n) noexcept {
    return passed_on<&calls_t::connect>(c, "connect", ENETUNREACH, fd, a, n);
}
int shutdown(void* c, int fd, int how) noexcept {
    return passed_on<&calls_t::shutdown>(c, "shutdown", ENOTCONN, fd, how);
}
int getsockname(void* c, int fd, sockaddr* a, unsigned* n) noexcept {
    return passed_on<&calls_t::getsockname>(c, "getsockname", ENOBUFS, fd, a, n);
}
int getpeername(void* c, int fd, sockaddr* a, unsigned* n) noexcept {
    return passed_on<&calls_t::getpeername>(c, "getpeername", ENOTCONN, fd, a, n);
}
int getsockopt(void* c, int fd, int level, int name, void* value, unsigned* n) noexcept {
    return passed_on<&calls_t::getsockopt>(c, "getsockopt", ENOBUFS, fd, level, name, value, n);
}
int setsockopt(void* c, int fd, int level, int name, void const* value, unsigned n) noexcept {
    return passed_on<&calls_t::setsockopt>(c, "setsockopt", ENOBUFS, fd, level, name, value, n);
}
int make_pipe(void* c, int ends[2]) noexcept { return passed_on<&calls_t::make_pipe>(c, "make_pipe", EMFILE, ends); }
int make_socketpair(void* c, int ends[2]) noexcept {
    return passed_on<&calls_t::make_socketpair>(c, "make_socketpair", EMFILE, ends);
}
int set_nonblocking(void* c, int fd, bool on) noexcept {
    return passed_on<&calls_t::set_nonblocking>(c, "set_nonblocking", EBADF, fd, on);
}
int kind_of(void* c, int fd) noexcept { return passed_on<&calls_t::kind_of>(c, "kind_of", EBADF, fd); }
int end_of(void* c, int fd, int kind) noexcept { return of(c).below->calls->end_of(of(c).below->context, fd, kind); }
int make_waker(void* c, waker_kind wanted, waker_fds* out) noexcept {
    if ((of(c).refusals & testing::faulty_kernel::refuse_eventfd) != 0) wanted = waker_kind::pipe;
    return passed_on<&calls_t::make_waker>(c, "make_waker", EMFILE, wanted, out);
}
// Also called by signal handlers and other threads: nothing of ours is touched that changes.
void wake(void* c, int fd) noexcept { of(c).below->calls->wake(of(c).below->context, fd); }
void drain_waker(void* c, int fd) noexcept { of(c).below->calls->drain_waker(of(c).below->context, fd); }
int signal_subscribe(void* c, signal_port* port, int signal) noexcept {
    return passed_on<&calls_t::signal_subscribe>(c, "signal_subscribe", ENOMEM, port, signal);
}
int signal_unsubscribe(void* c, signal_port* port, int signal) noexcept {
    return of(c).below->calls->signal_unsubscribe(of(c).below->context, port, signal);
}
int open_child(void* c, int pid) noexcept {
    if ((of(c).refusals & testing::faulty_kernel::refuse_child_fds) != 0) return -ENOSYS;
    return passed_on<&calls_t::open_child>(c, "open_child", EMFILE, pid);
}
int reap_child(void* c, int pid, int child_fd, child_status* out) noexcept {
    return passed_on<&calls_t::reap_child>(c, "reap_child", ECHILD, pid, child_fd, out);
}

constexpr kernel_calls spoiled{
    monotonic_ns, realtime_ns,
    read, write, writev, send, sendv, recv, close,
    socket, bind, listen, accept, connect, shutdown, getsockname, getpeername, getsockopt, setsockopt,
    make_pipe, make_socketpair, set_nonblocking, kind_of, end_of, make_waker, wake, drain_waker,
    signal_subscribe, signal_unsubscribe,
    open_child, reap_child,
};

// -- the poller
faulty_poller& poller_of(void* context) noexcept { return *static_cast<faulty_poller*>(context); }

// Makes room for what is known of an fd.
bool knows(faulty_poller& p, int fd) noexcept {
    auto const index = static_cast<std::size_t>(fd);
    if (index < p.room) return true;
    std::size_t room = p.room == 0 ? 64 : p.room;
    while (room <= index) room *= 2;
    void* const at = allocate(p.memory, room * sizeof(watched), alignof(watched));
    if (!at) return false;
    auto* const grown = static_cast<watched*>(at);
    for (std::size_t i = 0; i != room; ++i) grown[i] = i < p.room ? p.by_fd[i] : watched{};
    if (p.by_fd) release(p.memory, p.by_fd, p.room * sizeof(watched), alignof(watched));
    p.by_fd = grown;
    p.room = room;
    return true;
}

void change(void* c, poll_change* changes, std::size_t count) noexcept {
    faulty_poller& p = poller_of(c);
    for (poll_change* at = changes; at != changes + count; ++at) {
        if (at->wanted != interest_none && at->wanted != at->before) {
            at->result = p.owner->strikes("poller change", ENOSPC);
            if (at->result == 0 && !knows(p, at->fd)) at->result = -ENOMEM;
            if (at->result != 0) continue;
        }
        p.below.calls->change(p.below.context, at, 1);
        bool const holds = at->result == 0 && at->wanted != interest_none;
        if (at->fd >= 0 && static_cast<std::size_t>(at->fd) < p.room)
            p.by_fd[at->fd] = holds ? watched{at->generation, at->wanted} : watched{};
    }
}
int wait(void* c, poll_event* events, int room, std::int64_t timeout_ns) noexcept {
    faulty_poller& p = poller_of(c);
    if (int const failed = p.owner->strikes("poller wait", ENOMEM)) return failed;
    return p.below.calls->wait(p.below.context, events, room, timeout_ns);
}
int backend_fd(void* c) noexcept { return poller_of(c).below.calls->backend_fd(poller_of(c).below.context); }
int renew(void* c, bool after_fork) noexcept {
    faulty_poller& p = poller_of(c);
    if (int const failed = p.owner->strikes("poller renew", EMFILE)) return failed;
    for (std::size_t i = 0; i != p.room; ++i) p.by_fd[i] = {};
    return p.below.calls->renew(p.below.context, after_fork);
}
void close_poller(void* c) noexcept {
    faulty_poller& p = poller_of(c);
    p.below.calls->close(p.below.context);
    faulty_poller** link = &p.owner->pollers;
    while (*link != &p) link = &(*link)->next;
    *link = p.next;
    if (p.by_fd) release(p.memory, p.by_fd, p.room * sizeof(watched), alignof(watched));
    release(memory_hook(p.memory), &p, sizeof p, alignof(faulty_poller));
}
std::int64_t grain_ns(void* c) noexcept { return poller_of(c).below.calls->grain_ns(poller_of(c).below.context); }

int watch_signal(void* c, int signal, bool on) noexcept {
    faulty_poller& p = poller_of(c);
    int const failed = on ? p.owner->strikes("poller watch_signal", ENOMEM) : 0;
    return failed != 0 ? failed : p.below.calls->watch_signal(p.below.context, signal, on);
}
int watch_child(void* c, int pid, bool on) noexcept {
    faulty_poller& p = poller_of(c);
    int const failed = on ? p.owner->strikes("poller watch_child", ENOMEM) : 0;
    return failed != 0 ? failed : p.below.calls->watch_child(p.below.context, pid, on);
}

int lie_down(void* c) noexcept {
    faulty_poller& p = poller_of(c);
    if (int const failed = p.owner->strikes("poller lie_down", ENOMEM)) return failed;
    return p.below.calls->lie_down(p.below.context);
}
// On another thread, which is not counted.
int sleep(void* c, std::int64_t timeout_ns) noexcept {
    return poller_of(c).below.calls->sleep(poller_of(c).below.context, timeout_ns);
}

int make_poller(void* c, int which, memory_hook memory, kernel::made_poller* out) noexcept {
    faulty_state& s = of(c);
    if (int const failed = s.strikes("make_poller", EMFILE)) return failed;
    enum { best, epoll, kqueue, poll };
    if ((s.refusals & testing::faulty_kernel::refuse_epoll) != 0 && !s.below->simulated) {
        if (which == epoll) return -ENOSYS;
        if (which == best) which = poll;
    }
    void* const at = allocate(memory, sizeof(faulty_poller), alignof(faulty_poller));
    if (!at) return -ENOMEM;
    auto* const made = ::new (at) faulty_poller{&s, s.pollers, {}, {}, memory};
    int const got = s.below->make_poller(s.below->context, which, memory, &made->below);
    if (got < 0) {
        release(memory, made, sizeof *made, alignof(faulty_poller));
        return got;
    }
    poller_calls const& below = *made->below.calls;
    made->calls = {below.name, below.needs_rearm, change, wait, backend_fd, renew, close_poller, grain_ns,
                   below.watch_signal ? watch_signal : nullptr, below.watch_child ? watch_child : nullptr,
                   below.lie_down ? lie_down : nullptr, below.sleep ? sleep : nullptr,
                   below.short_reads_tell, below.levels_linger};
    s.pollers = made;
    *out = {&made->calls, made};
    return 0;
}
int advance(void* c, std::int64_t ns) noexcept { return of(c).below->advance(of(c).below->context, ns); }
}  // namespace

}}}  // namespace spruce::v0::detail

namespace spruce { inline namespace v0 { namespace testing {

faulty_kernel::faulty_kernel(kernel* below) noexcept {
    static_assert(sizeof(detail::faulty_state) <= sizeof state_ && alignof(detail::faulty_state) <= 16);
    kernel* const under = below ? below : &detail::native_kernel();
    auto* const s = ::new (static_cast<void*>(state_)) detail::faulty_state{};
    s->below = under;
    s->self = {&detail::spoiled, s, detail::make_poller, detail::advance, under->simulated, under->preferred_waker};
}
faulty_kernel::~faulty_kernel() = default;

detail::faulty_state& faulty_kernel::state() const noexcept {
    return *std::launder(reinterpret_cast<detail::faulty_state*>(state_));
}
kernel* faulty_kernel::on() noexcept { return &state().self; }
void faulty_kernel::fail_call(std::uint64_t n, int errno_value) noexcept {
    detail::faulty_state& s = state();
    s.counted = 0;
    s.fails_at = n;
    s.with = errno_value < 0 ? 0 : errno_value;
    s.struck = nullptr;
}
std::uint64_t faulty_kernel::calls() const noexcept { return state().counted; }
char const* faulty_kernel::struck() const noexcept { return state().struck; }
void faulty_kernel::limit_transfers(std::size_t bytes) noexcept { state().most_bytes = bytes; }
void faulty_kernel::refuse(unsigned refusals) noexcept { state().refusals = refusals; }

}}}  // namespace spruce::v0::testing
