// The simulated kernel's side of the seam: each call takes the lock, finds what the number names, and asks it.
#include "simulated_kernel.hpp"

#include <cerrno>
#include <csignal>

#include <sys/socket.h>

namespace spruce { inline namespace v0 { namespace detail {

namespace {
// The wall's clock at the start: noon of 1 January 2020, UTC.
constexpr std::int64_t wall_start_ns = 1'577'880'000'000'000'000;

simulated_kernel& at(void* context) noexcept { return *static_cast<simulated_kernel*>(context); }

// Finds the file and asks `f` about it, under the lock.
template <class F>
auto with_file(void* context, int fd, F f) noexcept -> decltype(f(at(context), *find_file(at(context), fd))) {
    simulated_kernel& k = at(context);
    simulated_guard const guard(k);
    simulated_file* const file = find_file(k, fd);
    if (!file) return -EBADF;
    return f(k, *file);
}

template <class F> int with_socket(void* context, int fd, F f) noexcept {
    return with_file(context, fd, [&f](simulated_kernel& k, simulated_file& s) -> int {
        return s.kind == simulated_kind::stream ? f(k, s) : -ENOTSOCK;
    });
}

simulated_address::family family_for(int family) noexcept {
    return family == AF_INET    ? simulated_address::family::ipv4
           : family == AF_INET6 ? simulated_address::family::ipv6
                                : simulated_address::family::none;
}

std::int64_t monotonic_ns(void* c) noexcept { return at(c).now_ns.load(std::memory_order_relaxed); }
std::int64_t realtime_ns(void* c) noexcept { return wall_start_ns + (monotonic_ns(c) - at(c).options.start.count()); }

// A call that would have to wait does so if the fd was made to block, and is made again.
template <class F> auto until_done(void* c, int fd, interest in, F call) noexcept -> decltype(call()) {
    for (;;) {
        auto const got = call();
        if (got != -EAGAIN && got != -EINPROGRESS && got != -EALREADY) return got;
        int const waited = wait_if_blocking(at(c), fd, in);
        if (waited < 0) return waited == -EAGAIN ? got : waited;
    }
}
// A write that blocks is over when all is written; any other when something is.
ssize write_slices(void* c, int fd, io_slice const* slices, int count, bool sockets_only) noexcept {
    ssize done = 0;
    std::size_t within = 0;   // of the first slice
    for (;;) {
        io_slice const rest{within != 0 ? static_cast<char const*>(slices->data) + within : nullptr,
                            within != 0 ? slices->size - within : 0};
        bool blocks = false;
        ssize const got = until_done(c, fd, interest_write, [&] {
            return with_file(c, fd, [&](simulated_kernel& k, simulated_file& f) -> ssize {
                if (sockets_only && f.kind != simulated_kind::stream) return -ENOTSOCK;
                blocks = f.blocks;
                return within != 0 ? write_file(k, f, &rest, 1) : write_file(k, f, slices, count);
            });
        });
        if (got < 0) return done != 0 ? done : got;
        done += got;
        if (!blocks) return done;
        for (within += static_cast<std::size_t>(got); count != 0 && within >= slices->size; --count)
            within -= slices++->size;
        if (count == 0) return done;
    }
}

ssize read(void* c, int fd, void* into, std::size_t size) noexcept {
    return until_done(c, fd, interest_read, [=] {
        return with_file(c, fd, [=](simulated_kernel& k, simulated_file& f) { return read_file(k, f, into, size); });
    });
}
// The signal is the writing thread's, as a real kernel's is.
ssize writev(void* c, int fd, io_slice const* slices, int count) noexcept {
    ssize const got = write_slices(c, fd, slices, count, false);
    if (got == -EPIPE) ::raise(SIGPIPE);
    return got;
}
ssize write(void* c, int fd, void const* from, std::size_t size) noexcept {
    io_slice const whole{from, size};
    return writev(c, fd, &whole, 1);
}
ssize sendv(void* c, int fd, io_slice const* slices, int count) noexcept {
    return write_slices(c, fd, slices, count, true);
}
ssize send(void* c, int fd, void const* from, std::size_t size) noexcept {
    io_slice const whole{from, size};
    return sendv(c, fd, &whole, 1);
}
ssize recv(void* c, int fd, void* into, std::size_t size) noexcept {
    return until_done(c, fd, interest_read, [=] {
        return with_file(c, fd, [=](simulated_kernel& k, simulated_file& f) -> ssize {
            return f.kind == simulated_kind::stream ? read_file(k, f, into, size) : -ENOTSOCK;
        });
    });
}
int close(void* c, int fd) noexcept {
    simulated_guard const guard(at(c));
    return close_fd(at(c), fd);
}

int socket(void* c, int family, int type, int protocol) noexcept {
    simulated_address::family const kind = family_for(family);
    if (kind == simulated_address::family::none) return -EAFNOSUPPORT;
    if (type != SOCK_STREAM || (protocol != 0 && protocol != 6)) return -EPROTONOSUPPORT;
    simulated_guard const guard(at(c));
    return open_socket(at(c), kind);
}
int bind(void* c, int fd, sockaddr const* address, unsigned length) noexcept {
    return with_socket(c, fd, [=](simulated_kernel& k, simulated_file& f) {
        simulated_address to;
        int const bad = read_address(address, length, f.local.kind, &to);
        return bad < 0 ? bad : bind_to(k, f, to);
    });
}
int listen(void* c, int fd, int backlog) noexcept {
    return with_socket(c, fd, [=](simulated_kernel& k, simulated_file& f) { return listen_on(k, f, backlog); });
}
int accept(void* c, int fd, sockaddr* address, unsigned* length) noexcept {
    return until_done(c, fd, interest_read, [=] {
        return with_socket(c, fd, [=](simulated_kernel& k, simulated_file& f) {
            simulated_file* taken = nullptr;
            int const got = accept_from(k, f, &taken);
            if (got >= 0) write_address(taken->remote, address, length);
            return got;
        });
    });
}
int connect(void* c, int fd, sockaddr const* address, unsigned length) noexcept {
    return until_done(c, fd, interest_write, [=] {
        return with_socket(c, fd, [=](simulated_kernel& k, simulated_file& f) {
            simulated_address to;
            int const bad =
                f.local.kind == simulated_address::family::local ? 0 : read_address(address, length, f.local.kind, &to);
            return bad < 0 ? bad : connect_to(k, f, to);
        });
    });
}
int shutdown(void* c, int fd, int how) noexcept {
    return with_socket(c, fd, [=](simulated_kernel& k, simulated_file& f) {
        if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) return -EINVAL;
        return shut_down(k, f, how == SHUT_RD ? shut_in : how == SHUT_WR ? shut_out : shut_both);
    });
}
int getsockname(void* c, int fd, sockaddr* address, unsigned* length) noexcept {
    return with_socket(c, fd, [=](simulated_kernel&, simulated_file& f) {
        write_address(f.local, address, length);
        return 0;
    });
}
int getpeername(void* c, int fd, sockaddr* address, unsigned* length) noexcept {
    return with_socket(c, fd, [=](simulated_kernel&, simulated_file& f) {
        if (f.state != stream_state::established) return -ENOTCONN;
        write_address(f.remote, address, length);
        return 0;
    });
}
int getsockopt(void* c, int fd, int level, int name, void* value, unsigned* length) noexcept {
    return with_socket(
        c, fd, [=](simulated_kernel& k, simulated_file& f) { return get_option(k, f, level, name, value, length); });
}
int setsockopt(void* c, int fd, int level, int name, void const* value, unsigned length) noexcept {
    return with_socket(
        c, fd, [=](simulated_kernel& k, simulated_file& f) { return set_option(k, f, level, name, value, length); });
}

int make_pipe(void* c, int ends[2]) noexcept {
    simulated_guard const guard(at(c));
    return make_pipe_fds(at(c), ends);
}
int make_socketpair(void* c, int ends[2]) noexcept {
    simulated_guard const guard(at(c));
    return make_socketpair_fds(at(c), ends);
}
int set_nonblocking(void* c, int fd, bool on) noexcept {
    return with_file(c, fd, [on](simulated_kernel&, simulated_file& f) {
        f.blocks = !on;
        return 0;
    });
}
int kind_of(void* c, int fd) noexcept {
    return with_file(c, fd, [](simulated_kernel&, simulated_file& f) { return kind_of_file(f); });
}
int end_of(void* c, int fd, int) noexcept {
    return with_file(c, fd, [](simulated_kernel&, simulated_file& f) {
        return static_cast<int>(f.kind != simulated_kind::pipe_reader || is_pipe_over(f) ? end_kind::gone
                                                                                         : end_kind::none);
    });
}
int make_waker(void* c, waker_kind wanted, waker_fds* out) noexcept {
    simulated_guard const guard(at(c));
    return make_waker_fds(at(c), wanted, out);
}
void wake(void* c, int write_fd) noexcept { wake_by(at(c), write_fd); }
void drain_waker(void* c, int read_fd) noexcept {
    char bytes[256];
    while (read(c, read_fd, bytes, sizeof bytes) == static_cast<ssize>(sizeof bytes)) {}
}

int signal_subscribe(void* c, signal_port* port, int signal) noexcept {
    simulated_guard const guard(at(c));
    return subscribe_to(at(c), port, signal);
}
int signal_unsubscribe(void* c, signal_port* port, int signal) noexcept {
    simulated_guard const guard(at(c));
    return unsubscribe_from(at(c), port, signal);
}
int open_child(void* c, int pid) noexcept {
    simulated_guard const guard(at(c));
    return open_child_fd(at(c), pid);
}
int reap_child(void* c, int pid, int, child_status* out) noexcept {
    simulated_guard const guard(at(c));
    return take_child(at(c), pid, out);
}

int advance(void* c, std::int64_t ns) noexcept {
    simulated_kernel& k = at(c);
    simulated_guard const guard(k);
    std::int64_t const now = k.now_ns.load(std::memory_order_relaxed);
    if (ns < 0) return -EINVAL;
    move_clock(k, ns < end_of_time - now ? now + ns : end_of_time);
    return 0;
}

constexpr kernel_calls calls{
    monotonic_ns, realtime_ns,
    read, write, writev, send, sendv, recv, close,
    socket, bind, listen, accept, connect, shutdown, getsockname, getpeername, getsockopt, setsockopt,
    make_pipe, make_socketpair, set_nonblocking, kind_of, end_of, make_waker, wake, drain_waker,
    signal_subscribe, signal_unsubscribe,
    open_child, reap_child,
};
}  // namespace

int kind_of_file(simulated_file const& f) noexcept {
    switch (f.kind) {
        case simulated_kind::pipe_reader:
        case simulated_kind::pipe_writer: return fd_pipe;
        case simulated_kind::stream: return is_tcp(f) ? fd_tcp_socket : fd_stream_socket;
        case simulated_kind::file: return fd_file;
        case simulated_kind::waker: return f.waker->is_pipe ? fd_pipe : fd_other;
        case simulated_kind::child:
        case simulated_kind::queue: break;
    }
    return fd_other;
}

namespace {
// From the beginning of time to its middle, so that there is as much after it, and all differences are numbers.
testing::simulation_options with_time_left(testing::simulation_options o) noexcept {
    constexpr duration middle(end_of_time / 2);
    if (o.start < duration::zero()) o.start = duration::zero();
    if (o.start > middle) o.start = middle;
    return o;
}
}  // namespace

simulated_kernel::simulated_kernel(testing::simulation_options const& o) noexcept
    : options(with_time_left(o)),
      seam{&calls, this, make_simulated_poller, advance, true,
           o.pipe_wakers || o.kqueue != testing::kqueue_of::none ? waker_kind::pipe : waker_kind::eventfd},
      random_state(o.seed),
      now_ns(options.start.count()) {}

simulated_kernel::~simulated_kernel() {
    close_everything(*this);
    drop_children(*this);
    release({}, heap, heap_room * sizeof(simulated_delivery), alignof(simulated_delivery));
    for (simulated_bell& bell : bells) close_bell(bell);
}

}}}  // namespace spruce::v0::detail
