// A run on this thread, or one turn of a guest: from here until its end callbacks and tasks may run.
#pragma once
#include "hub.hpp"

namespace spruce { inline namespace v0 { namespace detail {

struct running_scope {
    explicit running_scope(hub& h) noexcept : h_(h) {
        h_.phase = hub_phase::running;
        h_.run.begun_once = true;
        h_.visiting.prepared = h_.visiting.poll_thread_sleeping = false;
        h_.now_ns = h_.read_clock();
        h_.signals.of_thread.begin();
    }
    ~running_scope() {
        h_.signals.of_thread.end();
        h_.phase = hub_phase::idle;
        h_.run.stop_asked = h_.run.leave_asked = false;
        if (h_.orphaned && h_.plain_calls == 0) end_orphan(h_);   // else the call ends it in which this run is
    }
    running_scope(running_scope const&) = delete;
    running_scope& operator=(running_scope const&) = delete;
    hub& h_;
};

}}}  // namespace spruce::v0::detail
