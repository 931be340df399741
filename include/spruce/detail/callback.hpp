// How the library holds a user's callable without knowing its type: four words made by a template in the user's
// own translation unit, where exceptions may exist. Nothing here is for users to call.
#pragma once
#include <concepts>
#include <cstddef>
#include <exception>
#include <new>
#include <type_traits>
#include <utility>

#include "../config.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// What the library may do with a callable. Each function is a trampoline: what the callable throws ends there and
// is reported, so that no exception passes a frame of the library.
struct callable_ops {
    void (*run)(void* callable, void* argument) noexcept;
    void (*destroy)(void* callable) noexcept;
    std::size_t size;
    std::size_t alignment;
};

// Tells the loop of this thread that a callback threw. `what` is the exception's text.
SPRUCE_API void callback_threw(char const* what) noexcept;

#if SPRUCE_THROWS
// To be called inside a handler: reports the exception being handled.
inline void report_current_exception() noexcept {
    try {
        throw;
    } catch (std::exception const& e) {
        callback_threw(e.what());
    } catch (...) {
        callback_threw("an exception that is not a std::exception");
    }
}
#endif

// Calls `f`, and reports what escapes from it. Returns: whether nothing did.
template <class F> bool call_guarded(F&& f) noexcept {
#if SPRUCE_THROWS
    try {
        std::forward<F>(f)();
    } catch (...) {
        report_current_exception();
        return false;
    }
#else
    std::forward<F>(f)();
#endif
    return true;
}

// Makes a T of the arguments in the room; if that throws, undo() gives the room back first. What may throw is done in
// there: the arguments are as the user gave them.
template <class T, class Undo, class... A> T* make_in(void* room, Undo&& undo, A&&... args) {
    auto const make = [&] {
        if constexpr (std::is_constructible_v<T, A...>) return ::new (room) T(std::forward<A>(args)...);
        else return ::new (room) T{std::forward<A>(args)...};   // an aggregate, to clang 14
    };
#if SPRUCE_THROWS
    try {
        return make();
    } catch (...) {
        undo();
        throw;
    }
#else
    static_cast<void>(undo);
    return make();
#endif
}
// Moves f into the room, as a Held.
template <class Held, class F, class Undo> void move_in(void* room, F&& f, Undo&& undo) {
    make_in<Held>(room, std::forward<Undo>(undo), std::forward<F>(f));
}

template <class F> void destroy_callable(void* f) noexcept { static_cast<F*>(f)->~F(); }

}}}  // namespace spruce::v0::detail
