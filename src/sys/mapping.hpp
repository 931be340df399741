// Memory mappings for stacks: one table for the process, replaceable before the first loop, so that tests can make
// each of its calls fail. The mapping flags and advice numbers of the systems stand behind it.
#pragma once
#include <cstddef>

namespace spruce { inline namespace v0 { namespace detail {

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
    // Of `count` places (at most `most_places`), `stride` bytes each and one behind the other: guards the lowest bytes,
    // lightly, and commits the last page. -ENOTSUP where the kernel cannot do it for all with a call or two, or light
    // guards were not yet seen to work; other errors are this range's. What it has done when it fails may be done
    // again. Null: cannot.
    int (*prepare)(void* context, void* at, std::size_t stride, std::size_t count,
                   std::size_t guard_bytes) noexcept = nullptr;
    // Asks for huge pages in the range; a wish, which nobody need hear. Null: cannot.
    void (*prefer_huge)(void* context, void* at, std::size_t bytes) noexcept = nullptr;
};
inline constexpr std::size_t most_places = 32;
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

}}}  // namespace spruce::v0::detail
