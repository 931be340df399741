// A round trip between the loops of two threads that both sleep: a call to the other thread, whose call comes back, two
// milliseconds after the last one, so that nobody waits awake any more. Ours beside the floor, a bare inbox over an
// eventfd, libuv's uv_async_send and asio's post. (While traffic flows: round_trip in bench_call_from_thread.)
// cores: 2
// links: -luv
#include <spruce/spruce.hpp>

#include <atomic>
#include <functional>
#include <thread>

#include "floors/calls_floor.hpp"
#include "measure.hpp"

#if __has_include(<uv.h>)
#include <uv.h>
#define HAVE_UV 1
#endif
#if __has_include(<asio.hpp>) && defined(__cpp_exceptions)
#define ASIO_NO_DEPRECATED
#include <asio.hpp>
#define HAVE_ASIO 1
#endif

namespace {
// What the trip that was disturbed least takes; `trip` sends, and comes back when the answer is there.
template <class F> double shortest(long trips, F&& trip) {
    std::int64_t least = INT64_MAX;
    for (long i = 0; i < trips; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        std::int64_t const begin = measure::now_ns();
        trip();
        least = std::min(least, measure::now_ns() - begin);
    }
    return static_cast<double>(least);
}

double spruce_trips(long trips) {
    spruce::loop hub;
    spruce::loop_ref const here = hub.remote();
    std::atomic<spruce::loop*> other{nullptr};
    std::thread far([&] {
        measure::pin_to(1);
        spruce::loop its;
        other.store(&its);
        static_cast<void>(its.run_forever());
    });
    while (!other.load()) std::this_thread::yield();
    spruce::loop_ref const there = other.load()->remote();
    double const value = shortest(trips, [&] {
        bool back = false;
        static_cast<void>(there.call([&] { static_cast<void>(here.call([&] { back = true; })); }));
        static_cast<void>(hub.run_until([&] { return back; }));
    });
    static_cast<void>(there.stop());
    far.join();
    return value;
}

#ifdef HAVE_BARE_INBOX
double bare_trips(long trips) {
    floors::bare_inbox here, there;
    bool back = false;
    std::atomic<bool> over{false};
    struct call : floors::bare_call {
        std::function<void()> does;
    };
    auto const run = [](floors::bare_call& c) { static_cast<call&>(c).does(); };
    call answer{{nullptr, run}, [&] { back = true; }};
    call question{{nullptr, run}, [&] { here.push(answer); }};
    call last{{nullptr, run}, [&] { over = true; }};
    std::thread far([&] {
        measure::pin_to(1);
        while (!over) there.run_some();
    });
    double const value = shortest(trips, [&] {
        back = false;
        there.push(question);
        while (!back) here.run_some();
    });
    there.push(last);
    far.join();
    return value;
}
#endif

#ifdef HAVE_UV
double uv_trips(long trips) {
    struct side {
        uv_loop_t loop;
        uv_async_t bell;
        side* other = nullptr;
        bool back = false;
        std::atomic<bool> over{false};
    };
    static side here, there;
    there.over = false;
    uv_loop_init(&here.loop);
    uv_loop_init(&there.loop);
    uv_async_init(&here.loop, &here.bell, [](uv_async_t*) { here.back = true; });
    uv_async_init(&there.loop, &there.bell, [](uv_async_t* b) {
        if (there.over) uv_close(reinterpret_cast<uv_handle_t*>(b), nullptr);
        else uv_async_send(&here.bell);
    });
    std::thread far([&] {
        measure::pin_to(1);
        uv_run(&there.loop, UV_RUN_DEFAULT);
    });
    double const value = shortest(trips, [&] {
        here.back = false;
        uv_async_send(&there.bell);
        while (!here.back) uv_run(&here.loop, UV_RUN_ONCE);
    });
    there.over = true;
    uv_async_send(&there.bell);
    far.join();
    uv_close(reinterpret_cast<uv_handle_t*>(&here.bell), nullptr);
    uv_run(&here.loop, UV_RUN_DEFAULT);
    uv_loop_close(&here.loop);
    uv_loop_close(&there.loop);
    return value;
}
#endif

#ifdef HAVE_ASIO
double asio_trips(long trips) {
    asio::io_context here, there;
    auto const work_here = asio::make_work_guard(here);
    auto work_there = asio::make_work_guard(there);
    std::thread far([&] {
        measure::pin_to(1);
        there.run();
    });
    double const value = shortest(trips, [&] {
        bool back = false;
        asio::post(there, [&] { asio::post(here, [&] { back = true; }); });
        while (!back) here.run_one();
    });
    work_there.reset();
    far.join();
    return value;
}
#endif
}  // namespace

int main(int count, char** arguments) {
    measure::pin_to(0);
    measure::effort const e(count, arguments);
    long const trips = e.of(150, 3);
    measure::contest all("round_trip_asleep");
    all.enter("spruce", [=] { return spruce_trips(trips); });
#ifdef HAVE_BARE_INBOX
    all.enter("floor", [=] { return bare_trips(trips); });
#endif
#ifdef HAVE_UV
    all.enter("libuv", [=] { return uv_trips(trips); });
#endif
#ifdef HAVE_ASIO
    all.enter("asio", [=] { return asio_trips(trips); });
#endif
    all.run(e);
}
