// What a task's handle asks of the library. Nothing here is for users to call.
#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>

#include "../handler.hpp"
#include "../result.hpp"
#include "../time.hpp"
#include "../wait_point.hpp"
#include "task_outcome.hpp"

namespace spruce { inline namespace v0 {
struct task_options;
}}

namespace spruce { inline namespace v0 { namespace detail {

struct task_block;
struct group_state;

// A block with room for such a payload on its stack; or no room, and why not, as a handle keeps it. In registers.
struct spawn_claim {
    error_word word;
    void* room;
    task_block* block() const noexcept { return reinterpret_cast<task_block*>(static_cast<std::uintptr_t>(word)); }
};
// The first for a task with neither options nor a group.
SPRUCE_API spawn_claim claim_task(std::size_t size, std::size_t alignment) noexcept;
SPRUCE_API spawn_claim claim_special_task(task_options const* or_null, std::size_t size, std::size_t alignment,
                                          group_state* group) noexcept;
SPRUCE_API void unclaim_task(task_block* block) noexcept;
SPRUCE_API void start_task(task_block* block, task_ops const* ops) noexcept;
SPRUCE_API void start_special_task(task_block* block, task_ops const* ops) noexcept;

// -- what handles ask; each null-safe, and safe on any thread
SPRUCE_API result<void> join_task(task_block* block, deadline dl) noexcept;
// The outcome's place, once the task has ended; waits for it. Counts as having looked.
SPRUCE_API result<void*> outcome_of(task_block* block, deadline dl) noexcept;
SPRUCE_API void* outcome_if_ended(task_block* block) noexcept;
SPRUCE_API bool cancel_task(task_block* block) noexcept;
// The same as a consequence of another operation's cancellation, which stays the origin; of none (0): as above.
SPRUCE_API bool cancel_task_for(task_block* block, task_id cause) noexcept;
// Which operation was canceled (or had its deadline pass), so that the running task is to end; 0: none, or no task.
SPRUCE_API task_id cause_here() noexcept;
SPRUCE_API bool task_done(task_block* block) noexcept;
SPRUCE_API bool task_was_canceled(task_block* block) noexcept;
SPRUCE_API task_id task_canceler(task_block* block) noexcept;
SPRUCE_API char const* task_name(task_block* block) noexcept;
SPRUCE_API task_id task_identity(task_block* block) noexcept;
SPRUCE_API void drop_handle(task_block* block) noexcept;
// Its outcome stays, though the handle goes, until let_task_go(). false: it is another loop's, and does not.
SPRUCE_API bool keep_task(task_block* block) noexcept;
SPRUCE_API void let_task_go(task_block* block) noexcept;
SPRUCE_API result<void> arm_join(task_block* block, wait_entry& e, wait_point& p) noexcept;
SPRUCE_API void disarm_join(wait_entry& e) noexcept;
SPRUCE_API handler arm_on_done(task_block* block, handler_slot* slot, callable_ops const* ops) noexcept;
SPRUCE_API hub* hub_of(task_block* block) noexcept;
SPRUCE_API slot_claim claim_on_done(task_block* block, std::size_t size, std::size_t alignment) noexcept;
// The error it ended with; of an exception, with its text as the detail.
SPRUCE_API error explained(task_block* block, error e) noexcept;
SPRUCE_API result<void> switch_now(task_block* block) noexcept;
struct task_access;
// A task that waits for an outcome holds what it waits for: its handle may be given another task meanwhile, or go.
class kept_task : pinned {
public:
    kept_task() noexcept = default;
    explicit kept_task(task_block* b) noexcept { keep(b); }
    ~kept_task() { keep(nullptr); }
    void keep(task_block* b) noexcept {
        task_block* const now = b && keep_task(b) ? b : nullptr;
        if (task_block* const before = std::exchange(block_, now)) let_task_go(before);
    }
    task_block* block() const noexcept { return block_; }

private:
    task_block* block_ = nullptr;
};

}}}  // namespace spruce::v0::detail
