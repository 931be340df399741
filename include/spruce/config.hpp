// The build's profile, the version, and the few compiler spellings that the headers share.
#pragma once

// Whether this program uses exceptions. The library itself never throws; this says if result::value() may,
// and if exceptions that escape from tasks and callbacks are to be caught. All files of a program must agree.
#ifndef SPRUCE_EXCEPTIONS
#ifdef __cpp_exceptions
#define SPRUCE_EXCEPTIONS 1
#else
#define SPRUCE_EXCEPTIONS 0
#endif
#endif

#define SPRUCE_VERSION_MAJOR 0
#define SPRUCE_VERSION_MINOR 1
#define SPRUCE_VERSION_PATCH 0

// The archive is compiled with hidden visibility; its public functions are marked with this.
#define SPRUCE_API __attribute__((visibility("default")))

// Whether this very file can throw and catch. The library's own sources cannot, in either profile.
#if SPRUCE_EXCEPTIONS && defined(__cpp_exceptions)
#define SPRUCE_THROWS 1
#else
#define SPRUCE_THROWS 0
#endif

// A file built with exceptions must not be linked with a library for programs without them, or the other way
// round. Each file refers to one of these two names; an archive defines only its own, so that the linker's
// "undefined reference to" goes on as a sentence.
extern "C" {
#if SPRUCE_EXCEPTIONS
extern SPRUCE_API char const spruce_built_for_programs_with_exceptions_but_this_library_is_the_embedded_profile;
#else
extern SPRUCE_API char const spruce_built_for_programs_without_exceptions_but_this_library_is_the_hosted_profile;
#endif
}

namespace spruce { inline namespace v0 { namespace detail {
#if SPRUCE_EXCEPTIONS
[[gnu::used]] static char const* const profile_tag =
    &spruce_built_for_programs_with_exceptions_but_this_library_is_the_embedded_profile;
#else
[[gnu::used]] static char const* const profile_tag =
    &spruce_built_for_programs_without_exceptions_but_this_library_is_the_hosted_profile;
#endif

// What may neither be copied nor moved, because others hold its address.
struct pinned {
    pinned() = default;
    pinned(pinned const&) = delete;
    pinned& operator=(pinned const&) = delete;
};
}}}  // namespace spruce::v0::detail
