// result<T>: a value, or the error that came instead of it.
#pragma once
#include <concepts>
#include <functional>
#include <memory>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

#include "error.hpp"
#include "verify.hpp"

namespace spruce { inline namespace v0 {

template <class T> class result;

namespace detail {
template <class T> struct flat { using type = T; };
template <class T> struct flat<result<T>> { using type = T; };
template <class T> using flat_t = typename flat<T>::type;
template <class T> inline constexpr bool is_result = false;
template <class T> inline constexpr bool is_result<result<T>> = true;
template <class F, class... A> using outcome_t = flat_t<std::invoke_result_t<F, A...>>;
template <class F, class... A> concept startable = std::invocable<std::decay_t<F>, std::decay_t<A>...>;
template <class F, class... A> using started_t = outcome_t<std::decay_t<F>, std::decay_t<A>...>;
// What a task's function and its arguments must be, each for a sentence of its own where it is not.
template <class T> concept can_move_in = std::constructible_from<std::decay_t<T>, T>;
template <class R> concept can_give_back = std::is_void_v<R> || std::is_lvalue_reference_v<R> ||
                                           (std::is_object_v<R> && std::move_constructible<R>);
template <class F, class... A>
concept can_start =
    startable<F, A...> && can_move_in<F> && (can_move_in<A> && ...) && can_give_back<started_t<F, A...>>;
template <class F, class... A> struct start_of { using type = void; };
template <class F, class... A>
    requires can_start<F, A...>
struct start_of<F, A...> { using type = started_t<F, A...>; };
// Says what is wrong, if anything is.
template <class F, class... A> consteval bool check_start() {
    static_assert(can_move_in<F>,
                  "the task's function can be neither copied nor moved into the task: give it by std::move(), "
                  "or by std::ref() if it outlives the task");
    static_assert((can_move_in<A> && ...),
                  "an argument can be neither copied nor moved into the task: give it by std::move(), or by "
                  "std::ref() if it outlives the task");
    static_assert(startable<F, A...>,
                  "the task's function cannot be called with these arguments: it gets its own copies of them, as "
                  "rvalues; what it takes by reference is given by std::ref()");
    if constexpr (startable<F, A...>)
        static_assert(can_give_back<started_t<F, A...>>,
                      "what the task's function gives back cannot be moved: give back what moves, a reference to what "
                      "outlives the task, or nothing");
    return can_start<F, A...>;
}
template <class F, class... A> using start_of_t = typename start_of<F, A...>::type;

// The operand of `*r`, and where that stands: an argument of a caller's line that no member of r could have.
struct asked_here {
    char const* file;
    int line;
    void need(bool ok, error const& e) const noexcept {
        if (!ok) [[unlikely]] no_value(e, file, line);
    }
};
template <class R> struct operand : asked_here {
    template <std::derived_from<R> U>
        requires(std::is_const_v<U> == std::is_const_v<R>)
    operand(U& r, char const* at = __builtin_FILE(), int line_of = __builtin_LINE()) noexcept
        : asked_here{at, line_of}, of(r) {}
    void need() const noexcept { asked_here::need(of.ok(), of.error_); }
    R& of;
};
template <class R> struct moved_operand : asked_here {
    moved_operand(R&& r, char const* at = __builtin_FILE(), int line_of = __builtin_LINE()) noexcept
        : asked_here{at, line_of}, of(r) {}
    void need() const noexcept { asked_here::need(of.ok(), of.error_); }
    R& of;
};

// A file that throws and one that does not must not share this function: the parameter keeps them apart.
template <bool throws> [[noreturn]] void bad_value(error e) {
#if SPRUCE_THROWS
    throw failure(e);
#else
    panic(e.message(), "result::value()", 0);
#endif
}
}  // namespace detail

// A T or an error. A function that can fail gives one back; `return errc::full;` and `return value;` make it.
// Thread: that of its T. It never throws but from value(), and from T's own constructors.
template <class T> class result {
    static_assert(!detail::is_result<T>, "result<result<T>>: give back result<T>");
    static_assert(!std::is_same_v<T, spruce::error> && !std::is_same_v<T, errc>, "an error is never the value");

public:
    using value_type = T;

    template <class U = T>
        requires(std::constructible_from<T, U> && !std::same_as<std::remove_cvref_t<U>, result> &&
                 !std::same_as<std::remove_cvref_t<U>, spruce::error> && !std::same_as<std::remove_cvref_t<U>, errc>)
    explicit(!std::convertible_to<U, T>) result(U&& value) : value_(std::forward<U>(value)), ok_(true) {}
    result(spruce::error e) noexcept : error_(e), ok_(false) {}
    result(errc c) noexcept : error_(c), ok_(false) {}
    result(result const& other)
        requires std::copy_constructible<T>
        : ok_(other.ok_) {
        if (ok_) ::new (static_cast<void*>(std::addressof(value_))) T(other.value_);
        else ::new (static_cast<void*>(&error_)) spruce::error(other.error_);
    }
    result(result&& other) noexcept(std::is_nothrow_move_constructible_v<T>) : ok_(other.ok_) {
        if (ok_) ::new (static_cast<void*>(std::addressof(value_))) T(std::move(other.value_));
        else ::new (static_cast<void*>(&error_)) spruce::error(other.error_);
    }
    result& operator=(result const& other)
        requires std::copy_constructible<T>
    {
        if (this != &other) *this = result(other);
        return *this;
    }
    result& operator=(result&& other) noexcept(std::is_nothrow_move_constructible_v<T>) {
        if (this == &other) return *this;
        if constexpr (std::is_nothrow_move_constructible_v<T>) {
            std::destroy_at(this);
            std::construct_at(this, std::move(other));
        } else {
            // A move that throws must not leave a hole: the old value goes only when the new one stands.
            result taken(std::move(other));
            if (ok_) {
                value_.~T();
                ok_ = false;
                ::new (static_cast<void*>(&error_)) spruce::error(errc::wrong_state);
            }
            if (taken.ok_) {
                ::new (static_cast<void*>(std::addressof(value_))) T(std::move(taken.value_));
                ok_ = true;
            } else {
                error_ = taken.error_;
            }
        }
        return *this;
    }
    ~result() {
        if (ok_) value_.~T();
    }

    bool ok() const noexcept { return ok_; }
    // Whether it holds a value. A result<bool> has none: what it asks would be ambiguous.
    explicit operator bool() const noexcept
        requires(!std::same_as<std::remove_cv_t<T>, bool>)
    {
        return ok_;
    }
    // The value. Wrong on an error: ends the program, and says which error it is, and the line that asked (of `r->` the
    // address of the call).
    friend T& operator*(detail::operand<result> r) noexcept { return r.need(), r.of.value_; }
    friend T const& operator*(detail::operand<result const> r) noexcept { return r.need(), r.of.value_; }
    friend T&& operator*(detail::moved_operand<result> r) noexcept { return r.need(), std::move(r.of.value_); }
    T* operator->() noexcept { return need(), std::addressof(value_); }
    T const* operator->() const noexcept { return need(), std::addressof(value_); }
    // The value, or throws failure; without exceptions it panics.
    T& value() & { return ask(), value_; }
    T const& value() const& { return ask(), value_; }
    T&& value() && { return ask(), std::move(value_); }
    // The value, or what is given instead.
    template <class U> T value_or(U&& other) const& { return ok_ ? value_ : static_cast<T>(std::forward<U>(other)); }
    template <class U> T value_or(U&& other) && {
        return ok_ ? std::move(value_) : static_cast<T>(std::forward<U>(other));
    }
    // The error. Wrong on a value: ends the program, with the rule in words.
    spruce::error error() const noexcept {
        SPRUCE_VERIFY(!ok_, "result::error() asked of a result that holds a value");
        return error_;
    }
    friend bool operator==(result const& r, spruce::error const& e) noexcept { return !r.ok_ && r.error_ == e; }

private:
    template <class R> friend struct detail::operand;
    template <class R> friend struct detail::moved_operand;
    void need() const noexcept {
        if (!ok_) [[unlikely]] detail::no_value(error_, nullptr, 0);
    }
    void ask() const {
        if (!ok_) detail::bad_value<SPRUCE_THROWS>(error_);
    }
    union {
        std::remove_const_t<T> value_;
        spruce::error error_;
    };
    bool ok_;
};

// Success, or an error. 16 bytes, trivially copied: it comes back in registers.
template <> class result<void> {
public:
    using value_type = void;
    result() noexcept = default;
    result(spruce::error e) noexcept : error_(e) {}
    result(errc c) noexcept : error_(c) {}
    bool ok() const noexcept { return error_.word_ == 0; }
    explicit operator bool() const noexcept { return ok(); }
    // Wrong on an error: ends the program, as another result's does.
    friend void operator*(detail::operand<result const> r) noexcept { r.need(); }
    friend void operator*(detail::operand<result> r) noexcept { r.need(); }
    friend void operator*(detail::moved_operand<result> r) noexcept { r.need(); }
    // Nothing; or throws failure, or panics without exceptions.
    void value() const {
        if (!ok()) detail::bad_value<SPRUCE_THROWS>(error_);
    }
    spruce::error error() const noexcept {
        SPRUCE_VERIFY(!ok(), "result::error() asked of a result that holds a value");
        return error_;
    }
    friend bool operator==(result const& r, spruce::error const& e) noexcept { return !r.ok() && r.error_ == e; }

private:
    template <class R> friend struct detail::operand;
    template <class R> friend struct detail::moved_operand;
    spruce::error error_;
};
static_assert(sizeof(result<void>) <= 16 && std::is_trivially_copyable_v<result<void>>);

// A reference, held as a pointer, or an error. Assignment makes it refer to something else.
template <class T> class result<T&> {
public:
    using value_type = T&;
    result(T& value) noexcept : value_(std::addressof(value)), error_(errc::canceled) {}
    result(spruce::error e) noexcept : value_(nullptr), error_(e) {}
    result(errc c) noexcept : value_(nullptr), error_(c) {}
    bool ok() const noexcept { return value_ != nullptr; }
    explicit operator bool() const noexcept { return ok(); }
    friend T& operator*(detail::operand<result const> r) noexcept { return r.need(), *r.of.value_; }
    friend T& operator*(detail::operand<result> r) noexcept { return r.need(), *r.of.value_; }
    friend T& operator*(detail::moved_operand<result> r) noexcept { return r.need(), *r.of.value_; }
    T* operator->() const noexcept { return need(), value_; }
    T& value() const {
        if (!ok()) detail::bad_value<SPRUCE_THROWS>(error_);
        return *value_;
    }
    spruce::error error() const noexcept {
        SPRUCE_VERIFY(!ok(), "result::error() asked of a result that holds a value");
        return error_;
    }
    friend bool operator==(result const& r, spruce::error const& e) noexcept { return !r.ok() && r.error_ == e; }

private:
    template <class R> friend struct detail::operand;
    template <class R> friend struct detail::moved_operand;
    void need() const noexcept {
        if (!ok()) [[unlikely]] detail::no_value(error_, nullptr, 0);
    }
    T* value_;
    spruce::error error_;
};

}}  // namespace spruce::v0

#define SPRUCE_JOIN2(a, b) a##b
#define SPRUCE_JOIN(a, b) SPRUCE_JOIN2(a, b)

// SPRUCE_TRY(auto line, in.read_line());   takes the value, or returns the error from this function.
#define SPRUCE_TRY(declaration, ...) SPRUCE_TRY_(SPRUCE_JOIN(spruce_try_, __COUNTER__), declaration, __VA_ARGS__)
#define SPRUCE_TRY_(name, declaration, ...) \
    auto name = (__VA_ARGS__);              \
    if (!name.ok()) return name.error();    \
    declaration = *std::move(name)

// SPRUCE_CHECK(out.write("hi"));           the same where there is no value to take.
#define SPRUCE_CHECK(...)                                                               \
    do {                                                                                \
        if (auto&& spruce_check_ = (__VA_ARGS__); !spruce_check_.ok()) return spruce_check_.error(); \
    } while (false)
