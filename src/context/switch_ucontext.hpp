// The switch where no assembly is at hand, by POSIX's ucontext; slow (two system calls a switch for the signal mask),
// and the oracle that the tests compare the others with.
#pragma once
#include <cstdint>
#include <ucontext.h>

namespace spruce { inline namespace v0 { namespace detail {

struct fp_control {};
inline fp_control read_fp_control() noexcept { return {}; }

struct ucontext_part {
    ucontext_t registers;
    void (*entry)(void* argument) noexcept;
    void* argument;
};

// The saved stack pointer only says that the part is valid.
inline void switch_registers(ucontext_part& from, ucontext_part& to, void** save, void*) noexcept {
    *save = &from;
    ::swapcontext(&from.registers, &to.registers);
}

[[noreturn]] inline void jump_registers(ucontext_part& to) noexcept {
    ::setcontext(&to.registers);
    __builtin_unreachable();
}

}}}  // namespace spruce::v0::detail
