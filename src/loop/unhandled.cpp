// What nobody caught, and errors nobody looked at: to the loop's hook, or in one line to stderr.
#include <cstdio>
#include <cstring>
#include <unistd.h>

#include "hub.hpp"

namespace spruce::inline v0::detail {

namespace {
void write_line(unhandled const& what) noexcept {
    char line[400];
    int used;
    if (what.task.value != 0) {
        char who[32];
        std::snprintf(who, sizeof who, "task %llu", static_cast<unsigned long long>(what.task.value));
        // A task that nobody named is called just that.
        if (std::strcmp(what.name, who) == 0)
            used = std::snprintf(line, sizeof line, "spruce: %s: %s (%s)\n", who, what.what, what.reason.name());
        else
            used = std::snprintf(line, sizeof line, "spruce: %s '%s': %s (%s)\n", who, what.name, what.what,
                                 what.reason.name());
    } else {
        used = std::snprintf(line, sizeof line, "spruce: a callback: %s (%s)\n", what.what, what.reason.name());
    }
    if (used < 0) return;
    auto size = static_cast<std::size_t>(used);
    if (size >= sizeof line) {
        size = sizeof line - 1;
        line[size - 1] = '\n';
    }
    [[maybe_unused]] auto written = ::write(2, line, size);
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

void callback_threw(char const* what) noexcept {
    tell_unhandled(current_hub, {{}, "", what, errc::task_failed});
}

}  // namespace spruce::inline v0::detail
