// The switch by itself, between two places of the program; and the same once the program has done inexact
// arithmetic, which sets status bits in the floating-point control register of one side only. Ours beside a floor
// (which keeps no control words in the first workload), boost.context and a C++20 coroutine's resume and suspend.
// links: -lboost_context
#include "../src/context/switch.hpp"

#include <cfenv>
#include <coroutine>
#include <exception>
#include <memory>

#include "floors/switch_floor.hpp"
#include "measure.hpp"

// Its header brings <cxxabi.h>, whose __cxa_get_globals clang will not have beside the library's own declaration.
#if __has_include(<boost/context/detail/fcontext.hpp>) && !defined(__clang__)
#include <boost/context/detail/fcontext.hpp>
#define HAVE_BOOST_CONTEXT 1
#endif

namespace {
using namespace spruce::detail;

constexpr std::size_t stack_bytes = 64 * 1024;
long turns;             // there and back
bool inexact;           // whether our side does inexact arithmetic before the clock starts

// Before a round both sides' control registers are alike; then, perhaps, ours is not.
void clear_status() { std::feclearexcept(FE_ALL_EXCEPT); }
void dirty_status() {
    if (!inexact) return;
    double volatile third = 1.0;
    third = third / 3.0;
}
double per_switch(std::int64_t begin) { return measure::per(begin, 2 * turns); }

// -- ours
thread_machine machine;
execution here, there;
void* here_at;
void* there_at;

[[gnu::noinline]] void go_there() { switch_to(machine, here, there, &here_at, there_at); }
void there_body(void*) noexcept {
    arrived(machine, there);
    for (;;) switch_to(machine, there, here, &there_at, here_at);
}
[[gnu::noinline]] double spruce_round() {
    static auto const stack = std::make_unique<char[]>(stack_bytes);
    clear_status();
    machine = {};
    here = {};
    there = {};
    machine_begin(machine, here);
    auto const top = reinterpret_cast<std::uintptr_t>(stack.get() + stack_bytes) & ~std::uintptr_t{63};
    there_at = prepare_stack(machine, there, stack.get(), reinterpret_cast<void*>(top), there_body, nullptr);
    go_there();
    dirty_status();
    std::int64_t const begin = measure::cpu_ns();
    for (long i = 0; i < turns; ++i) switch_to(machine, here, there, &here_at, there_at);
    double const value = per_switch(begin);
    machine_end(machine);
    return value;
}

// -- the floor
#ifdef HAVE_BARE_SWITCH
template <bool control> struct bare {
    static inline void* here;
    static inline void* there;
    [[gnu::always_inline]] static void go(void** save, void* to) {
        if constexpr (control) floors::bare_switch_with_control(save, to);
        else floors::bare_switch(save, to);
    }
    [[gnu::noinline]] static void body() {
        for (;;) go(&there, here);
    }
    [[gnu::noinline]] static double round() {
        static char* const stack = floors::map_pages(stack_bytes);
        clear_status();
        there = control ? floors::bare_stack_with_control(stack + stack_bytes, body) : floors::bare_stack(stack + stack_bytes, body);
        go(&here, there);
        dirty_status();
        std::int64_t const begin = measure::cpu_ns();
        for (long i = 0; i < turns; ++i) go(&here, there);
        return per_switch(begin);
    }
};
#endif

#ifdef HAVE_BOOST_CONTEXT
namespace context = boost::context::detail;
void boost_body(context::transfer_t from) {
    for (;;) from = context::jump_fcontext(from.fctx, nullptr);
}
[[gnu::noinline]] double boost_round() {
    static auto const stack = std::make_unique<char[]>(stack_bytes);
    clear_status();
    context::transfer_t other{context::make_fcontext(stack.get() + stack_bytes, stack_bytes, boost_body), nullptr};
    other = context::jump_fcontext(other.fctx, nullptr);
    dirty_status();
    std::int64_t const begin = measure::cpu_ns();
    for (long i = 0; i < turns; ++i) other = context::jump_fcontext(other.fctx, nullptr);
    return per_switch(begin);
}
#endif

struct endless {
    struct promise_type {
        endless get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() noexcept { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }
    };
    std::coroutine_handle<promise_type> handle;
};
endless coroutine_body() {
    for (;;) co_await std::suspend_always{};
}
[[gnu::noinline]] double coroutine_round() {
    static auto const handle = coroutine_body().handle;
    clear_status();
    handle.resume();
    dirty_status();
    std::int64_t const begin = measure::cpu_ns();
    for (long i = 0; i < turns; ++i) {
        measure::keep(handle);   // which coroutine it is must not be known
        handle.resume();
    }
    return per_switch(begin);
}

void race(char const* name, [[maybe_unused]] bool control, measure::effort const& e) {
    measure::contest all(name);
    all.enter("spruce", spruce_round);
#ifdef HAVE_BARE_SWITCH
    all.enter("floor", control ? bare<true>::round : bare<false>::round);
#endif
#ifdef HAVE_BOOST_CONTEXT
    all.enter("boost.context", boost_round);
#endif
    all.enter("coroutine", coroutine_round);
    all.run(e);
}
}  // namespace

int main(int count, char** arguments) {
    measure::pin();
    measure::effort const e(count, arguments);
    turns = e.of(4'000'000, 1000);
    race("switch", false, e);
    turns = e.of(1'000'000, 1000);
    inexact = true;
    race("switch_inexact", true, e);
}
