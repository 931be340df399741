// A cyclic barrier.
#pragma once
#include <concepts>
#include <cstddef>
#include <functional>
#include <new>
#include <type_traits>
#include <utility>

#include "detail/callback.hpp"
#include "wait_point.hpp"
#include "detail/waiter_list.hpp"

namespace spruce { inline namespace v0 {

class barrier;

namespace detail {
struct barrier_action_ops {
    result<void> (*run)(void* action);   // throws what the action throws
    void (*destroy)(void* action) noexcept;
};
template <class F> inline constexpr barrier_action_ops barrier_action_of{
    [](void* action) -> result<void> {
        if constexpr (is_result<std::invoke_result_t<F&>>) {
            auto const done = (*static_cast<F*>(action))();
            return done.ok() ? result<void>() : result<void>(done.error());
        } else {
            static_cast<void>((*static_cast<F*>(action))());
            return {};
        }
    },
    destroy_callable<F>};

// What the last who comes to a barrier runs.
struct barrier_action : pinned {
    void* callable = nullptr;
    barrier_action_ops const* ops = nullptr;
    std::size_t bytes = 0, alignment = 0;   // if it was allocated
    memory_hook memory;
    alignas(void*) std::byte room[4 * sizeof(void*)];

    template <class F, class G> bool hold(G&& f) {
        callable = room;
        if constexpr (sizeof(F) > sizeof room || alignof(F) > alignof(void*)) {
            memory = memory_here();
            callable = allocate(memory, sizeof(F), alignof(F));
            if (!callable) return false;
            bytes = sizeof(F);
            alignment = alignof(F);
        }
        ::new (callable) F(std::forward<G>(f));
        ops = &barrier_action_of<F>;
        return true;
    }
    ~barrier_action() {
        if (ops) ops->destroy(callable);
        if (bytes) release(memory, callable, bytes, alignment);
    }
};

// A cycle that is whole: its last lets the others go when the action has run.
struct barrier_cycle : pinned {
    ~barrier_cycle() {
        if (whole) end();
    }
    SPRUCE_API void end() noexcept;
    barrier* of = nullptr;   // null: the barrier died, or was reset
    bool whole = false;
    bool passed = false;     // the action has run, and did not fail
    waiter_list others;
    void* known[4]{};        // to the loop, if its last is a task: for a loop that ends without it
};
}  // namespace detail

// Where so many parties meet: each waits until the last has come, then all go on, and it begins anew. Who gives up
// breaks it for all: it cannot become whole any more. Thread: one loop's; the last who comes may be plain code.
// Lifetime: waiters that are left when it dies are woken with closed; it must not die within its action.
class barrier : detail::pinned {
public:
    // For so many parties; with 0 every wait is invalid_argument.
    explicit barrier(std::size_t parties) noexcept : parties_(parties) {}
    // With an action: the last party to arrive runs it, before any goes on. It may wait; a party that arrives meanwhile
    // waits for the next cycle. If it throws, or gives a result that is an error, the barrier is broken, and the
    // exception or the error is its runner's. If there is no memory for it, every wait gives no_memory.
    template <std::invocable F> barrier(std::size_t parties, F&& last_one_runs) : parties_(parties) {
        refused_ = !action_.template hold<std::decay_t<F>>(std::forward<F>(last_one_runs));
    }
    SPRUCE_API ~barrier();
    // Waits until all have come. Returns: 0 for the first who came, …, parties - 1 for the last.
    // Errors: canceled, timed_out (both break the barrier, but for a call that was canceled before), broken (a party
    // gave up, or it was reset or aborted), not_in_task, closed (it was destroyed), invalid_argument, no_memory.
    // Cancel: breaks the barrier; not once all have come.
    [[nodiscard]] result<std::size_t> wait(deadline dl = {}) {
        detail::counted_call const counted;
        detail::barrier_cycle cycle;
        SPRUCE_TRY(std::size_t const index, arrive(cycle, dl));
        if (!cycle.whole) return index;
        if (action_.ops) SPRUCE_CHECK(action_.ops->run(action_.callable));
        cycle.passed = true;
        return index;
    }
    // Makes it as new: those who wait get broken.
    SPRUCE_API void reset() noexcept;
    // Breaks it, until it is reset: those who wait get broken, and those who come.
    SPRUCE_API void abort() noexcept;
    // How many wait for others to come.
    std::size_t waiting() const noexcept { return count_; }
    bool broken() const noexcept { return broken_; }

private:
    friend detail::barrier_cycle;
    struct arriving;
    struct cycle_in_hand;
    SPRUCE_API result<std::size_t> arrive(detail::barrier_cycle& cycle, deadline dl) noexcept;
    void make_whole(detail::barrier_cycle& cycle, bool of_task) noexcept;
    void wake_all(error why) noexcept;
    detail::waiter_list waiters_;
    std::size_t parties_, count_ = 0;
    bool broken_ = false, refused_ = false;
    detail::barrier_cycle* running_ = nullptr;
    detail::barrier_action action_;
};

}}  // namespace spruce::v0
