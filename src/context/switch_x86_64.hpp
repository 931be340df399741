// The switch for x86_64 (System V ABI), as inline assembly: the compiler saves what lives at the place, and the way
// out is an indirect jump, which a branch predictor learns; a `ret` across stacks mispredicts each time.
//
//   fresh, as lay_first_frame() leaves it    suspended                              running
//
//   top                                      frames of the task                     frames of the task
//     0                                      rbp                                    <- rsp
//     argument                               fp control: mxcsr, x87 word
//     entry                                  where to go on (label 1)  <- saved sp
//     0 (rbp)
//     fp control
//     spruce_first_entry  <- saved sp
//
// The three saved words lie in one cache line or two neighbours. All other registers are clobbers of the statement.
// Convention at arrival, at label 1 and at spruce_first_entry: eax and dx hold the floating-point control of the
// stack that was left, rsp points at the control saved here. Only its control bits are compared (the status bits of
// mxcsr change with any inexact result), and it is loaded only if they differ: loading always costs 50 to 100 ns.
#pragma once
#include <cstdint>

extern "C" [[gnu::visibility("hidden")]] void spruce_first_entry() noexcept;

namespace spruce { inline namespace v0 { namespace detail {

struct fp_control {
    std::uint32_t mxcsr;
    std::uint16_t x87;
    std::uint16_t pad;
};
inline fp_control read_fp_control() noexcept {
    fp_control c{};
    asm volatile("stmxcsr %0" : "=m"(c.mxcsr));
    asm volatile("fnstcw %0" : "=m"(c.x87));
    return c;
}

#if defined(__CET__) && (__CET__ & 1)
#define SPRUCE_LANDING_PAD "endbr64\n\t"
#else
#define SPRUCE_LANDING_PAD
#endif
#ifdef __AVX512F__
#define SPRUCE_WIDE_CLOBBERS \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", \
        "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define SPRUCE_WIDE_CLOBBERS
#endif

// The saved words lie right below the stack pointer, where a leaf function would keep its locals (the red zone). So the
// function around this must call another one, in some case at least, and not as its last deed: no compiler gives such
// a function a red zone. tools/check looks into the archive for one that has.
[[gnu::always_inline]] inline void switch_registers(void** save, void* to_sp) noexcept {
    // Asking for the frame's address gives the function around us a frame pointer, so that its unwind rules do not
    // depend on rsp, which moves below.
    [[maybe_unused]] void* const frame = __builtin_frame_address(0);
    asm volatile("" : : "r"(frame));
    asm volatile(
        "push {%%rbp|rbp}\n\t"   // by hand: no compiler lets rbp be clobbered everywhere
        "lea {1f(%%rip), %%rcx|rcx, [rip + 1f]}\n\t"
        "sub {$8, %%rsp|rsp, 8}\n\t"
        "stmxcsr {(%%rsp)|dword ptr [rsp]}\n\t"
        "fnstcw {4(%%rsp)|word ptr [rsp + 4]}\n\t"
        "mov {(%%rsp), %%eax|eax, dword ptr [rsp]}\n\t"
        "{movzwl 4(%%rsp), %%edx|movzx edx, word ptr [rsp + 4]}\n\t"
        "push {%%rcx|rcx}\n\t"
        "mov {%%rsp, (%%rdi)|qword ptr [rdi], rsp}\n\t"
        "lea {8(%%rsi), %%rsp|rsp, [rsi + 8]}\n\t"
        "jmp {*(%%rsi)|qword ptr [rsi]}\n"
        "1:\n\t" SPRUCE_LANDING_PAD
        "xor {(%%rsp), %%eax|eax, dword ptr [rsp]}\n\t"
        "test {$0xffc0, %%eax|eax, 0xffc0}\n\t"
        "jne 3f\n"
        "2:\n\t"
        "cmp {4(%%rsp), %%dx|dx, word ptr [rsp + 4]}\n\t"
        "jne 5f\n"
        "4:\n\t"
        "add {$8, %%rsp|rsp, 8}\n\t"
        "pop {%%rbp|rbp}\n\t"
        ".subsection 1\n"
        "3:\n\t"
        "ldmxcsr {(%%rsp)|dword ptr [rsp]}\n\t"
        "jmp 2b\n"
        "5:\n\t"
        "fldcw {4(%%rsp)|word ptr [rsp + 4]}\n\t"
        "jmp 4b\n\t"
        ".previous"
        : "+D"(save), "+S"(to_sp)
        :
        : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc", "xmm0",
          "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",
          "xmm14", "xmm15", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)" SPRUCE_WIDE_CLOBBERS);
}

// The last switch of a stack: nothing of it is saved.
[[noreturn, gnu::always_inline]] inline void jump_registers(void* to_sp) noexcept {
    [[maybe_unused]] void* const frame = __builtin_frame_address(0);   // as above
    asm volatile("" : : "r"(frame));
    asm volatile(
        "sub {$16, %%rsp|rsp, 16}\n\t"
        "stmxcsr {(%%rsp)|dword ptr [rsp]}\n\t"
        "fnstcw {4(%%rsp)|word ptr [rsp + 4]}\n\t"
        "mov {(%%rsp), %%eax|eax, dword ptr [rsp]}\n\t"
        "{movzwl 4(%%rsp), %%edx|movzx edx, word ptr [rsp + 4]}\n\t"
        "lea {8(%%rsi), %%rsp|rsp, [rsi + 8]}\n\t"
        "jmp {*(%%rsi)|qword ptr [rsi]}"
        :
        : "S"(to_sp)
        : "rax", "rdx", "memory");
    __builtin_unreachable();
}

// Seven words, so that rsp is a multiple of 16 when the entry has popped five of them.
inline void* lay_first_frame(void* top, fp_control const& control, void (*entry)(void* argument) noexcept,
                             void* argument) noexcept {
    std::uintptr_t const end = reinterpret_cast<std::uintptr_t>(top) & ~std::uintptr_t{15};
    auto* const words = reinterpret_cast<std::uintptr_t*>(end) - 7;
    static_assert(sizeof control == sizeof *words);
    words[0] = reinterpret_cast<std::uintptr_t>(&spruce_first_entry);
    __builtin_memcpy(&words[1], &control, sizeof control);
    words[2] = 0;
    words[3] = reinterpret_cast<std::uintptr_t>(entry);
    words[4] = reinterpret_cast<std::uintptr_t>(argument);
    words[5] = words[6] = 0;
    return words;
}

}}}  // namespace spruce::v0::detail
