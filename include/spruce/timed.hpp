// Functions whose calls come later.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

#include "handler.hpp"
#include "loop.hpp"
#include "memory.hpp"
#include "time.hpp"
#include "detail/waiter_list.hpp"

namespace spruce { inline namespace v0 {

// What a call does while another waits for its time. once: it is ignored; many: each has a timer of its own; restart:
// it takes the other's place, with its own arguments.
enum class timer_policy : std::uint8_t { once, many, restart };

namespace detail {
// A call whose time has not come. It lies in the loop's hands, and is moved there.
struct timed_link {
    timed_link* next = this;
    timed_link* previous = this;
    handler self;

    timed_link() noexcept = default;
    explicit timed_link(timed_link& behind) noexcept : next(&behind), previous(behind.previous) {
        previous->next = next->previous = this;
    }
    timed_link(timed_link&& other) noexcept : timed_link(other) { other.unlink(); }
    timed_link& operator=(timed_link&&) = delete;
    ~timed_link() { unlink(); }
    void unlink() noexcept {
        next->previous = previous;
        previous->next = next;
        next = previous = this;
    }
};
// Lives as long as its timed_function, and calls of f.
template <class F> struct timed_state {
    F f;
    duration after;
    timer_policy policy;
    memory_hook memory;
    std::size_t holders = 1;
    bool over = false;    // the timed_function is gone
    bool stopping = false;
    timed_link calls{};   // the list's head

    void drop() noexcept {
        if (--holders != 0) return;
        memory_hook const from = memory;
        this->~timed_state();
        release(from, this, sizeof(timed_state), alignof(timed_state));
    }
    bool stop(bool* stands = nullptr) noexcept {
        ++holders;   // the arguments' ends may end the function
        bool any = false;
        bool const outermost = !std::exchange(stopping, true);   // an argument's end may stop it, too
        for (; calls.next != &calls; any = true) {
            handler h = calls.next->self;
            calls.next->unlink();
            h.cancel();
        }
        if (outermost) stopping = false;
        if (stands) *stands = !over;
        drop();
        return any;
    }
};
template <class F, class... A> struct timed_call : timed_link {
    timed_state<F>* of;
    std::tuple<A...> arguments;

    template <class... B>
    explicit timed_call(timed_state<F>& s, B&&... b) : timed_link(s.calls), of(&s), arguments(std::forward<B>(b)...) {
        ++of->holders;
    }
    timed_call(timed_call&& other) : timed_link(std::move(other)), of(other.of), arguments(std::move(other.arguments)) {
        ++of->holders;
    }
    ~timed_call() {
        this->unlink();
        of->drop();
    }
    void operator()() {
        this->unlink();
        std::apply(of->f, std::move(arguments));
    }
};
}  // namespace detail

// A function whose calls come later. Made by timed(); moves; its end takes the calls back that have not begun.
// Thread: the loop's.
template <class F> class [[nodiscard]] timed_function {
public:
    template <class G> timed_function(any_duration d, G&& f, timer_policy policy) {
        using state = detail::timed_state<F>;
        memory_hook const memory = detail::memory_here();
        void* const room = detail::allocate(memory, sizeof(state), alignof(state));
        if (!room) return;
        state_ = detail::make_in<state>(room, [&] { detail::release(memory, room, sizeof(state), alignof(state)); },
                                        std::forward<G>(f), d, policy, memory);
    }
    timed_function(timed_function&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    timed_function& operator=(timed_function&& other) noexcept {
        timed_function ends(std::move(*this));
        state_ = std::exchange(other.state_, nullptr);
        return *this;
    }
    ~timed_function() {
        if (!state_) return;
        state_->over = true;
        state_->stop();
        state_->drop();
    }

    // f(args...) is called when the time is over; the arguments are moved, or copied, until then. What f throws goes to
    // the loop's unhandled hook. Returns: false if it was ignored, as another call waits and the policy is once, or as
    // calls are being taken back; or if there was no place for it (a bound of the loop, no memory, no loop).
    template <class... A>
        requires std::invocable<F&, std::decay_t<A>...>
    bool operator()(A&&... args) & {
        if (!state_ || state_->stopping) return false;
        bool const waits = state_->calls.next != &state_->calls;
        if (waits && state_->policy == timer_policy::once) return false;
        if (bool stands = true; waits && state_->policy == timer_policy::restart && (state_->stop(&stands), !stands))
            return false;
        auto hub = loop::current();
        if (!hub) return false;
        handler const h = hub->call_later(state_->after,
                                          detail::timed_call<F, std::decay_t<A>...>(*state_, std::forward<A>(args)...));
        if (!h) return false;
        state_->calls.previous->self = h;
        return true;
    }
    // One that dies with the expression would take the call back.
    template <class... A>
        requires std::invocable<F&, std::decay_t<A>...>
    bool operator()(A&&... args) && = delete;
    // Takes the calls back that have not begun. What the ends of their arguments call meanwhile is ignored. Returns:
    // true if there were any.
    bool stop() noexcept { return state_ && state_->stop(); }

private:
    detail::timed_state<F>* state_ = nullptr;
};

// Makes a function whose calls call f, each d later, or in the next pass if d is 0 or less.
template <class F>
timed_function<std::decay_t<F>> timed(any_duration d, F&& f, timer_policy policy = timer_policy::many) {
    return timed_function<std::decay_t<F>>(d, std::forward<F>(f), policy);
}
}}  // namespace spruce::v0
