// The end of a program whose task grew beyond a stack that has no guard.
#include "../base/text_line.hpp"
#include "scheduler.hpp"

namespace spruce { inline namespace v0 { namespace detail {

void stack_outgrown(task_block& t) noexcept {
    char room[200];
    text_line line(room, sizeof room);
    line.put_task(t.id.value, t.named ? t.name : "")
        .put(" outgrew its stack of ")
        .put(std::uint64_t{bytes_of(t.size_class)})
        .put(" bytes, which has no guard; what lies below it may be damaged");
    panic(line.string(), __FILE__, __LINE__);
}

}}}  // namespace spruce::v0::detail
