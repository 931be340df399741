// The test's own side of a simulated kernel.
#include <spruce/testing.hpp>

#include <cerrno>
#include <new>

#include <sys/socket.h>

#include "simulated_kernel.hpp"

namespace spruce { inline namespace v0 { namespace testing {

using namespace spruce::detail;

namespace {
spruce::error as_error(std::ptrdiff_t failed) noexcept {
    if (failed == -EAGAIN) return errc::would_wait;
    if (failed == -ENOMEM) return errc::no_memory;
    return spruce::error::from_errno(static_cast<int>(-failed));
}
result<int> as_fd(int got) noexcept {
    if (got < 0) return as_error(got);
    return got;
}
result<void> as_done(int got) noexcept {
    if (got < 0) return as_error(got);
    return {};
}
}  // namespace

simulation::simulation(simulation_options options) noexcept {
    static_assert(sizeof state_ >= sizeof(simulated_kernel) && alignof(simulated_kernel) <= 16);
    ::new (static_cast<void*>(state_)) simulated_kernel(options);
}

simulation::~simulation() { state().~simulated_kernel(); }

simulated_kernel& simulation::state() const noexcept {
    return *std::launder(reinterpret_cast<simulated_kernel*>(state_));
}

kernel* simulation::on() noexcept { return &state().seam; }

time_point simulation::now() const noexcept {
    return time_point(duration(state().now_ns.load(std::memory_order_relaxed)));
}

void simulation::advance(any_duration by) noexcept {
    if (by > duration::zero()) state().seam.advance(&state(), by.count());
}

void simulation::hold_time() noexcept { state().holds.fetch_add(1, std::memory_order_seq_cst); }

void simulation::release_time() noexcept {
    state().holds.fetch_sub(1, std::memory_order_seq_cst);
    ring_sleepers(state());
}

result<std::pair<int, int>> simulation::make_pipe() noexcept {
    int ends[2];
    int const got = state().seam.calls->make_pipe(&state(), ends);
    if (got < 0) return as_error(got);
    return std::pair(ends[0], ends[1]);
}

result<int> simulation::make_fifo() noexcept {
    simulated_guard const guard(state());
    return as_fd(open_fifo_reader(state()));
}

result<int> simulation::open_writer(int fifo) noexcept {
    simulated_guard const guard(state());
    simulated_file* const f = find_file(state(), fifo);
    return f ? as_fd(open_fifo_writer(state(), *f)) : as_error(-EBADF);
}

result<std::pair<int, int>> simulation::make_socketpair() noexcept {
    int ends[2];
    int const got = state().seam.calls->make_socketpair(&state(), ends);
    if (got < 0) return as_error(got);
    return std::pair(ends[0], ends[1]);
}

result<int> simulation::make_file(std::string_view contents) noexcept {
    simulated_guard const guard(state());
    return as_fd(make_file_fd(state(), contents.data(), contents.size()));
}

result<int> simulation::listen(std::uint16_t port, int backlog) noexcept {
    simulated_kernel& k = state();
    simulated_guard const guard(k);
    int const fd = open_socket(k, simulated_address::family::ipv4);
    if (fd < 0) return as_error(fd);
    simulated_file& f = *find_file(k, fd);
    int failed = bind_to(k, f, loopback_address(simulated_address::family::ipv4, port));
    if (failed >= 0) failed = listen_on(k, f, backlog);
    if (failed >= 0) return fd;
    close_fd(k, fd);
    return as_error(failed);
}

result<int> simulation::connect(std::uint16_t port) noexcept {
    simulated_kernel& k = state();
    simulated_guard const guard(k);
    int const fd = open_socket(k, simulated_address::family::ipv4);
    if (fd < 0) return as_error(fd);
    int const failed = connect_to(k, *find_file(k, fd), loopback_address(simulated_address::family::ipv4, port));
    if (failed >= 0 || failed == -EINPROGRESS) return fd;
    close_fd(k, fd);
    return as_error(failed);
}

result<int> simulation::accept(int fd) noexcept {
    return as_fd(state().seam.calls->accept(&state(), fd, nullptr, nullptr));
}

result<std::uint16_t> simulation::port_of(int fd) noexcept {
    simulated_guard const guard(state());
    simulated_file const* const f = find_file(state(), fd);
    if (!f) return as_error(-EBADF);
    if (f->kind != simulated_kind::stream) return as_error(-ENOTSOCK);
    if (f->local.port == 0) return errc::wrong_state;
    return f->local.port;
}

result<int> simulation::duplicate(int fd) noexcept {
    simulated_guard const guard(state());
    return as_fd(duplicate_fd(state(), fd));
}

result<void> simulation::close(int fd) noexcept { return as_done(state().seam.calls->close(&state(), fd)); }

result<std::size_t> simulation::read(int fd, void* into, std::size_t size) noexcept {
    ssize const got = state().seam.calls->read(&state(), fd, into, size);
    if (got < 0) return as_error(got);
    if (got == 0 && size != 0) return errc::end_of_stream;
    return static_cast<std::size_t>(got);
}

result<std::size_t> simulation::write(int fd, std::string_view bytes) noexcept {
    // No signal comes of it: it is the world that writes here, and no thread of the program's.
    io_slice const whole{bytes.data(), bytes.size()};
    ssize got = -EBADF;
    {
        simulated_guard const guard(state());
        if (simulated_file* const f = find_file(state(), fd)) got = write_file(state(), *f, &whole, 1);
    }
    if (got < 0) return as_error(got);
    return static_cast<std::size_t>(got);
}

result<void> simulation::send_urgent(int fd) noexcept {
    simulated_guard const guard(state());
    simulated_file* const f = find_file(state(), fd);
    if (!f) return as_error(-EBADF);
    if (f->kind != simulated_kind::stream) return as_error(-ENOTSOCK);
    return as_done(send_urgent_byte(state(), *f));
}

result<void> simulation::shutdown_write(int fd) noexcept {
    return as_done(state().seam.calls->shutdown(&state(), fd, SHUT_WR));
}

result<void> simulation::reset(int fd) noexcept {
    simulated_guard const guard(state());
    simulated_file* const f = find_file(state(), fd);
    if (!f) return as_error(-EBADF);
    if (f->kind != simulated_kind::stream) return as_error(-ENOTSOCK);
    f->reset_on_close = true;
    return as_done(close_fd(state(), fd));
}

std::size_t simulation::open_fds() const noexcept {
    simulated_guard const guard(state());
    return state().open;
}

int simulation::lowest_open_fd() const noexcept {
    simulated_kernel& k = state();
    simulated_guard const guard(k);
    for (std::size_t at = 0; at != k.room; ++at)
        if (k.numbers[at]) return k.options.first_fd + static_cast<int>(at);
    return -1;
}

std::size_t simulation::raise_signal(int signal) noexcept {
    simulated_guard const guard(state());
    return tell_signal(state(), signal);
}

result<int> simulation::spawn_child() noexcept {
    simulated_guard const guard(state());
    return as_fd(begin_child(state()));
}

result<void> simulation::end_child(int pid, int exit_code) noexcept {
    simulated_guard const guard(state());
    return as_done(finish_child(state(), pid, {true, exit_code & 0xff}));
}

result<void> simulation::kill_child(int pid, int signal) noexcept {
    simulated_guard const guard(state());
    return as_done(finish_child(state(), pid, {false, signal}));
}

result<void> simulation::steal_status(int pid) noexcept {
    simulated_guard const guard(state());
    int const got = steal_child(state(), pid);
    if (got == -EBUSY) return errc::wrong_state;
    return as_done(got);
}

}}}  // namespace spruce::v0::testing
