// Waiting for the first of several things, or for all of them.
//
//     SPRUCE_TRY(auto won, wait_any(readable(fd), box, work, in(5s)));
//     if (won.timed_out()) …
//
// What can stand there: tasks, futures, events, semaphores, channels (a value comes), sending(channel, value),
// deadlines, shared channels and events, and the conditions of conditions.hpp, emitted.hpp and message.hpp; and your
// own, see the concept below.
#pragma once
#include <concepts>
#include <cstddef>
#include <memory>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

#include "conditions.hpp"
#include "result.hpp"
#include "wait_point.hpp"

namespace spruce { inline namespace v0 {

namespace detail {
template <class C> struct condition_of {
    using type = C;
};
template <class C>
    requires requires { typename C::condition; }
struct condition_of<C> {
    using type = typename C::condition;
};
}  // namespace detail

// What waits for a C: C itself, or a C::condition that is made from it for one wait, for what several tasks may wait
// for at once.
template <class C> using condition_for = typename detail::condition_of<std::remove_cvref_t<C>>::type;

// A condition. A wait calls arm() of each in the order of the arguments, until one fires at once; then parks; then
// calls disarm() of each that was armed; then, if it won, take(). It may be waited for again and again.
template <class C>
concept condition = requires(condition_for<C>& c, wait_point& p) {
    // Begin: p.fire() when there is something; an error ends the whole wait
    { c.arm(p) } -> std::same_as<result<void>>;
    { c.disarm() } noexcept;                      // end: p is gone afterwards; also after it has fired
    requires detail::is_result<decltype(c.take())>;   // the value, or the error that it ended with
};
// What it gives: T of the result<T> of its take().
template <condition C> using taken_t = detail::flat_t<decltype(std::declval<condition_for<C>&>().take())>;

namespace detail {
// What several threads take from: only what was claimed is sure to be there.
template <class C>
concept claimable = requires(C& c) {
    { c.claim() } noexcept -> std::same_as<bool>;
    { c.unclaim() } noexcept;
};
template <class C>
concept reservable = requires(C& c) {
    { c.reserve() } noexcept -> std::same_as<bool>;
    { c.unreserve() } noexcept;
};
template <class C> inline constexpr condition_ops condition_ops_of{
    [](void* c, wait_point& p) noexcept {
        result<void> armed = errc::broken;   // if it throws
        call_guarded([&] { armed = static_cast<C*>(c)->arm(p); });
        return armed;
    },
    [](void* c) noexcept { static_cast<C*>(c)->disarm(); },
    [] {
        if constexpr (requires(C const& c) { { c.ready() } -> std::convertible_to<bool>; })
            return [](void const* c) noexcept -> bool { return static_cast<C const*>(c)->ready(); };
        else return nullptr;
    }(),
    [] {
        if constexpr (claimable<C>) return [](void* c) noexcept -> bool { return static_cast<C*>(c)->claim(); };
        else return nullptr;
    }(),
    [] {
        if constexpr (claimable<C>) return [](void* c) noexcept { static_cast<C*>(c)->unclaim(); };
        else return nullptr;
    }(),
    [] {
        if constexpr (reservable<C>) return [](void* c) noexcept -> bool { return static_cast<C*>(c)->reserve(); };
        else return nullptr;
    }(),
    [] {
        if constexpr (reservable<C>) return [](void* c) noexcept { static_cast<C*>(c)->unreserve(); };
        else return nullptr;
    }(),
    [] {
        if constexpr (requires(C& c) { { c.goes_on() } noexcept -> std::same_as<void>; })
            return [](void* c) noexcept { static_cast<C*>(c)->goes_on(); };
        else return nullptr;
    }(),
};

// One argument of a wait: a condition in the caller's hands, or one that is made from it here.
template <class C> struct one_condition {
    using type = condition_for<C>;
    static constexpr bool is_made = !std::is_same_v<type, std::remove_cvref_t<C>>;
    static decltype(auto) pass(std::remove_reference_t<C>& c) noexcept {
        if constexpr (is_made) return static_cast<C&&>(c);
        else return (c);
    }
    std::conditional_t<is_made, type, type&> the;
    explicit one_condition(std::remove_reference_t<C>& c) : the(pass(c)) {}
    condition_ref ref() noexcept { return {std::addressof(the), &condition_ops_of<type>}; }
};

// Room for one of several results.
template <class... R> struct one_of {
    static constexpr std::size_t size = [] {
        std::size_t most = 1;
        ((most = sizeof(R) > most ? sizeof(R) : most), ...);
        return most;
    }();
    alignas(R...) std::byte room[size];
};
struct which_access;
}  // namespace detail

// Who won a wait_any(), and what it gave. Refers to none of the conditions. Movable.
template <class... C> class which {
    static constexpr bool quiet = (std::is_nothrow_move_constructible_v<result<taken_t<C>>> && ...);

public:
    which(which&& other) noexcept(quiet) : index_(other.index_), winner_(other.winner_) { take_over(other); }
    which& operator=(which&& other) noexcept(quiet) {
        if (this == &other) return *this;
        drop();
        index_ = other.index_;
        winner_ = other.winner_;
        take_over(other);
        return *this;
    }
    ~which() { drop(); }
    // The winner's place among the arguments.
    std::size_t index() const noexcept { return index_; }
    // What the I-th gave, if it has won: moved out, once.
    // Errors: wrong_state (it is not the winner, or its value was moved out before), and whatever its take() gives.
    template <std::size_t I> [[nodiscard]] auto get() -> result<taken_t<std::tuple_element_t<I, std::tuple<C...>>>> {
        using R = result<taken_t<std::tuple_element_t<I, std::tuple<C...>>>>;
        if (index_ != I || !full_) return detail::with_detail(errc::wrong_state, "get: not the winner, or asked again");
        R* const mine = std::launder(reinterpret_cast<R*>(value_.room));
        R given(std::move(*mine));
        drop();
        return given;
    }
    // Whether this one has won: by its address, for a condition that was given by name.
    template <class X> bool is(X const& condition) const noexcept { return winner_ == std::addressof(condition); }
    // Whether a deadline has won.
    bool timed_out() const noexcept {
        constexpr bool deadlines[] = {std::is_same_v<std::remove_cvref_t<C>, deadline>...};
        return index_ < sizeof...(C) && deadlines[index_];
    }

private:
    friend struct detail::which_access;
    which(std::size_t index, void const* winner) noexcept : index_(index), winner_(winner) {}
    // Where a value's move throws it stays with the other one.
    void take_over(which& other) noexcept(quiet) {
        if (!other.full_) return;
        visit([&]<class R>(R* mine) { ::new (static_cast<void*>(mine)) R(std::move(*other.template value_at<R>())); });
        full_ = true;
        other.drop();
    }
    void drop() noexcept {
        if (std::exchange(full_, false)) visit([]<class R>(R* mine) { std::launder(mine)->~R(); });
    }
    template <class R> R* value_at() noexcept { return std::launder(reinterpret_cast<R*>(value_.room)); }
    // Calls f with the place of the winner's result, as a pointer of its type.
    template <class F> void visit(F&& f) {
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            static_cast<void>(((I == index_ && (f(reinterpret_cast<result<taken_t<C>>*>(value_.room)), true)) || ...));
        }(std::index_sequence_for<C...>());
    }

