// For the tests of the switch: a call that fills every register which a callee must keep, calls a function, and says
// which of them came back otherwise; and the floating-point control words. Where there is no such helper for the CPU,
// the call is plain, and the words are none.
#pragma once
#include <cstdint>

namespace kept {

inline constexpr int words = 20;   // as many as any CPU here has registers to be kept

#if defined(__x86_64__) && !defined(__ILP32__)
#define SPRUCE_TEST_KEEPS_REGISTERS 1
extern "C" std::uint64_t spruce_test_keep_registers(std::uint64_t const* values, void (*hop)(void*), void* argument);

// The bits that a program sets: rounding, exception masks, flush to zero; not the status bits.
struct control {
    std::uint32_t mxcsr;
    std::uint16_t x87;
    bool operator==(control const&) const = default;
};
inline control read_control() noexcept {
    control c{};
    asm volatile("stmxcsr %0" : "=m"(c.mxcsr));
    asm volatile("fnstcw %0" : "=m"(c.x87));
    c.mxcsr &= 0xffc0;
    return c;
}
inline void write_control(control const& c) noexcept {
    asm volatile("ldmxcsr %0" : : "m"(c.mxcsr));
    asm volatile("fldcw %0" : : "m"(c.x87));
}
// One of many settings, all of them with every exception masked.
inline control some_control(std::uint64_t random) noexcept {
    return {static_cast<std::uint32_t>(0x1f80 | (random & 3) << 13 | (random >> 2 & 1) << 15 | (random >> 3 & 1) << 6),
            static_cast<std::uint16_t>(0x027f | (random >> 4 & 3) << 10 | (random >> 6 & 1) << 8)};
}
#elif defined(__aarch64__)
#define SPRUCE_TEST_KEEPS_REGISTERS 1
extern "C" std::uint64_t spruce_test_keep_registers(std::uint64_t const* values, void (*hop)(void*), void* argument);

struct control {
    std::uint64_t fpcr;
    bool operator==(control const&) const = default;
};
inline control read_control() noexcept {
    control c{};
    asm volatile("mrs %0, fpcr" : "=r"(c.fpcr));
    return c;
}
inline void write_control(control const& c) noexcept { asm volatile("msr fpcr, %0" : : "r"(c.fpcr)); }
inline control some_control(std::uint64_t random) noexcept {
    return {(random & 3) << 22 | (random >> 2 & 1) << 24 | (random >> 3 & 1) << 25};
}
#else
#define SPRUCE_TEST_KEEPS_REGISTERS 0
inline std::uint64_t spruce_test_keep_registers(std::uint64_t const*, void (*hop)(void*), void* argument) {
    hop(argument);
    return 0;
}
struct control {
    bool operator==(control const&) const = default;
};
inline control read_control() noexcept { return {}; }
inline void write_control(control const&) noexcept {}
inline control some_control(std::uint64_t) noexcept { return {}; }
#endif

}  // namespace kept
