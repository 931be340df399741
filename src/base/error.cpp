#include <spruce/error.hpp>

#include <cstring>

#include "errno_names.hpp"

namespace spruce::inline v0 {

namespace {
struct entry {
    char const* name;
    char const* message;
};

// In the order of errc, from 1.
constexpr entry own[] = {
    {"canceled", "the operation was cancelled"},
    {"timed_out", "the deadline passed first"},
    {"task_canceled", "the task was cancelled and gave no value"},
    {"task_failed", "an exception escaped from the task"},
    {"end_of_stream", "the stream has ended"},
    {"closed", "it is closed"},
    {"full", "a limit is reached"},
    {"no_memory", "memory was refused"},
    {"wrong_state", "this is not possible now"},
    {"wrong_thread", "it belongs to another thread's loop"},
    {"not_in_task", "only a task can wait"},
    {"no_loop", "this thread has no loop"},
    {"deadlock", "tasks wait for what nobody can bring"},
    {"tasks_left", "tasks were left when the deadline passed"},
    {"already_registered", "somebody is registered or waits there already"},
    {"invalid_argument", "an argument is out of its range"},
    {"not_supported", "this system or build cannot do it"},
    {"status_lost", "the exit status was taken by somebody else"},
    {"broken", "it was broken by another party"},
    {"would_wait", "it would have to wait"},
    {"too_long", "it does not fit within the limit"},
};
static_assert(sizeof own / sizeof own[0] == static_cast<std::size_t>(errc::too_long), "a sentence for each errc");

char const* own_message(int code) noexcept {
    return code >= 1 && code <= static_cast<int>(errc::too_long) ? own[code - 1].message : "an unknown error of Spruce";
}


// The details of the last errors of this thread. Text lives beside the error rather than in it, so that an
// error stays 16 bytes; what is overwritten is forgotten, and reads as "".
struct remembered {
    std::uint64_t task = 0;
    error_domain const* domain = nullptr;
    int code = 0;
    char text[120] = {};
};
constexpr unsigned ring_size = 16;
struct detail_ring {
    remembered slot[ring_size] = {};
    unsigned next = 0;
};
constinit thread_local detail_ring details;
}  // namespace

namespace detail {
constinit error_domain const own_domain{"spruce", own_message};
constinit error_domain const system_domain{"errno", errno_message};
constinit thread_local whose thread_task_id = nullptr;

error with_detail(error e, char const* text) noexcept {
    remembered& to = details.slot[details.next++ % ring_size];
    to.task = thread_task_id ? thread_task_id() : 0;
    to.domain = &e.domain();
    to.code = e.code();
    std::size_t const length = std::strlen(text);
    std::size_t const take = length < sizeof to.text ? length : sizeof to.text - 1;
    std::memcpy(to.text, text, take);
    to.text[take] = '\0';
    return e;
}
}  // namespace detail

char const* error::name() const noexcept {
    if (domain_ == &detail::own_domain)
        return code_ >= 1 && code_ <= static_cast<int>(errc::too_long) ? own[code_ - 1].name : "unknown";
    if (domain_ == &detail::system_domain) return detail::errno_name(code_);
    return domain_->name;
}

char const* error::detail() const noexcept {
    std::uint64_t const task = detail::thread_task_id ? detail::thread_task_id() : 0;
    for (unsigned back = 1; back <= ring_size; ++back) {
        remembered const& at = details.slot[(details.next - back) % ring_size];
        if (at.domain == domain_ && at.code == code_ && at.task == task) return at.text;
    }
    return "";
}

}  // namespace spruce::inline v0
