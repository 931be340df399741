// Errors that nobody looked at: what is reported of them, once, by tasks, groups and futures alike.
#pragma once
#include <spruce/error.hpp>

namespace spruce { inline namespace v0 { namespace detail {

// An error that is the outcome of something, whose last chance to be looked at has passed.
struct unseen_failure {
    task_id task{};                        // whose it is, and its name; 0 and "": a future's that no task makes
    char const* name = "";
    error why = errc::closed;
    char const* sentence = nullptr;        // what to say of it; null: the error's own words
    // Calls `tell` with the text of an exception that is its own, "" if it has none; null: it has none.
    void (*describe)(void* outcome, void (*tell)(void* context, char const* what), void* context) noexcept = nullptr;
    void* outcome = nullptr;
};

// Whether an error is a failure at all: canceled, task_canceled and closed are how tasks and futures end when they are
// not wanted any more.
inline bool is_failure(error e) noexcept {
    return e != error(errc::canceled) && e != error(errc::task_canceled) && e != error(errc::closed);
}
// Tells the unhandled hook of it, if it is a failure: an exception in its own words, else the sentence and the detail.
void report_unseen_failure(unseen_failure const& failure) noexcept;

}}}  // namespace spruce::v0::detail
