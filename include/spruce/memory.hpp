// Where memory comes from: a hook of each loop, and one of the process.
#pragma once
#include <cstddef>

#include "config.hpp"
#include "result.hpp"

namespace spruce { inline namespace v0 {

// Two functions and what they are given back at each call. Both null: the process's hook, and behind it the C
// library's heap. allocate may refuse with null: the call that needed the memory gives no_memory.
// Thread: a loop's hook is called on its thread only; the process's from any, so it must be thread-safe.
// Lifetime: a hook outlives what was made with it.
struct memory_hook {
    void* (*allocate)(void* context, std::size_t bytes, std::size_t alignment) noexcept = nullptr;
    void (*release)(void* context, void* block, std::size_t bytes, std::size_t alignment) noexcept = nullptr;
    void* context = nullptr;
};

// Sets the process's hook, for memory that belongs to no loop. To be called before the first loop is made.
// Errors: wrong_state once memory was taken from the hook before; invalid_argument if only one function is given.
SPRUCE_API result<void> set_process_memory(memory_hook hook) noexcept;

namespace detail {
// Memory through a hook; a hook without functions stands for the process's. Null when refused.
SPRUCE_API void* allocate(memory_hook const& from, std::size_t bytes, std::size_t alignment) noexcept;
SPRUCE_API void release(memory_hook const& to, void* block, std::size_t bytes, std::size_t alignment) noexcept;
}  // namespace detail
}}  // namespace spruce::v0
