// flags: pkg-config --cflags --libs sdl2 && echo -pthread
// display: a window
#include "../ride.hpp"
#include "sdl.hpp"

using namespace std::chrono_literals;

namespace {
long given = 0;   // turns that SDL gave
bool ended = false;

// Waits for events until `done`, or for so long.
template <class Done> void host(sdl_guest& guest, Done done, std::chrono::milliseconds most = 20s) {
    auto const until = std::chrono::steady_clock::now() + most;
    SDL_Event e;
    while (!done()) {
        auto const left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
        if (left.count() <= 0) return;
        if (SDL_WaitEventTimeout(&e, static_cast<int>(left.count())) == 1 && guest.handled(e)) ++given;
    }
}
}  // namespace

int main(int, char**) {
    foreign::checks all("SDL");
    if (SDL_Init(SDL_INIT_VIDEO) != 0) {
        all.expect(false, SDL_GetError());
        return all.code();
    }
    SDL_Window* const window = SDL_CreateWindow("Spruce in SDL", 20, 20, 400, 200, SDL_WINDOW_SHOWN);
    all.expect(window != nullptr, "a window opens");
    {
        sdl_guest guest;
        spruce::loop loop;
        long failures = 0;
        loop.on_unhandled([&](spruce::unhandled const&) { ++failures; });
        auto stopped = loop.on_shutdown(spruce::shutdown_phase::after, [] { ended = true; });
        all.expect(loop.interleave(guest.post()).ok(), "the loop is interleaved");
        {
            bool over = false;
            foreign::ride everything(loop, [&] { over = true; });
            host(guest, [&] { return over; });
            everything.check(all);
            host(guest, [] { return false; }, 200ms);
            // Nothing to do: SDL itself asks its window system many times a second, but there is no turn of ours.
            long const turns = given;
            foreign::idle_watch watch(5s, foreign::idle_watch::of::all_but_this);
            host(guest, [] { return false; }, 5s);
            all.expect(given == turns, "idle, not one turn in five seconds");
            all.expect(watch.woken() == 0, "idle, not one wake-up of the guest's thread");
        }
        // A host that is busy is asked once, and then waited for.
        long ticks = 0;
        auto ticking = loop.call_every(5ms, [&] { ++ticks; });
        host(guest, [&] { return ticks > 5; });
        SDL_Surface* const surface = SDL_GetWindowSurface(window);
        for (int i = 0; i != 8; ++i) {
            SDL_Rect const bar{i * 50, 0, 50, 200};
            SDL_FillRect(surface, &bar, SDL_MapRGB(surface->format, static_cast<Uint8>(i * 30), 120, 60));
        }
        SDL_UpdateWindowSurface(window);
        std::puts("window shown");
        std::this_thread::sleep_for(1s);
        SDL_PumpEvents();
        std::vector<SDL_Event> queued(64);
        int const waiting = SDL_PeepEvents(queued.data(), 64, SDL_PEEKEVENT, SDL_USEREVENT, SDL_LASTEVENT);
        all.expect(waiting == 1, "a busy host has one event of ours, not a pile");
        long const before = ticks;
        host(guest, [&] { return ticks > before + 5; });
        all.expect(ticks > before + 5, "and the guest goes on afterwards");
        // A queue that is flushed, with our event in it: any other event brings the turn.
        std::this_thread::sleep_for(100ms);
        SDL_FlushEvents(SDL_FIRSTEVENT, SDL_LASTEVENT);
        SDL_Event other{};
        other.type = SDL_USEREVENT;
        all.expect(SDL_PushEvent(&other) == 1, "SDL takes an event of another's");
        long const flushed = ticks;
        host(guest, [&] { return ticks > flushed; }, 5s);
        all.expect(ticks > flushed, "a flushed queue does not stop the guest");
        all.expect(failures == 0, "nothing was reported so far");
        ticking.cancel();
        long const before_end = foreign::threads_of_process();
        static_cast<void>(loop.stop());
        host(guest, [] { return ended; }, 500ms);
        all.expect(ended, "its shutdown hooks have run");
        all.expect(foreign::threads_of_process() == before_end - 1, "its thread is gone");
        all.expect(loop.destroy(spruce::in(1s)).ok(), "the loop ends");
    }
    SDL_DestroyWindow(window);
    SDL_Quit();
    return all.code();
}
