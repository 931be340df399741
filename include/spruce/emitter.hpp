// Emitters: one calls, and all who have connected are called.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

#include "detail/callback.hpp"
#include "memory.hpp"
#include "result.hpp"

// Qt makes this word nothing, unless QT_NO_KEYWORDS is defined; with its word in force a program calls emitters by ().
#pragma push_macro("emit")
#undef emit

namespace spruce { inline namespace v0 {

namespace detail {
// A callable that is connected, in one block with it; src/message/emitter.cpp knows it.
struct connected_slot;
struct emission;

// Who is connected, and who watches that, in the order in which they are called.
struct emitter_core : pinned {
    SPRUCE_API explicit emitter_core(std::size_t bound) noexcept;
    SPRUCE_API ~emitter_core();
    void* head[2];                    // room for the head of a list
    void* watchers[2];                // notified of connections; not counted
    emission* running = nullptr;      // calls of emit that have not come back, on whatever stacks
    std::uint64_t next_number = 0;    // of the next connection
    std::size_t count = 0, bound;
    bool ending = false;
};

struct connection_kind {
    bool first = false;       // before those who are connected already
    // Disconnected before it is called; a watcher, at a change that leaves a connection
    bool once = false;
    bool told_end = false;    // called without an argument when the emitter disconnects it
    bool watches = false;     // called when others are connected and disconnected, and never by emit
    emitter_core* to = nullptr;   // what is emitted is emitted there, too
};
// In a callable's place, of a connection that goes on to another emitter.
struct forwarded {
    void* room[10];   // where an emission stands that goes on there
};
inline constexpr callable_ops forwarded_ops{[](void*, void*) noexcept {}, [](void*) noexcept {}, sizeof(forwarded),
                                            alignof(forwarded)};
// A place for a callable; room is null when refused, and then `why` says so.
struct connection_claim {
    connected_slot* slot = nullptr;
    void* room = nullptr;
    errc why{};
};
SPRUCE_API connection_claim claim_connection(emitter_core& to, std::size_t size, std::size_t alignment,
                                             connection_kind kind) noexcept;
SPRUCE_API void unclaim_connection(connected_slot* s) noexcept;
SPRUCE_API void arm_connection(emitter_core& to, connected_slot* s, callable_ops const* ops,
                               connection_kind kind) noexcept;
// Calls all who are connected now. false: the emitter died meanwhile.
SPRUCE_API bool emit_to(emitter_core& from, void* argument) noexcept;
SPRUCE_API void disconnect_all(emitter_core& from) noexcept;
// Those that were made with these ops, and that equal() says so of; how many they were.
SPRUCE_API std::size_t disconnect_equal(emitter_core& from, callable_ops const* ops,
                                        bool (*equal)(void const*, void const*), void const* to) noexcept;
SPRUCE_API bool disconnect(connected_slot* s) noexcept;
SPRUCE_API bool is_connected(connected_slot const* s) noexcept;
// The connection object lets go, and disconnects unless it is kept.
SPRUCE_API void let_go(connected_slot* s, bool keep) noexcept;

template <class... A> struct emit_argument {
    std::tuple<A const&...> values;
    bool agreed = true;
};
template <class F, class... A> void run_connected(void* callable, void* argument) noexcept {
    call_guarded([&] {
        F& f = *static_cast<F*>(callable);
        auto& given = *static_cast<emit_argument<A...>*>(argument);
        if constexpr (std::is_same_v<std::invoke_result_t<F&, A const&...>, bool>) {
            if (!std::apply(f, given.values)) given.agreed = false;
        } else {
            static_cast<void>(std::apply(f, given.values));
        }
    });
}
template <class F, class... A>
inline constexpr callable_ops connected_ops{run_connected<F, A...>, destroy_callable<F>, sizeof(F), alignof(F)};
template <class F> void run_watch(void* callable, void* change) noexcept;
template <class F> inline constexpr callable_ops watch_ops{run_watch<F>, destroy_callable<F>, sizeof(F), alignof(F)};
}  // namespace detail

// What an emitter's watchers are notified of: something was connected to it, or disconnected; and how many are
// connected now.
struct connection_change {
    bool connected;
    std::size_t size;
};
template <class F> void detail::run_watch(void* callable, void* change) noexcept {
    call_guarded(
        [&] { static_cast<void>((*static_cast<F*>(callable))(*static_cast<connection_change const*>(change))); });
}

// A callable in an emitter's hands. Owns it: disconnects when it dies. Thread: the emitter's.
// Lifetime: may outlive its emitter, and end within a call of its own callable.
class [[nodiscard]] connection {
public:
    // Empty.
    connection() noexcept = default;
    connection(connection&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)), why_(other.why_) {}
    connection& operator=(connection&& other) noexcept {
        if (this != &other) {
            connection ends(std::move(*this));
            slot_ = std::exchange(other.slot_, nullptr);
            why_ = other.why_;
        }
        return *this;
    }
    ~connection() {
        if (slot_) detail::let_go(slot_, false);
    }
    // From here on it is never called, though an emit be under way. The callable is destroyed before this returns, or,
    // while it is being called, when that is over. Returns: true if it was connected.
    bool disconnect() noexcept { return slot_ && detail::disconnect(slot_); }
    // Whether it will be called.
    bool connected() const noexcept { return slot_ && detail::is_connected(slot_); }
    // Lets go without disconnecting: it stays as long as the emitter.
    void keep() noexcept {
        if (slot_) detail::let_go(std::exchange(slot_, nullptr), true);
    }
    // Why it is empty: full or no_memory of a refused connect, else wrong_state.
    spruce::error error() const noexcept { return why_; }

