// What run() does in one go, in steps: start hooks, turns, shutdown hooks, the end of the background tasks.
#include "guest.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
// true: there is a turn to come first, one at least, however short the background tasks' grace is.
bool shut_down_to(hub& h, guest& g, int phase) noexcept {
    g.phase = phase;
    run_shutdown_phase(h, phase);
    g.stage = h.run.shutting_down ? guest_stage::shutting_down : guest_stage::over;
    if (h.run.shutting_down || !h.ext || h.ext->left(h, true) == 0) return false;
    h.ext->cancel_all(h, true);
    h.run.background_ends = true;   // what joins them now is canceled, too
    g.until_ns = h.due_of(in(h.options.destroy_grace));
    g.stage = guest_stage::ending_background;
    return true;
}
}  // namespace

void begin_run(hub& h) noexcept {
    h.visiting.guest->stage = guest_stage::starting;
    run_start_phase(h, 0);
}

bool go_on(hub& h) noexcept {
    guest& g = *h.visiting.guest;
    for (;;) {
        switch (g.stage) {
        case guest_stage::starting:
            if (is_delayed(h, delayed::start)) return true;
            run_start_phase(h, 1);
            run_start_phase(h, 2);
            g.stage = guest_stage::running;
            break;
        case guest_stage::running:
            if (!h.run.stop_asked) return true;
            if (shut_down_to(h, g, 0)) return true;
            break;
        case guest_stage::shutting_down:
            if (is_delayed(h, delayed::shutdown)) return true;
            if (shut_down_to(h, g, g.phase + 1)) return true;
            break;
        case guest_stage::ending_background:
            if (h.ext->left(h, true) != 0 && h.now_ns < g.until_ns) return true;
            h.run.background_ends = false;
            g.stage = guest_stage::over;
            break;
        case guest_stage::over: return false;
        }
    }
}

}}}  // namespace spruce::v0::detail
