// What an interleaved loop asks its host to call.
#pragma once
#include <cstdint>
#include <type_traits>
#include <utility>

#include "detail/callback.hpp"
#include "error.hpp"
#include "result.hpp"

namespace spruce { inline namespace v0 {

namespace detail {
struct poll_thread;
struct guest;
struct post_outcome;
struct host_turn_access;

// Fills in how a post() went.
SPRUCE_API void refuse_post(post_outcome& how, error why) noexcept;
SPRUCE_API void post_threw(post_outcome& how, char const* what) noexcept;
}  // namespace detail

// One turn of an interleaved loop: see loop::interleave(). Copies are the same turn, which runs once: of all calls the
// first one counts. Late, or after the loop's end, a call does nothing. If the last copy dies without a call, the turn
// is posted again. Thread: copied and destroyed on any; called on the loop's. A call on another thread runs nothing: it
// is reported to the unhandled hook, and the turn is posted again.
class host_turn {
public:
    host_turn(host_turn const& other) noexcept : host_turn(other.of_, other.number_) {}
    host_turn(host_turn&& other) noexcept : of_(std::exchange(other.of_, nullptr)), number_(other.number_) {}
    host_turn& operator=(host_turn other) noexcept {
        std::swap(of_, other.of_);
        std::swap(number_, other.number_);
        return *this;
    }
    SPRUCE_API ~host_turn();
    // Runs the turn, then has the loop sleep again. It returns when the loop has nothing more to do for now, or its
    // turn_budget is used up. Inside a run or a task of the same loop it does nothing, and is posted again.
    SPRUCE_API void operator()() const noexcept;

private:
    friend struct detail::host_turn_access;
    SPRUCE_API host_turn(detail::poll_thread* of, std::uint32_t number) noexcept;
    detail::poll_thread* of_;
    std::uint32_t number_;
};

namespace detail {
struct post_call {
    host_turn turn;
    post_outcome* how;
};

template <class F> void post_turn(F& f, post_call& call) {
    using answer = std::invoke_result_t<F&, host_turn>;
    if constexpr (std::is_void_v<answer>) {
        f(std::move(call.turn));
    } else if constexpr (is_result<std::remove_cvref_t<answer>>) {
        auto taken = f(std::move(call.turn));
        if (!taken.ok()) refuse_post(*call.how, taken.error());
    } else if constexpr (std::is_convertible_v<answer, error>) {
        refuse_post(*call.how, f(std::move(call.turn)));
    } else if constexpr (std::is_same_v<std::remove_cvref_t<answer>, bool>) {
        if (!f(std::move(call.turn))) refuse_post(*call.how, errc::full);
    } else {
        static_cast<void>(f(std::move(call.turn)));
    }
}

template <class F> void run_post(void* callable, void* at) noexcept {
    auto& call = *static_cast<post_call*>(at);
#if SPRUCE_THROWS
    try {
        post_turn(*static_cast<F*>(callable), call);
    } catch (std::exception const& e) {
        post_threw(*call.how, e.what());
    } catch (...) {
        post_threw(*call.how, "an exception that is not a std::exception");
    }
#else
    post_turn(*static_cast<F*>(callable), call);
#endif
}
template <class F> inline constexpr callable_ops post_ops{run_post<F>, destroy_callable<F>, sizeof(F), alignof(F)};
}  // namespace detail

}}  // namespace spruce::v0
