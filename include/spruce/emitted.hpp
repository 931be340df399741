// Calls as conditions: what an emitter emits, and calls of a callable.
#pragma once
#include <cstddef>
#include <tuple>
#include <utility>

#include "detail/backlog.hpp"
#include "emitter.hpp"
#include "wait_point.hpp"

namespace spruce { inline namespace v0 {

// The emissions of an emitter, one after another, as a condition of wait_any() and wait_all(). It is connected from
// when it is made until it dies: what is emitted between two waits is kept, up to `backlog` emissions (0 counts as 1).
// What comes when that is full is lost, and with it all that follows, until the loss has been reported to the waiter:
// once, in its place.
//
//     emitted headlines(news);
//     while (auto won = wait_any(headlines, in(5s))) …
//
// It gives a copy of what was emitted: nothing, the value, or a tuple of them. Errors of its value: full (some were
// lost here), closed (nothing more will come: the emitter died, or disconnected it). Errors of the wait: no_memory,
// full (the emitter's bound), already_registered (another wait has it). Thread: the emitter's, and one task at a time.
template <class... A> class emitted : detail::pinned {
public:
    explicit emitted(emitter<A...>& e, std::size_t backlog = 16)
        : kept_(backlog),
          connection_(connection::make<listener>(e.core(), listener{this}, ops, {.told_end = true})) {}

    result<void> arm(wait_point& p) {
        if (!kept_.ended() && !connection_.connected()) return connection_.error();
        return kept_.arm(p);
    }
    void disarm() noexcept { kept_.disarm(); }
    bool ready() const noexcept { return kept_.ready(); }
    [[nodiscard]] result<detail::packed_t<A...>> take() { return kept_.take(); }

private:
    struct listener {
        emitted* to;
    };
    // Without an argument: the emitter lets it go.
    static void run(void* callable, void* argument) noexcept {
        auto& to = static_cast<listener*>(callable)->to->kept_;
        if (!argument) return to.end();
        if (to.losing() || !to.room()) return to.lose();
        detail::call_guarded([&] {
            std::apply([&](A const&... values) { to.keep(values...); },
                       static_cast<detail::emit_argument<A...>*>(argument)->values);
        });
    }
    static constexpr detail::callable_ops ops{run, detail::destroy_callable<listener>, sizeof(listener),
                                              alignof(listener)};
    detail::call_backlog<A...> kept_;
    connection connection_;
};

// A callable that is a condition: it marries any callback to wait_any(). Calls without a waiter are kept, up to
// `backlog` of them (0 counts as 1). It gives the arguments: nothing, the value, or a tuple of them. Errors of the
// wait: no_memory, already_registered (another wait has it). Thread: one loop's, and one task at a time.
// Lifetime: outlives those who may call it.
template <class... A> class called : detail::pinned {
public:
    explicit called(std::size_t backlog = 16) : kept_(backlog) {}
    // Keeps the arguments, and wakes the waiter. Errors: full (the backlog's bound: this call is lost), no_memory.
    [[nodiscard]] result<void> operator()(A... args) {
        SPRUCE_CHECK(kept_.room());
        kept_.keep(std::forward<A>(args)...);
        return {};
    }
    result<void> arm(wait_point& p) { return kept_.arm(p); }
    void disarm() noexcept { kept_.disarm(); }
    bool ready() const noexcept { return kept_.ready(); }
    [[nodiscard]] result<detail::packed_t<A...>> take() { return kept_.take(); }

private:
    detail::call_backlog<A...> kept_;
};

}}  // namespace spruce::v0
