// Callables with arguments of their own; and such as know that what they call into is gone.
#pragma once
#include <concepts>
#include <cstddef>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "result.hpp"

namespace spruce { inline namespace v0 {

// Where the arguments of a bound callable stand among those that its caller gives.
enum class bound_arguments : unsigned char {
    last,     // after the caller's
    first,    // before the caller's
    alone     // in their place: what the caller gives is ignored
};

// A callable and arguments for it. Two are equal if the callables and the arguments are, where they can be compared: so
// emitter::disconnect() finds what was connected without a connection being kept. Lambdas that capture cannot be.
template <bound_arguments where, class F, class... B> class bound_callable {
public:
    template <class G, class... C>
    explicit bound_callable(std::in_place_t, G&& f, C&&... args)
        : f_(std::forward<G>(f)), args_(std::forward<C>(args)...) {}

    template <class... A>
        requires(where == bound_arguments::last && std::invocable<F&, A..., B&...>)
    decltype(auto) operator()(A&&... given) {
        return std::apply(
            [&](B&... own) -> decltype(auto) { return std::invoke(f_, std::forward<A>(given)..., own...); }, args_);
    }
    template <class... A>
        requires(where == bound_arguments::first && std::invocable<F&, B&..., A...>)
    decltype(auto) operator()(A&&... given) {
        return std::apply(
            [&](B&... own) -> decltype(auto) { return std::invoke(f_, own..., std::forward<A>(given)...); }, args_);
    }
    template <class... A>
        requires(where == bound_arguments::alone && std::invocable<F&, B&...>)
    decltype(auto) operator()(A&&...) {
        return std::apply([&](B&... own) -> decltype(auto) { return std::invoke(f_, own...); }, args_);
    }
    friend bool operator==(bound_callable const& a, bound_callable const& b)
        requires(std::equality_comparable<F> && (std::equality_comparable<B> && ...))
    {
        return a.f_ == b.f_ && a.args_ == b.args_;
    }
    // Whether it calls f, whatever its arguments are.
    bool calls(F const& f) const
        requires std::equality_comparable<F>
    {
        return f_ == f;
    }

private:
    F f_;
    std::tuple<B...> args_;
};

// f with these arguments after those that the caller gives. f and the arguments are copied or moved in; std::ref for
// references. f may be a pointer to a member: bound_first(&player::on_news, &me, 3).
template <class F, class... B> auto bound(F&& f, B&&... args) {
    return bound_callable<bound_arguments::last, std::decay_t<F>, std::decay_t<B>...>(std::in_place, std::forward<F>(f),
                                                                                      std::forward<B>(args)...);
}
// The same before them.
template <class F, class... B> auto bound_first(F&& f, B&&... args) {
    return bound_callable<bound_arguments::first, std::decay_t<F>, std::decay_t<B>...>(
        std::in_place, std::forward<F>(f), std::forward<B>(args)...);
}
// The same in their place.
template <class F, class... B> auto bound_alone(F&& f, B&&... args) {
    return bound_callable<bound_arguments::alone, std::decay_t<F>, std::decay_t<B>...>(
        std::in_place, std::forward<F>(f), std::forward<B>(args)...);
}

namespace detail {
struct anchor_link;
}
// A member of an object, by which others know that the object lives. Declared last, it is the first to go: what the
// object consists of is still whole when no call into it is left. Takes no memory. Thread: one.
class anchor : detail::pinned {
public:
    anchor() noexcept = default;
    inline ~anchor();

private:
    friend struct detail::anchor_link;
    detail::anchor_link* first_ = nullptr;
};

namespace detail {
// One who wants to know: in the anchor's list while that lives.
struct anchor_link {
    explicit anchor_link(anchor& a) noexcept { enter(&a); }
    anchor_link(anchor_link const& other) noexcept { enter(other.of); }
    anchor_link& operator=(anchor_link const& other) noexcept {
        if (this == &other) return *this;
        leave();
        enter(other.of);
        return *this;
    }
    ~anchor_link() { leave(); }
    void enter(anchor* a) noexcept {
        of = a;
        previous = nullptr;
        next = a ? a->first_ : nullptr;
        if (next) next->previous = this;
        if (a) a->first_ = this;
    }
    void leave() noexcept {
        if (!of) return;
        if (next) next->previous = previous;
        (previous ? previous->next : of->first_) = next;
        of = nullptr;
    }
    // All who want to know hear that it is over.
    static void end(anchor& a) noexcept {
        while (anchor_link* const l = a.first_) l->leave();
    }
    anchor* of = nullptr;
    anchor_link* next = nullptr;
    anchor_link* previous = nullptr;
};
}  // namespace detail
inline anchor::~anchor() { detail::anchor_link::end(*this); }

// Calls f as long as the anchor lives; then it gives closed, and does not call f. What f refers to by the anchor's
// object may thus die before what calls it: a timer, a call that was put off, a subscriber. f itself lives on. It gives
// a result of what f gives. An object's connections to emitters need none of this: they are its members, and go with
// it.
template <class F> class weak_callable {
public:
    weak_callable(anchor& life, F f) : life_(life), f_(std::move(f)) {}
    template <class... A>
        requires std::invocable<F&, A...>
    [[nodiscard]] result<detail::outcome_t<F&, A...>> operator()(A&&... args) {
        if (!alive()) return errc::closed;
        if constexpr (std::is_void_v<std::invoke_result_t<F&, A...>>) {
            std::invoke(f_, std::forward<A>(args)...);
            return {};
        } else {
            return std::invoke(f_, std::forward<A>(args)...);
        }
    }
    bool alive() const noexcept { return life_.of != nullptr; }

private:
    detail::anchor_link life_;
    F f_;
};
// f, moved or copied in, and called only as long as `life` lives.
template <class F> weak_callable<std::decay_t<F>> weak(anchor& life, F&& f) { return {life, std::forward<F>(f)}; }

}}  // namespace spruce::v0
