// One step of waiting without giving the thread up.
#pragma once

namespace spruce { inline namespace v0 { namespace detail {

// Tells the processor, where the compiler has a name for that on all its processors, that this thread only looks
// whether another one has written: it saves power, leaves the core's other half to its thread, and notices the write
// sooner. Elsewhere it is nothing but a look at memory anew.
inline void relax_processor() noexcept {
#if defined(__has_builtin) && __has_builtin(__builtin_ia32_pause)
    __builtin_ia32_pause();
#endif
    asm volatile("" ::: "memory");
}

}}}  // namespace spruce::v0::detail
