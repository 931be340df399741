// A call of an async_function in progress.
#pragma once
#include <spruce/async_function.hpp>

#include "future_block.hpp"

namespace spruce { inline namespace v0 { namespace detail {

struct call_block;
struct pool_core;
// Its place in the line of its policy, from the call to its end.
struct call_place : list_link {
    call_block* of = nullptr;
    call_place* older = nullptr;       // those of the same type before and behind it
    call_place* newer = nullptr;
    call_place* next_type = nullptr;   // of the newest of its type: that of another
};

// A call that waits for its task: a cancellation takes it back, and afterwards destroys it, which runs users' code.
struct queued_call {
    void (*withdraw)(queued_call& q) noexcept;
    void (*destroy)(queued_call& q) noexcept;
};

struct call_block : future_block {
    task_block* task = nullptr;           // while it runs
    queued_call* queued = nullptr;        // while it waits for its task
    pool_core const* pool = nullptr;      // whose job it is
    function_core* function = nullptr;    // held until it ends
    policy_queue* queue = nullptr;        // null: of no policy, or the group has gone
    call_place place;
    parked* turn = nullptr;               // its wait for its turn
    bool late = false;                    // its group ended while its arguments were on their way
    future_block* last = nullptr;         // held until it ends: the newest unfinished one before it
    task_id by{};                         // the task's id, also when that is gone
    char name[stall_watch::name_bytes] = {};
};

}}}  // namespace spruce::v0::detail
