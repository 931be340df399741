// Generators: a task that yields values, and a range-for that takes them.
#pragma once
#include <concepts>
#include <cstddef>
#include <exception>
#include <iterator>
#include <new>
#include <type_traits>
#include <utility>

#include "channel.hpp"
#include "detail/counted.hpp"
#include "group.hpp"
#include "sync.hpp"
#include "task.hpp"

namespace spruce { inline namespace v0 {

// How a generator's task is made, and how far it runs ahead.
struct generator_options {
    std::size_t look_ahead = 1;   // so many values are made before they are asked for; 0: each one when it is wanted
    task_options task{};          // of the task that makes them
};

template <class T> class generator;

namespace detail {
// What a generator and its task share; it goes with the later of the two. Thread: the loop's, both.
template <class T> struct generator_state : pinned {
    explicit generator_state(std::size_t ahead) : values(ahead + 1), wanted(ahead), look_ahead(ahead) {}
    void ask() noexcept {
        if (unclaimed != 0) --unclaimed;
        else static_cast<void>(wanted.release());
    }
    result<void> wait_until_wanted() {
        auto turn = wanted.acquire();
        if (!turn) return turn.error();
        turn->keep();
        return gone ? result<void>(ended()) : result<void>();
    }
    result<void> give(T&& value) {
        if (gone) return ended();
        SPRUCE_CHECK(values.send(std::move(value)));
        return wait_until_wanted();
    }
    // The generator has died. A function that is shielded from that goes on all the same, but waits for no consumer.
    void end() noexcept {
        gone = true;
        if (values.size() > look_ahead) values.close();   // a value that finds no place
        static_cast<void>(wanted.release());
    }
    // Also where a shield hides it from the task.
    error ended() const noexcept { return error(errc::canceled).caused_by(cause_here()); }
    bool is_own() const noexcept { return this_task::id() != task_id{} && this_task::id() == maker.id(); }
    channel<T> values;
    semaphore wanted;             // a permit for each value that may be made
    std::size_t unclaimed = 0;    // what was asked for by waits that ended without it
    std::size_t look_ahead;
    bool gone = false;
    task<void> maker;
};
template <class T> using generator_ref = counted<generator_state<T>>;

// The task's hold on it: its end, run or not, is the end of the values.
template <class T> struct generator_end {
    generator_ref<T> of;
    explicit generator_end(generator_ref<T> const& state) noexcept : of(state) {}
    generator_end(generator_end&&) noexcept = default;
    ~generator_end() {
        if (of) of->values.close();
    }
};
}  // namespace detail

// How a generator's function gives its values. Lifetime: until the function returns.
template <class T> class yielder : detail::pinned {
public:
    explicit yielder(detail::generator_ref<T> const& to) noexcept : to_(to) {}
    // Gives a value, and waits until the next one may be made.
    // Errors: canceled (no more values are wanted, also where a shield hides that the task was canceled: the function
    // should return), not_in_task (by another one than its task).
    [[nodiscard]] result<void> operator()(T value) {
        if (this_task::id() != task_) return errc::not_in_task;
        auto const given = to_->give(std::move(value));
        return !given && given == errc::closed ? result<void>(to_->ended()) : given;
    }

private:
    detail::generator_ref<T> const& to_;
    task_id task_ = this_task::id();
};

// Values that a function makes one after another, in a task of its own:
//
//     generator<int> squares([](yielder<int>& yield) -> result<void> {
//         for (int i = 0;; ++i) SPRUCE_CHECK(yield(i * i));
//     });
//     for (int n : squares) if (n > 1000) break;
//
// The task begins in its turn, and makes `look_ahead` values more than were asked for. The generator owns it: its end
// cancels the task and, in another task, waits until that has ended, its destructors run; elsewhere it ends in its
// turn. So what f captures by reference need only outlive the generator, if that lives in a task. Moves. T moves
// without throwing, and its moves do not wait. As long as its task waits for a value to be wanted it is like any
// task that waits: one that is alive and not taken to its end when nothing else is left makes run() end with deadlock.
// One that is to outlive run() has its task in the background ({.task = {.background = true}}): that holds nothing, and
// run() cancels it at its end.
// Errors (of all calls): those of spawn(), no_memory. Thread: the loop's on which it was made.
template <class T> class [[nodiscard]] generator {
    static_assert(std::is_object_v<T> && std::is_nothrow_move_constructible_v<T>,
                  "a generator's values move without throwing");

public:
    using value_type = T;
    // Empty: its calls give wrong_state.
    generator() noexcept = default;
    // f gives nothing, or a result<void>: an error comes after the values. It lies on its task's stack.
    template <class F>
        requires std::invocable<std::decay_t<F>&, yielder<T>&>
    [[nodiscard]] explicit generator(F&& f, generator_options options = {})
        : why_(errc::no_memory) {
        if (options.look_ahead != static_cast<std::size_t>(-1))
            state_ = detail::generator_ref<T>::make(options.look_ahead);
        if (!state_) return;
        state_->maker = detail::spawn_in(detail::special_spawn{nullptr, &options.task},
                                         body<std::decay_t<F>>{detail::generator_end<T>(state_), std::forward<F>(f)});
    }
    generator(generator&& other) noexcept
        : state_(std::move(other.state_)), why_(std::exchange(other.why_, errc::wrong_state)) {}
    generator& operator=(generator&& other) noexcept {
        if (this != &other) {
            generator const old(std::move(*this));
            state_ = std::move(other.state_);
            why_ = std::exchange(other.why_, errc::wrong_state);
        }
        return *this;
    }
    ~generator() {
        if (!state_ || !end_maker()) return;
        state_->end();
        cancel_shield const whatever_happens;
        static_cast<void>(state_->maker.join());
    }

    // Asks for the next value, and waits for it. Several tasks may: they are served first come, first served.
    // Errors: end_of_stream (f has returned, and all was taken), what f gave instead, task_failed (an exception, see
    // exception()), task_canceled (cancel() was called); canceled, timed_out, not_in_task; wrong_state (empty);
    // deadlock (in its own function).
    // Cancel: takes no value; what was asked for is kept for the next call.
    [[nodiscard]] result<T> next(deadline dl = {}) {
        auto const keep = state_;
        auto item = take(keep, why_, dl);
        if (!item && keep && item == error(errc::end_of_stream)) return why_ended(keep);
        return item;
    }
    // Whether f has not returned, or there are values to be taken.
    bool active() const noexcept { return state_ && (!state_->maker.done() || state_->values.size() != 0); }
    // How it ended, for after a range-for: ok as long as f goes on, and if it gave no error; else what next() says
    // then.
    [[nodiscard]] result<void> status() const {
        if (!state_) return why_;
        if (!state_->maker.done()) return {};
        return typename task<void>::condition(state_->maker).take();
    }
#if SPRUCE_EXCEPTIONS
    // The exception that escaped from f, or null. Counts as having looked at it, as next() and status() do.
    [[nodiscard]] std::exception_ptr exception() const noexcept { return state_ ? state_->maker.exception() : nullptr; }
#endif
    // Asks f to end, as task::cancel() does. Values that were made can still be taken. Returns: true if it had not
    // ended.
    bool cancel() const noexcept { return state_ && state_->maker.cancel(); }

    // What names it as the origin of a cancellation: its task's id; 0 of an empty one.
    task_id id() const noexcept { return state_ ? state_->maker.id() : task_id{}; }

    // for (auto& value : g) takes values until the end. An error ends it, too, and so does a cancellation of who takes
    // them: status() tells of the one, the next wait of the other. A second one goes on where the first was left.
    class iterator {
    public:
        explicit iterator(generator& of) : of_(of.state_), why_(of.why_), item_(take(of_, why_, {})) {}
        T& operator*() noexcept { return *item_; }
        iterator& operator++() {
            item_ = take(of_, why_, {});
            return *this;
        }
        bool operator==(std::default_sentinel_t) const noexcept { return !item_.ok(); }

    private:
        detail::generator_ref<T> of_;   // the one it began with, whatever becomes of the generator
        error why_;
        result<T> item_;
    };
    iterator begin() { return iterator(*this); }
    std::default_sentinel_t end() noexcept { return {}; }

    // In wait_any and wait_all: the next value, as of next(). Cancel: as of next().
    class condition : detail::pinned {
    public:
        explicit condition(generator& g) noexcept : of_(g.state_), why_(g.why_) {
            if (of_) ::new (static_cast<void*>(&inner_)) typename channel<T>::condition(of_->values);
        }
        ~condition() {
            if (!of_) return;
            if (asked_) ++of_->unclaimed;
            inner_.~value_condition();
        }
        result<void> arm(wait_point& p) noexcept {
            if (!of_) return why_;
            if (of_->is_own()) return own_values();
            if (!std::exchange(asked_, true)) of_->ask();
            return inner_.arm(p);
        }
        void disarm() noexcept { inner_.disarm(); }
        bool ready() const noexcept { return of_ && inner_.ready(); }
        // In a wait for all a value counts once.
        bool reserve() noexcept { return !of_ || inner_.reserve(); }
        void unreserve() noexcept {
            if (of_) inner_.unreserve();
        }
        void goes_on() noexcept {
            if (of_) inner_.goes_on();
        }
        [[nodiscard]] result<T> take() {
            auto item = inner_.take();
            if (item.ok()) asked_ = false;
            return !item && item == error(errc::end_of_stream) ? why_ended(of_) : std::move(item);
        }

    private:
        using value_condition = typename channel<T>::condition;
        detail::generator_ref<T> of_;
        error why_;
        bool asked_ = false;
        union {
            value_condition inner_;
        };
    };

private:
    template <class F> struct body {
        detail::generator_end<T> end;   // the last to go
        F f;
        result<void> operator()() {
            SPRUCE_CHECK(end.of->wait_until_wanted());
            yielder<T> yield(end.of);
            using R = std::invoke_result_t<F&, yielder<T>&>;
            static_assert(std::is_void_v<R> || std::is_same_v<R, result<void>>,
                          "a generator's function gives nothing, or a result<void>");
            if constexpr (std::is_void_v<R>) {
                std::invoke(f, yield);
                return {};
            } else {
                return std::invoke(f, yield);
            }
        }
    };
    // By value: the generator may end while a task waits.
    static result<T> take(detail::generator_ref<T> from, error why, deadline dl) {
        if (!from) return why;
        if (from->is_own()) return own_values();
        bool const asks = !this_task::cancel_requested();
        if (asks) from->ask();
        auto item = from->values.receive(dl);
        if (!item && asks) ++from->unclaimed;
        return item;
    }
    bool end_maker() noexcept {
        detail::task_block* const maker = detail::task_access::block(state_->maker);
        return maker && detail::cancel_task_for(maker, detail::cause_here());
    }
    static error own_values() noexcept {
        return detail::with_detail(errc::deadlock, "a generator that waits for its own values");
    }
    static error why_ended(detail::generator_ref<T> const& of) {
        if (!of->maker.done()) return errc::end_of_stream;
        auto const ended = typename task<void>::condition(of->maker).take();
        return ended ? error(errc::end_of_stream) : ended.error();
    }
    detail::generator_ref<T> state_;
    error why_ = errc::wrong_state;
};

}}  // namespace spruce::v0
