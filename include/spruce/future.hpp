// Futures: values to come; and promises, by which they come.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <new>
#include <type_traits>
#include <utility>

#include "detail/future_core.hpp"
#include "progress.hpp"

namespace spruce { inline namespace v0 {

// A value to come, or the error that comes instead. Copies are the same one. When a task is canceled while it waits for
// it, the cancellation goes on to the future if that can be canceled and has no other waiter or subscriber. An error
// that was not looked at is reported to the loop's unhandled hook when the last handle goes.
// Thread: the loop's where its promise was made, or its function called; elsewhere calls give wrong_thread (or false),
// and copying and dropping are allowed. Lifetime: it may outlive its loop; then get() gives the outcome, or closed.
template <class T> class future {
public:
    // Empty: its calls give wrong_state.
    future() noexcept = default;

    // Waits until there is an outcome.
    // Returns: ok, whatever it is. Errors: canceled, timed_out, not_in_task, wrong_state (empty), wrong_thread, closed
    // (its loop has ended), deadlock (of a call, by the call itself); of one that could not be made: why. Cancel: goes
    // on to the future, see above.
    [[nodiscard]] result<void> wait(deadline dl = {}) const {
        if (!block()) return detail::refused_call(ref_.why());
        return detail::wait_future(block(), dl);
    }
    // Waits, and gives the value: a copy; what cannot be copied is moved out, once.
    // Errors: those of wait; what the promise failed with, or the function gave; closed (the promise went without an
    // outcome); task_failed (an exception, see exception()); task_canceled (it was canceled; its origin is the
    // operation on which cancel() was called, or whose deadline passed); wrong_state (moved out before). Cancel: as of
    // wait.
    [[nodiscard]] result<T> get(deadline dl = {}) & { return take(dl, false); }
    // The same; moved out if this is the last handle.
    [[nodiscard]] result<T> get(deadline dl = {}) && { return take(dl, true); }

    // Whether there is an outcome; and whether it is an error, which does not count as having looked at it. Of an empty
    // one, and of one that could not be made, both are true.
    bool done() const noexcept { return !block() || detail::future_done(block()); }
    bool failed() const noexcept { return !block() || detail::future_failed(block()); }

    // Runs f with the outcome, from the loop, once it is there; in the next pass if it is. Keeps run() alive from then
    // on. It counts as having looked.
    // Errors (of the handler): wrong_state (empty), wrong_thread, full, no_memory, closed.
    template <std::invocable<result<T> const&> F> handler on_done(F&& f) const {
        return detail::subscribe<detail::done_call<std::decay_t<F>, T>>(ref_, detail::subscription::done,
                                                                        std::forward<F>(f));
    }
    // Runs f, from the loop, when the promise or the call reports how far it is. Reports that come faster than f runs
    // coalesce into the last one. A later subscriber gets the last report first.
    // Errors (of the handler): wrong_state (empty, or there is an outcome), wrong_thread, full, no_memory, closed.
    template <std::invocable<progress const&> F> handler on_progress(F&& f) const {
        return detail::subscribe<detail::progress_call<std::decay_t<F>>>(ref_, detail::subscription::progress,
                                                                         std::forward<F>(f));
    }

    // Asks for its end. A promise's future has its outcome at once: task_canceled; a call's when its task ends; one
    // that follows another hands it on, unless others wait for that one: then it ends alone. The origin of
    // task_canceled, and of what is canceled as a consequence, is this future, whatever the caller and its thread:
    // error::is_from(id()).
    // Returns: true if it had no outcome and can be canceled. Never waits, and runs no callback.
    bool cancel() const noexcept { return block() && detail::cancel_future(block()); }
    // Whether cancel() would do something: it belongs to a call, its promise has on_cancel(), or it follows such a one.
    bool cancelable() const noexcept { return block() && detail::future_cancelable(block()); }
    // What names it as the origin of a cancellation; the same of all its copies. A call's is that of the task that runs
    // it. 0 of an empty one, and on another thread.
    task_id id() const noexcept { return block() ? detail::future_identity(block()) : task_id{}; }
    // One that follows this one, and cannot be canceled: what is canceled behind it stops there.
    [[nodiscard]] future shield() const { return future(detail::shield_future(ref_, &detail::future_ops_of<T>)); }

#if SPRUCE_EXCEPTIONS
    // The exception that is its outcome, or null. Counts as having looked.
    [[nodiscard]] std::exception_ptr exception() const noexcept {
        void* const at = block() ? detail::outcome_if_there(block()) : nullptr;
        return at ? static_cast<detail::task_outcome<T>*>(at)->thrown : nullptr;
    }
#endif

    // In wait_any and wait_all: it has an outcome, which take() gives as get() does, of a handle that is moved in as
    // that of the last. Errors (of the wait): wrong_state (empty), wrong_thread, closed, deadlock; of one that could
    // not be made: why.
    // Cancel: ends the wait; the future goes on.
    class condition {
    public:
        explicit condition(future const& f) noexcept : of_(f) {}
        explicit condition(future&& f) noexcept : of_(std::move(f)), moves_(true) {}
        result<void> arm(wait_point& p) noexcept {
            return of_.block() ? detail::arm_future(of_.block(), entry_, p) : of_.ref_.why();
        }
        void disarm() noexcept { detail::disarm_future(entry_); }
        bool ready() const noexcept { return of_.done(); }
        [[nodiscard]] result<T> take() {
            void* const at = of_.block() ? detail::outcome_if_there(of_.block()) : nullptr;
            if (!at) return errc::closed;
            return detail::take_outcome(*static_cast<detail::task_outcome<T>*>(at),
                                        moves_ && detail::is_last_handle(of_.block()));
        }

    private:
        future of_;
        bool moves_ = false;
        detail::wait_entry entry_;
    };

private:
    friend struct detail::future_access;
    explicit future(detail::future_ref ref) noexcept : ref_(std::move(ref)) {}
    detail::future_block* block() const noexcept { return ref_.block(); }
    result<T> take(deadline dl, bool last) {
        detail::future_block* const b = block();
        if (!b) return detail::refused_call(ref_.why());
        detail::counted_call const counted;   // its end comes after all has been let go
        // Held until the value is taken: this handle may go or be given another future while it waits, or by T's copy.
        detail::future_ref held;
        if constexpr (!(std::is_void_v<T> || std::is_trivially_copyable_v<T>)) held = ref_;
        bool has_waited = false;
        auto at = detail::await_outcome(b, dl, has_waited);
        detail::future_ref const waited(has_waited ? reinterpret_cast<std::uintptr_t>(b) : 0);
        if (!at) return at.error();
        std::uint32_t const own = 1u + (held.block() ? 1u : 0u) + (has_waited ? 1u : 0u);
        return detail::take_outcome(*static_cast<detail::task_outcome<T>*>(*at),
                                    last && detail::is_last_handle(b, own));
    }
    detail::future_ref ref_;
};

// The other end: gives a future its outcome, once. Moves; dropped without an outcome its future fails with closed.
// Thread: the loop's where it was made (the main thread gets its loop by that, as by spawn()); elsewhere calls give
// wrong_thread, and dropping is allowed. Its memory, one block for both ends, comes from that loop's hook.
// Errors of all calls, and of the future: no_memory, no_loop, if it could not be made.
template <class T> class promise {
public:
    promise() noexcept : ref_(detail::make_future(&detail::future_ops_of<T>)) {}
    promise(promise&&) noexcept = default;
    promise& operator=(promise&& other) noexcept {
        if (this != &other) {
            promise const old(std::move(*this));
            ref_ = std::move(other.ref_);
        }
        return *this;
    }
    ~promise() {
        if (detail::future_block* const b = block()) {
            ref_.release();
            detail::drop_promise(b);
        }
    }
    // Any number of them are the same.
    future<T> get_future() const noexcept { return detail::future_access::handle<T>(ref_); }

    // Gives the value; or a result<T>, a value or an error. No waiter or subscriber runs inside this
    // call.
    // Errors: wrong_state (it has an outcome, or follows another; also once it was canceled), wrong_thread, closed.
    template <class... U>
        requires(sizeof...(U) == (std::is_void_v<T> ? 0 : 1))
    [[nodiscard]] result<void> set(U&&... value) {
        if (!block()) return ref_.why();
        result<T> made(std::forward<U>(value)...);
        auto at = detail::outcome_room(block());
        if (!at) return at.error();
        static_cast<detail::task_outcome<T>*>(*at)->make(std::move(made));
        detail::announce(block());
        return {};
    }
    // Gives an error instead. Errors: as of set().
    [[nodiscard]] result<void> fail(spruce::error e) {
        if (!block()) return ref_.why();
        return detail::fail_future(block(), e);
    }
#if SPRUCE_EXCEPTIONS
    // Gives an exception instead: get() says task_failed, with its text as the detail. Errors: as of set().
    [[nodiscard]] result<void> fail(std::exception_ptr e) {
        if (!block()) return ref_.why();
        auto at = detail::outcome_room(block());
        if (!at) return at.error();
        auto& outcome = *static_cast<detail::task_outcome<T>*>(*at);
        outcome.thrown = std::move(e);
        outcome.make(spruce::error(errc::task_failed));
        detail::announce(block());
        return {};
    }
#endif
    // Takes the other one's outcome, now or when it comes: nothing is copied, both have the same from then on.
    // Errors: as of set(); deadlock (the other one follows or gathers this one), and this one can still be set.
    [[nodiscard]] result<void> follow(future<T> other) {
        if (!block()) return ref_.why();
        return detail::follow_future(block(), detail::future_access::ref(other));
    }
    // Tells how far it is, of how much; 0 of how much: unknown. Errors: as of set().
    result<void> report(std::uint64_t position, std::uint64_t maximum) {
        if (!block()) return ref_.why();
        return detail::report_progress(block(), position, maximum);
    }
    // Makes it cancelable: f runs, from the loop, once it was canceled; then the future has its outcome already. Never
    // if it gets another one before. Several are called in order.
    // Errors (of the handler): wrong_state (it has an outcome), wrong_thread, full, no_memory, closed.
    template <std::invocable F> handler on_cancel(F&& f) {
        return detail::subscribe<detail::cancel_call<std::decay_t<F>>>(ref_, detail::subscription::cancel,
                                                                       std::forward<F>(f));
    }

private:
    detail::future_block* block() const noexcept { return ref_.block(); }
    detail::future_ref ref_;
};

}}  // namespace spruce::v0
