// A fresh stack, and what a hub's thread keeps for switching.
#include <cstring>

#include "switch.hpp"

#if !SPRUCE_SWITCH_UCONTEXT
extern "C" [[gnu::visibility("hidden")]] void spruce_first_entry() noexcept;
#endif

namespace spruce::inline v0::detail {

void machine_begin(thread_machine& m, execution& own) noexcept {
    m.own = &own;
    m.exceptions = &__cxa_get_globals ? __cxa_get_globals() : nullptr;
    m.control = read_fp_control();
#if SPRUCE_TSAN
    own.fiber = __tsan_get_current_fiber();
#endif
}

void machine_end([[maybe_unused]] thread_machine& m) noexcept {
#if SPRUCE_TSAN
    if (m.dead_fiber) __tsan_destroy_fiber(m.dead_fiber);
    m.dead_fiber = nullptr;
#endif
}

namespace {
bool processor_keeps_shadow_stack() noexcept {
#if defined(__x86_64__) && !defined(__ILP32__) && !SPRUCE_SWITCH_UCONTEXT
    // rdsspq leaves its register alone where the processor keeps no shadow stack for us.
    std::uint64_t shadow = 0;
    asm volatile("rdsspq %0" : "+r"(shadow));
    return shadow != 0;
#else
    return false;
#endif
}
using question = bool (*)() noexcept;
constinit question has_shadow_stack = processor_keeps_shadow_stack;
}  // namespace

void set_shadow_stack_question(bool (*asks)() noexcept) noexcept {
    has_shadow_stack = asks ? asks : processor_keeps_shadow_stack;
}

result<void> switch_supported() noexcept {
    if (!has_shadow_stack()) return {};
    return with_detail(errc::not_supported, "this process runs with shadow stacks (CET), which tasks do not switch");
}

#if SPRUCE_SWITCH_UCONTEXT
namespace {
void begin(unsigned high, unsigned low) noexcept {
    auto const at = static_cast<std::uintptr_t>(static_cast<std::uint64_t>(high) << 32 | low);
    auto& part = *reinterpret_cast<ucontext_part*>(at);
    part.entry(part.argument);
}
}  // namespace

void* prepare_stack(thread_machine&, execution& e, void* bottom, void* top, void (*entry)(void*) noexcept, void* argument) noexcept {
    ucontext_part& part = e.part;
    ::getcontext(&part.registers);
    part.entry = entry;
    part.argument = argument;
    part.registers.uc_stack.ss_sp = bottom;
    part.registers.uc_stack.ss_size = static_cast<std::size_t>(static_cast<char*>(top) - static_cast<char*>(bottom));
    part.registers.uc_link = nullptr;
    auto const at = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(&part));
    ::makecontext(&part.registers, reinterpret_cast<void (*)()>(begin), 2, static_cast<unsigned>(at >> 32), static_cast<unsigned>(at));
    void* const start = &part;
#else
void* prepare_stack(thread_machine& m, [[maybe_unused]] execution& e, [[maybe_unused]] void* bottom, void* top,
                    void (*entry)(void*) noexcept, void* argument) noexcept {
    auto* words = reinterpret_cast<std::uintptr_t*>(reinterpret_cast<std::uintptr_t>(top) & ~std::uintptr_t{15});
    std::uintptr_t control = 0;
    static_assert(sizeof m.control <= sizeof control);
    std::memcpy(&control, &m.control, sizeof m.control);
#if defined(__x86_64__)
    // Seven words, so that rsp is a multiple of 16 when the entry has popped five of them.
    words -= 7;
    words[0] = reinterpret_cast<std::uintptr_t>(&spruce_first_entry);
    words[1] = control;
    words[2] = 0;
    words[3] = reinterpret_cast<std::uintptr_t>(entry);
    words[4] = reinterpret_cast<std::uintptr_t>(argument);
    words[5] = words[6] = 0;
    void* const start = words;
#else
    words -= 6;
    words[0] = 0;
    words[1] = reinterpret_cast<std::uintptr_t>(&spruce_first_entry);
    words[2] = control;
    words[3] = 0;
    words[4] = reinterpret_cast<std::uintptr_t>(entry);
    words[5] = reinterpret_cast<std::uintptr_t>(argument);
    void* const start = words;
#endif
#endif
#if SPRUCE_ASAN
    e.bottom = bottom;
    e.size = static_cast<std::size_t>(static_cast<char*>(top) - static_cast<char*>(bottom));
    e.fake_stack = nullptr;
#endif
#if SPRUCE_TSAN
    e.fiber = __tsan_create_fiber(0);
#endif
    return start;
}

}  // namespace spruce::inline v0::detail
