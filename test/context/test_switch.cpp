#include <cmath>
#include <memory>
#include <vector>

#include "../../src/context/stack_pool.hpp"
#include "../../src/context/switch.hpp"
#include "../harness/harness.hpp"
#include "keep_registers.hpp"

using namespace spruce;
using namespace spruce::detail;

#if defined(__x86_64__) && !defined(__ILP32__)
// rbx rbp r12 r13 r14 r15 = values[0 to 5]; 0, or a bit pattern that tells what came back otherwise.
asm(R"(
        .text
        .globl spruce_test_keep_registers
        .type spruce_test_keep_registers, @function
spruce_test_keep_registers:
        .cfi_startproc
)"
#if defined(__CET__) && (__CET__ & 1)
    "endbr64\n"
#endif
#define SAVE(name) "push %" name "\n .cfi_adjust_cfa_offset 8\n .cfi_rel_offset " name ", 0\n"
#define LOAD(name, at) "mov " at "(%r11), %" name "\n"
#define COMPARE(name, at) "xor " at "(%r11), %" name "\n or %" name ", %rax\n"
#define RESTORE(name) "pop %" name "\n .cfi_adjust_cfa_offset -8\n .cfi_restore " name "\n"
    SAVE("rbx") SAVE("rbp") SAVE("r12") SAVE("r13") SAVE("r14") SAVE("r15")
    "push %rdi\n .cfi_adjust_cfa_offset 8\n"   // the values' place; and rsp is a multiple of 16
    "mov %rdi, %r11\n"
    "mov %rdx, %rdi\n"
    LOAD("rbx", "0") LOAD("rbp", "8") LOAD("r12", "16") LOAD("r13", "24") LOAD("r14", "32") LOAD("r15", "40")
    "call *%rsi\n"
    "pop %r11\n .cfi_adjust_cfa_offset -8\n"
    "xor %eax, %eax\n"
    COMPARE("rbx", "0") COMPARE("rbp", "8") COMPARE("r12", "16")
    COMPARE("r13", "24") COMPARE("r14", "32") COMPARE("r15", "40")
    RESTORE("r15") RESTORE("r14") RESTORE("r13") RESTORE("r12") RESTORE("rbp") RESTORE("rbx")
    R"(
        ret
        .cfi_endproc
        .size spruce_test_keep_registers, . - spruce_test_keep_registers
)");
#elif defined(__aarch64__)
// x19 to x29 = values[0 to 10], d8 to d15 = values[11 to 18].
asm(R"(
        .text
        .globl spruce_test_keep_registers
        .type spruce_test_keep_registers, %function
spruce_test_keep_registers:
        .cfi_startproc
        hint #34
        stp x29, x30, [sp, #-176]!
        .cfi_adjust_cfa_offset 176
        .cfi_rel_offset x29, 0
        .cfi_rel_offset x30, 8
        stp x19, x20, [sp, #16]
        stp x21, x22, [sp, #32]
        stp x23, x24, [sp, #48]
        stp x25, x26, [sp, #64]
        stp x27, x28, [sp, #80]
        stp d8, d9, [sp, #96]
        stp d10, d11, [sp, #112]
        stp d12, d13, [sp, #128]
        stp d14, d15, [sp, #144]
        str x0, [sp, #160]
        mov x9, x0
        mov x10, x1
        mov x0, x2
        ldp x19, x20, [x9]
        ldp x21, x22, [x9, #16]
        ldp x23, x24, [x9, #32]
        ldp x25, x26, [x9, #48]
        ldp x27, x28, [x9, #64]
        ldr x29, [x9, #80]
        ldp d8, d9, [x9, #88]
        ldp d10, d11, [x9, #104]
        ldp d12, d13, [x9, #120]
        ldp d14, d15, [x9, #136]
        blr x10
        ldr x9, [sp, #160]
        mov x0, #0
)"
#define COMPARE(name, at) "ldr x10, [x9, #" at "]\n eor x10, x10, " name "\n orr x0, x0, x10\n"
#define COMPARE_D(name, at) "fmov x11, " name "\n" COMPARE("x11", at)
    COMPARE("x19", "0") COMPARE("x20", "8") COMPARE("x21", "16")
    COMPARE("x22", "24") COMPARE("x23", "32") COMPARE("x24", "40")
    COMPARE("x25", "48") COMPARE("x26", "56") COMPARE("x27", "64") COMPARE("x28", "72") COMPARE("x29", "80")
    COMPARE_D("d8", "88") COMPARE_D("d9", "96") COMPARE_D("d10", "104") COMPARE_D("d11", "112")
    COMPARE_D("d12", "120") COMPARE_D("d13", "128") COMPARE_D("d14", "136") COMPARE_D("d15", "144")
    R"(
        ldp x19, x20, [sp, #16]
        ldp x21, x22, [sp, #32]
        ldp x23, x24, [sp, #48]
        ldp x25, x26, [sp, #64]
        ldp x27, x28, [sp, #80]
        ldp d8, d9, [sp, #96]
        ldp d10, d11, [sp, #112]
        ldp d12, d13, [sp, #128]
        ldp d14, d15, [sp, #144]
        ldp x29, x30, [sp], #176
        .cfi_restore x29
        .cfi_restore x30
        .cfi_adjust_cfa_offset -176
        ret
        .cfi_endproc
        .size spruce_test_keep_registers, . - spruce_test_keep_registers
)");
#endif

namespace {

constexpr std::size_t stacks = 24;

struct fiber {
    execution machine;
    void* stack_pointer = nullptr;
    std::uint64_t id = 0;
    bool ended = false;
};

// Stacks that switch to each other at random. 0 is the thread's own.
struct ring {
    explicit ring(std::uint64_t seed) : random(seed) {
        machine_begin(machine, all[0].machine);
        for (std::size_t i = 1; i != stacks; ++i) begin(all[i], i);
    }
    ~ring() { machine_end(machine); }
    void begin(fiber& f, std::size_t id) {
        auto taken = pool.take(stack_class::k64);
        REQUIRE(taken.ok());
        f.id = id;
        f.stack_pointer = prepare_stack(machine, f.machine, taken->bottom, taken->top, entry, this);
    }
    fiber& other() {
        fiber& f = all[random.below(stacks)];
        return &f == current || f.ended ? all[current == &all[0] ? 1 + random.below(stacks - 1) : 0] : f;
    }
    void life(fiber& self);
    static void entry(void* at) noexcept;

    harness::random random;
    stack_pool pool{memory_hook{}};
    thread_machine machine;
    fiber all[stacks];
    fiber* current = &all[0];
    long left = 0;
    unsigned long registers_lost = 0, control_lost = 0, values_lost = 0, crooked = 0;
};

// Leaves for another stack; noinline, as the library's own places are.
[[gnu::noinline]] void hop_to(ring& r, fiber& to) {
    if (to.ended) return;
    fiber& from = *r.current;
    r.current = &to;
    switch_to(r.machine, from.machine, to.machine, &from.stack_pointer, to.stack_pointer);
}
// A frame pointer lies at a multiple of 16 if the stack did at the call.
bool is_crooked([[maybe_unused]] void const* frame) {
#if defined(__x86_64__) && !defined(__ILP32__)
    return reinterpret_cast<std::uintptr_t>(frame) % 16 != 0;
#else
    return false;   // such a machine does not go on with a crooked stack, or does not mind
#endif
}
void hop(void* at) {
    auto& r = *static_cast<ring*>(at);
    r.crooked += is_crooked(__builtin_frame_address(0));
    --r.left;
    hop_to(r, r.other());
}

// The compiler's own values, of every kind, around a switch that is inlined among them.
[[gnu::noinline]] bool hop_with_values(ring& r) {
    r.crooked += is_crooked(__builtin_frame_address(0));
    std::uint64_t const x = r.random.next();
    auto const f = static_cast<double>(x >> 11);
    std::uint64_t a = x * 3, b = x * 5, c = x * 7, d = x * 11, e = x * 13, g = x * 17, h = x * 19;
    double p = f * 2, q = f * 4, s = f * 8, t = f * 16, u = f * 32;
    long double const w = static_cast<long double>(f) * 64;
    asm volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(g), "+r"(h));
    --r.left;
    fiber& from = *r.current;
    fiber& to = r.other();
    if (&to != &from && !to.ended) {
        r.current = &to;
        switch_to(r.machine, from.machine, to.machine, &from.stack_pointer, to.stack_pointer);
    }
    asm volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(g), "+r"(h));
    bool const whole = a == x * 3 && b == x * 5 && c == x * 7 && d == x * 11 && e == x * 13 && g == x * 17 &&
                       h == x * 19;
    bool const exact = p == f * 2 && q == f * 4 && s == f * 8 && t == f * 16 && u == f * 32 &&
                       w == static_cast<long double>(f) * 64;
    return whole && exact && r.current == &from;
}

void ring::life(fiber& self) {
    harness::random mine(self.id * 977 + 1);
    auto const before = kept::read_control();
    auto control = before;
    while (left > 0) {
        std::uint64_t values[kept::words];
        for (auto& v : values) v = mine.next();
        if (mine.chance(20)) kept::write_control(control = kept::some_control(mine.next()));
        if (mine.chance(70)) registers_lost += kept::spruce_test_keep_registers(values, hop, this) != 0;
        else values_lost += !hop_with_values(*this);
        control_lost += !(kept::read_control() == control);
    }
    kept::write_control(before);
}

void ring::entry(void* at) noexcept {
    auto& r = *static_cast<ring*>(at);
    fiber& self = *r.current;
    arrived(r.machine, self.machine);
    r.life(self);
    self.ended = true;
    r.current = &r.all[0];
    switch_final(r.machine, self.machine, r.all[0].machine, r.all[0].stack_pointer);
}

// Runs f on a fresh stack that ends `shift` bytes below its pool's, and comes back.
struct visit {
    thread_machine machine;
    execution own, there;
    void* own_pointer = nullptr;
    void (*f)(void*) = nullptr;
    void* argument = nullptr;
};
[[gnu::noinline]] void go_there(visit& v, void* start) { switch_to(v.machine, v.own, v.there, &v.own_pointer, start); }
void visit_entry(void* at) noexcept {
    auto& v = *static_cast<visit*>(at);
    arrived(v.machine, v.there);
    v.f(v.argument);
    switch_final(v.machine, v.there, v.own, v.own_pointer);
}
void on_fresh_stack(std::size_t shift, void (*f)(void*), void* argument) {
    stack_pool pool{memory_hook{}};
    auto taken = pool.take(stack_class::k64);
    REQUIRE(taken.ok());
    visit v;
    v.f = f;
    v.argument = argument;
    machine_begin(v.machine, v.own);
    go_there(v, prepare_stack(v.machine, v.there, taken->bottom, taken->top - shift, visit_entry, &v));
    machine_end(v.machine);
}

// Not to be seen through: a compiler takes the alignment of its own variables for granted.
[[gnu::noinline]] std::uintptr_t hidden(void const* at) {
    asm volatile("" : "+r"(at) : : "memory");
    return reinterpret_cast<std::uintptr_t>(at);
}
}  // namespace

TEST_FOR(1200, "registers and floating-point control are each stack's own over millions of random switches") {
    auto r = std::make_unique<ring>(harness::seed());
    r->left = harness::nightly() ? 1'000'000'000 : 20'000'000;
    // Each switch is a system call there, or many times as much work.
    if (SPRUCE_SWITCH_UCONTEXT || SPRUCE_ASAN || SPRUCE_TSAN) r->left /= 20;
    r->life(r->all[0]);
    for (std::size_t i = 1; i != stacks; ++i) {
        // What was never entered ends all the same: it finds nothing left to do.
        hop_to(*r, r->all[i]);
        CHECK(r->all[i].ended);
    }
    CHECK_EQ(r->registers_lost, 0UL);
    CHECK_EQ(r->control_lost, 0UL);
    CHECK_EQ(r->values_lost, 0UL);
    CHECK_EQ(r->crooked, 0UL);
}

TEST("the helper that watches registers sees one that is lost") {
#if SPRUCE_TEST_KEEPS_REGISTERS
    std::uint64_t values[kept::words] = {1, 2, 3, 4, 5, 6, 7};
    // Behind its back the values change instead of the registers: to its comparison that is the same.
    for (int i = 0; i != 6; ++i) {
        struct change {
            std::uint64_t* at;
        } c{values + i};
        CHECK(kept::spruce_test_keep_registers(values, [](void* at) { *static_cast<change*>(at)->at += 1; }, &c) != 0);
    }
    CHECK_EQ(kept::spruce_test_keep_registers(values, [](void*) {}, nullptr), 0U);
#else
    harness::skip("no such helper for this CPU");
#endif
}

TEST("a fresh stack begins with the control words of its hub, whatever those of whoever enters it") {
    if (SPRUCE_SWITCH_UCONTEXT) harness::skip("ucontext begins with those of whoever prepares it");
    struct seen {
        kept::control words;
    } s{};
    auto const usual = kept::read_control();
    stack_pool pool{memory_hook{}};
    auto taken = pool.take(stack_class::k64);
    REQUIRE(taken.ok());
    visit v;
    v.f = [](void* at) { static_cast<seen*>(at)->words = kept::read_control(); };
    v.argument = &s;
    machine_begin(v.machine, v.own);
    for (std::uint64_t i = 0; i != 128; ++i) {
        auto const odd = kept::some_control(i);
        void* const start = prepare_stack(v.machine, v.there, taken->bottom, taken->top, visit_entry, &v);
        kept::write_control(odd);
        go_there(v, start);
        bool const mine = kept::read_control() == odd;
        kept::write_control(usual);
        CHECK(mine);
        CHECK(s.words == usual);
    }
    machine_end(v.machine);
}

TEST("frames on a fresh stack are aligned as the machine wants them, wherever the stack ends") {
    for (std::size_t shift = 0; shift != 80; ++shift) {
        std::uintptr_t at[2] = {1, 1};
        on_fresh_stack(shift, [](void* out) {
            alignas(16) char a[16] = {1};
            alignas(64) char b[64] = {1};
            static_cast<std::uintptr_t*>(out)[0] = hidden(a) % 16;
            static_cast<std::uintptr_t*>(out)[1] = hidden(b) % 64;
        }, at);
        CHECK_EQ(at[0], 0U);
        CHECK_EQ(at[1], 0U);
    }
}

TEST("a fresh stack may be used down to its bottom") {
    struct depth {
        static std::size_t dive(std::size_t bytes) {
            char volatile frame[512];
            frame[0] = static_cast<char>(bytes);
            return bytes < sizeof frame * 2 ? static_cast<std::size_t>(frame[0]) : dive(bytes - sizeof frame) + 1;
        }
    };
    std::size_t deep = 0;
    // Frames are larger than their variable, with a sanitizer several times so.
    on_fresh_stack(0, [](void* out) { *static_cast<std::size_t*>(out) = depth::dive(12'000); }, &deep);
    CHECK(deep > 20);
}
