// The sanitizers' own calls about switches, where a build has them. They are told of the real switch, the one that
// ships; there is no other for them.
#pragma once
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define SPRUCE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SPRUCE_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define SPRUCE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SPRUCE_TSAN 1
#endif
#endif
#ifndef SPRUCE_ASAN
#define SPRUCE_ASAN 0
#endif
#ifndef SPRUCE_TSAN
#define SPRUCE_TSAN 0
#endif

extern "C" {
#if SPRUCE_ASAN
void __sanitizer_start_switch_fiber(void** fake_stack_save, void const* bottom, std::size_t size);
void __sanitizer_finish_switch_fiber(void* fake_stack_save, void const** bottom_old, std::size_t* size_old);
void __asan_unpoison_memory_region(void const volatile* at, std::size_t size);
#endif
#if SPRUCE_TSAN
void* __tsan_get_current_fiber();
void* __tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void* fiber);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
#endif
}

namespace spruce { inline namespace v0 { namespace detail {
// Before a stack, or a mapping where another one was, is used anew: its last life's last frames never returned, and
// AddressSanitizer still watches the gaps between their variables.
[[gnu::always_inline]] inline void forget_frames([[maybe_unused]] void* bottom, [[maybe_unused]] void* top) noexcept {
#if SPRUCE_ASAN
    __asan_unpoison_memory_region(bottom,
                                  static_cast<std::size_t>(static_cast<char*>(top) - static_cast<char*>(bottom)));
#endif
}
}}}  // namespace spruce::v0::detail
