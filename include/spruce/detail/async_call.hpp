// What the calls of an async_function are made of. Nothing here is for users to call.
#pragma once
#include <cstddef>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "../task.hpp"
#include "future_core.hpp"

namespace spruce { inline namespace v0 {
struct async_options;
template <class R> class call_context;
}}

namespace spruce { inline namespace v0 { namespace detail {

struct function_core;
struct call_place;
// The calls of a policy that have not ended: room for the list's head; and the newest of each type.
struct policy_queue : pinned {
    SPRUCE_API policy_queue() noexcept;
    void* head[2];
    call_place* newest = nullptr;
};
SPRUCE_API void end_policy(policy_queue& q) noexcept;

struct function_claim {
    function_core* core;
    void* room;
};
SPRUCE_API function_claim claim_function(async_options const& options, std::size_t size,
                                         std::size_t alignment) noexcept;
SPRUCE_API void unclaim_function(function_core* f) noexcept;
SPRUCE_API void arm_function(function_core* f, void (*destroy)(void*) noexcept) noexcept;
SPRUCE_API void retain_function(function_core* f) noexcept;
SPRUCE_API void release_function(function_core* f) noexcept;
SPRUCE_API void* callable_of(function_core* f) noexcept;

// A new call; or, without one, the word of another one's future, or of a refusal.
struct call_claim {
    future_block* call;
    error_word word;
};
SPRUCE_API call_claim claim_call(function_core* f, future_ops const* ops) noexcept;
SPRUCE_API task_options call_options(function_core* f) noexcept;
// Runs it until it first waits; or says why there is no task.
SPRUCE_API void start_call(future_block* call, task_block* task) noexcept;
// The same, in its turn.
SPRUCE_API void adopt_call(future_block* call, task_block* task) noexcept;
SPRUCE_API void refuse_call(future_block* call, error why) noexcept;
// In its task: waits for its turn. Gives where the outcome is to be; null if it was canceled before.
SPRUCE_API void* begin_call(future_block* call) noexcept;
SPRUCE_API void finish_call(future_block* call) noexcept;
// The end of its task, run or not.
SPRUCE_API void end_call(future_block* call) noexcept;
SPRUCE_API future_ref last_call(future_block* call) noexcept;
SPRUCE_API void pace_call(future_block* call, duration interval) noexcept;
SPRUCE_API result<void> set_call_interval(future_block* b, duration interval) noexcept;
SPRUCE_API result<void> set_call_active(future_block* b, bool active) noexcept;
SPRUCE_API result<duration> call_interval(future_block* b) noexcept;
SPRUCE_API bool call_active(future_block* b) noexcept;

template <class R, class... A> struct signature_of_args { using type = R(A...); };
template <class R, class X, class... A> struct signature_of_args<R, call_context<X>&, A...> { using type = R(A...); };
template <class M> struct signature;
template <class R, class... A> struct signature<R (*)(A...)> : signature_of_args<R, A...> {};
template <class R, class... A> struct signature<R (*)(A...) noexcept> : signature_of_args<R, A...> {};
template <class C, class R, class... A> struct signature<R (C::*)(A...)> : signature_of_args<R, A...> {};
template <class C, class R, class... A> struct signature<R (C::*)(A...) const> : signature_of_args<R, A...> {};
template <class C, class R, class... A> struct signature<R (C::*)(A...) noexcept> : signature_of_args<R, A...> {};
template <class C, class R, class... A> struct signature<R (C::*)(A...) const noexcept> : signature_of_args<R, A...> {};
template <class F> struct callable_signature : signature<decltype(&F::operator())> {};
template <class R, class... A> struct callable_signature<R (*)(A...)> : signature_of_args<R, A...> {};
template <class R, class... A> struct callable_signature<R (*)(A...) noexcept> : signature_of_args<R, A...> {};

// How a call keeps an argument: itself; only of what f may change there is none of its own.
template <class A>
using kept_argument = std::conditional_t<std::is_lvalue_reference_v<A> && !std::is_const_v<std::remove_reference_t<A>>,
                                         A, std::decay_t<A>>;

// A call's right to end it, exactly once.
class call_guard {
public:
    explicit call_guard(future_block* call) noexcept : call_(call) {}
    call_guard(call_guard&& other) noexcept : call_(std::exchange(other.call_, nullptr)) {}
    ~call_guard() {
        if (call_) end_call(call_);
    }
    future_block* block() const noexcept { return call_; }

private:
    future_block* call_;
};

// In a call's task: what invoke() gives or throws is the outcome.
template <class R, class Invoke> void run_call(future_block* call, Invoke&& invoke) {
    void* const at = begin_call(call);
    if (!at) return;
    auto& outcome = *static_cast<task_outcome<R>*>(at);
    auto const run = [&] {
        if constexpr (std::is_void_v<decltype(invoke())>) {
            invoke();
            outcome.make();
        } else {
            outcome.make(invoke());
        }
    };
#if SPRUCE_THROWS
    try {
        run();
    } catch (...) {
        outcome.thrown = std::current_exception();
        if (!outcome.made) outcome.make(error(errc::task_failed));
    }
#else
    run();
#endif
    finish_call(call);
}

// What a call's task runs.
template <class F, class R, class... A> struct call_body {
    call_guard call;
    F& f;
    std::tuple<kept_argument<A>...> arguments;

    void operator()() {
        run_call<R>(call.block(), [this]() -> decltype(auto) {
            [[maybe_unused]] call_context<R> context(call.block());
            return std::apply([&](auto&... kept) -> decltype(auto) {
                if constexpr (std::invocable<F&, A...>) return std::invoke(f, static_cast<A&&>(kept)...);
                else return std::invoke(f, context, static_cast<A&&>(kept)...);
            }, arguments);
        });
    }
};

}}}  // namespace spruce::v0::detail
