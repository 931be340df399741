// Looking into a running program: which stack overflowed, who waits for what. All of it is opt-in, and prints to stderr unless told where.
#pragma once
#include <cstddef>
#include <utility>

#include "config.hpp"
#include "handler.hpp"
#include "result.hpp"

namespace spruce::inline v0 {

namespace detail {
SPRUCE_API void end_overflow_reports() noexcept;
}  // namespace detail

namespace debug {

// While one lives, a task that overflows its stack is named. Moves; its end ends what it stands for. Thread: any.
class overflow_reports {
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

// From now on, on all threads, a task that overflows its stack is told in one line on stderr, with its name, id and
// stack size, before the process dies of it by SIGSEGV (or SIGBUS) as ever. A fault is called an overflow only if its
// address lies in the guard of the task that runs on that thread. All other faults, and this one after the line, go
// on unchanged: to the handler that was there before, or to the default. The last token's end puts that handler back,
// unless somebody has put his own over ours since.
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
SPRUCE_API result<handler> census_on_signal(int signal, int fd = 2) noexcept;

}  // namespace debug
}  // namespace spruce::inline v0
