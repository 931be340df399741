// The switch for aarch64 (AAPCS64), as inline assembly; see switch_x86_64.hpp for the idea.
//
//   fresh, as lay_first_frame() leaves it    suspended                              running
//
//   top                                      frames of the task                     frames of the task
//     argument                               (unused)                               …
//     entry                                  fpcr                                   <- sp
//     (unused)                               where to go on (label 1)
//     fpcr                                   x29  <- saved sp
//     spruce_first_entry
//     0 (x29)  <- saved sp
//
// Convention at arrival: x10 holds the fpcr of the stack that was left, x11 the one saved here, x29 is restored, and
// sp still points at the saved words.
#pragma once
#include <cstdint>

extern "C" [[gnu::visibility("hidden")]] void spruce_first_entry() noexcept;

namespace spruce { inline namespace v0 { namespace detail {

struct fp_control {
    std::uint64_t fpcr;
};
inline fp_control read_fp_control() noexcept {
    fp_control c{};
    asm volatile("mrs %0, fpcr" : "=r"(c.fpcr));
    return c;
}

[[gnu::always_inline]] inline void switch_registers(void** save, void* to_sp) noexcept {
    [[maybe_unused]] void* const frame = __builtin_frame_address(0);
    asm volatile("" : : "r"(frame));
    register void** x0 asm("x0") = save;
    register void* x1 asm("x1") = to_sp;
    asm volatile(
        "adr x9, 1f\n\t"
        "mrs x10, fpcr\n\t"
        "stp x29, x9, [sp, #-32]!\n\t"
        "str x10, [sp, #16]\n\t"
        "mov x11, sp\n\t"
        "str x11, [x0]\n\t"
        "mov sp, x1\n\t"
        "ldp x29, x9, [sp]\n\t"
        "ldr x11, [sp, #16]\n\t"
        "br x9\n"
        "1:\n\t"
        "hint #36\n\t"  // bti j: where branch targets are guarded; else nothing
        "cmp x10, x11\n\t"
        "b.eq 2f\n\t"
        "msr fpcr, x11\n"
        "2:\n\t"
        "add sp, sp, #32"
        : "+r"(x0), "+r"(x1)
        :
        // x18 too: a platform may keep it for itself, and where it doesn't, compilers use it.
        : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18",
          "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x30", "memory", "cc", "v0", "v1", "v2",
          "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18",
          "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31");
}

// The last switch of a stack: nothing of it is saved.
[[noreturn, gnu::always_inline]] inline void jump_registers(void* to_sp) noexcept {
    [[maybe_unused]] void* const frame = __builtin_frame_address(0);   // as above
    asm volatile("" : : "r"(frame));
    register void* x1 asm("x1") = to_sp;
    asm volatile(
        "mrs x10, fpcr\n\t"
        "mov sp, x1\n\t"
        "ldp x29, x9, [sp]\n\t"
        "ldr x11, [sp, #16]\n\t"
        "br x9"
        :
        : "r"(x1)
        : "x9", "x10", "x11", "memory");
    __builtin_unreachable();
}

inline void* lay_first_frame(void* top, fp_control const& control, void (*entry)(void* argument) noexcept,
                             void* argument) noexcept {
    auto* const words =
        reinterpret_cast<std::uintptr_t*>(reinterpret_cast<std::uintptr_t>(top) & ~std::uintptr_t{15}) - 6;
    words[0] = 0;
    words[1] = reinterpret_cast<std::uintptr_t>(&spruce_first_entry);
    words[2] = control.fpcr;
    words[3] = 0;
    words[4] = reinterpret_cast<std::uintptr_t>(entry);
    words[5] = reinterpret_cast<std::uintptr_t>(argument);
    return words;
}
}}}  // namespace spruce::v0::detail
