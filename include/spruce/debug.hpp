// Looking into a running program: which stack overflowed, which task waits for what,
// what holds a loop up, what is left at its end. All of it is opt-in, and prints to stderr unless given an fd.
#pragma once
#include <cstddef>
#include <utility>

#include "config.hpp"
#include "handler.hpp"
#include "result.hpp"
#include "time.hpp"

namespace spruce { inline namespace v0 {

namespace detail {
SPRUCE_API void end_overflow_reports() noexcept;
struct stall_watcher;
SPRUCE_API void end_stall_monitor(stall_watcher* w) noexcept;
}  // namespace detail

namespace debug {

// While one lives, a task that overflows its stack is named. Moves; its end ends what it stands for. Thread: any.
class [[nodiscard]] overflow_reports {
public:
    overflow_reports() noexcept = default;
    explicit overflow_reports(bool on) noexcept : on_(on) {}
    overflow_reports(overflow_reports&& other) noexcept : on_(std::exchange(other.on_, false)) {}
    overflow_reports& operator=(overflow_reports&& other) noexcept {
        if (this != &other) {
            if (on_) detail::end_overflow_reports();
            on_ = std::exchange(other.on_, false);
        }
        return *this;
    }
    ~overflow_reports() {
        if (on_) detail::end_overflow_reports();
    }

private:
    bool on_ = false;
};

// From now on, on all threads, a task that overflows its stack is reported in one line on stderr, with its name, id and
// stack size, before the process dies of it by SIGSEGV (or SIGBUS) as ever. A fault is called an overflow only if its
// address lies in the guard of the task that runs on that thread; one that is `unguarded` has none, as a rule. All
// other faults, and this one after the line, go on unchanged: to the handler that was there before, or to the default.
// The last token's end puts that handler back, unless another one was installed over ours since.
// Errors: an errno. Thread: any. Install your own handlers of these signals before, or pass on what is not yours.
[[nodiscard]] SPRUCE_API result<overflow_reports> report_overflows() noexcept;

// The census of this thread's loop as text: a line of the loop, then one a task, in no particular order.
//   loop 3: 2 tasks
//   task 7 'parser' waits for event since 12.042 s; stack 2288 of 262144 bytes
// Neither allocates nor waits. Thread: the loop's; without a loop there is no text.

// Into `room`, with a zero behind it; what does not fit is cut. Returns: the bytes of the whole text, without the zero.
SPRUCE_API std::size_t census_text(char* room, std::size_t size) noexcept;
// To a file descriptor, past the loop: the thread waits while it takes the bytes. What it refuses is lost.
SPRUCE_API void write_census(int fd) noexcept;
// Whenever the process gets the signal, this thread's loop writes its census to `fd`, between two callbacks or tasks.
// For all loops of a process, ask on each of them. Cancel the handler to end it.
// Errors: no_loop, and those of loop::add_signal_handler(). Lifetime: `fd` stays open until then.
[[nodiscard]] SPRUCE_API result<handler> census_on_signal(int signal, int fd = 2) noexcept;

// From now on, when a run() of this thread's loop ends as a deadlock, it writes the census to `fd` first: all tasks,
// where the error's detail() has room for a few. Errors: no_loop. Thread: the loop's. Lifetime: `fd` stays open until
// the loop has ended.
SPRUCE_API result<void> report_deadlocks(int fd = 2) noexcept;
// From now on, when this thread's loop ends with something left, it tells what on `fd`: tasks that have not ended;
// timers, readers, writers, children and calls, also from other threads, that wait to run; and, once all of them are
// gone, streams that were not closed, and hold tokens that are still out. Signal handlers, hooks and idle callbacks
// belong to a loop as long as it lives, and are not reported. A loop that is not destroyed reports nothing: the main
// thread's, where it was made implicitly. Errors, thread and lifetime as above.
SPRUCE_API result<void> report_leaks(int fd = 2) noexcept;

// What has held up a loop for too long. Lifetime: the report's.
struct stall {
    task_id task;          // 0 for a callback
    char const* name;      // the task's; "" or "task N" for one without a name, "" for callbacks
    char const* kind;      // "task", "callback", "timer", "reader of fd", "call from another thread", …
    int number;            // the fd, the signal or the process that the callback is for; else -1
    duration held_up;      // so far, at least
};
// Called on the monitor's thread, while the loop is still held up: it must not touch the loop but through a loop_ref.
using stall_report = void (*)(stall const& what, void* context) noexcept;

// While one lives, its loop is watched. Moves. Its end stops the thread, and comes back after a report under way.
// Thread: the loop's, and there before or after the loop's end; elsewhere it keeps its memory for good. Not to be
// ended by the report itself.
class [[nodiscard]] stall_monitor {
public:
    stall_monitor() noexcept = default;
    explicit stall_monitor(detail::stall_watcher* w) noexcept : watcher_(w) {}
    stall_monitor(stall_monitor&& other) noexcept : watcher_(std::exchange(other.watcher_, nullptr)) {}
    stall_monitor& operator=(stall_monitor&& other) noexcept {
        if (this != &other) {
            if (watcher_) detail::end_stall_monitor(watcher_);
            watcher_ = std::exchange(other.watcher_, nullptr);
        }
        return *this;
    }
    ~stall_monitor() {
        if (watcher_) detail::end_stall_monitor(watcher_);
    }

private:
    detail::stall_watcher* watcher_ = nullptr;
};

// Watches this thread's loop from a thread of its own, which looks twice in each `limit`. What runs on the loop for
// that long without giving it back is reported once: to `report`, or in a line on stderr. What takes twice the limit is
// surely seen, as far as that thread gets a processor. The time is the machine's, also on a simulated kernel.
// Meanwhile the loop says what it runs before it does, and each switch between tasks goes through the hub.
// Errors: no_loop, invalid_argument (less than 1 ms), already_registered (this loop is watched), no_memory, an errno.
// Lifetime: `context` lives as long as the token.
[[nodiscard]] SPRUCE_API result<stall_monitor> watch_stalls(any_duration limit, stall_report report = nullptr,
                                                            void* context = nullptr) noexcept;

}  // namespace debug
}}  // namespace spruce::v0
