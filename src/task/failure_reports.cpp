// The one rule for errors that nobody looked at; docs/errors.md has it in words.
#include "failure_reports.hpp"

#include "scheduler.hpp"

namespace spruce { inline namespace v0 { namespace detail {

void report_unseen_failure(unseen_failure const& failure) noexcept {
    error const why = failure.why;
    if (!is_failure(why)) return;
    struct {
        unseen_failure const& of;
        bool told = false;
    } about{failure};
    // One that was handed on from another task threw nothing itself: it is an error like any.
    if (why == error(errc::task_failed) && failure.describe) {
        failure.describe(failure.outcome, [](void* context, char const* what) {
            auto& a = *static_cast<decltype(about)*>(context);
            if (what[0]) tell_unhandled(current_hub, {a.of.task, a.of.name, what, errc::task_failed});
            a.told = what[0] != '\0';
        }, &about);
    }
    if (about.told) return;
    told const what(failure.sentence ? failure.sentence : why.message(), why);
    tell_unhandled(current_hub, {failure.task, failure.name, what.text, why});
}

}}}  // namespace spruce::v0::detail
