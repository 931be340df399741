// What a task can wait for with wait_any() and wait_all(): descriptors, idleness, signals, children, beats of time.
// All: made anywhere, used by one task at a time, on a thread with a loop; arm() gives no_loop on others. They are
// pinned, and may be waited for again and again.
#pragma once
#include <cstddef>
#include <cstdint>

#include "handler.hpp"
#include "loop.hpp"
#include "wait_point.hpp"

namespace spruce { inline namespace v0 {

namespace detail {

// A deadline among conditions. In wait_any it wins like any other; the last of a wait_all is the call's own.
class deadline_condition : pinned {
public:
    explicit deadline_condition(deadline dl) noexcept : due_(dl) {}
    result<void> arm(wait_point& p) noexcept {
        p.fire_at(due_);
        return {};
    }
    void disarm() noexcept {}
    [[nodiscard]] result<void> take() noexcept { return {}; }

private:
    deadline due_;
};

class fd_condition : pinned {
public:
    SPRUCE_API result<void> arm(wait_point& p) noexcept;
    SPRUCE_API void disarm() noexcept;
    // Errors: closed (the loop closed it meanwhile, as its owner).
    [[nodiscard]] result<void> take() noexcept { return closed_ ? result<void>(errc::closed) : result<void>(); }

protected:
    fd_condition(int fd, bool write) noexcept : fd_(fd), write_(write) {}

private:
    struct listening;
    int fd_;
    bool write_;
    bool closed_ = false;
    wait_entry entry_;
};

// What stands between two waits, so that nothing is lost: a callback of the loop that lives as long as the condition.
class standing_condition : pinned {
public:
    ~standing_condition() { handler_.cancel(); }
    void disarm() noexcept { point_ = nullptr; }

protected:
    standing_condition() noexcept = default;
    SPRUCE_API void tell() noexcept;
    handler handler_;
    wait_point* point_ = nullptr;
};

}  // namespace detail

// fd can be read without waiting, or is at its end, or has failed. As of loop::add_reader(): what cannot be polled is
// always ready. Registered while a task waits for it. Nothing is read: an fd that is not read stays ready.
// Errors of the wait: already_registered (it has a reader, or a waiter), invalid_argument (no such fd), full,
// no_memory, an errno; closed, of its value, if the loop closes it.
// Lifetime: not waited for when fd is closed by others.
class readable : public detail::fd_condition {
public:
    explicit readable(int fd) noexcept : fd_condition(fd, false) {}
};
// The same for writing.
class writable : public detail::fd_condition {
public:
    explicit writable(int fd) noexcept : fd_condition(fd, true) {}
};

// Nothing else was ready in a turn. Errors of the wait: full, no_memory, closed (the loop ends).
class idle : public detail::standing_condition {
public:
    idle() noexcept = default;
    SPRUCE_API result<void> arm(wait_point& p) noexcept;
    void disarm() noexcept {
        standing_condition::disarm();
        handler_.cancel();
    }
    [[nodiscard]] result<void> take() noexcept { return {}; }

private:
    SPRUCE_API static void run(void* self, void*) noexcept;
};

// The process got a signal, as of loop::add_signal_handler(). From its first wait on it listens as long as it lives: a
// signal that comes between two waits is not lost. Pending signals may coalesce.
// Errors of the wait: invalid_argument (no such signal, or a synchronous fault), full, no_memory, closed, an errno.
class signaled : public detail::standing_condition {
public:
    explicit signaled(int sig) noexcept : signal_(sig) {}
    SPRUCE_API result<void> arm(wait_point& p) noexcept;
    [[nodiscard]] result<void> take() noexcept {
        came_ = false;
        return {};
    }

private:
    SPRUCE_API static void run(void* self, void*) noexcept;
    int signal_;
    bool came_ = false;
};

// A child process has ended, as of loop::add_child_handler(). Its status, once it is known, is given to every wait.
// From its first wait on it listens as long as it lives, which holds run(). Errors of the wait: invalid_argument (no
// child of ours), already_registered (it has a handler), full, no_memory, closed, an errno; status_lost, of its value
// (other code reaped it).
class exited : public detail::standing_condition {
public:
    explicit exited(int pid) noexcept : pid_(pid) {}
    SPRUCE_API result<void> arm(wait_point& p) noexcept;
    [[nodiscard]] result<exit_status> take() noexcept { return status_; }

private:
    SPRUCE_API static void run(void* self, void* status) noexcept;
    int pid_;
    bool ended_ = false;
    result<exit_status> status_ = errc::would_wait;
};

// A periodic timer: fires every d, first d after the first wait. It keeps its phase from wait to wait; what fires
// between two waits counts. On another loop it begins a new phase. Errors of the wait: invalid_argument (d is 0 or
// less).
class every : detail::pinned {
public:
    explicit every(any_duration d) noexcept : period_(d) {}
    // The next wait begins a new phase.
    void restart() noexcept { begun_ = false; }
    SPRUCE_API result<void> arm(wait_point& p) noexcept;
    void disarm() noexcept {}
    // Returns: the beats since the last take, at least 1.
    [[nodiscard]] SPRUCE_API result<std::uint64_t> take() noexcept;

private:
    duration period_;
    std::int64_t next_ns_ = 0;
    std::uint32_t loop_ = 0;   // by whose clock
    bool begun_ = false;
};

}}  // namespace spruce::v0
