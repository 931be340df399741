// Values that each task has for itself.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include "config.hpp"
#include "result.hpp"
#include "time.hpp"
#include "verify.hpp"

namespace spruce { inline namespace v0 {

namespace detail {
// A value's head; the value follows. In its task's list, the latest first.
struct local_value {
    local_value* next;
    std::uint64_t key;                          // names the object; never used again after it
    void (*destroy)(void* value) noexcept;
    std::size_t bytes, alignment, offset;       // of the whole block; of the value in it
    local_value* previous = nullptr;
    local_value* next_in_bucket = nullptr;      // in the loop's table,
    void const* list = nullptr;                 // … if it is there: whose value it is
    void* value() noexcept { return reinterpret_cast<std::byte*>(this) + offset; }
};
SPRUCE_API std::uint64_t new_local_key() noexcept;
// The caller's value for a key, or null. no_loop, no_memory, closed: why there can be none.
SPRUCE_API result<local_value*> find_local(std::uint64_t key) noexcept;
// A block with room for a value, which the caller makes, and then keep_local() or drop_local().
SPRUCE_API result<local_value*> claim_local(std::uint64_t key, std::size_t size, std::size_t alignment) noexcept;
SPRUCE_API void keep_local(local_value* v, void (*destroy)(void*) noexcept) noexcept;
SPRUCE_API void drop_local(local_value* v) noexcept;
SPRUCE_API bool reset_local(std::uint64_t key) noexcept;
struct local_claim {
    local_value* block;
    ~local_claim() {
        if (block) drop_local(block);
    }
};
}  // namespace detail

// One T for each task and each such object, made when the task first asks for it; plain code on a loop's thread has one
// of its own. Thread: any; tasks of several loops may use one object, each seeing its own value.
// Lifetime: a value dies with its task, after f has returned and before those who join are woken, the latest made
// first, on the task's stack; plain code's with its loop. The object may die before: then the values of the task that
// destroys it die with it, and those of other tasks with those tasks. Values of a task that destroy() abandoned are
// never destroyed: their stack stays as it was.
template <class T> class task_local : detail::pinned {
    static_assert(std::is_object_v<T> && !std::is_const_v<T>, "task_local<T>: T is an object type without const");

public:
    // Values begin as T().
    task_local()
        requires std::default_initializable<T>
        : key_(detail::new_local_key()) {}
    // Values begin as copies of `initial`.
    explicit task_local(T initial)
        requires std::copy_constructible<T>
        : key_(detail::new_local_key()), initial_(std::move(initial)) {}
    ~task_local() { detail::reset_local(key_); }

    // The caller's value. What T's own constructor throws passes through; then there is none yet.
    // Errors: no_memory; no_loop (a thread without one); closed (it is to be made while the task's values are being
    // destroyed, or later, by its outcome's destructor).
    [[nodiscard]] result<T&> get() noexcept(nothrow_made) {
        auto found = detail::find_local(key_);
        if (!found) return found.error();
        if (*found) return *static_cast<T*>((*found)->value());
        auto made = detail::claim_local(key_, sizeof(T), alignof(T));
        if (!made) return made.error();
        detail::local_claim claim{*made};   // a constructor that throws leaves nothing behind
        make(claim.block->value());
        detail::keep_local(std::exchange(claim.block, nullptr),
                           [](void* value) noexcept { static_cast<T*>(value)->~T(); });
        return *static_cast<T*>((*made)->value());
    }
    // The caller's value. Where get() fails they end the program, with the reason.
    T& operator*() { return need(); }
    T* operator->() { return std::addressof(need()); }
    // Destroys the caller's value; the next get() makes a new one. Returns: whether there was one.
    bool reset() noexcept { return detail::reset_local(key_); }

private:
    static constexpr bool nothrow_made = []() consteval {
        if constexpr (!std::copy_constructible<T>) return std::is_nothrow_default_constructible_v<T>;
        else if constexpr (!std::default_initializable<T>) return std::is_nothrow_copy_constructible_v<T>;
        else return std::is_nothrow_default_constructible_v<T> && std::is_nothrow_copy_constructible_v<T>;
    }();
    void make(void* at) {
        if constexpr (std::copy_constructible<T>) {
            if (initial_) {
                ::new (at) T(*initial_);
                return;
            }
        }
        if constexpr (std::default_initializable<T>) ::new (at) T();
    }
    T& need() {
        auto value = get();
        if (!value) detail::panic(value.error().message(), "task_local", 0);
        return *value;
    }
    std::uint64_t key_;
    std::optional<T> initial_;
};

}}  // namespace spruce::v0
