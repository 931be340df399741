// What a callback is for, in words: for reports, since callbacks have no names.
#pragma once
#include "handler_table.hpp"

namespace spruce { inline namespace v0 { namespace detail {

inline char const* slot_noun(slot_kind kind) noexcept {
    switch (kind) {
    case slot_kind::timer:
    case slot_kind::periodic: return "timer";
    case slot_kind::idle: return "idle callback";
    case slot_kind::hook: return "hook";
    case slot_kind::reader: return "reader of fd";
    case slot_kind::writer: return "writer of fd";
    case slot_kind::signal: return "handler of signal";
    case slot_kind::child: return "handler of process";
    default: return "callback";
    }
}
// The fd, signal or process of that noun, or -1.
inline int slot_number(handler_slot const& s) noexcept {
    bool const numbered = s.kind == slot_kind::reader || s.kind == slot_kind::writer || s.kind == slot_kind::signal ||
                          s.kind == slot_kind::child;
    return numbered ? s.number : -1;
}

}}}  // namespace spruce::v0::detail
