// How a timer calls its callable. Nothing here is for users to call.
#pragma once
#include <concepts>
#include <type_traits>

#include "../handler.hpp"
#include "callback.hpp"

namespace spruce { inline namespace v0 { namespace detail {

struct timer_argument {
    handler self;
    bool go_on = true;
};
template <class F> void run_timer(void* callable, void* argument) noexcept {
    call_guarded([&] {
        F& f = *static_cast<F*>(callable);
        auto& given = *static_cast<timer_argument*>(argument);
        auto const call = [&]() -> decltype(auto) {
            if constexpr (std::invocable<F&>) return f();
            else return f(given.self);
        };
        if constexpr (std::is_same_v<decltype(call()), bool>) given.go_on = call();
        else static_cast<void>(call());
    });
}
template <class F> inline constexpr callable_ops timer_ops{run_timer<F>, destroy_callable<F>, sizeof(F), alignof(F)};

}}}  // namespace spruce::v0::detail
