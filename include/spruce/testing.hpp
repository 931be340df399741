// For tests: a simulated kernel, and virtual time. A loop that runs on it makes no system call; its pipes, sockets,
// signals and children live in this process's memory, its clock stands still while anything is ready and jumps when
// nothing is, and all that may be random comes from one seed. docs/testing.md tells how to use it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "error.hpp"
#include "time.hpp"

namespace spruce { inline namespace v0 {
struct kernel;
namespace detail {
struct simulated_kernel;
}
}}  // namespace spruce::v0

namespace spruce { inline namespace v0 { namespace testing {

// Whose kqueue is simulated: they differ where their documentation does. None: the poller is as Linux's.
enum class kqueue_of : std::uint8_t { none, freebsd, netbsd, openbsd };

// How a simulated kernel behaves. The defaults are a kind one: no latency, whole writes, events in order.
struct simulation_options {
    std::uint64_t seed = 1;                          // of all that is drawn; the same seed, the same run
    any_duration start = std::chrono::hours(1);      // what the clock reads at first; from 0 to 146 years
    int first_fd = 1'000;                            // the lowest fd number; high, so that the real kernel rejects it
    std::size_t max_fds = 65'536;                    // more are refused with EMFILE
    std::size_t socket_buffer = 65'536;              // bytes that a stream socket holds in each direction
    std::size_t pipe_buffer = 65'536;                // bytes that a pipe holds, at least 4,096
    any_duration latency_from{}, latency_to{};       // TCP: each segment, FIN, RST and SYN takes a time drawn from here
    std::size_t segment = 0;                         // TCP: the most bytes that arrive at once; 0: as they were sent
    any_duration poll_grain{};                       // a poll that times out does so at a multiple of this
    bool shuffle_events = false;                     // one poll's events come in an order that is drawn
    bool short_writes = false;                       // sockets take a part of what is written that is drawn
    // Socket pairs: a read ends where a write did, as of local peers that send descriptors or credentials
    bool keep_apart = false;
    bool pipe_wakers = false;                        // loops are woken through pipes instead of counters
    bool refuse_child_fds = false;                   // children have no fd; their end is reported by SIGCHLD alone
    kqueue_of kqueue = kqueue_of::none;              // then it is the poller, and tells of signals and children, too
    any_duration stuck_after = std::chrono::seconds(10);   // real time: see simulation
};

// A kernel in memory. A loop is put on it by `loop_options{.on = world.on()}`.
//
// Time is virtual: it moves when a loop polls, nothing is ready and no hold on it is left; then it jumps to what comes
// first, the poll's timeout or something under way. It never moves while callbacks and tasks run.
// A poll that has no timeout and nothing under way waits for real, until another thread wakes the loop. When none
// has done so for `stuck_after`, the program ends with a sentence that says so: the loop would wait for ever.
// (0: at once, for tests without other threads; duration::max(): never.)
//
// What is simulated: pipes, socket pairs, TCP over 127.0.0.0/8 and ::1, files that cannot be polled, wakers, signals
// and children. 192.0.2.0/24 never answers; other addresses cannot be reached. Fds are made non-blocking. A write of a
// loop's that breaks a pipe raises SIGPIPE, as on a real kernel. Urgent data cannot be read.
// Not simulated: datagrams, TIME_WAIT.
//
// Thread: any, one call at a time; but with loops on several threads the clock moves for the first that waits, so a
// test that is to be repeatable gives each loop a simulation of its own.
// Lifetime: outlives its loops, and all threads that may still wake them.
class simulation : detail::pinned {
public:
    // Makes a world with nothing in it. Takes no memory and no system resource until it is used.
    SPRUCE_API explicit simulation(simulation_options options = {}) noexcept;
    // Closes what is open.
    SPRUCE_API ~simulation();

    // The kernel for loop_options::on. Never null.
    SPRUCE_API kernel* on() noexcept;

    // -- time
    // What the clock reads.
    SPRUCE_API time_point now() const noexcept;
    // Moves the clock on; what is under way until then arrives. A negative length counts as 0. Where
    // the clock can tell no later time it stands.
    SPRUCE_API void advance(any_duration by) noexcept;
    // Stops the clock from moving by itself until release_time() was called as often. For work that runs outside,
    // on real threads. Thread: any.
    SPRUCE_API void hold_time() noexcept;
    SPRUCE_API void release_time() noexcept;

