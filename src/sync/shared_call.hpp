// What a call on a source of several threads stands on.
#pragma once
#include <utility>

#include "../loop/hub.hpp"
#include "../sys/thread_gate.hpp"
#include "shared_wait.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// A call's hold on its source, until it has a note: on another thread the object may be destroyed meanwhile, and so it
// may on this one, where the call lets others run before it looks. A task that is abandoned there lets go as well.
struct call_hold : outside_wait {
    explicit call_hold(shared_source& s) noexcept
        : outside_wait([](outside_wait& self) noexcept { static_cast<call_hold&>(self).end(); }), of(&s) {
        retain(s);
        if (current_hub) current_hub->outside_waits.push_back(*this);
    }
    ~call_hold() { end(); }
    void end() noexcept {
        unlink();
        if (shared_source* const s = std::exchange(of, nullptr)) release(*s);
    }
    shared_source* of;
};

// A thread without a loop, which waits.
struct blocked_thread : shared_waiter {
    thread_gate gate;
};

// The task of a note was abandoned.
void lose_note(outside_wait& w) noexcept;

}}}  // namespace spruce::v0::detail
