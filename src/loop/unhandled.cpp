// What nobody caught, and errors nobody looked at: to the loop's hook, or in one line to stderr.
#include <unistd.h>

#include "../base/text_line.hpp"
#include "hub.hpp"

namespace spruce::inline v0::detail {

namespace {
void write_line(unhandled const& what) noexcept {
    char line[400];
    text_line all(line, sizeof line);
    all.put("spruce: ");
    if (what.task.value != 0) all.put_task(what.task.value, what.name);
    else all.put("a callback");
    all.put(": ").put(what.what).put(" (").put(what.reason.name()).put(")").end();
    [[maybe_unused]] auto written = ::write(2, line, all.size());
}
}  // namespace

void tell_unhandled(hub* h, unhandled const& what) noexcept {
    // What the hook itself throws is lost: telling the hook of it might never end.
    if (!h || !h->unhandled_hook) {
        if (!h || !h->in_unhandled) write_line(what);
        return;
    }
    if (h->in_unhandled) return;
    h->in_unhandled = true;
    h->plain_unhandled = !(h->ext && h->ext->in_task(*h));
    handler_slot& hook = *h->unhandled_hook;
    hook.state = slot_state::running;
    hook.ops->run(hook.callable, const_cast<unhandled*>(&what));
    h->in_unhandled = h->plain_unhandled = false;
    if (hook.state == slot_state::cancelled) h->handlers.dispose(hook);   // replaced by itself
    else hook.state = slot_state::armed;
}

void tell_evicted(hub& h, int fd, char const* had) noexcept {
    if (!had) return;
    char text[120];
    text_line line(text, sizeof text);
    line.put("fd ").put(static_cast<std::uint64_t>(fd)).put(" was closed while ").put(had);
    line.put(" of this loop had it: close the stream, or remove the handler, first");
    tell_unhandled(&h, {{}, "", line.string(), errc::closed});
}

void callback_threw(char const* what) noexcept {
    tell_unhandled(current_hub, {{}, "", what, errc::task_failed});
}

}  // namespace spruce::inline v0::detail
