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
    {"no_loop", "there is no loop: this thread has none, or the handle is empty"},
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

std::uint64_t running_task() noexcept { return detail::thread_task_id ? detail::thread_task_id() : 0; }

// The latest that the task remembers of such an error; null if none.
remembered const* find(error const& e, std::uint64_t task) noexcept {
    for (unsigned back = 1; back <= ring_size; ++back) {
        remembered const& at = details.slot[(details.next - back) % ring_size];
        if (at.domain == &e.domain() && at.code == e.code() && at.task == task) return &at;
    }
    return nullptr;
}
}  // namespace

namespace detail {
constinit error_domain const spruce_domain{"spruce", own_message};
constinit error_domain const errno_domain{"errno", errno_message};
constinit thread_local whose thread_task_id = nullptr;

void give_detail(error e, char const* text, std::uint64_t owner) noexcept {
    remembered& to = details.slot[details.next++ % ring_size];
    std::size_t const length = std::strlen(text);
    std::size_t const take = length < sizeof to.text ? length : sizeof to.text - 1;
    std::memmove(to.text, text, take);   // a text that is handed on may lie in the slot that is taken for it
    to.text[take] = '\0';
    to.task = owner;
    to.domain = &e.domain();
    to.code = e.code();
}

error with_detail(error e, char const* text) noexcept {
    give_detail(e, text, running_task());
    return e;
}

void hand_on_detail(error e, std::uint64_t from, std::uint64_t to) noexcept {
    if (from == to) return;
    if (remembered const* const at = find(e, from)) give_detail(e, at->text, to);
}
}  // namespace detail

char const* error::name() const noexcept {
    if (domain_ == &detail::spruce_domain)
        return code_ >= 1 && code_ <= static_cast<int>(errc::too_long) ? own[code_ - 1].name : "unknown";
    if (domain_ == &detail::errno_domain) return detail::errno_name(code_);
    return domain_->name;
}

char const* error::detail() const noexcept {
    remembered const* const at = find(*this, running_task());
    return at ? at->text : "";
}

}  // namespace spruce::inline v0
