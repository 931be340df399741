// A yardstick for the switch: a stack pointer is saved, another is loaded, and an indirect jump goes on there. What
// lives is the compiler's to save. No unwind rules, no sanitizers, no exception state.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <sys/mman.h>

#if defined(__x86_64__) && !defined(__ILP32__)
#define HAVE_BARE_SWITCH 1

namespace floors {

#define BARE_CLOBBERS \
    "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc", "xmm0", "xmm1", "xmm2", \
        "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

[[gnu::always_inline]] inline void bare_switch(void** save, void* to) noexcept {
    asm volatile(
        "lea -128(%%rsp), %%rsp\n\t"   // the red zone
        "lea 1f(%%rip), %%rax\n\t"
        "push %%rbp\n\t"
        "push %%rax\n\t"
        "mov %%rsp, (%0)\n\t"
        "mov %1, %%rsp\n\t"
        "pop %%rax\n\t"
        "pop %%rbp\n\t"
        "jmp *%%rax\n"
        "1: lea 128(%%rsp), %%rsp"
        : "+D"(save), "+S"(to)
        :
        : BARE_CLOBBERS);
}

// The same, for those who keep rounding modes and exception masks apart: loaded only where they differ.
[[gnu::always_inline]] inline void bare_switch_with_control(void** save, void* to) noexcept {
    asm volatile(
        "lea -128(%%rsp), %%rsp\n\t"   // the red zone
        "lea 1f(%%rip), %%rcx\n\t"
        "push %%rbp\n\t"
        "push %%rcx\n\t"
        "sub $8, %%rsp\n\t"
        "stmxcsr (%%rsp)\n\t"
        "fnstcw 4(%%rsp)\n\t"
        "mov (%%rsp), %%eax\n\t"
        "movzwl 4(%%rsp), %%edx\n\t"
        "mov %%rsp, (%0)\n\t"
        "mov %1, %%rsp\n\t"
        "xor (%%rsp), %%eax\n\t"
        "test $0xffc0, %%eax\n\t"
        "jne 3f\n"
        "2: cmp 4(%%rsp), %%dx\n\t"
        "jne 5f\n"
        "4: add $8, %%rsp\n\t"
        "pop %%rcx\n\t"
        "pop %%rbp\n\t"
        "jmp *%%rcx\n"
        "3: ldmxcsr (%%rsp)\n\t"
        "jmp 2b\n"
        "5: fldcw 4(%%rsp)\n\t"
        "jmp 4b\n"
        "1: lea 128(%%rsp), %%rsp"
        : "+D"(save), "+S"(to)
        :
        : BARE_CLOBBERS);
}

// What to switch to so that `entry` begins on the stack that ends at `top`, a multiple of 64. It must not return.
inline void* bare_stack(void* top, void (*entry)()) noexcept {
    auto* words = static_cast<std::uintptr_t*>(top);
    *--words = 0;   // entry finds rsp as after a call
    *--words = 0;
    *--words = 0;
    *--words = 0;                                        // rbp
    *--words = reinterpret_cast<std::uintptr_t>(entry);
    return words;
}
inline void* bare_stack_with_control(void* top, void (*entry)()) noexcept {
    auto* words = static_cast<std::uintptr_t*>(bare_stack(top, entry));
    *--words = std::uintptr_t{0x37f} << 32 | 0x1f80;
    return words;
}

inline char* map_pages(std::size_t bytes) noexcept {
    void* const at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) std::abort();
    return static_cast<char*>(at);
}

}  // namespace floors
#endif
