#include <spruce/error.hpp>

#include <atomic>
#include <cstring>

#include "errno_names.hpp"
#include "text_line.hpp"

namespace spruce { inline namespace v0 {

namespace {
struct entry {
    char const* name;
    char const* message;
};

// In the order of errc, from 1.
constexpr entry own[] = {
    {"canceled", "the operation was canceled"},
    {"timed_out", "the deadline passed first"},
    {"task_canceled", "the task was canceled and gave no value"},
    {"task_failed", "an exception escaped from the task"},
    {"end_of_stream", "the stream has ended"},
    {"closed", "it is closed"},
    {"full", "a limit is reached"},
    {"no_memory", "out of memory"},
    {"wrong_state", "this is not possible now"},
    {"wrong_thread", "it belongs to another thread's loop"},
    {"not_in_task", "only a task can wait"},
    {"no_loop", "there is no loop: this thread has none, or the handle is empty"},
    {"deadlock", "tasks wait, and nothing is pending that could end a wait"},
    {"tasks_left", "tasks were left when the deadline passed"},
    {"already_registered", "one is registered, or waits, already"},
    {"invalid_argument", "an argument is out of its range"},
    {"not_supported", "this system or build cannot do it"},
    {"status_lost", "the exit status was reaped by other code"},
    {"broken", "it was broken by another party"},
    {"would_wait", "it would have to wait"},
    {"too_long", "it does not fit within the limit"},
};
static_assert(sizeof own / sizeof own[0] == static_cast<std::size_t>(errc::too_long), "a sentence for each errc");

char const* own_message(int code) noexcept {
    return code >= 1 && code <= static_cast<int>(errc::too_long) ? own[code - 1].message : "an unknown error of Spruce";
}

// The details of the last errors of this thread. Text lives beside the error rather than in it, so that an
// error stays 16 bytes; what is overwritten is forgotten, and reads as "". The error has its detail's number, which is
// the process's, and handed out to threads in shares: so no other error finds it, here or on another thread.
struct remembered {
    std::uint64_t number = 0;
    char text[120] = {};
};
constexpr unsigned ring_size = 16;
constexpr std::uint64_t share = 256;
constexpr int number_bits = 48;   // as many as an empty handle has room for
static_assert(share % ring_size == 0, "a number's place in the ring is its remainder");
struct detail_ring {
    remembered slot[ring_size] = {};
    std::uint64_t last = 0;   // the number that was given last; a multiple of `share` if the share is used up
};
constinit thread_local detail_ring details;
constinit std::atomic<std::uintptr_t> shares{0};

std::uint64_t new_number() noexcept {
    constexpr std::uint64_t all = (std::uint64_t{1} << number_bits) - 1;
    if (details.last % share == 0)
        details.last = (std::uint64_t{shares.fetch_add(1, std::memory_order_relaxed)} * share) & all;
    return ++details.last;
}

// Where such a number's text lies; null if it was overwritten, or is another thread's.
remembered const* find(std::uint64_t number) noexcept {
    remembered const& at = details.slot[number % ring_size];
    return at.number == number ? &at : nullptr;
}
}  // namespace

namespace detail {
constinit error_domain const spruce_domain{"spruce", own_message};
constinit error_domain const errno_domain{"errno", errno_message};

struct error_access {
    static constexpr int number_at = 2;   // in error::word_
    static std::uint64_t number(error const& e) noexcept { return (e.word_ & 1) != 0 ? e.word_ >> number_at : 0; }
    static bool can_have_one(error const& e) noexcept {
        return &e.domain() == &spruce_domain || &e.domain() == &errno_domain;
    }
    static bool is_errno(error const& e) noexcept { return &e.domain() == &errno_domain; }
    static void set_number(error& e, std::uint64_t number) noexcept {
        e.word_ = number << number_at | (is_errno(e) ? 2 : 0) | 1;
    }
};

error with_detail(error e, char const* text) noexcept {
    if (!error_access::can_have_one(e)) return e;
    std::uint64_t const number = new_number();
    remembered& to = details.slot[number % ring_size];
    std::size_t const length = std::strlen(text);
    std::size_t const take = length < sizeof to.text ? length : sizeof to.text - 1;
    std::memmove(to.text, text, take);   // the text may be that of an older error, in the slot that is taken
    to.text[take] = '\0';
    to.number = number;
    error_access::set_number(e, number);
    return e;
}

// 1, whether it is the system's, the code in 14 bits, the number.
error_word pack(error const& e) noexcept {
    return error_access::number(e) << 16 | (static_cast<error_word>(e.code()) & 0x3FFF) << 2 |
           (error_access::is_errno(e) ? 2 : 0) | 1;
}
error unpack(error_word word) noexcept {
    int const code = static_cast<int>(word >> 2 & 0x3FFF);
    error e = (word & 2) != 0 ? error::from_errno(code) : error(static_cast<errc>(code));
    if (word >> 16) error_access::set_number(e, word >> 16);
    return e;
}

void no_value(error e, char const* file, int line) noexcept {
    void const* const caller = __builtin_return_address(0);
    char room[300];
    text_line text(room, sizeof room);
    text.put("the value asked of a result that holds an error: ").put(e.message());
    if (char const* const detail = e.detail(); *detail != '\0') text.put(": ").put(detail);
    if (!file) text.put(", asked by -> at ").put(caller);
    panic(text.string(), file ? file : "spruce/result.hpp", line);
}
}  // namespace detail

char const* error::name() const noexcept {
    error_domain const& of = domain();
    if (&of == &detail::spruce_domain)
        return code_ >= 1 && code_ <= static_cast<int>(errc::too_long) ? own[code_ - 1].name : "unknown";
    if (&of == &detail::errno_domain) return detail::errno_name(code_);
    return of.name;
}

char const* error::detail() const noexcept {
    std::uint64_t const number = detail::error_access::number(*this);
    remembered const* const at = number != 0 ? find(number) : nullptr;
    return at ? at->text : "";
}

}}  // namespace spruce::v0
