// A Spruce loop as a guest of wxWidgets: a thread sleeps for the loop, and its turns are called by CallAfter. Copy it.
// wxWidgets 3.
//
//     bool app::OnInit() {
//         …
//         return loop_.interleave(wx_guest(*this)).ok();
//     }
//     int app::OnExit() {
//         static_cast<void>(loop_.destroy());   // its shutdown needs no host
//         …
//
// Modal dialogs run an event loop of their own, in which the turns come as well. A dialog that a task or a callback of
// Spruce's opens makes the loop wait until it is closed.
#pragma once
#include <wx/app.h>
#include <wx/event.h>
#include <spruce/spruce.hpp>

// Lifetime: the event handler outlives the interleaved run.
class wx_guest {
public:
    explicit wx_guest(wxEvtHandler& host) : host_(&host) {}
    void operator()(spruce::host_turn turn) const { host_->CallAfter([turn] { turn(); }); }

private:
    wxEvtHandler* host_;
};
