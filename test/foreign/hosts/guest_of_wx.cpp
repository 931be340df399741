// flags: wx-config --cxxflags --libs core,base && echo -pthread
// display: a window, and a modal dialog
#include <wx/wx.h>

#include "../ride.hpp"
#include "wx.hpp"

using namespace std::chrono_literals;

namespace {
class app : public wxApp {
public:
    bool OnInit() override {
        SetExitOnFrameDelete(false);
        window_ = new wxFrame(nullptr, wxID_ANY, "Spruce in wxWidgets", wxDefaultPosition, wxSize(400, 200));
        new wxStaticText(window_, wxID_ANY, "Spruce in wxWidgets");
        window_->Show();
        stopped_ = loop_.on_shutdown(spruce::shutdown_phase::after, [this] { ended_ = true; });
        all_.expect(loop_.interleave(wx_guest(*this)).ok(), "the loop is interleaved");
        everything_.emplace(loop_, [this] { CallAfter([this] { ride_over(); }); });
        return true;
    }
    int OnExit() override {
        // The host has ended first; the guest's shutdown does without.
        long const threads = foreign::threads_of_process();   // the window system's too
        all_.expect(loop_.destroy(spruce::in(2s)).ok(), "the loop ends without its host");
        all_.expect(ended_, "its shutdown hooks have run");
        all_.expect(foreign::threads_of_process() == threads - 1, "its thread is gone");
        std::exit(all_.code());
    }

private:
    void later(int ms, std::function<void()> what) {
        auto* const timer = new wxTimer;
        timer->Bind(wxEVT_TIMER, [timer, what](wxTimerEvent&) {
            what();
            wxTheApp->CallAfter([timer] { delete timer; });
        });
        timer->StartOnce(ms);
    }
    void ride_over() {
        everything_->check(all_);
        long const turns = everything_->turns();
        // What wakes for the window system is not ours.
        watch_.emplace(5s, foreign::idle_watch::of::all_but_this);
        later(5'000, [this, turns] {
            all_.expect(everything_->turns() == turns, "idle, not one turn in five seconds");
            all_.expect(watch_->woken() == 0, "idle, not one wake-up of the guest's thread");
            everything_.reset();
            dialog();
        });
    }
    void dialog() {
        ticking_ = loop_.call_every(10ms, [this] { window_->SetTitle(wxString::Format("tick %ld", ++ticks_)); });
        wxDialog box(window_, wxID_ANY, "Modal");
        new wxStaticText(&box, wxID_ANY, "The guest keeps ticking.");
        long const before = ticks_;
        later(1'500, [&box] { box.EndModal(wxID_OK); });
        std::puts("window shown");
        box.ShowModal();
        all_.expect(ticks_ > before + 20, "the guest keeps ticking while a modal dialog is open");
        window_->Destroy();
        ExitMainLoop();
    }

    foreign::checks all_{"wx"};
    spruce::loop loop_;
    std::optional<foreign::ride> everything_;
    std::optional<foreign::idle_watch> watch_;
    spruce::handler ticking_, stopped_;
    wxFrame* window_ = nullptr;
    long ticks_ = 0;
    bool ended_ = false;
};
}  // namespace

wxIMPLEMENT_APP(app);
