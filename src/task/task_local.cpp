// Task-local values: a list in each task's block, and one for the plain code of a loop; and a table for those of long
// lists.
#include <spruce/task_local.hpp>

#include <atomic>
#include <utility>

#include "../base/round_up.hpp"
#include "../loop/plain_scope.hpp"
#include "scheduler.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
constinit std::atomic<std::uintptr_t> next_key{1};

// Whose values: the running task's, or plain code's.
local_value*& list_of(scheduler& s) noexcept { return s.current ? s.current->locals : s.locals; }
bool is_over(scheduler const& s) noexcept {
    return s.current ? s.current->locals_over || s.current->state == task_state::ended : s.locals_over;
}

// -- the table

// So many of a list are looked at one after another; those behind them stand in the table, too.
constexpr int near = 8;

std::size_t bucket_of(local_table const& t, void const* list, std::uint64_t key) noexcept {
    std::uint64_t h = (reinterpret_cast<std::uintptr_t>(list) ^ key * 0x9e3779b97f4a7c15u) * 0x9e3779b97f4a7c15u;
    return static_cast<std::size_t>(h >> 32) & (t.size - 1);
}

void resize(hub& h, local_table& t, std::size_t size) noexcept {
    auto** const made =
        static_cast<local_value**>(allocate(h.options.memory, size * sizeof(local_value*), alignof(local_value*)));
    if (!made) return;
    for (std::size_t i = 0; i != size; ++i) made[i] = nullptr;
    local_table const before = std::exchange(t, {made, size, t.count, t.incomplete});
    for (std::size_t i = 0; i != before.size; ++i) {
        while (local_value* const v = before.buckets[i]) {
            before.buckets[i] = v->next_in_bucket;
            local_value*& first = made[bucket_of(t, v->list, v->key)];
            v->next_in_bucket = std::exchange(first, v);
        }
    }
    release(h.options.memory, before.buckets, before.size * sizeof(local_value*), alignof(local_value*));
}

void enter_table(scheduler& s, local_value& v, void const* list) noexcept {
    local_table& t = s.locals_far;
    if (v.list) return;
    if (t.count == t.size) resize(s.h, t, t.size ? t.size * 2 : 64);
    if (t.size == 0) return static_cast<void>(t.incomplete = true);
    v.list = list;
    local_value*& first = t.buckets[bucket_of(t, list, v.key)];
    v.next_in_bucket = std::exchange(first, &v);
    ++t.count;
}

void leave_table(scheduler& s, local_value& v) noexcept {
    if (!v.list) return;
    local_value** at = &s.locals_far.buckets[bucket_of(s.locals_far, v.list, v.key)];
    while (*at != &v) at = &(*at)->next_in_bucket;
    *at = v.next_in_bucket;
    v.list = nullptr;
    --s.locals_far.count;
}

local_value* find(scheduler& s, local_value* const& list, std::uint64_t key) noexcept {
    local_value* v = list;
    for (int i = 0; v && i != near; ++i, v = v->next)
        if (v->key == key) return v;
    if (!v) return nullptr;
    local_table const& t = s.locals_far;
    if (t.size != 0) {
        for (local_value* far = t.buckets[bucket_of(t, &list, key)]; far; far = far->next_in_bucket)
            if (far->key == key && far->list == &list) return far;
    }
    if (!t.incomplete) return nullptr;
    while (v && v->key != key) v = v->next;
    return v;
}

// -- their lives

void take_out(scheduler& s, local_value*& list, local_value& v) noexcept {
    leave_table(s, v);
    (v.previous ? v.previous->next : list) = v.next;
    if (v.next) v.next->previous = v.previous;
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
    if (local_value* const v = find(*s, list_of(*s), key)) return v;
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
    scheduler& s = *current_scheduler;
    local_value*& first = list_of(s);
    v->destroy = destroy;
    v->next = first;
    if (first) first->previous = v;
    first = v;
    // One is far from now on.
    local_value* far = v;
    for (int i = 0; far && i != near; ++i) far = far->next;
    if (far) enter_table(s, *far, &first);
}

void drop_local(local_value* v) noexcept { free_local(current_scheduler->h, v); }

bool reset_local(std::uint64_t key) noexcept {
    scheduler* const s = current_scheduler;
    if (!s) return false;
    local_value*& list = list_of(*s);
    local_value* const v = find(*s, list, key);
    if (!v) return false;
    plain_scope const scope(&s->h);   // the value may be the last to own the loop
    take_out(*s, list, *v);
    end_local(s->h, v);
    return true;
}

void end_locals(hub& h, local_value*& first) noexcept {
    // Taken out before it is destroyed: its destructor may wait, look for others, and reset them.
    while (local_value* const v = first) {
        take_out(*static_cast<scheduler*>(h.ext_state), first, *v);
        end_local(h, v);
    }
}

void end_local_table(scheduler& s) noexcept {
    release(s.h.options.memory, s.locals_far.buckets, s.locals_far.size * sizeof(local_value*), alignof(local_value*));
}

}}}  // namespace spruce::v0::detail
