// The report of a stack that overflowed: it believes the address of the fault and nothing else.
#include <spruce/debug.hpp>

#include "../base/text_line.hpp"
#include "../sys/fault_signals.hpp"
#include "../sys/kernel_error.hpp"
#include "../task/scheduler.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
// Only the task that runs can overflow: an access to another one's guard is a wild one.
std::size_t tell_overflow(void const* address, char* room, std::size_t size) noexcept {
    scheduler const* const s = current_scheduler;
    task_block* const t = s ? s->current : nullptr;
    if (!t) return 0;
    auto const at = reinterpret_cast<std::uintptr_t>(address);
    auto const bottom = reinterpret_cast<std::uintptr_t>(stack_pool::bottom_of(t->size_class, t->top()));
    // Below one without a guard lies a neighbour, where nothing faults, or the guard of all of them.
    if (at >= bottom || at < bottom - (is_bare(t->size_class) ? stack_pool::bare_reach : guard_bytes)) return 0;
    text_line line(room, size);
    line.put("spruce: ")
        .put_task(t->id.value, t->named ? t->name : "")
        .put(": its stack of ")
        .put(std::uint64_t{bytes_of(t->size_class)})
        .put(" bytes overflowed, at ")
        .put(address);
    return line.end().size();
}
}  // namespace

void end_overflow_reports() noexcept { faults_end(); }

}}}  // namespace spruce::v0::detail

namespace spruce { inline namespace v0 { namespace debug {

result<overflow_reports> report_overflows() noexcept {
    if (int const failed = detail::faults_begin(detail::tell_overflow); failed < 0)
        return detail::call_error(failed, "sigaction()");
    return overflow_reports(true);
}

}}}  // namespace spruce::v0::debug
