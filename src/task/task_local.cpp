// Task-local values: a list in each task's block, and one for the plain code of a loop.
#include <spruce/task_local.hpp>

#include <atomic>

#include "../base/round_up.hpp"
#include "../loop/plain_scope.hpp"
#include "scheduler.hpp"

namespace spruce::inline v0::detail {

namespace {
constinit std::atomic<std::uintptr_t> next_key{1};

// Whose values: the running task's, or plain code's.
local_value*& list_of(scheduler& s) noexcept { return s.current ? s.current->locals : s.locals; }
bool is_over(scheduler const& s) noexcept {
    return s.current ? s.current->locals_over || s.current->state == task_state::ended : s.locals_over;
}

void free_local(hub& h, local_value* v) noexcept { release(h.options.memory, v, v->bytes, v->alignment); }
void end_local(hub& h, local_value* v) noexcept {
    v->destroy(v->value());
    free_local(h, v);
}
}  // namespace

std::uint64_t new_local_key() noexcept { return next_key.fetch_add(1, std::memory_order_relaxed); }

result<local_value*> find_local(std::uint64_t key) noexcept {
    scheduler* s = current_scheduler;
    if (!s) {
        SPRUCE_TRY(s, need_scheduler());
    }
    for (local_value* v = list_of(*s); v; v = v->next)
        if (v->key == key) return v;
    if (is_over(*s)) return errc::closed;
    return static_cast<local_value*>(nullptr);
}

result<local_value*> claim_local(std::uint64_t key, std::size_t size, std::size_t alignment) noexcept {
    std::size_t const strictest = alignment > alignof(local_value) ? alignment : alignof(local_value);
    std::size_t const offset = round_up(sizeof(local_value), alignment);
    void* const block = allocate(current_scheduler->h.options.memory, offset + size, strictest);
    if (!block) return errc::no_memory;
    return ::new (block) local_value{nullptr, key, nullptr, offset + size, strictest, offset};
}

void keep_local(local_value* v, void (*destroy)(void*) noexcept) noexcept {
    local_value*& first = list_of(*current_scheduler);
    v->destroy = destroy;
    v->next = first;
    first = v;
}

void drop_local(local_value* v) noexcept { free_local(current_scheduler->h, v); }

bool reset_local(std::uint64_t key) noexcept {
    scheduler* const s = current_scheduler;
    if (!s) return false;
    plain_scope const scope(&s->h);   // the value may be the last to own the loop
    for (local_value** at = &list_of(*s); *at; at = &(*at)->next) {
        if ((*at)->key != key) continue;
        local_value* const v = *at;
        *at = v->next;
        end_local(s->h, v);
        return true;
    }
    return false;
}

void end_locals(hub& h, local_value*& first) noexcept {
    // Taken out before it is destroyed: its destructor may wait, look for others, and reset them.
    while (local_value* const v = first) {
        first = v->next;
        end_local(h, v);
    }
}

}  // namespace spruce::inline v0::detail
