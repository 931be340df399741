// Looking into a running program: which stack overflowed. All of it is opt-in, and prints to stderr unless told where.
#pragma once
#include <utility>

#include "config.hpp"
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

}  // namespace debug
}  // namespace spruce::inline v0
