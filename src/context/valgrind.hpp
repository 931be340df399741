// What Valgrind must be told of stacks: where each is, so that it takes a switch for what it is, and that the frames
// of a stack's last owner are gone.
//
// A request is a row of rotations that add up to nothing and a move of a register to itself. A processor runs it in a
// nanosecond or two and goes on with the default answer; Valgrind knows the row by sight and answers. It is written
// out here, and Valgrind's own header is not asked for: else the same sources would make another library where
// Valgrind is installed, and a program built elsewhere could not be looked at.
#pragma once
#include <cstddef>
#include <cstdint>

namespace spruce { inline namespace v0 { namespace detail {

enum class valgrind_request : std::uintptr_t {
    running = 0x1001,              // how many Valgrinds are around us
    add_stack = 0x1501,            // lowest and highest byte; gives the stack's number
    remove_stack = 0x1502,         // by its number
    change_reporting = 0x1801,     // 1: this thread's errors are told no longer; -1: they are again
    make_undefined = ('M' << 24 | 'C' << 16) + 1   // memcheck alone: address, size
};

// What Valgrind answers; 0 where there is none, and on processors whose row is not written here.
[[gnu::always_inline]] inline std::uintptr_t ask_valgrind(valgrind_request what, std::uintptr_t a = 0,
                                                          std::uintptr_t b = 0) noexcept {
    static_cast<void>(what), static_cast<void>(a), static_cast<void>(b);
    std::uintptr_t answer = 0;
#if (defined(__x86_64__) || defined(__aarch64__)) && !defined(__ILP32__)
    std::uintptr_t volatile const words[6] = {static_cast<std::uintptr_t>(what), a, b, 0, 0, 0};
#if defined(__x86_64__)
    asm volatile(
        "rol {$3, %%rdi|rdi, 3}\n\t"
        "rol {$13, %%rdi|rdi, 13}\n\t"
        "rol {$61, %%rdi|rdi, 61}\n\t"
        "rol {$51, %%rdi|rdi, 51}\n\t"
        "xchg {%%rbx, %%rbx|rbx, rbx}"
        : "+d"(answer)
        : "a"(words)
        : "cc", "memory");
#else
    register std::uintptr_t x3 asm("x3") = answer;
    register std::uintptr_t volatile const* x4 asm("x4") = words;
    asm volatile(
        "ror x12, x12, #3\n\t"
        "ror x12, x12, #13\n\t"
        "ror x12, x12, #51\n\t"
        "ror x12, x12, #61\n\t"
        "orr x10, x10, x10"
        : "+r"(x3)
        : "r"(x4)
        : "cc", "memory");
    answer = x3;
#endif
#endif
    return answer;
}

}}}  // namespace spruce::v0::detail
