// How late a timer is under load: a thousand tasks that yield all the time, and a timer every millisecond. Of each round the
// median and the worst of a hundred. Ours beside libuv (a thousand idle handles), libev (idle watchers) and asio (calls
// that post themselves), whose timers count as they do. Work of one turn is what may come
// first. A timer that comes early is not late; by how much one comes early is told, too.
// links: -luv -lev
#include <spruce/spruce.hpp>

#include <algorithm>
#include <functional>
#include <vector>

#include "measure.hpp"

#if __has_include(<uv.h>)
#include <uv.h>
#define HAVE_UV 1
#endif
#if __has_include(<ev.h>)
#include <ev.h>
#define HAVE_EV 1
#endif
#if __has_include(<asio.hpp>) && defined(__cpp_exceptions)
#define ASIO_NO_DEPRECATED
#include <asio.hpp>
#define HAVE_ASIO 1
#endif

namespace {
constexpr std::int64_t ms = 1'000'000;
constexpr long crowd = 1'000;

// What each of the timer's calls was late by.
struct record {
    explicit record(long n) : left(n) {}
    void begin() { due = measure::now_ns() + ms; }
    // Armed anew each time, a millisecond from now. Returns: whether it goes on.
    bool came() {
        late.push_back(static_cast<double>(measure::now_ns() - due));
        return --left > 0;
    }
    long left;
    std::int64_t due = 0;
    std::vector<double> late;
};

void spruce_round(record& r) {
    spruce::loop hub;
    bool over = false;
    for (long i = 0; i < crowd; ++i)
        spruce::spawn([&] {
            while (!over) static_cast<void>(spruce::yield());
        });
    std::function<void()> const arm = [&] {
        r.begin();
        hub.call_later(std::chrono::milliseconds(1), [&] {
            if (r.came()) arm();
            else over = true;
        });
    };
    arm();
    static_cast<void>(hub.run());
}
#ifdef HAVE_UV
void uv_round(record& r) {
    uv_loop_t loop;
    uv_loop_init(&loop);
    std::vector<uv_idle_t> load(crowd);
    for (uv_idle_t& one : load) {
        uv_idle_init(&loop, &one);
        uv_idle_start(&one, [](uv_idle_t*) {});
    }
    uv_timer_t timer;
    uv_timer_init(&loop, &timer);
    timer.data = &r;
    static uv_timer_cb const came = [](uv_timer_t* t) {
        auto& mine = *static_cast<record*>(t->data);
        if (!mine.came()) return uv_stop(t->loop);
        uv_update_time(t->loop);
        mine.begin();
        uv_timer_start(t, came, 1, 0);
    };
    uv_update_time(&loop);
    r.begin();
    uv_timer_start(&timer, came, 1, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    for (uv_idle_t& one : load) uv_close(reinterpret_cast<uv_handle_t*>(&one), nullptr);
    uv_close(reinterpret_cast<uv_handle_t*>(&timer), nullptr);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}
#endif
#ifdef HAVE_EV
void ev_round(record& r) {
    struct ev_loop* const loop = ev_loop_new(0);
    std::vector<ev_idle> load(crowd);
    for (ev_idle& one : load) {
        ev_idle_init(&one, [](struct ev_loop*, ev_idle*, int) {});
        ev_idle_start(loop, &one);
    }
    ev_timer timer;
    timer.data = &r;
    ev_timer_init(&timer, [](struct ev_loop* l, ev_timer* t, int) {
        auto& mine = *static_cast<record*>(t->data);
        if (!mine.came()) return ev_break(l, EVBREAK_ALL);
        ev_now_update(l);
        mine.begin();
        ev_timer_set(t, 1e-3, 0.);
        ev_timer_start(l, t);
    }, 1e-3, 0.);
    ev_now_update(loop);
    r.begin();
    ev_timer_start(loop, &timer);
    ev_run(loop, 0);
    ev_loop_destroy(loop);
}
#endif
#ifdef HAVE_ASIO
struct asio_load {
    asio::io_context& io;
    bool& over;
    void operator()() const {
        if (!over) asio::post(io, *this);
    }
};
void asio_round(record& r) {
    asio::io_context io(1);
    bool over = false;
    for (long i = 0; i < crowd; ++i) asio::post(io, asio_load{io, over});
    asio::steady_timer timer(io);
    std::function<void()> const arm = [&] {
        r.begin();
        timer.expires_after(std::chrono::milliseconds(1));
        timer.async_wait([&](std::error_code) {
            if (r.came()) arm();
            else over = true;
        });
    };
    arm();
    io.run();
}
#endif

using round = void (*)(record&);
// Both figures come of the same rounds.
class race {
public:
    void enter(char const* who, round one) { all_.push_back({who, one, {}, {}, {}}); }
    void run(long timers, int rounds) {
        for (int i = 0; i <= rounds; ++i)
            for (contender& c : all_) {
                record r(timers);
                c.one(r);
                if (i == 0) continue;   // caches and pools fill
                std::sort(r.late.begin(), r.late.end());
                c.middle.add(std::max(r.late[r.late.size() / 2], 0.0));
                c.worst.add(std::max(r.late.back(), 0.0));
                c.early.add(std::max(-r.late.front(), 0.0));
            }
        for (contender const& c : all_) {
            measure::report("timer_late", c.who, c.middle, "ns");
            measure::report("timer_late_worst", c.who, c.worst, "ns");
            measure::report("timer_early_worst", c.who, c.early, "ns");
        }
    }

private:
    struct contender {
        char const* who;
        round one;
        measure::figures middle, worst, early;
    };
    std::vector<contender> all_;
};
}  // namespace

int main(int count, char** arguments) {
    measure::pin();
    measure::effort const e(count, arguments);
    race all;
    all.enter("spruce", spruce_round);
#ifdef HAVE_UV
    all.enter("libuv", uv_round);
#endif
#ifdef HAVE_EV
    all.enter("libev", ev_round);
#endif
#ifdef HAVE_ASIO
    all.enter("asio", asio_round);
#endif
    all.run(e.of(100, 3), e.rounds);
}
