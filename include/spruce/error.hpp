// Errors are values: what an error is, whose number it carries, and what is known about it.
#pragma once
#include <compare>
#include <cstdint>
#include <exception>
#include <type_traits>

#include "config.hpp"

namespace spruce { inline namespace v0 {

// The library's own errors. Those of the system keep their errno, in a domain of their own.
enum class errc : std::int32_t {
    canceled = 1,        // this task, or a deadline scope around the call, was canceled
    timed_out,           // the call's own deadline passed first
    task_canceled,       // the task or future asked about was canceled, and gave no value
    task_failed,         // an exception escaped from the task asked about
    end_of_stream,       // nothing more will come, and all that came was delivered
    closed,              // our side was closed, or what was waited for has gone
    full,                // a bound of ours is reached
    no_memory,           // the allocation hook or the kernel refused memory
    wrong_state,         // not possible now: empty, ended, running, or done before
    wrong_thread,        // belongs to another thread's loop
    not_in_task,         // would have to wait, and only a task can
    no_loop,             // this thread has no loop
    deadlock,            // nothing is left that could wake those who wait
    tasks_left,          // tasks had not ended at the deadline
    already_registered,  // a handler or waiter is registered there already
    invalid_argument,    // an argument is out of range
    not_supported,       // this system, kernel or build cannot
    status_lost,         // other code reaped the child
    broken,              // a barrier was broken, or a protocol
    would_wait,          // a try_ call found nothing to do now
    too_long             // a delimiter did not come within the limit, or a name does not fit
};

// Whose numbers an error's code counts. A user's own domain is a constexpr object of this type.
struct error_domain {
    char const* name;                                // the domain's name, and the name() of its errors
    char const* (*message)(int code) noexcept;       // a sentence for the code; never null
};

template <class T> class result;
namespace detail {
// The library's own errors, and the system's.
extern SPRUCE_API error_domain const spruce_domain;
extern SPRUCE_API error_domain const errno_domain;
struct error_access;
}  // namespace detail

// Names a task or a deadline scope. One counter for the whole process, never reused; 0 is none.
struct task_id {
    std::uint64_t value = 0;
    auto operator<=>(task_id const&) const = default;
};

// What went wrong: a domain, a code in it, and who caused it. 16 bytes, trivially copied. Errors are equal
// when domain and code are. Thread: values; but detail() answers only on the thread where it happened.
class error {
public:
    error(errc c) noexcept : error(detail::spruce_domain, static_cast<int>(c)) {}
    error(error_domain const& d, int code) noexcept : word_(reinterpret_cast<std::uintptr_t>(&d)), code_(code) {}
    // The error for a value of errno.
    static error from_errno(int value) noexcept { return {detail::errno_domain, value}; }

    int code() const noexcept { return code_; }
    error_domain const& domain() const noexcept {
        if ((word_ & 1) == 0) return *reinterpret_cast<error_domain const*>(static_cast<std::uintptr_t>(word_));
        return (word_ & 2) != 0 ? detail::errno_domain : detail::spruce_domain;
    }
    // The errno, or 0 if the error did not come from the system.
    int errno_value() const noexcept { return &domain() == &detail::errno_domain ? code_ : 0; }
    // A short name: "timed_out", "ECONNREFUSED"; the domain's name for errors of a user's domain. Never null.
    SPRUCE_API char const* name() const noexcept;
    // A sentence that says what happened. Never null.
    char const* message() const noexcept { return domain().message(code_); }
    // What it concerns (an address, a path, an argument's name, an exception's text), as long as the thread remembers;
    // else "". It belongs to this value and its copies, wherever they go on this thread: an error that is made by hand
    // has none, nor has one of a user's domain.
    // Lifetime: the text is good until sixteen more errors with details have come up on this thread.
    SPRUCE_API char const* detail() const noexcept;
    // The low half of the id of the task or scope that caused it, for logs; 0 when there is none.
    std::uint32_t origin() const noexcept { return origin_; }
    // Whether that task or scope caused it.
    bool is_from(task_id id) const noexcept { return id.value != 0 && origin_ == static_cast<std::uint32_t>(id.value); }

    friend bool operator==(error const& a, error const& b) noexcept {
        return a.code_ == b.code_ && (a.word_ == b.word_ || &a.domain() == &b.domain());
    }

    // The same error, caused by that task or scope.
    error caused_by(task_id id) const noexcept {
        error e = *this;
        e.origin_ = static_cast<std::uint32_t>(id.value);
        return e;
    }

    static error_domain const& spruce_domain() noexcept { return detail::spruce_domain; }
    static error_domain const& errno_domain() noexcept { return detail::errno_domain; }

private:
    template <class T> friend class result;
    friend struct detail::error_access;
    // No error at all: how a result<void> says that it is ok, and still comes back in registers.
    error() noexcept : word_(0), code_(0) {}

    // The domain's address. Or, of an error with a detail, which is one of the library's or the system's: 1, whether it
    // is the system's, and the detail's number from bit 2 on. No two details of a process have the same number.
    std::uint64_t word_;
    std::int32_t code_;
    std::uint32_t origin_ = 0;
};
static_assert(sizeof(error) <= 16 && std::is_trivially_copyable_v<error>);

namespace detail {
// The same error with `text` (cut to 119 bytes) as its detail, which this thread remembers. One of a user's domain
// stays as it was.
[[nodiscard]] SPRUCE_API error with_detail(error e, char const* text) noexcept;

// An error of the library's or the system's and its detail in 64 bits, the lowest of which is set: for handles that are
// empty, and say why.
using error_word = std::uint64_t;
SPRUCE_API error_word pack(error const& e) noexcept;
SPRUCE_API error unpack(error_word word) noexcept;

// Ends the program, since the value of a result was asked for that holds this error: with the error, its detail, and
// where that was. file: null: the address of the call is all that is known.
[[noreturn, gnu::cold]] SPRUCE_API void no_value(error e, char const* file, int line) noexcept;
}  // namespace detail

#if SPRUCE_THROWS
// What result::value() throws when it holds an error.
class failure : public std::exception {
public:
    explicit failure(error e) noexcept : reason_(e) {}
    error reason() const noexcept { return reason_; }
    char const* what() const noexcept override { return reason_.message(); }

private:
    error reason_;
};
#endif

}}  // namespace spruce::v0

// An error seldom comes alone: result<T>, SPRUCE_TRY and SPRUCE_CHECK.
#include "result.hpp"
