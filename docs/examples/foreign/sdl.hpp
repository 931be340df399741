// A Spruce loop as a guest of a program that waits for SDL's events: a thread sleeps for the loop, and its turns come as
// events of a type of their own. Copy it. SDL 2.
//
//     sdl_guest guest;            // before the loop, whose thread calls it until the loop has ended
//     spruce::loop loop;
//     if (auto began = loop.interleave(guest.post()); !began) …
//     for (SDL_Event e; SDL_WaitEvent(&e);) {
//         if (guest.handled(e)) continue;
//         …
//     }
//
// The event carries nothing: the turn waits here, and is given with the next event of whatever type. So a full queue, or
// one that is flushed, only delays it.
#pragma once
#include <mutex>
#include <optional>
#include <utility>

#include <SDL2/SDL.h>
#include <spruce/spruce.hpp>

// Lifetime: until the loop is destroyed. Thread: post()'s result is for interleave(); handled() is the loop's.
class sdl_guest {
public:
    auto post() {
        return [this](spruce::host_turn turn) -> bool {
            {
                std::lock_guard const held(lock_);
                turn_ = std::move(turn);
            }
            SDL_Event e{};
            e.type = type_;
            // Full, or filtered: Spruce tries again a little later.
            return type_ != static_cast<Uint32>(-1) && SDL_PushEvent(&e) == 1;
        };
    }
    // To be asked about each event. true: it was ours.
    bool handled(SDL_Event const& e) {
        std::optional<spruce::host_turn> turn;
        {
            std::lock_guard const held(lock_);
            turn.swap(turn_);
        }
        if (turn) (*turn)();
        return e.type == type_;
    }

private:
    Uint32 const type_ = SDL_RegisterEvents(1);
    std::mutex lock_;
    std::optional<spruce::host_turn> turn_;   // one at most is with the host
};
