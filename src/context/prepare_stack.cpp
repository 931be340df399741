// A fresh stack, and what a hub's thread keeps for switching.
#include <csignal>

#include "switch.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
constinit exception_globals no_exceptions{};
}

void machine_begin(thread_machine& m, execution& own) noexcept {
    m.own = &own;
    m.exceptions = &__cxa_get_globals ? __cxa_get_globals() : &no_exceptions;
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

// A call, and no tail of a function: see switch_registers() of x86_64.
namespace {
[[gnu::noinline]] void give_back_exceptions(thread_machine& m, exception_globals const& mine) noexcept {
    *m.exceptions = mine;
    asm volatile("");
}
}  // namespace

void switch_with_exceptions(thread_machine& m, execution& from, execution& to, void** save, void* to_sp) noexcept {
    exception_globals const mine = *m.exceptions;
    *m.exceptions = {};
    switch_plainly(m, from, to, save, to_sp);
    give_back_exceptions(m, mine);
    asm volatile("");
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

void* lay_first_frame(execution& e, void* bottom, void* top, void (*entry)(void*) noexcept, void* argument) noexcept {
    ucontext_part& part = e.part;
    ::getcontext(&part.registers);
    // A context brings its signal mask along. One that is made by plain code runs within a run, too, where SIGPIPE is
    // blocked (hub_thread_signals).
    sigaddset(&part.registers.uc_sigmask, SIGPIPE);
    part.entry = entry;
    part.argument = argument;
    part.registers.uc_stack.ss_sp = bottom;
    part.registers.uc_stack.ss_size = static_cast<std::size_t>(static_cast<char*>(top) - static_cast<char*>(bottom));
    part.registers.uc_link = nullptr;
    auto const at = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(&part));
    ::makecontext(&part.registers, reinterpret_cast<void (*)()>(begin), 2, static_cast<unsigned>(at >> 32),
                  static_cast<unsigned>(at));
    return &part;
}
#endif

}}}  // namespace spruce::v0::detail
