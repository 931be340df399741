// Lines of the census, for all reports that have them.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../base/text_line.hpp"
#include "../loop/hub.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// task 7 'parser' waits for event since 12.042 s
void put_task_state(text_line& line, task_info const& t, std::int64_t now_ns) noexcept;
// The whole census, with `lead` before its first line.
void write_census(hub& h, int fd, char const* lead) noexcept;

}}}  // namespace spruce::v0::detail
