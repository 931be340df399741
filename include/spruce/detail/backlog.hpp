// A buffer of values until they are taken: what emitted, called and event_bus are made of. Nothing here is for
// users.
#pragma once
#include <cstddef>
#include <memory>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

#include "../memory.hpp"
#include "../result.hpp"
#include "../wait_point.hpp"

namespace spruce { inline namespace v0 { namespace detail {

struct value_ops {
    void (*move)(void* to, void* from) noexcept;
    void (*destroy)(void* value) noexcept;
    std::size_t size, alignment;
};
template <class T> inline constexpr value_ops value_ops_of{
    [](void* to, void* from) noexcept { ::new (to) T(std::move(*static_cast<T*>(from))); },
    [](void* value) noexcept { static_cast<T*>(value)->~T(); },
    sizeof(T),
    alignof(T),
};

// A ring of values, first in, first out, with room for so many (at least one) from when it is made.
class backlog_core : pinned {
public:
    SPRUCE_API backlog_core(std::size_t capacity, value_ops const& ops) noexcept;
    SPRUCE_API ~backlog_core();
    // Whether there is a place. Errors: full, no_memory.
    result<void> room() const noexcept {
        if (!slots_) return errc::no_memory;
        return count_ < capacity_ ? result<void>() : result<void>(errc::full);
    }
    // Keeps *value; there is a place for it.
    SPRUCE_API void push(void* value) noexcept;
    // A value was lost. Those that come from here on are lost, too, until the loss has been reported in its place.
    void lose() noexcept { gap_ = true; }
    bool losing() const noexcept { return gap_; }
    // Nothing more will come.
    SPRUCE_API void end() noexcept;
    bool ended() const noexcept { return ended_; }
    // The first value. Errors: full (once, where some were lost), closed (after the end), would_wait.
    SPRUCE_API result<void*> first() noexcept;
    // The first one was moved from: its place is free.
    SPRUCE_API void pop() noexcept;
    std::size_t size() const noexcept { return count_; }

    // For one wait at a time. Errors: no_memory, already_registered.
    SPRUCE_API result<void> arm(wait_point& p) noexcept;
    void disarm() noexcept { point_ = nullptr; }
    bool ready() const noexcept { return count_ != 0 || gap_ || ended_; }

private:
    void* slot(std::size_t n) noexcept {
        n = n < capacity_ - first_ ? first_ + n : n - (capacity_ - first_);
        return static_cast<std::byte*>(slots_) + n * ops_->size;
    }
    value_ops const* ops_;
    std::size_t capacity_, first_ = 0, count_ = 0;
    void* slots_ = nullptr;
    memory_hook memory_;
    wait_point* point_ = nullptr;
    bool gap_ = false, ended_ = false;
};

// What is made of the arguments of one call: nothing, the one, or a tuple.
template <class... A> struct packed {
    using type = std::tuple<A...>;
};
template <class A> struct packed<A> {
    using type = A;
};
template <> struct packed<> {
    using type = void;
};
template <class... A> using packed_t = typename packed<std::decay_t<A>...>::type;

// The calls of something, kept as what their arguments make.
template <class... A> class call_backlog : public backlog_core {
    struct nothing {};

public:
    using taken = packed_t<A...>;
    using kept = std::conditional_t<std::is_void_v<taken>, nothing, taken>;
    static_assert(std::is_nothrow_move_constructible_v<kept>, "values that are kept move without throwing");
    explicit call_backlog(std::size_t capacity) noexcept : backlog_core(capacity, value_ops_of<kept>) {}
    // There is a place for it.
    template <class... B> void keep(B&&... arguments) {
        kept made(std::forward<B>(arguments)...);
        push(std::addressof(made));
    }
    result<taken> take() {
        SPRUCE_TRY(void* const at, first());
        if constexpr (std::is_void_v<taken>) {
            pop();
            return {};
        } else {
            kept given(std::move(*static_cast<kept*>(at)));
            pop();
            return given;
        }
    }
};

}}}  // namespace spruce::v0::detail
