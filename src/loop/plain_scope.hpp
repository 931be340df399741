// The one guard for calls of the library outside of a run in which the user's code may run: a callable's destructor, a
// value's, the unhandled hook, a task's first steps. Any of them may be the last to own the loop, and let go of it
// there. The loop ends when the outermost of these calls is through, and not under its feet.
#pragma once
#include "hub.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// Stands first in such a call, so that nothing of the loop's is looked at after it. It does nothing within a run, whose
// running_scope does the same, nor on a task's stack: the call by which plain code began that task has a scope of its
// own.
struct plain_scope {
    plain_scope() noexcept : plain_scope(current_hub) {}
    explicit plain_scope(hub* h) noexcept : h_(h && is_plain(*h) ? h : nullptr) {
        if (h_) ++h_->plain_calls;
    }
    ~plain_scope() {
        if (h_ && --h_->plain_calls == 0 && h_->orphaned) [[unlikely]] end_orphan(*h_);
    }
    plain_scope(plain_scope const&) = delete;
    plain_scope& operator=(plain_scope const&) = delete;

private:
    // A run that such code makes has a phase of its own, and has ended when its call comes back.
    static bool is_plain(hub const& h) noexcept {
        return h.phase == hub_phase::idle && !(h.ext && h.ext->in_task(const_cast<hub&>(h)));
    }
    hub* h_;
};

}}}  // namespace spruce::v0::detail
