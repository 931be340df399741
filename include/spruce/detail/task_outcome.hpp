// How a task's function and its outcome lie on its stack. Nothing here is for users to call.
#pragma once
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

#include "callback.hpp"
#include "../result.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// What run() says of the outcome it left.
enum task_end : unsigned {
    end_succeeded = 1,   // no error, no exception
    end_trivial = 2      // nothing in it to destroy
};

// What the library does with a task's typed parts, which live on its stack below the block.
struct task_ops {
    unsigned (*run)(void* payload) noexcept;           // calls f, and leaves its outcome; gives task_end's bits
    // Destroys f and its arguments, unrun; outcome: task_canceled, by whom.
    void (*drop_start)(void* payload, task_id by) noexcept;
    void (*drop_outcome)(void* payload) noexcept;
    // The error it ended with; ok() if none.
    result<void> (*failure)(void const* payload) noexcept;
    // Calls `tell` with the text of the exception that escaped, "" if none did.
    void (*describe)(void* payload, void (*tell)(void* context, char const* what), void* context) noexcept;
};

// How a task ended. Lies first in the payload, so that a handle finds it knowing only R.
template <class R> struct task_outcome {
    union {
        result<R> value;
    };
#if SPRUCE_EXCEPTIONS
    std::exception_ptr thrown;
#endif
    bool made = false;
    bool taken = false;    // moved out
    task_outcome() noexcept {}
    ~task_outcome() {
        if (made) value.~result<R>();
    }
    template <class... U> void make(U&&... u) {
        ::new (static_cast<void*>(std::addressof(value))) result<R>(std::forward<U>(u)...);
        made = true;
    }
};

#if SPRUCE_THROWS
inline void describe_exception(std::exception_ptr const& thrown, void (*tell)(void*, char const*),
                               void* context) noexcept {
    if (!thrown) return tell(context, "");   // it handed on another task's failure
    try {
        std::rethrow_exception(thrown);
    } catch (std::exception const& e) {
        tell(context, e.what());
    } catch (...) {
        tell(context, "an exception that is not a std::exception");
    }
}
#endif

// What is done with an outcome: one for each type of value, not one for each function that gives it.
template <class R> struct outcome_calls {
    static void drop(void* at) noexcept { static_cast<task_outcome<R>*>(at)->~task_outcome<R>(); }
    static result<void> failure(void const* at) noexcept {
        auto const& o = *static_cast<task_outcome<R> const*>(at);
        if (!o.made || o.value.ok()) return {};
        return o.value.error();
    }
    static void describe(void* at, void (*tell)(void*, char const*), void* context) noexcept {
#if SPRUCE_THROWS
        describe_exception(static_cast<task_outcome<R>*>(at)->thrown, tell, context);
#else
        static_cast<void>(at);
        tell(context, "");
#endif
    }
};

// f and its arguments, until it has run: without any, no tuple, which costs every spawn's compilation.
template <class F, class... A> struct started_call {
    std::tuple<F, A...> all;
    template <class G, class... B>
    explicit started_call(G&& g, B&&... b) : all(std::forward<G>(g), std::forward<B>(b)...) {}
    decltype(auto) operator()() {
        return std::apply(
            [](auto&& f, auto&&... a) -> decltype(auto) { return std::invoke(std::move(f), std::move(a)...); },
            std::move(all));
    }
};
template <class F> struct started_call<F> {
    F f;
    template <class G> explicit started_call(G&& g) : f(std::forward<G>(g)) {}
    decltype(auto) operator()() { return std::invoke(std::move(f)); }
};

template <class F, class... A> struct task_payload : task_outcome<started_t<F, A...>> {
    using R = started_t<F, A...>;
    union {
        started_call<std::decay_t<F>, std::decay_t<A>...> start;
    };
    template <class G, class... B>
    explicit task_payload(G&& g, B&&... b) : start(std::forward<G>(g), std::forward<B>(b)...) {}
    ~task_payload() {}

    void call() {
        if constexpr (std::is_void_v<std::invoke_result_t<std::decay_t<F>, std::decay_t<A>...>>) {
            start();
            this->make();
        } else {
            this->make(start());
        }
    }
    static unsigned run(void* at) noexcept {
        auto& self = *static_cast<task_payload*>(at);
        unsigned end = std::is_trivially_destructible_v<result<R>> ? end_trivial : 0u;
#if SPRUCE_THROWS
        try {
            self.call();
        } catch (...) {
            self.thrown = std::current_exception();
            end = 0;
            if (!self.made) self.make(spruce::error(errc::task_failed));
        }
#else
        self.call();
#endif
        std::destroy_at(std::addressof(self.start));
        if (self.value.ok()) end |= end_succeeded;
        return end;
    }
    static void drop_start(void* at, task_id by) noexcept {
        auto& self = *static_cast<task_payload*>(at);
        std::destroy_at(std::addressof(self.start));
        self.make(spruce::error(errc::task_canceled).caused_by(by));
    }
};
template <class P>
inline constexpr task_ops ops_of{P::run, P::drop_start, outcome_calls<typename P::R>::drop,
                                 outcome_calls<typename P::R>::failure, outcome_calls<typename P::R>::describe};
}}}  // namespace spruce::v0::detail
