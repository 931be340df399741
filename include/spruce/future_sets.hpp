// Several futures at once: the first of them, all of them, or one after another as they finish.
#pragma once
#include <cstddef>
#include <iterator>
#include <span>
#include <tuple>
#include <utility>

#include "future.hpp"
#include "wait.hpp"

namespace spruce { inline namespace v0 {

namespace detail {
enum class set_kind : unsigned char { any, all, line };
// Whose errors count as seen once the set's outcome is.
enum class set_looks : unsigned char { at_none, at_winner, at_all };
// Makes the outcome. winner: who was first; of all, the first that failed, or how many there are.
using set_collector = void (*)(void* outcome, future_block* set, std::size_t winner) noexcept;

// A block for so many; then each is given its place, and the set begins. Or a refusal.
SPRUCE_API error_word make_set(future_ops const* ops, set_kind kind, set_looks looks, set_collector collect,
                               std::size_t count) noexcept;
SPRUCE_API void put_member(future_block* set, std::size_t place, future_ref const& member) noexcept;
SPRUCE_API void start_set(future_block* set) noexcept;
// A member's outcome; or, without one, why it never had any.
struct member_outcome {
    void* at;
    error why;
};
SPRUCE_API member_outcome outcome_of_member(future_block* set, std::size_t place) noexcept;
SPRUCE_API std::size_t members_of(future_block* set) noexcept;
// The next one that has finished, as a handle's word. Errors: end_of_stream, timed_out, canceled, …
SPRUCE_API result<error_word> next_finished(future_block* set, deadline dl) noexcept;

template <class T> result<T> result_of_member(future_block* set, std::size_t place) {
    auto const m = outcome_of_member(set, place);
    if (!m.at) return m.why;
    return take_outcome(*static_cast<task_outcome<T>*>(m.at), false);
}
// Runs what makes an outcome; what it throws is the outcome.
template <class T, class F> void make_outcome(void* at, F&& make) noexcept {
    auto& o = *static_cast<task_outcome<T>*>(at);
#if SPRUCE_THROWS
    try {
        make(o);
    } catch (...) {
        o.thrown = std::current_exception();
        if (!o.made) o.make(error(errc::task_failed));
    }
#else
    make(o);
#endif
}
template <class... T> struct all_of_them {
    using outcome = std::tuple<result<T>...>;
    static void collect(void* at, future_block* set, std::size_t) noexcept {
        make_outcome<outcome>(at, [set](task_outcome<outcome>& o) { make(o, set, std::index_sequence_for<T...>()); });
    }
    template <std::size_t... I>
    static void make(task_outcome<outcome>& o, [[maybe_unused]] future_block* set, std::index_sequence<I...>) {
        o.make(outcome{result_of_member<T>(set, I)...});
    }
};
template <class... T> struct first_of_them {
    using outcome = which<future<T>...>;
    template <class V> struct member {
        future_block* set;
        std::size_t place;
        result<V> take() const { return result_of_member<V>(set, place); }
    };
    template <class V> static void take(outcome& won, future_block* set, std::size_t place, std::size_t winner) {
        member<V> from{set, winner};
        if (place == winner) which_access::take(won, from);
    }
    static void collect(void* at, future_block* set, std::size_t winner) noexcept {
        make_outcome<outcome>(at, [&](task_outcome<outcome>& o) {
            outcome won = which_access::make<outcome>(winner);
            std::size_t place = 0;
            (take<T>(won, set, place++, winner), ...);
            o.make(std::move(won));
        });
    }
};
template <class T> void collect_first_error(void* at, future_block* set, std::size_t winner) noexcept {
    auto& o = *static_cast<task_outcome<void>*>(at);
    if (winner == members_of(set)) return o.make();
    auto const m = outcome_of_member(set, winner);
    o.make(m.at ? static_cast<task_outcome<T>*>(m.at)->value.error() : m.why);
}
SPRUCE_API void collect_index(void* at, future_block* set, std::size_t winner) noexcept;

template <class T>
future_ref set_of(future_ops const* ops, set_kind kind, set_looks looks, set_collector collect,
                  std::span<future<T>> members) noexcept {
    future_ref made(make_set(ops, kind, looks, collect, members.size()));
    if (!made.block()) return made;
    for (std::size_t i = 0; i != members.size(); ++i) put_member(made.block(), i, future_access::ref(members[i]));
    start_set(made.block());
    return made;
}
template <class... T>
future_ref set_of_pack(future_ops const* ops, set_kind kind, set_looks looks, set_collector collect,
                       future<T> const&... members) noexcept {
    future_ref made(make_set(ops, kind, looks, collect, sizeof...(T)));
    if (!made.block()) return made;
    [[maybe_unused]] std::size_t i = 0;
    (put_member(made.block(), i++, future_access::ref(members)), ...);
    start_set(made.block());
    return made;
}
}  // namespace detail

// All of these begin at once, and count those that have their outcome already. An empty future among them has failed
// with wrong_state. They cannot be canceled: what is canceled behind them stops there. They keep their members'
// handles, and nothing of the users' runs for them but the copying of values, when the last of them comes.
// Errors (of the future's calls): no_memory, no_loop, if it could not be made.

// The outcomes of all, each its own, once all have one; of none, at once. What cannot be copied is moved out.
template <class... T> [[nodiscard]] future<std::tuple<result<T>...>> when_all(future<T>... futures) {
    using outcome = std::tuple<result<T>...>;
    return detail::future_access::handle<outcome>(detail::set_of_pack(&detail::future_ops_of<outcome>,
                                                                      detail::set_kind::all, detail::set_looks::at_all,
                                                                      detail::all_of_them<T...>::collect, futures...));
}
// Once all have an outcome: ok, or the error of the first that failed. Of none: ok, at once.
template <class T, std::size_t N> [[nodiscard]] future<void> when_all(std::span<future<T>, N> futures) {
    return detail::future_access::handle<void>(detail::set_of(&detail::future_ops_of<void>, detail::set_kind::all,
        detail::set_looks::at_winner, detail::collect_first_error<T>, std::span<future<T>>(futures)));
}
// The first that has an outcome, and that: get<I>() gives it. Of several that have one already, the first in line. The
// others are left alone.
template <class... T>
    requires(sizeof...(T) > 0)
[[nodiscard]] future<which<future<T>...>> when_any(future<T>... futures) {
    using outcome = which<future<T>...>;
    return detail::future_access::handle<outcome>(
        detail::set_of_pack(&detail::future_ops_of<outcome>, detail::set_kind::any, detail::set_looks::at_winner,
                            detail::first_of_them<T...>::collect, futures...));
}
// The place of the first that has an outcome, be it an error, which does not count as seen by that; of several that
// have one already, the first in line. The others are left alone. Errors: also invalid_argument (of none).
template <class T, std::size_t N> [[nodiscard]] future<std::size_t> when_any(std::span<future<T>, N> futures) {
    return detail::future_access::handle<std::size_t>(
        detail::set_of(&detail::future_ops_of<std::size_t>, detail::set_kind::any, detail::set_looks::at_none,
                       detail::collect_index, std::span<future<T>>(futures)));
}

// Futures in the order in which they finish. Moves. Thread: the futures'.
template <class T> class completions {
public:
    explicit completions(detail::future_ref set) noexcept : set_(std::move(set)) {}
    completions(completions&&) noexcept = default;
    completions& operator=(completions&&) noexcept = default;

    // Waits for the next one to finish; those that had finished before it was made come first, as they stood in line.
    // Errors: end_of_stream (all were given), canceled, timed_out (detail() says how many are left), not_in_task,
    // wrong_thread; no_memory, no_loop, if it could not be made. Cancel: ends the wait; the futures go on.
    [[nodiscard]] result<future<T>> next(deadline dl = {}) {
        if (!set_.block()) return set_.why();
        auto word = detail::next_finished(set_.block(), dl);
        if (!word) return word.error();
        return detail::future_access::handle<T>(detail::future_ref(*word));
    }
    // for (auto& f : as_completed(…)) ends after the last, or when next() fails.
    class iterator {
    public:
        explicit iterator(completions& of) : of_(&of), now_(of.next()) {}
        future<T>& operator*() const noexcept { return *now_; }
        iterator& operator++() {
            now_ = of_->next();
            return *this;
        }
        bool operator==(std::default_sentinel_t) const noexcept { return !now_.ok(); }

    private:
        completions* of_;
        mutable result<future<T>> now_;
    };
    iterator begin() { return iterator(*this); }
    std::default_sentinel_t end() noexcept { return {}; }

private:
    detail::future_ref set_;
};
// These futures, in the order in which they finish.
template <class T, std::size_t N> [[nodiscard]] completions<T> as_completed(std::span<future<T>, N> futures) {
    return completions<T>(detail::set_of(&detail::future_ops_of<void>, detail::set_kind::line,
                                         detail::set_looks::at_none, nullptr, std::span<future<T>>(futures)));
}

}}  // namespace spruce::v0
