// Futures of other things: of whatever can be waited for, of what an emitter emits next, of a call that comes back.
#pragma once
#include <concepts>
#include <cstddef>
#include <exception>
#include <type_traits>
#include <utility>

#include "async_function.hpp"
#include "detail/backlog.hpp"
#include "detail/counted.hpp"
#include "emitter.hpp"
#include "future.hpp"
#include "group.hpp"
#include "wait.hpp"

namespace spruce { inline namespace v0 {

namespace detail {
template <class T> inline constexpr bool has_own_future = false;
template <class T> inline constexpr bool has_own_future<future<T>> = true;
template <class R> inline constexpr bool has_own_future<task<R>> = true;
template <class... A> inline constexpr bool has_own_future<emitter<A...>> = true;
template <class C>
concept plain_condition = condition<C> && !has_own_future<std::remove_cvref_t<C>>;

template <class C> auto take_one(C& from) -> result<taken_t<C&>> {
    SPRUCE_TRY(auto won, wait_any(from));
    return won.template get<0>();
}
inline constexpr async_options waits_for_one{.name = "as_future"};

// One that could not be made.
template <class T> future<T> failed_future(error why) noexcept {
    return future_access::handle<T>(future_ref(task_access::refused(why)));
}

template <class... A> struct next_emission {
    using value = packed_t<A...>;
    promise<value> p;
    // Without an argument: the emitter lets it go.
    static void run(void* callable, void* argument) noexcept {
        auto& to = static_cast<next_emission*>(callable)->p;
        if (!argument) return static_cast<void>(to.fail(errc::closed));
        call_guarded([&] {
            std::apply([&](A const&... values) {
                if constexpr (sizeof...(A) == 0) static_cast<void>(to.set());
                else static_cast<void>(to.set(value(values...)));
            }, static_cast<emit_argument<A...>*>(argument)->values);
        });
    }
    static constexpr callable_ops ops{run, destroy_callable<next_emission>, sizeof(next_emission),
                                      alignof(next_emission)};
};
struct disconnects {
    connection held;
    void operator()() noexcept { held.disconnect(); }
};
}  // namespace detail

// A future of anything, to be given to when_any(), kept, subscribed to, waited for by several. Each begins at once.
// Errors (of the future's calls): as said; full, no_memory, no_loop, those of spawn(), if it could not be made.
// Thread: the loop's.

// Of a future: itself.
template <class T> [[nodiscard]] future<T> as_future(future<T> f) noexcept { return f; }

// Of what an emitter emits next: nothing, the value, or a tuple; closed, if it dies or disconnects it before.
// Canceling it or dropping its last handle disconnects it in the loop's next pass; what is emitted until then it does
// not take.
template <class... A> [[nodiscard]] future<detail::packed_t<A...>> as_future(emitter<A...>& from) {
    using value = detail::packed_t<A...>;
    promise<value> p;
    future<value> made = p.get_future();
    detail::future_block* const block = detail::future_access::ref(made).block();
    if (!block) return made;
    detail::next_emission<A...> listener{std::move(p)};
    connection c = connection::make<detail::next_emission<A...>>(
        from.core(), std::move(listener), detail::next_emission<A...>::ops, {.once = true, .told_end = true});
    if (!c.connected()) {
        static_cast<void>(listener.p.fail(c.error()));
        return made;
    }
    auto const h = detail::subscribe<detail::cancel_call<detail::disconnects>>(
        detail::future_access::ref(made), detail::subscription::cancel, detail::disconnects{std::move(c)});
    if (!h) static_cast<void>(detail::fail_future(block, h.error()));
    else detail::cancel_when_dropped(block, 2);
    return made;
}

// Of a task: its value, as of task::get(). Canceling it cancels the task, and it ends when that has. The handle goes
// over; a future that is dropped lets the task go on.
template <class R> [[nodiscard]] future<R> as_future(task<R>&& t) {
    if (!detail::task_access::block(t)) return detail::failed_future<R>(detail::task_access::why(t));
    return async_function(
        [of = std::move(t)]() mutable -> result<R> {
            if (!of.join() && this_task::cancel_requested())
                detail::cancel_task_for(detail::task_access::block(of), detail::cause_here());
            cancel_shield const until_it_ends;
            static_cast<void>(of.join());
#if SPRUCE_THROWS
            if (auto thrown = of.exception()) std::rethrow_exception(thrown);
#endif
            return std::move(of).get();
        },
        detail::waits_for_one)();
}

// Of whatever wait_any() can wait for: a task of its own waits for it. Canceling it ends that wait. One that is
// dropped goes on waiting, and takes what comes. Lifetime: what is given by name outlives it.
template <detail::plain_condition C> [[nodiscard]] future<taken_t<C>> as_future(C& from) {
    return async_function([&from] { return detail::take_one(from); }, detail::waits_for_one)();
}
template <detail::plain_condition C>
    requires(!std::is_lvalue_reference_v<C> && std::move_constructible<C>)
[[nodiscard]] future<taken_t<C>> as_future(C&& from) {
    return async_function([held = std::move(from)]() mutable { return detail::take_one(held); },
                          detail::waits_for_one)();
}
// The same for a condition that is made where it is waited for: as_future<exited>(pid), as_future<signaled>(SIGHUP).
template <detail::plain_condition C, class... A>
    requires std::constructible_from<C, std::decay_t<A>&...>
[[nodiscard]] future<taken_t<C>> as_future(A&&... args) {
    return async_function([... held = std::decay_t<A>(std::forward<A>(args))]() mutable {
        C made(held...);
        return detail::take_one(made);
    }, detail::waits_for_one)();
}

// A callable that gives a future its outcome: for whatever calls back. It takes the values (none, one, or several,
// which are a tuple), or an error. Copies are the same; the last that goes uncalled fails the future with closed.
// Errors (of its calls): those of promise::set(), wrong_state above all (it was called before, or the future was
// canceled); no_memory. Thread: the loop's; from others, by loop_ref::call().
template <class... A> class future_callback {
public:
    using value_type = detail::packed_t<A...>;
    future_callback() : to_(detail::counted<promise<value_type>>::make()) {}
    // Any number of them are the same.
    future<value_type> get_future() const {
        return to_ ? to_->get_future() : detail::failed_future<value_type>(errc::no_memory);
    }
    [[nodiscard]] result<void> operator()(A... args) const {
        if (!to_) return errc::no_memory;
        if constexpr (sizeof...(A) == 0) return to_->set();
        else return to_->set(value_type(std::forward<A>(args)...));
    }
    [[nodiscard]] result<void> operator()(spruce::error why) const { return to_ ? to_->fail(why) : errc::no_memory; }
#if SPRUCE_EXCEPTIONS
    [[nodiscard]] result<void> operator()(std::exception_ptr why) const {
        return to_ ? to_->fail(std::move(why)) : errc::no_memory;
    }
#endif
    // As promise::on_cancel(): f runs, from the loop, once the future was canceled.
    template <std::invocable F> handler on_cancel(F&& f) const {
        return to_ ? to_->on_cancel(std::forward<F>(f)) : detail::refused_handler(errc::no_memory);
    }

private:
    detail::counted<promise<value_type>> to_;
};

}}  // namespace spruce::v0
