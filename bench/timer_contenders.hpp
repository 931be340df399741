// Timers to race: our wheel, the floor's, libuv's and libev's. Each contender has its timers made beforehand, by number.
#pragma once
#include "../src/timer/wheel.hpp"

#include <memory>
#include <string>

#include "floors/wheel_floor.hpp"
#include "measure.hpp"

#if __has_include(<uv.h>)
#include <uv.h>
#define HAVE_UV 1
#endif
#if __has_include(<ev.h>)
#include <ev.h>
#define HAVE_EV 1
#endif

namespace timers {
using spruce::detail::timer;
using spruce::detail::wheel;

constexpr std::int64_t ms = 1'000'000;

// Each contender has its timers made beforehand, by number, and counts in milliseconds.
struct ours {
    static constexpr char const* name = "spruce";
    explicit ours(std::size_t n) {
        if (!in.reserve(n)) std::abort();
        in.start(now);
        // They lie one after the other. Whoever arms one has its address, so looking that up is not measured.
        timers = in.take(nullptr);
        for (std::size_t i = 1; i < n; ++i)
            if (in.take(nullptr) != timers + i) std::abort();
    }
    void arm(std::size_t i, std::uint32_t after) { in.arm(timers[i], now + after * ms); }
    void disarm(std::size_t i) { in.disarm(timers[i]); }
    void expire_all(std::size_t n) {
        std::size_t fired = 0;
        while (fired < n) {
            now += ms;
            in.expire(now, [&fired](timer&) { ++fired; });
        }
    }
    std::int64_t now = 1'000'000 * ms;
    wheel in{spruce::memory_hook{}};
    timer* timers;
};

struct bare {
    static constexpr char const* name = "floor";
    explicit bare(std::size_t n) : in(n) {}
    void arm(std::size_t i, std::uint32_t after) { in.arm(i, after); }
    void disarm(std::size_t i) { in.disarm(i); }
    void expire_all(std::size_t n) {
        for (std::size_t fired = 0; fired < n;) fired += in.turn();
    }
    floors::bare_wheel in;
};

#ifdef HAVE_UV
struct libuv {
    static constexpr char const* name = "libuv";
    explicit libuv(std::size_t n) : timers(n) {
        uv_loop_init(&loop);
        for (uv_timer_t& t : timers) {
            uv_timer_init(&loop, &t);
            t.data = this;
        }
    }
    static void count(uv_timer_t* t) { ++static_cast<libuv*>(t->data)->fired; }
    void arm(std::size_t i, std::uint32_t after) { uv_timer_start(&timers[i], count, after, 0); }
    void disarm(std::size_t i) { uv_timer_stop(&timers[i]); }
    void expire_all(std::size_t) { uv_run(&loop, UV_RUN_DEFAULT); }
    std::size_t fired = 0;
    uv_loop_t loop;
    std::vector<uv_timer_t> timers;
};
#endif

#ifdef HAVE_EV
struct libev {
    static constexpr char const* name = "libev";
    explicit libev(std::size_t n) : loop(ev_loop_new(0)), timers(n) {
        for (ev_timer& t : timers) {
            ev_init(&t, count);
            t.data = this;
        }
    }
    static void count(struct ev_loop*, ev_timer* t, int) { ++static_cast<libev*>(t->data)->fired; }
    void arm(std::size_t i, std::uint32_t after) {
        ev_timer_set(&timers[i], after * 1e-3, 0.);
        ev_timer_start(loop, &timers[i]);
    }
    void disarm(std::size_t i) { ev_timer_stop(loop, &timers[i]); }
    void expire_all(std::size_t) { ev_run(loop, 0); }
    std::size_t fired = 0;
    struct ev_loop* loop;
    std::vector<ev_timer> timers;
};
#endif
}  // namespace timers
