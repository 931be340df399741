// What nobody caught, and errors nobody looked at: to the loop's hook, or in one line to stderr.
#include <unistd.h>

#include "../base/text_line.hpp"
#include "plain_scope.hpp"

namespace spruce { inline namespace v0 { namespace detail {

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

// A call of the hook. In a task it may wait, and others come meanwhile, each on the stack of who reports.
struct unhandled_call {
    handler_slot& hook;
    std::uint64_t by;        // the task; 0: plain code, or a callback
    unhandled_call* next;
};

namespace {
std::uint64_t task_here(hub* h) noexcept { return h && h->ext ? h->ext->running(*h) : 0; }

// Whether the hook is what reports: it is lost what that throws, as telling the hook of it might never end.
bool is_of_hook(hub const& h, std::uint64_t by) noexcept {
    unhandled_call const* c = h.reporting.unhandled_calls;
    while (c && c->by != by) c = c->next;
    return c != nullptr;
}
bool is_called(hub const& h, handler_slot const& hook) noexcept {
    unhandled_call const* c = h.reporting.unhandled_calls;
    while (c && &c->hook != &hook) c = c->next;
    return c != nullptr;
}
void take_out(hub& h, unhandled_call& call) noexcept {
    unhandled_call** at = &h.reporting.unhandled_calls;
    while (*at != &call) at = &(*at)->next;
    *at = call.next;
}
}  // namespace

void tell_unhandled(hub* h, unhandled const& what) noexcept {
    std::uint64_t const by = task_here(h);
    if (h && is_of_hook(*h, by)) return;
    if (!h || !h->reporting.unhandled_hook) return write_line(what);
    plain_scope const scope(h);
    handler_slot& hook = *h->reporting.unhandled_hook;
    unhandled_call call{hook, by, h->reporting.unhandled_calls};
    h->reporting.unhandled_calls = &call;
    hook.state = slot_state::running;
    hook.ops->run(hook.callable, const_cast<unhandled*>(&what));
    take_out(*h, call);
    if (is_called(*h, hook)) return;
    if (hook.state == slot_state::canceled) h->handlers.dispose(hook);   // replaced meanwhile
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

void drop_unhandled(hub& h, handler_slot& hook) noexcept {
    plain_scope const scope(&h);   // it may be the last to own the loop
    if (is_called(h, hook)) hook.state = slot_state::canceled;
    else h.handlers.dispose(hook);
}

void set_unhandled(hub* on, handler_slot* s, callable_ops const* ops) noexcept {
    s->ops = ops;
    s->kind = slot_kind::unhandled;
    s->state = slot_state::armed;
    handler_slot* const before = on->reporting.unhandled_hook;
    on->reporting.unhandled_hook = s;
    if (before) drop_unhandled(*on, *before);
}

// The hook before this one, or stderr, hears of it: nobody else could. A hook runs on no other thread than its loop's.
void refuse_unhandled(hub* on, error why) noexcept {
    if (on) tell_unhandled(on == current_hub ? on : nullptr, {{}, "", "on_unhandled() could not take its hook", why});
}

void callback_threw(char const* what) noexcept {
    tell_unhandled(current_hub, {{}, "", what, errc::task_failed});
}

}}}  // namespace spruce::v0::detail
