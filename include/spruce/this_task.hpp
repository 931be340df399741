// What the running task can do with itself: yield, sleep, ask for its name.
#pragma once
#include "error.hpp"
#include "result.hpp"
#include "time.hpp"

namespace spruce { inline namespace v0 {

// Gives the hub the thread until this task is made ready again: cancel() does. Outside a task it does nothing.
SPRUCE_API void switch_to_hub();

// The task that calls.
namespace this_task {
// Goes to the back of the ready ring. Errors: canceled (also if it was canceled meanwhile), not_in_task.
[[nodiscard]] SPRUCE_API result<void> yield();
// Waits for a time; 0 or less is a yield(). Errors: canceled, not_in_task. Cancel: ends the sleep early.
[[nodiscard]] SPRUCE_API result<void> sleep_for(any_duration d);
// Waits until a time of this loop's clock; one that has passed is a yield(). Errors: canceled, not_in_task.
[[nodiscard]] SPRUCE_API result<void> sleep_until(any_time_point t);
// Whether its next wait would fail with `canceled`. Where a deadline scope is open it reads the clock. false outside a
// task.
SPRUCE_API bool cancel_requested() noexcept;
// Its name, as long as it lives, and its id; "" and 0 outside a task.
SPRUCE_API char const* name() noexcept;
SPRUCE_API task_id id() noexcept;
}  // namespace this_task
using this_task::sleep_for, this_task::sleep_until, this_task::yield;

}}  // namespace spruce::v0