    std::size_t index_;
    void const* winner_;   // its address, if it was given by name
    bool full_ = false;
    detail::one_of<result<taken_t<C>>...> value_;
};

namespace detail {
struct which_access {
    template <class W> static W make(std::size_t index) { return W(index, nullptr); }
    template <class W, class... C>
    static W make(std::size_t index, std::tuple<one_condition<C>...>& all, void const* const* names) {
        W won(index, names[index]);
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            static_cast<void>(((I == index && (take(won, std::get<I>(all).the), true)) || ...));
        }(std::index_sequence_for<C...>());
        return won;
    }
    template <class W, class T> static void take(W& won, T& from) {
        using R = decltype(from.take());
        ::new (static_cast<void*>(won.value_.room)) R(from.take());
        won.full_ = true;
    }
};

template <class Done, class... C> struct all_of;
template <class... D> struct all_of<std::tuple<D...>> {
    using type = std::tuple<D...>;
};
template <class... D> struct all_of<std::tuple<D...>, deadline> {
    using type = std::tuple<D...>;
};
template <class... D, class C, class... Rest>
struct all_of<std::tuple<D...>, C, Rest...> : all_of<std::tuple<D..., result<taken_t<C>>>, Rest...> {
    static_assert(!std::same_as<C, deadline>, "in wait_all a deadline is the call's own, and comes last");
};
template <class... C> using all_of_t = typename all_of<std::tuple<>, std::remove_cvref_t<C>...>::type;

template <class... C, std::size_t... I>
result<all_of_t<C...>> wait_for_these(deadline dl, std::index_sequence<I...>, std::tuple<C&&...> given) {
    std::tuple<one_condition<C>...> each(std::get<I>(given)...);
    condition_ref const refs[] = {std::get<I>(each).ref()...};
    wait_point points[sizeof...(C)];
    SPRUCE_CHECK(wait_for_all(refs, points, sizeof...(C), dl));
    return all_of_t<C...>{std::get<I>(each).the.take()...};
}
}  // namespace detail

