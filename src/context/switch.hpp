// The switch: leaves one stack and goes on at another. docs/context_switch.md tells how and why.
#pragma once
#include <cstddef>
#include <cstdint>

#include <spruce/result.hpp>

#include "exception_state.hpp"
#include "sanitizers.hpp"

#if defined(SPRUCE_USE_UCONTEXT) && SPRUCE_USE_UCONTEXT
#define SPRUCE_SWITCH_UCONTEXT 1
#elif defined(__x86_64__) && !defined(__ILP32__)
#include "switch_x86_64.hpp"
#elif defined(__aarch64__)
#include "switch_aarch64.hpp"
#else
#define SPRUCE_SWITCH_UCONTEXT 1
#endif
#ifndef SPRUCE_SWITCH_UCONTEXT
#define SPRUCE_SWITCH_UCONTEXT 0
#endif
#if SPRUCE_SWITCH_UCONTEXT
#include "switch_ucontext.hpp"
#endif

namespace spruce { inline namespace v0 { namespace detail {

// What a stack has besides its saved stack pointer; nothing, but for tools that watch.
struct execution {
#if SPRUCE_SWITCH_UCONTEXT
    ucontext_part part{};
#endif
#if SPRUCE_ASAN
    void* fake_stack = nullptr;
    void const* bottom = nullptr;
    std::size_t size = 0;
#endif
#if SPRUCE_TSAN
    void* fiber = nullptr;
#endif
};

// What a hub's thread has.
struct thread_machine {
    // The thread's own; of a program without a C++ runtime, some that stay empty
    exception_globals* exceptions;
    fp_control control{};                      // what a new task begins with
    execution* own = nullptr;                  // the thread's own stack
#if SPRUCE_TSAN
    void* dead_fiber = nullptr;                // a fiber cannot destroy itself: whoever runs next does
#endif
};

// `own` stands for the thread's own stack, on which this is called.
void machine_begin(thread_machine& m, execution& own) noexcept;
void machine_end(thread_machine& m) noexcept;
// not_supported where the process's stacks are watched by the processor (shadow stacks), which this switch does not
// change.
result<void> switch_supported() noexcept;
// For tests, while no loop makes its first task: asked instead of the processor whether the calling thread has a shadow
// stack; null puts the processor back.
void set_shadow_stack_question(bool (*asks)() noexcept) noexcept;

#if SPRUCE_SWITCH_UCONTEXT
void* lay_first_frame(execution& e, void* bottom, void* top, void (*entry)(void* argument) noexcept,
                      void* argument) noexcept;
#endif
// Makes a stack that begins with entry(argument); entry never returns. Gives the saved stack pointer to switch to.
// `top` is the end of what frames may use; `bottom` the lowest address of the stack.
inline void* prepare_stack([[maybe_unused]] thread_machine& m, [[maybe_unused]] execution& e,
                           [[maybe_unused]] void* bottom, void* top, void (*entry)(void* argument) noexcept,
                           void* argument) noexcept {
#if SPRUCE_ASAN
    e.bottom = bottom;
    e.size = static_cast<std::size_t>(static_cast<char*>(top) - static_cast<char*>(bottom));
    e.fake_stack = nullptr;
#endif
#if SPRUCE_TSAN
    e.fiber = __tsan_create_fiber(0);
#endif
#if SPRUCE_SWITCH_UCONTEXT
    return lay_first_frame(e, bottom, top, entry, argument);
#else
    return lay_first_frame(top, m.control, entry, argument);
#endif
}

// The first thing entry() calls.
inline void arrived([[maybe_unused]] thread_machine& m, [[maybe_unused]] execution& self) noexcept {
#if SPRUCE_ASAN
    void const* bottom = nullptr;
    std::size_t size = 0;
    __sanitizer_finish_switch_fiber(nullptr, &bottom, &size);
    // The very first switch of a thread comes from its own stack, whose bounds are learnt here.
    if (m.own->bottom == nullptr) m.own->bottom = bottom, m.own->size = size;
#endif
#if SPRUCE_TSAN
    if (m.dead_fiber) __tsan_destroy_fiber(m.dead_fiber);
    m.dead_fiber = nullptr;
#endif
}

// What switch_to() below is made of, for a thread that has no exceptions in flight.
[[gnu::always_inline]] inline void switch_plainly([[maybe_unused]] thread_machine& m, [[maybe_unused]] execution& from,
                                                  [[maybe_unused]] execution& to, void** save, void* to_sp) noexcept {
#if SPRUCE_ASAN
    __sanitizer_start_switch_fiber(&from.fake_stack, to.bottom, to.size);
#endif
#if SPRUCE_TSAN
    __tsan_switch_to_fiber(to.fiber, 0);
#endif
#if SPRUCE_SWITCH_UCONTEXT
    switch_registers(from.part, to.part, save, to_sp);
#else
    switch_registers(save, to_sp);
#endif
#if SPRUCE_TSAN
    if (m.dead_fiber) __tsan_destroy_fiber(m.dead_fiber);
    m.dead_fiber = nullptr;
#endif
#if SPRUCE_ASAN
    __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
#endif
}

// The same with exceptions in flight: they stay here, in this frame, while the thread is elsewhere.
[[gnu::noinline, gnu::cold]] void switch_with_exceptions(thread_machine& m, execution& from, execution& to, void** save,
                                                         void* to_sp) noexcept;

// Leaves this stack for the one at `to_sp`; where to come back to is written to *save first. Comes back when somebody
// switches there. Inlined into a few noinline functions: the compiler saves just what lives there.
[[gnu::always_inline]] inline void switch_to(thread_machine& m, execution& from, execution& to, void** save,
                                             void* to_sp) noexcept {
    if (__builtin_expect(!m.exceptions->empty(), 0)) {
        switch_with_exceptions(m, from, to, save, to_sp);
        // Something is left to do, so that it is not jumped to: a function that calls has no red zone, see
        // switch_registers() of x86_64.
        asm volatile("");
        return;
    }
    switch_plainly(m, from, to, save, to_sp);
}

// The last switch of a stack: nobody comes back to it.
[[noreturn, gnu::always_inline]] inline void switch_final([[maybe_unused]] thread_machine& m,
                                                          [[maybe_unused]] execution& from,
                                                          [[maybe_unused]] execution& to,
                                                          [[maybe_unused]] void* to_sp) noexcept {
#if SPRUCE_ASAN
    __sanitizer_start_switch_fiber(nullptr, to.bottom, to.size);
#endif
#if SPRUCE_TSAN
    m.dead_fiber = from.fiber;
    __tsan_switch_to_fiber(to.fiber, 0);
#endif
#if SPRUCE_SWITCH_UCONTEXT
    jump_registers(to.part);
#else
    jump_registers(to_sp);
#endif
}
}}}  // namespace spruce::v0::detail
