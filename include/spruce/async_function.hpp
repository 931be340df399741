// Functions whose calls are tasks: what a call gives is a future, and a policy says how calls go together.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <new>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "detail/async_call.hpp"
#include "future.hpp"

namespace spruce { inline namespace v0 {

// What a call does while earlier calls of the same function, or of its group, have not ended.
enum class call_policy : std::uint8_t {
    each,           // it runs beside them
    synchronized,   // it waits until they have, one after another
    singleton,      // it is no call: the future is that of the one that runs
    pass_last       // it runs beside them, and can ask for the newest: call_context::last()
};

// Functions that share one policy's line of calls. Calls of a singleton group give the same type.
// Thread: its functions'. Lifetime: as long as its functions are called; calls that still wait for their turn when it
// ends, or whose arguments are on their way, fail with closed, those that run go on.
class policy_group : detail::pinned {
public:
    policy_group() noexcept = default;
    ~policy_group() { detail::end_policy(queue_); }
    // For the library's own use.
    detail::policy_queue& impl() noexcept { return queue_; }

private:
    detail::policy_queue queue_;
};

// How the calls of an async_function go.
struct async_options {
    call_policy policy = call_policy::each;
    any_duration interval{};            // each yield() of a call pauses so long; 0: it only lets others go first
    policy_group* group = nullptr;    // null: the policy is the function's own
    std::string_view name{};          // of its tasks; 31 bytes are kept
};

// What a call knows of itself: f may take one first. Thread: the call's task. Lifetime: until f returns.
template <class R> class call_context : detail::pinned {
public:
    explicit call_context(detail::future_block* call) noexcept : call_(call) {}
    // pass_last: the newest call that had not ended when this one was made; else, and if there was none, an empty
    // future.
    future<R> last() const noexcept { return detail::future_access::handle<R>(detail::last_call(call_)); }
    // Tells those who watch its future how far it is. Errors: wrong_state (f has returned).
    result<void> report(std::uint64_t position, std::uint64_t maximum) {
        return detail::report_progress(call_, position, maximum);
    }
    // From now on each yield() of this call pauses so long.
    void set_interval(any_duration d) noexcept { detail::pace_call(call_, d); }

private:
    detail::future_block* call_;
};

// A function whose calls are tasks, run to their first wait before the call returns. The future's cancel() cancels the
// task, and the future ends with it: with what f gave, or with task_canceled if f gave `canceled`. A call goes on
// though no handle to its future is kept; the loop's run() waits for it as for any task. Copies are the same function,
// with the same policy. f, in one block from the loop's hook, lives until the last copy and the last call have gone.
// Arguments that are no references to what f may change are kept with the call.
// Errors (of the future's calls): those of spawn(), no_memory; wrong_state (a singleton group whose call gives another
// type), wrong_thread (calls on another thread have not ended).
// Thread: one at a time; calls of a policy other than each, on one loop.
template <class S> class async_function;
template <class R, class... A> class async_function<R(A...)> {
public:
    template <class F>
        requires(std::invocable<F&, A...> || std::invocable<F&, call_context<detail::flat_t<R>>&, A...>)
    async_function(F f, async_options options = {}) : call_(start<F>) {
        auto const c = detail::claim_function(options, sizeof(F), alignof(F));
        if (!c.core) return;
        detail::move_in<F>(c.room, std::move(f), [&] { detail::unclaim_function(c.core); });
        detail::arm_function(c.core, detail::destroy_callable<F>);
        core_ = c.core;
    }
    async_function(async_function const& other) noexcept : core_(other.core_), call_(other.call_) {
        if (core_) detail::retain_function(core_);
    }
    async_function& operator=(async_function const& other) noexcept {
        async_function copy(other);
        std::swap(core_, copy.core_);
        std::swap(call_, copy.call_);
        return *this;
    }
    ~async_function() {
        if (core_) detail::release_function(core_);
    }

    // Calls it. From tasks, callbacks and plain code.
    future<detail::flat_t<R>> operator()(A... arguments) const { return call_(core_, std::forward<A>(arguments)...); }

private:
    using value = detail::flat_t<R>;
    template <class F> static future<value> start(detail::function_core* core, A&&... arguments) {
        using detail::future_ref;
        if (!core)
            return detail::future_access::handle<value>(future_ref(detail::task_access::refused(errc::no_memory)));
        auto const c = detail::claim_call(core, &detail::future_ops_of<value>);
        if (!c.call) return detail::future_access::handle<value>(future_ref(c.word));
        detail::call_guard guard(c.call);
        detail::retain_future(c.call);
        auto made = detail::future_access::handle<value>(future_ref(reinterpret_cast<std::uintptr_t>(c.call)));
        task_options const options = detail::call_options(core);
        detail::call_body<F, value, A...> body{std::move(guard), *static_cast<F*>(detail::callable_of(core)),
                                               std::tuple<detail::kept_argument<A>...>(std::forward<A>(arguments)...)};
        auto const task = detail::spawn_in(detail::special_spawn{nullptr, &options}, std::move(body));
        if (auto* const block = detail::task_access::block(task)) detail::start_call(c.call, block);
        else detail::refuse_call(c.call, detail::task_access::why(task));
        return made;
    }

    detail::function_core* core_ = nullptr;   // null: there was no memory for it
    future<value> (*call_)(detail::function_core* core, A&&... arguments);
};
// How a call goes on, from outside, by its future or one that follows it.
// Errors: wrong_state (no call: it has ended, or never was one), wrong_thread. From other threads, by loop_ref::call().

// Each yield() of the call pauses so long from now on; 0: it only lets others go first. A pause that is under way
// counts from when it began.
template <class T> result<void> set_interval(future<T> const& call, any_duration d) {
    auto const& of = detail::future_access::ref(call);
    return of.block() ? detail::set_call_interval(of.block(), d) : result<void>(of.why());
}
// How long each yield() of the call pauses.
template <class T> [[nodiscard]] result<duration> interval_of(future<T> const& call) {
    auto const& of = detail::future_access::ref(call);
    return of.block() ? detail::call_interval(of.block()) : result<duration>(of.why());
}
// Lets the call go on, or not. false: the next yield() of the call, or the pause that is under way, lasts until it is
// active again, or canceled.
template <class T> result<void> set_active(future<T> const& call, bool active) {
    auto const& of = detail::future_access::ref(call);
    return of.block() ? detail::set_call_active(of.block(), active) : result<void>(of.why());
}
// Whether it is a call that runs, and goes on by itself.
template <class T> bool is_active(future<T> const& call) noexcept {
    auto const& of = detail::future_access::ref(call);
    return of.block() && detail::call_active(of.block());
}

template <class F>
async_function(F, async_options = {}) -> async_function<typename detail::callable_signature<F>::type>;
}}  // namespace spruce::v0