// Waits for the first of the conditions. If several are there, the first in the order of the arguments wins, as far as
// the loop knows: an fd counts as readable once the loop has polled. What a source hands over (a permit, a channel's
// value) decides at once. The others have lost, and nothing of theirs is taken: what they wait for stays where it is.
// A deadline among them may win like any other.
// Returns: who has won, and its value or its error. Errors: canceled, not_in_task; what a condition's arm() says.
// Thread: that of all the conditions' sources. Lifetime: the sources outlive the wait, or wake it with closed.
// Cancel: nothing is taken. Who has won keeps what it has, even if the task is canceled before it runs.
template <condition... C>
    requires(sizeof...(C) > 0)
[[nodiscard]] result<which<C...>> wait_any(C&&... conditions) {
    detail::counted_call const counted;
    std::tuple<detail::one_condition<C>...> all(conditions...);
    return [&]<std::size_t... I>(std::index_sequence<I...>) -> result<which<C...>> {
        detail::condition_ref const refs[] = {std::get<I>(all).ref()...};
        void const* const names[] = {(std::is_lvalue_reference_v<C> ? std::addressof(conditions) : nullptr)...};
        wait_point points[sizeof...(C)];
        SPRUCE_TRY(std::size_t const index, detail::wait_for_any(refs, points, sizeof...(C)));
        return detail::which_access::make<which<C...>>(index, all, names);
    }(std::index_sequence_for<C...>());
}

// Waits until all of the conditions have something, and only then takes from each. A deadline may stand last: it is the
// call's. Until all are there nothing is taken, so that nothing is lost when the time is over, and others may come
// first where a source (a semaphore, a channel) has only so much to give. Nothing counts twice: one permit is not there
// for two, nor one task that offers two things but would give only one: that is counted for the first of the conditions
// it would do for, so that what fewer offer is to stand first. Two tasks that wait_all() for both ends of a channel
// without slots never meet.
// Returns: each one's value, or its error. Errors: canceled, timed_out, not_in_task; what a condition's arm() says.
// Thread, Lifetime, Cancel: as of wait_any().
template <condition... C>
    requires(sizeof...(C) > 0)
[[nodiscard]] result<detail::all_of_t<C...>> wait_all(C&&... conditions) {
    detail::counted_call const counted;
    std::tuple<C&&...> given(std::forward<C>(conditions)...);
    constexpr std::size_t last = sizeof...(C) - 1;
    if constexpr (std::is_same_v<std::remove_cvref_t<std::tuple_element_t<last, std::tuple<C...>>>, deadline>) {
        deadline const dl = std::get<last>(given);
        return [&]<std::size_t... I>(std::index_sequence<I...>) {
            return detail::wait_for_these<std::tuple_element_t<I, std::tuple<C...>>...>(
                dl, std::index_sequence<I...>(),
                {std::forward<std::tuple_element_t<I, std::tuple<C...>>>(std::get<I>(given))...});
        }(std::make_index_sequence<last>());
    } else {
        return detail::wait_for_these<C...>(never(), std::index_sequence_for<C...>(), std::move(given));
    }
}

}}  // namespace spruce::v0
