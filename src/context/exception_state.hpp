// What the C++ runtime keeps for each thread of exceptions in flight, and what each task must have for itself: the
// exceptions being handled, and how many are on their way. Laid out by the Itanium C++ ABI (2.2.2), on 32-bit ARM
// with one word more (EHABI). Reached weakly: a program without the C++ runtime has none, and needs none.
#pragma once

namespace spruce { inline namespace v0 { namespace detail {

struct exception_globals {
    void* caught;
    unsigned uncaught;
#if defined(__ARM_EABI_UNWINDER__) || defined(__arm__)
    void* propagating;
#endif
    bool empty() const noexcept { return !caught && uncaught == 0; }
};

}}}  // namespace spruce::v0::detail

extern "C" [[gnu::weak]] spruce::detail::exception_globals* __cxa_get_globals() noexcept;
