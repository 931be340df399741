// Where a loop is in its life, the moments of its hooks, and what its unhandled hook is given.
#pragma once
#include <cstdint>

#include "error.hpp"

namespace spruce { inline namespace v0 {

// When a start hook runs: before (what it holds delays the others), during, after.
enum class start_phase : std::uint8_t { before, during, after };

// When a shutdown hook runs: before (the loop still works as ever), during, after.
enum class shutdown_phase : std::uint8_t { before, during, after };

// Where a loop is in its life. stopping: a run that was stopped, or is in its shutdown hooks; or destroy().
enum class loop_state : std::uint8_t { idle, running, stopping, ended };

// What reaches the unhandled hook.
struct unhandled {
    task_id task;                   // 0 for a callback
    char const* name;               // the task's name; "" for a callback
    char const* what;               // the exception's text, or a sentence and the error's detail
    spruce::error reason;           // task_failed for an exception, else the error itself
};

}}  // namespace spruce::v0
