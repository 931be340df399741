// Memory mappings for stacks: one table for the process, replaceable before the first loop, so that tests can make
// each of its calls fail. The mapping flags and advice numbers of the systems stand behind it.
#pragma once
#include <cstddef>

namespace spruce::inline v0::detail {

// All give 0, or -errno. Thread: any.
struct mapping_calls {
    // Fresh zeroed memory, readable and writable, committed when touched, fit for stacks; page-aligned.
    int (*map)(void* context, std::size_t bytes, void** out) noexcept;
    int (*unmap)(void* context, void* at, std::size_t bytes) noexcept;
    // Makes a range fault on every access. light: without splitting the mapping (guard pages kept in the page
    // tables), where the kernel can; -ENOTSUP where it cannot, or only says that it can.
    int (*guard)(void* context, void* at, std::size_t bytes, bool light) noexcept;
    // Whether each page of the range is resident, one byte each, lowest bit.
    int (*resident)(void* context, void* at, std::size_t bytes, unsigned char* pages) noexcept;
};
struct mapping_table {
    mapping_calls const* calls;
    void* context;
};

mapping_table const& process_mappings() noexcept;
// For tests, and before the first loop.
void set_process_mappings(mapping_table table) noexcept;
std::size_t page_size() noexcept;
// The page of this address is written next: committed by a call, where there is one, for less than a fault costs.
void commit_page(void* address) noexcept;

}  // namespace spruce::inline v0::detail
