// Groups of tasks, shields against cancellation, and deadlines for whole scopes.
#pragma once
#include "task.hpp"

namespace spruce { inline namespace v0 {

// What a group does when a member ends with an error that isn't a cancellation: nothing, or it cancels the others.
enum class on_error : std::uint8_t { keep_going, cancel_rest };

namespace detail {
struct group_state {
    task_block* first = nullptr;      // members that have not ended, in spawn order
    task_block* last = nullptr;
    std::size_t count = 0;
    bool cancel_rest = false;
    bool ending = false;              // its destructor has begun: spawn is refused
    bool failed = false;
    error failure = errc::canceled;   // the first, if failed
    // Whose that is: the member while its handle is kept, which knows whether it was looked at; else what is left of
    // it.
    bool looked = false;
    task_block* failed_member = nullptr;
    task_id failed_id{};
    char failed_name[32] = {};
    void* waiter = nullptr;
    task_block* owner = nullptr;      // the task that made it
};
SPRUCE_API void open_group(group_state& g) noexcept;
SPRUCE_API result<void> join_group(group_state& g, deadline dl) noexcept;
SPRUCE_API std::size_t cancel_group(group_state& g) noexcept;
SPRUCE_API void close_group(group_state& g) noexcept;

struct shield_state {
    task_block* of;
    bool outermost_sees_cancel;
    std::int64_t scope_due;
    void* scopes;
};
SPRUCE_API void open_shield(shield_state& s) noexcept;
SPRUCE_API void close_shield(shield_state& s) noexcept;

struct deadline_scope {
    deadline_scope* outer;
    task_block* of;
    task_id id;
    std::int64_t due_ns;
    std::int64_t outer_due;
};
SPRUCE_API void open_scope(deadline_scope& s, deadline dl) noexcept;
SPRUCE_API void close_scope(deadline_scope& s) noexcept;
// For a function that gives nothing, at its end: ok; or, if the scope's deadline has passed, as a wait would fail now.
SPRUCE_API result<void> outcome_of_scope(deadline_scope const& s) noexcept;
}  // namespace detail

// Tasks whose end is waited for here: leaving the scope leaves none of them behind. Thread: the task's that made it,
// and only that task may join it. Made outside a task it is of no use: spawn gives not_in_task.
class [[nodiscard]] task_group : detail::pinned {
public:
    [[nodiscard]] explicit task_group(on_error policy = on_error::keep_going) noexcept {
        state_.cancel_rest = policy == on_error::cancel_rest;
        detail::open_group(state_);
    }
    // Cancels all that have not ended, in the order they were spawned, and waits for their end; this wait cannot be
    // canceled. From here on spawn is refused with closed for all callers. The origin of the cancellation is each
    // member itself; where the owner leaves because it was canceled, or a scope around the group had its deadline pass,
    // it is that operation. A first failure that was neither joined nor looked at is reported, with the member's name.
    ~task_group() { detail::close_group(state_); }

    // spawn() into the group. Thread: any task of this loop. Errors (of the handle's calls): those of spawn,
    // not_in_task, closed (the group's end has begun). Cancel: what joins a group that is being canceled is canceled
    // before it begins: with cancel_rest from the first failure until join() has given it; and what a member that the
    // group has canceled spawns here, unless it does so in a cancel_shield.
    template <class F, class... A>
        requires(!detail::is_task_options<F>)
    task<detail::start_of_t<F, A...>> spawn(F&& f, A&&... args) {
        return detail::spawn_in(detail::special_spawn{&state_, nullptr}, std::forward<F>(f), std::forward<A>(args)...);
    }
    template <class F, class... A> task<detail::start_of_t<F, A...>> spawn(task_options options, F&& f, A&&... args) {
        return detail::spawn_in(detail::special_spawn{&state_, &options}, std::forward<F>(f), std::forward<A>(args)...);
    }
    // Waits until all have ended. Returns: the first error a member ended with that isn't a cancellation, or ok. That
    // counts as having looked at it; other members' errors are looked at by their handles. The group can be used again.
    // Errors: also canceled, timed_out, not_in_task, wrong_state (another task made it). Cancel: ends the wait; the
    // members go on.
    [[nodiscard]] result<void> join(deadline dl = {}) { return detail::join_group(state_, dl); }
    // Cancels all that have not ended, in spawn order, as task::cancel() would: each is the origin of its own
    // cancellation. What is spawned later runs, unless one of these spawns it (see spawn). Returns: how many that were.
    std::size_t cancel() noexcept { return detail::cancel_group(state_); }
    // How many have not ended.
    std::size_t size() const noexcept { return state_.count; }

private:
    detail::group_state state_;
};

// While it lives, this task's waits do not see that it is canceled, nor deadline scopes that were opened outside.
// Shields nest. Thread: the task's own stack. Outside a task it does nothing.
class [[nodiscard]] cancel_shield : detail::pinned {
public:
    [[nodiscard("a shield shields as long as it lives")]] cancel_shield() noexcept { detail::open_shield(state_); }
    ~cancel_shield() { detail::close_shield(state_); }

private:
    detail::shield_state state_;
};

namespace detail {
struct scope_guard {
    deadline_scope& scope;
    ~scope_guard() { close_scope(scope); }
};
template <class F, class... A> result<outcome_t<F, A...>> run_scope(deadline dl, F&& f, A... id) {
    deadline_scope scope;
    open_scope(scope, dl);
    scope_guard const guard{scope};
    using raw = std::invoke_result_t<F, A...>;
    if constexpr (sizeof...(A) != 0) ((id = scope.id), ...);
    if constexpr (std::is_void_v<raw>) {
        std::invoke(std::forward<F>(f), id...);
        return outcome_of_scope(scope);
    } else {
        result<outcome_t<F, A...>> outcome(std::invoke(std::forward<F>(f), id...));
        // Exactly this scope's expiry is its own time-out; all else passes unchanged.
        if (!outcome.ok() && outcome == error(errc::canceled) && outcome.error().is_from(scope.id))
            return error(errc::timed_out).caused_by(scope.id);
        return outcome;
    }
}
}  // namespace detail

// Calls f; once the deadline has passed, waits in f fail with `canceled`, caused by this scope, until f returns. f
// takes nothing, or the scope's id: result.error().is_from(id) tells this scope's expiry from an inner one's.
// Returns: what f gave; timed_out, caused by this scope, if f gave back just that cancellation. An f that gives nothing
// cannot say whether it came to its end: timed_out if the deadline had passed when it returned; where a scope around
// this one had passed as well, or the task was canceled, canceled with that origin. Scopes nest to any depth. Outside
// a task it calls f, and nothing more.
template <class F>
    requires std::invocable<F>
[[nodiscard]] result<detail::outcome_t<F>> with_deadline(deadline dl, F&& f) {
    return detail::run_scope(dl, std::forward<F>(f));
}
template <class F>
    requires std::invocable<F, task_id>
[[nodiscard]] result<detail::outcome_t<F, task_id>> with_deadline(deadline dl, F&& f) {
    return detail::run_scope(dl, std::forward<F>(f), task_id{});
}

}}  // namespace spruce::v0
