// The main thread's loop that nobody made, when the program ends and nobody has run it: what was spawned never began,
// and that is said, as nothing else would.
#include <unistd.h>

#include <cstdlib>

#include "../base/text_line.hpp"
#include "never_run.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
bool waits_to_begin(handler_slot const& s) noexcept {
    if (!may_run(s)) return false;
    return s.kind == slot_kind::soon || s.kind == slot_kind::timer || s.kind == slot_kind::periodic ||
           s.kind == slot_kind::reader || s.kind == slot_kind::writer || s.kind == slot_kind::child;
}
void put_count(text_line& line, std::size_t n, char const* what) noexcept {
    line.put(std::uint64_t{n}).put(" ").put(what).put(n == 1 ? "" : "s");
}

void at_exit() {
    // On whatever thread calls exit(): another one's loop is none of this one's.
    if (hub* const h = current_hub; h && is_implicit(h->owner)) tell_never_run(*h);
}
}  // namespace

void tell_never_run(hub& h) noexcept {
    if (h.run.begun_once || h.orphaned || h.fds.is_parents()) return;
    std::size_t const tasks = h.ext ? h.ext->left(h, false) : 0;
    std::size_t callbacks = 0;
    for (std::size_t i = 0; i != h.handlers.made(); ++i) callbacks += waits_to_begin(h.handlers.at(i));
    if (tasks == 0 && callbacks == 0) return;
    char room[200];
    text_line line(room, sizeof room);
    line.put("spruce: the program ends, and this thread's loop was never run: ");
    if (tasks != 0) put_count(line, tasks, "task");
    if (tasks != 0 && callbacks != 0) line.put(" and ");
    if (callbacks != 0) put_count(line, callbacks, "callback");
    line.put(tasks + callbacks == 1 ? " is" : " are")
        .put(" left. Call loop::current()->run(), or begin with run(f)")
        .end();
    [[maybe_unused]] auto written = ::write(2, line.text(), line.size());
}

void watch_for_exit() noexcept { static_cast<void>(std::atexit(at_exit)); }   // refused, it is not told

}}}  // namespace spruce::v0::detail
