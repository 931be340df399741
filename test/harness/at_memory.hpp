// A moment in the midst of a call: when it takes memory.
#pragma once

namespace harness {

// Called, and forgotten, before the calling thread next takes memory of the library's process-wide hook.
void at_memory_here(void (*f)() noexcept) noexcept;

}  // namespace harness
