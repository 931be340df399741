// The callbacks of a loop, one after another, for who asks what it still has to do.
#include "hub.hpp"
#include "slot_words.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
callback_kind kind_of(handler_slot const& s) noexcept {
    switch (s.kind) {
    case slot_kind::timer:
    case slot_kind::periodic: return callback_kind::timer;
    case slot_kind::idle: return callback_kind::idle;
    case slot_kind::hook: return callback_kind::hook;
    case slot_kind::reader: return callback_kind::reader;
    case slot_kind::writer: return callback_kind::writer;
    case slot_kind::signal: return callback_kind::signal;
    case slot_kind::child: return callback_kind::child;
    default: return s.state == slot_state::armed ? callback_kind::task_end : callback_kind::soon;
    }
}
}  // namespace

bool callback_next(callback_cursor& c) noexcept {
    hub* const h = c.of;
    if (!h || h != current_hub) return false;
    while (c.place != h->handlers.made()) {
        handler_slot& s = h->handlers.at(c.place++);
        if (!may_run(s) || s.kind == slot_kind::none || s.kind == slot_kind::unhandled) continue;
        c.now = {handler_access::name(h->serial, s), kind_of(s), s.kind == slot_kind::periodic, slot_number(s),
                 time_point{}};
        if (c.now.kind != callback_kind::timer) return true;
        auto const due = c.now.name.due();
        c.now.due = due ? *due : time_point::max();
        return true;
    }
    return false;
}

}}}  // namespace spruce::v0::detail
