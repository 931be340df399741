// Tasks: functions with a stack of their own that wait without blocking the thread.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "handler.hpp"
#include "loop.hpp"
#include "result.hpp"
#include "detail/task_core.hpp"
#include "detail/task_outcome.hpp"
#include "this_task.hpp"
#include "time.hpp"
#include "wait_point.hpp"

namespace spruce { inline namespace v0 {

// How a task is made.
struct task_options {
    std::string_view name{};        // 31 bytes are kept; without one it is called "task N"
    // Bytes, rounded up to 16 K, 64 K, 256 K, 1 M or 8 M, the most; 0: the default, 256 K (64 K where pointers have 32
    // bits)
    std::size_t stack_size = 0;
    // Does not keep run() alive, is not reported, and is canceled when run() ends; spawned during that end, before it
    // begins
    bool background = false;
    // For a great many tasks whose depth is known: a stack of 2 K, 4 K or 8 K (stack_size; 0: 8 K), side by side in
    // huge pages, without a guard. Who grows beyond it writes over a neighbour; most of that is found when the task
    // ends, and ends the program by name, but a frame may reach over what is looked at. docs/stacks.md tells what takes
    // how much: an exception, or printf(), more than 2 K. A signal handler that is not SA_ONSTACK runs on it, too.
    // Under sanitizers, Valgrind and ucontext: 16 K, guarded. invalid_argument: more than 8 K; arguments that leave too
    // little; less than 8 K in a program whose calls are not bound when it begins (link it with -z now).
    bool unguarded = false;
};

template <class R> class task;

// A running function. The handle moves, and detaches when dropped: the task goes on. Thread: the loop's. On another
// thread calls give wrong_thread (or false, 0, ""), and dropping is allowed. Lifetime: it may outlive its loop;
// then get() gives the outcome, or closed if the task had none.
template <class R> class task {
public:
    // Empty: its calls give wrong_state.
    task() noexcept = default;
    task(task&& other) noexcept : word_(std::exchange(other.word_, 0)) {}
    task& operator=(task&& other) noexcept {
        if (this != &other) {
            // First the new one: the old task's value may look here as it is destroyed.
            task const old(std::move(*this));
            word_ = std::exchange(other.word_, 0);
        }
        return *this;
    }
    ~task() { detail::drop_handle(block()); }

    // Waits until the task has ended.
    // Returns: ok, however it ended. Errors: canceled, timed_out, not_in_task, deadlock (a task joins itself),
    // wrong_state (empty), wrong_thread, closed; of a refused spawn: why. Cancel: ends the wait, not the task.
    [[nodiscard]] result<void> join(deadline dl = {}) const {
        if (!block()) return detail::refused_call(why());
        return detail::join_task(block(), dl);
    }

    // Waits, and gives the task's value: a copy; what cannot be copied is moved out, once.
    // Errors: those of join; f's own error, unchanged; task_failed (an exception escaped, see exception());
    // task_canceled (it ended with `canceled` after it was canceled, or never began; its origin is the operation that
    // was canceled: this task, or another one that took it along); wrong_state (moved out before).
    // Lifetime: it is the outcome of the task that the handle named when the call began, whatever becomes of the
    // handle.
    [[nodiscard]] result<R> get(deadline dl = {}) & { return take<copies>(dl); }
    // The same, moved out.
    [[nodiscard]] result<R> get(deadline dl = {}) && { return take<!is_object>(dl); }

    // Asks it to end: its waits fail with `canceled` from now on; not yet begun, it never will. The origin of these
    // errors, and of what is canceled as a consequence, is this task, whatever the caller and its thread:
    // error::is_from(id()).
    // Returns: true if it had not ended. Never waits.
    bool cancel() const noexcept { return block() && detail::cancel_task(block()); }
    // Whether it has ended. True as well where nothing will ever run: a refused spawn, an empty handle.
    bool done() const noexcept { return !block() || detail::task_done(block()); }
    // Its name, or "task N", and its id; "" and 0 of an empty handle. Lifetime of the name: the handle's.
    char const* name() const noexcept { return block() ? detail::task_name(block()) : ""; }
    task_id id() const noexcept { return block() ? detail::task_identity(block()) : task_id{}; }

    // Runs f on the loop once the task has ended; in the next pass if it has.
    // Errors (of the handler): wrong_state, wrong_thread, full, no_memory, closed.
    template <std::invocable F> handler on_done(F&& f) const {
        using held = std::decay_t<F>;
        if (!block()) return detail::refused_handler(why());
        auto c = detail::claim_on_done(block(), sizeof(held), alignof(held));
        if (!c.room) return detail::refused_handler(c.why);
        detail::move_in<held>(c.room, std::forward<F>(f),
                              [&] { detail::unclaim_handler(detail::hub_of(block()), c.slot); });
        return detail::arm_on_done(block(), c.slot, &detail::callback_ops<held>);
    }

#if SPRUCE_EXCEPTIONS
    // The exception that escaped from it, or null: none did, or it has not ended. Counts as having looked.
    [[nodiscard]] std::exception_ptr exception() const noexcept {
        void* const at = block() ? detail::outcome_if_ended(block()) : nullptr;
        return at ? static_cast<detail::task_outcome<R>*>(at)->thrown : nullptr;
    }
#endif

    // In wait_any and wait_all: its end, and its value as of get(), moved out of a handle that is moved in. Errors (of
    // the wait): those of join but canceled, timed_out, not_in_task. Lifetime: as of get(); the handle is there when
    // the wait begins.
    class condition {
    public:
        explicit condition(task const& t) noexcept : of_(&t) {}
        explicit condition(task&& t) noexcept : of_(&t), moves_(true) {}
        result<void> arm(wait_point& p) {
            detail::task_block* const b = of_->block();
            kept_.keep(b);
            return b ? detail::arm_join(b, entry_, p) : of_->why();
        }
        void disarm() noexcept { detail::disarm_join(entry_); }
        [[nodiscard]] result<R> take() {
            detail::task_block* const b = kept_.block() ? kept_.block() : of_->block();
            if (!b) return of_->why();
            void* const at = detail::outcome_if_ended(b);
            if (!at) return errc::closed;
            return moves_ ? take_from<!is_object>(b, at) : take_from<copies>(b, at);
        }

    private:
        task const* of_;
        bool moves_ = false;
        detail::kept_task kept_;   // what the wait is for
        detail::wait_entry entry_;
    };

private:
    friend struct detail::task_access;
    // A block's address; or, with the lowest bit set, the error of a refused spawn; or 0.
    detail::error_word word_ = 0;
    static constexpr bool is_object = !std::is_void_v<R> && !std::is_reference_v<R>;
    static constexpr bool copies = !is_object || std::copy_constructible<R>;

    detail::task_block* block() const noexcept {
        return (word_ & 1) != 0 ? nullptr : reinterpret_cast<detail::task_block*>(static_cast<std::uintptr_t>(word_));
    }
    error why() const noexcept {
        return word_ == 0 ? detail::with_detail(errc::wrong_state, "an empty task handle") : detail::unpack(word_);
    }
    template <bool copy> result<R> take(deadline dl) {
        detail::task_block* const b = block();
        if (!b) return detail::refused_call(why());
        detail::counted_call const counted;
        detail::kept_task const kept(b);
        auto at = detail::outcome_of(b, dl);
        return at ? take_from<copy>(b, *at) : result<R>(at.error());
    }
    template <bool copy> static result<R> take_from(detail::task_block* b, void* at) {
        auto& outcome = *static_cast<detail::task_outcome<R>*>(at);
        if (!outcome.made) return errc::closed;
        if (outcome.taken) return detail::with_detail(errc::wrong_state, "its value was moved out before");
        if (!outcome.value.ok() && outcome.value.error() == error(errc::canceled) && detail::task_was_canceled(b))
            return error(errc::task_canceled).caused_by(detail::task_canceler(b));
        if (!outcome.value.ok()) return detail::explained(b, outcome.value.error());   // it can be asked for again
        if constexpr (copy) {
            return outcome.value;
        } else {
            outcome.taken = true;
            return std::move(outcome.value);
        }
    }
};

namespace detail {
struct task_access {
    template <class R> static task<R> handle(error_word word) noexcept {
        task<R> t;
        t.word_ = word;
        return t;
    }
    static error_word refused(error const& e) noexcept { return pack(e); }
    template <class R> static task_block* block(task<R> const& t) noexcept { return t.block(); }
    template <class R> static error why(task<R> const& t) noexcept { return t.why(); }
};

// How it begins: plainly, or in a group or with options, either of which may be null.
struct plain_spawn {
    static spawn_claim claim(std::size_t size, std::size_t alignment) noexcept { return claim_task(size, alignment); }
    static void start(task_block* block, task_ops const* ops) noexcept { start_task(block, ops); }
};
struct special_spawn {
    group_state* group;
    task_options const* options;
    spawn_claim claim(std::size_t size, std::size_t alignment) const noexcept {
        return claim_special_task(options, size, alignment, group);
    }
    static void start(task_block* block, task_ops const* ops) noexcept { start_special_task(block, ops); }
};
template <class How, class F, class... A> task<started_t<F, A...>> spawn_checked(How how, F&& f, A&&... args) {
    using payload = task_payload<F, A...>;
    using R = started_t<F, A...>;
    spawn_claim const c = how.claim(sizeof(payload), alignof(payload));
    if (!c.room) return task_access::handle<R>(c.word);
    make_in<payload>(c.room, [&] { unclaim_task(c.block()); }, std::forward<F>(f), std::forward<A>(args)...);
    how.start(c.block(), &ops_of<payload>);
    return task_access::handle<R>(c.word);
}
template <class How, class F, class... A> task<start_of_t<F, A...>> spawn_in(How how, F&& f, A&&... args) {
    if constexpr (check_start<F, A...>()) return spawn_checked(how, std::forward<F>(f), std::forward<A>(args)...);
    else return {};
}
template <class F> inline constexpr bool is_task_options = std::is_convertible_v<F, task_options>;
}  // namespace detail

// Makes a task of f(args...) on this thread's loop. It runs later, in its turn: spawn order is run order. f and the
// arguments are moved (or copied) onto its stack; std::ref for references. No heap.
// Errors (of the handle's calls): full (max_tasks), no_memory, an errno (no stack), invalid_argument (stack_size, or
// arguments larger than any stack), closed, no_loop.
// Lifetime: what f captures by reference must outlive the task.
template <class F, class... A>
    requires(!detail::is_task_options<F>)
task<detail::start_of_t<F, A...>> spawn(F&& f, A&&... args) {
    return detail::spawn_in(detail::plain_spawn{}, std::forward<F>(f), std::forward<A>(args)...);
}
// The same, with a name, a stack size, or in the background.
template <class F, class... A> task<detail::start_of_t<F, A...>> spawn(task_options options, F&& f, A&&... args) {
    return detail::spawn_in(detail::special_spawn{nullptr, &options}, std::forward<F>(f), std::forward<A>(args)...);
}

// Runs a task at once, before its turn, until it first waits, yields or ends; then comes back. From a task or a
// callback; nested calls come back last in, first out.
// Errors: wrong_state unless it is fresh or ready (it runs, waits or has ended; or the handle is empty); wrong_thread.
template <class R> result<void> run_now(task<R> const& t) {
    detail::task_block* const b = detail::task_access::block(t);
    return b ? detail::switch_now(b) : result<void>(detail::task_access::why(t));
}

}}  // namespace spruce::v0