    // -- fds. All are the simulation's numbers, for loops on it and for the calls here.
    // The read end and the write end of a new pipe.
    // Errors: EMFILE, no_memory.
    [[nodiscard]] SPRUCE_API result<std::pair<int, int>> make_pipe() noexcept;
    // The read end of a FIFO that no writer has opened yet, and then a writer's end of it. One writer at a time.
    // Errors: EMFILE, no_memory; EBADF, EINVAL (no FIFO's read end, or it has a writer).
    [[nodiscard]] SPRUCE_API result<int> make_fifo() noexcept;
    [[nodiscard]] SPRUCE_API result<int> open_writer(int fifo) noexcept;
    // Two connected stream sockets.
    // Errors: EMFILE, no_memory.
    [[nodiscard]] SPRUCE_API result<std::pair<int, int>> make_socketpair() noexcept;
    // A file, which no poller takes: it reads as `contents` and then ends; what is written is appended.
    // Errors: EMFILE, no_memory.
    [[nodiscard]] SPRUCE_API result<int> make_file(std::string_view contents = {}) noexcept;
    // A socket that listens on 127.0.0.1. Port 0: one is chosen; port_of() tells it.
    // Errors: EADDRINUSE, EMFILE, no_memory.
    [[nodiscard]] SPRUCE_API result<int> listen(std::uint16_t port = 0, int backlog = 128) noexcept;
    // A socket that connects to 127.0.0.1. It may be refused later, as read() and write() will tell.
    // Errors: EMFILE, no_memory.
    [[nodiscard]] SPRUCE_API result<int> connect(std::uint16_t port) noexcept;
    // The next connection of a listening socket.
    // Errors: would_wait when there is none; EBADF, EINVAL, ENOTSOCK; EMFILE.
    [[nodiscard]] SPRUCE_API result<int> accept(int fd) noexcept;
    // The port that a socket is bound to.
    // Errors: EBADF, ENOTSOCK; wrong_state if it has none.
    [[nodiscard]] SPRUCE_API result<std::uint16_t> port_of(int fd) noexcept;
    // Another number for the same thing: what is closed under one number lives on under the other.
    // Errors: EBADF, EMFILE, no_memory.
    [[nodiscard]] SPRUCE_API result<int> duplicate(int fd) noexcept;
    // Errors: EBADF.
    SPRUCE_API result<void> close(int fd) noexcept;
    // Takes up to `size` bytes.
    // Returns: how many. Errors: would_wait, end_of_stream, and what the simulated system says: EBADF, ECONNRESET, …
    [[nodiscard]] SPRUCE_API result<std::size_t> read(int fd, void* into, std::size_t size) noexcept;
    // Gives up to all of it.
    // Returns: how many bytes were taken. Errors: would_wait, EBADF, EPIPE, ECONNRESET, …
    [[nodiscard]] SPRUCE_API result<std::size_t> write(int fd, std::string_view bytes) noexcept;
    // Sends one byte of urgent data, as send() with MSG_OOB does: the other side's reads end before it, and do not give
    // it.
    // Errors: EBADF, ENOTSOCK; EOPNOTSUPP if it is not TCP; EPIPE, ENOTCONN if it cannot send.
    SPRUCE_API result<void> send_urgent(int fd) noexcept;
    // Says that a stream socket will send no more; the other side reads to the end.
    // Errors: EBADF, ENOTSOCK, ENOTCONN.
    SPRUCE_API result<void> shutdown_write(int fd) noexcept;
    // Closes a TCP socket so that the other side sees it reset.
    // Errors: EBADF, ENOTSOCK.
    SPRUCE_API result<void> reset(int fd) noexcept;
    // How many fds are open; 0 when nothing leaked.
    SPRUCE_API std::size_t open_fds() const noexcept;
    // The lowest number that is open, or -1: who leaked?
    SPRUCE_API int lowest_open_fd() const noexcept;

    // -- signals and children
    // A signal arrives at the process.
    // Returns: how many loops were notified. Thread: any, but no signal handler.
    SPRUCE_API std::size_t raise_signal(int signal) noexcept;
    // A child begins. Returns: its pid. Errors: no_memory.
    [[nodiscard]] SPRUCE_API result<int> spawn_child() noexcept;
    // A child exits with a code, or is killed by a signal; SIGCHLD is raised.
    // Errors: ESRCH when it does not run.
    SPRUCE_API result<void> end_child(int pid, int exit_code) noexcept;
    SPRUCE_API result<void> kill_child(int pid, int signal) noexcept;
    // Other code in the process reaps a child that has ended: its status is lost to the loop.
    // Errors: ESRCH when there is none, wrong_state while it runs.
    SPRUCE_API result<void> steal_status(int pid) noexcept;

private:
    detail::simulated_kernel& state() const noexcept;
    // The kernel's fixed part lives in here, so that making one cannot fail.
    alignas(16) mutable unsigned char state_[5'120];
};

}}}  // namespace spruce::v0::testing
