// The first of several futures that will do.
#pragma once
#include <concepts>
#include <cstddef>
#include <new>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

#include "detail/counted.hpp"
#include "future_sets.hpp"

namespace spruce { inline namespace v0 {

namespace detail {
// As many handlers as there are members; null where there is no memory.
class handler_room : pinned {
public:
    explicit handler_room(std::size_t count) noexcept : memory_(memory_here()), count_(count) {
        if (count > static_cast<std::size_t>(-1) / 2 / sizeof(scoped_handler)) return;
        void* const room = allocate(memory_, count * sizeof(scoped_handler), alignof(scoped_handler));
        if (room) at_ = static_cast<scoped_handler*>(room);
        for (std::size_t i = 0; at_ && i != count; ++i) ::new (at_ + i) scoped_handler;
    }
    ~handler_room() {
        if (!at_) return;
        drop();
        release(memory_, at_, count_ * sizeof(scoped_handler), alignof(scoped_handler));
    }
    void drop() noexcept {
        for (std::size_t i = 0; i != count_; ++i) at_[i] = scoped_handler();
    }
    scoped_handler* at() const noexcept { return at_; }

private:
    memory_hook memory_;
    std::size_t count_;
    scoped_handler* at_ = nullptr;
};

// A search for the first that will do. Each member's callback holds it.
template <class Ignore, class Outcome, class Members> struct search : pinned {
    search(Ignore i, std::size_t count, Members m)
        : ignore(std::move(i)), members(std::move(m)), watches(count), left(count) {}
    promise<Outcome> answer;
    Ignore ignore;
    Members members;
    handler_room watches;
    std::size_t left;
};
template <class S> bool search_on(S const& of) noexcept { return !of->answer.get_future().done(); }

// answer(search) makes what is said if this member wins. One that is empty, or could not be made, wins only as the
// last.
template <class S, class T, class Answer>
void watch_member(S const& of, std::size_t place, future<T> const& member, Answer answer) {
    if (!search_on(of)) return;
    if (!future_access::ref(member).block()) {
        if (--of->left == 0) static_cast<void>(of->answer.set(answer(*of)));
        return;
    }
    handler const h = member.on_done([of, answer](result<T> const& outcome) {
        if (!search_on(of)) return;
        bool ignored = false, said = false;
        call_guarded([&] {
            ignored = of->ignore(outcome);
            said = true;
        });
        if (!search_on(of)) return;
        if (!said) {
            static_cast<void>(of->answer.fail(errc::closed));
            of->watches.drop();
            return;
        }
        if (ignored && of->left != 1) {
            --of->left;
            return;
        }
        static_cast<void>(of->answer.set(answer(*of)));
        of->watches.drop();   // the others are not looked at
    });
    if (!h) static_cast<void>(of->answer.fail(h.error()));
    of->watches.at()[place] = h;
}
// The answer is not wanted any more. No filter is asked from then on; what the search holds goes in the loop's next
// pass.
template <class S> struct ends_search {
    S of;
    void operator()() const noexcept { of->watches.drop(); }
};
template <class S, class T> void end_with(S const& of, future<T> const& answer) {
    handler const h = of->answer.on_cancel(ends_search<S>{of});
    if (!h) static_cast<void>(of->answer.fail(h.error()));
    else cancel_when_dropped(future_access::ref(answer).block(), 2);   // the promise, and this
}
// A member that has its outcome.
template <std::size_t I, class Members> struct found_member {
    Members& members;
    auto take() const { return std::get<I>(members).get(); }
};
template <class Ignore, class... T>
concept ignores = (std::predicate<Ignore&, result<T> const&> && ...);
}  // namespace detail

// As when_any(), but for those whose outcome ignore() says true to: they win only as the last of all, so that there is
// always an answer. ignore() is called from the loop, once for each that finishes before the answer, which has then
// been looked at; what it throws goes to the unhandled hook, and counts as the answer's end: closed. Canceling the
// answer, or dropping its last handle, ends the search: ignore() is not called any more, and the futures are left as
// they are.
// Errors (of the future's calls): also full, no_memory, invalid_argument (of none).
template <class Ignore, class T, std::size_t N>
    requires detail::ignores<Ignore, T>
[[nodiscard]] future<std::size_t> when_any(Ignore ignore, std::span<future<T>, N> futures) {
    using searching = detail::search<Ignore, std::size_t, char>;
    auto const all = detail::counted<searching>::make(std::move(ignore), futures.size(), char());
    auto const failed = [](errc why) {
        return detail::future_access::handle<std::size_t>(detail::future_ref(detail::task_access::refused(why)));
    };
    if (futures.empty()) return failed(errc::invalid_argument);
    if (!all || !all->watches.at()) return failed(errc::no_memory);
    auto made = all->answer.get_future();
    detail::end_with(all, made);
    for (std::size_t i = 0; i != futures.size(); ++i)
        detail::watch_member(all, i, futures[i], [i](searching&) { return i; });
    return made;
}
template <class Ignore, class... T>
    requires(sizeof...(T) > 0) && detail::ignores<Ignore, T...>
[[nodiscard]] future<which<future<T>...>> when_any(Ignore ignore, future<T>... futures) {
    using outcome = which<future<T>...>;
    using searching = detail::search<Ignore, outcome, std::tuple<future<T>...>>;
    auto const all =
        detail::counted<searching>::make(std::move(ignore), sizeof...(T), std::tuple<future<T>...>(futures...));
    if (!all || !all->watches.at())
        return detail::future_access::handle<outcome>(
            detail::future_ref(detail::task_access::refused(errc::no_memory)));
    auto made = all->answer.get_future();
    detail::end_with(all, made);
    [&]<std::size_t... I>(std::index_sequence<I...>) {
        (detail::watch_member(all, I, futures, [](searching& s) {
            detail::found_member<I, std::tuple<future<T>...>> const winner{s.members};
            outcome won = detail::which_access::make<outcome>(I);
            detail::which_access::take(won, winner);
            return won;
        }), ...);
    }(std::index_sequence_for<T...>());
    return made;
}

}}  // namespace spruce::v0