    // For the library's own use.
    static connection refused(errc why) noexcept {
        connection none;
        none.why_ = why;
        return none;
    }
    template <class F, class G>
    static connection make(detail::emitter_core& to, G&& f, detail::callable_ops const& ops,
                           detail::connection_kind kind) {
        detail::connection_claim const c = detail::claim_connection(to, sizeof(F), alignof(F), kind);
        if (!c.room) return refused(c.why);
        detail::move_in<F>(c.room, std::forward<G>(f), [&] { detail::unclaim_connection(c.slot); });
        detail::arm_connection(to, c.slot, &ops, kind);
        connection made;
        made.slot_ = c.slot;
        return made;
    }

private:
    detail::connected_slot* slot_ = nullptr;
    errc why_ = errc::wrong_state;
};

// Calls all who are connected, with what is emitted. The callables lie in the memory of the loop on which they were
// connected; emit() takes none. Thread: one loop's; also plain code's, without a loop.
// Lifetime: it may die within a call of its own emit(); those who were not called yet are disconnected, and not called.
template <class... A> class emitter : detail::pinned {
public:
    // So many may be connected; more is an error, which shows that connections are not ended.
    static constexpr std::size_t default_bound = 1'000;
    emitter() noexcept : core_(default_bound) {}
    explicit emitter(std::size_t bound) noexcept : core_(bound) {}

    // From here on f is called with what is emitted, after those who are connected already; an emit that is under way
    // leaves it out. It gets constant references to one copy for all. What it throws goes to the loop's unhandled hook.
    // Errors (of the connection, which is empty): full (the bound), no_memory.
    template <std::invocable<A const&...> F> connection connect(F&& f) { return add(std::forward<F>(f), {}); }
    // The same, before those who are connected already.
    template <std::invocable<A const&...> F> connection connect_first(F&& f) {
        return add(std::forward<F>(f), {.first = true});
    }
    // The same as connect(), for one call: it is disconnected before that begins.
    template <std::invocable<A const&...> F> connection connect_once(F&& f) {
        return add(std::forward<F>(f), {.once = true});
    }
    // Calls all who are connected, one after another; it comes back when the last has. Who is disconnected meanwhile,
    // and was not called yet, is not called. Returns: false if one of them returned false; the others are called
    // nevertheless. A callable may emit again, connect, disconnect, and, in a task, wait.
    bool emit(A... args) {
        detail::emit_argument<A...> given{{args...}};
        detail::emit_to(core_, &given);
        return given.agreed;
    }
    // The same.
    bool operator()(A... args) { return emit(std::forward<A>(args)...); }
    // Calls what is emitted here there as well, in this one's turn: false there is false here. Both may have watchers.
    // Chains of them may be as long as you like.
    // Errors: as of connect(). Lifetime: the other one outlives the connection; the two do not call each other in a
    // circle.
    connection forward_to(emitter& other) {
        return connection::make<detail::forwarded>(core_, detail::forwarded{}, detail::forwarded_ops,
                                                   {.to = &other.core()});
    }
    // From here on f is called when something is connected or disconnected, once that is so; within the call that does
    // it. It may do what callables may. It does not count itself, and hears of no other watcher, nor of the emitter's
    // own end.
    // Errors (of the connection, which is empty): no_memory.
    template <std::invocable<connection_change const&> F>
    connection on_change(F&& f) {
        return watch(std::forward<F>(f), {.watches = true});
    }
    // Disconnects those that were connected with an equal callable of this type: a function's address, or of a class
    // with an operator==, see bound(). Returns: how many they were. A comparison that throws counts as unequal, and is
    // reported to the unhandled hook.
    template <class F>
        requires std::equality_comparable<std::decay_t<F>> && std::invocable<std::decay_t<F>&, A const&...>
    std::size_t disconnect(F const& f) {
        using held = std::decay_t<F>;
        held const wanted(f);
        return detail::disconnect_equal(core_, &detail::connected_ops<held, A...>, [](void const* a, void const* b) {
            bool equal = false;
            detail::call_guarded([&] { equal = *static_cast<held const*>(a) == *static_cast<held const*>(b); });
            return equal;
        }, &wanted);
    }
    // Disconnects all, those within their call too.
    void disconnect_all() noexcept { detail::disconnect_all(core_); }
    // How many are connected.
    std::size_t size() const noexcept { return core_.count; }

    // For the library's own use.
    detail::emitter_core& core() noexcept { return core_; }

    template <class F> connection watch(F&& f, detail::connection_kind kind) {
        using held = std::decay_t<F>;
        return connection::make<held>(core_, std::forward<F>(f), detail::watch_ops<held>, kind);
    }

private:
    template <class F> connection add(F&& f, detail::connection_kind kind) {
        using held = std::decay_t<F>;
        return connection::make<held>(core_, std::forward<F>(f), detail::connected_ops<held, A...>, kind);
    }
    detail::emitter_core core_;
};

// Emits at once if there is a connection; else once there is one, within that call of connect(). Returns: what waits
// for that; its end takes it back, and it is empty if nothing waits. Errors (of the connection): no_memory.
// Lifetime: of the connection, the emitter's.
template <class... A> connection emit_when_connected(emitter<A...>& from, std::type_identity_t<A>... args) {
    if (from.size() != 0) return from.emit(std::move(args)...), connection();
    return from.watch(
        [&from, held = std::tuple<std::type_identity_t<A>...>(std::move(args)...)](connection_change const&) mutable {
            std::apply([&](auto&... values) { from.emit(std::move(values)...); }, held);
        },
        {.once = true, .watches = true});
}

}}  // namespace spruce::v0

#pragma pop_macro("emit")
