// call_soon on the loop's own thread: a callback that posts the next, and a thousand posted before any runs. Ours
// beside a bare linked queue, and the quickest that peers have for it: libuv (an async handle; it has no call for
// it), libev (a fed event), libevent (an activated event), asio (post).
// links: -luv -levent_core -lev
// (In this order: libev has functions by the names of libevent's, which would take their place.)
#include <spruce/spruce.hpp>

#include <array>

#include "floors/calls_floor.hpp"
#include "measure.hpp"

#if __has_include(<uv.h>)
#include <uv.h>
#define HAVE_UV 1
#endif
#if __has_include(<ev.h>)
#include <ev.h>
#define HAVE_EV 1
#endif
#if __has_include(<event2/event.h>)
#include <event2/event.h>
#define HAVE_EVENT 1
#endif
#if __has_include(<asio.hpp>) && defined(__cpp_exceptions)
#define ASIO_NO_DEPRECATED
#include <asio.hpp>
#define HAVE_ASIO 1
#endif

namespace {
constexpr long batch = 1000;
long left;   // calls that are still to come

struct next_call {
    spruce::loop& hub;
    void operator()() const {
        if (--left > 0) hub.call_soon(*this);
    }
};
double spruce_chain(spruce::loop& hub, long calls) {
    std::int64_t const begin = measure::cpu_ns();
    left = calls;
    hub.call_soon(next_call{hub});
    static_cast<void>(hub.run());
    return measure::per(begin, calls);
}
double spruce_batch(spruce::loop& hub, long calls) {
    std::int64_t const begin = measure::cpu_ns();
    for (left = calls; left > 0;) {
        for (long i = 0; i < batch; ++i) hub.call_soon([] { --left; });
        static_cast<void>(hub.run());
    }
    return measure::per(begin, calls);
}

floors::bare_calls bare;
double bare_chain(long calls) {
    std::int64_t const begin = measure::cpu_ns();
    left = calls;
    floors::bare_call one{nullptr, [](floors::bare_call& c) {
        if (--left > 0) bare.push(c);
    }};
    bare.push(one);
    bare.run();
    return measure::per(begin, calls);
}
double bare_batch(long calls) {
    static std::array<floors::bare_call, batch> all;
    std::int64_t const begin = measure::cpu_ns();
    for (left = calls; left > 0;) {
        for (floors::bare_call& c : all) {
            c.run = [](floors::bare_call&) { --left; };
            bare.push(c);
        }
        bare.run();
    }
    return measure::per(begin, calls);
}

#ifdef HAVE_UV
double uv_chain(long calls) {
    static uv_loop_t loop;
    static uv_async_t async;
    uv_loop_init(&loop);
    uv_async_init(&loop, &async, [](uv_async_t* a) {
        if (--left > 0) uv_async_send(a);
        else uv_close(reinterpret_cast<uv_handle_t*>(a), nullptr);
    });
    std::int64_t const begin = measure::cpu_ns();
    left = calls;
    uv_async_send(&async);
    uv_run(&loop, UV_RUN_DEFAULT);
    double const value = measure::per(begin, calls);
    uv_loop_close(&loop);
    return value;
}
#endif

#ifdef HAVE_EV
double ev_chain(long calls) {
    static struct ev_loop* const loop = ev_loop_new(0);
    static ev_prepare one;
    ev_prepare_init(&one, [](struct ev_loop* l, ev_prepare* w, int) {
        if (--left > 0) ev_feed_event(l, w, EV_CUSTOM);
        else ev_break(l, EVBREAK_ALL);
    });
    std::int64_t const begin = measure::cpu_ns();
    left = calls;
    ev_feed_event(loop, &one, EV_CUSTOM);
    ev_run(loop, EVRUN_NOWAIT);
    ev_invoke_pending(loop);
    return measure::per(begin, calls);
}
double ev_batch(long calls) {
    static struct ev_loop* const loop = ev_loop_new(0);
    static std::array<ev_prepare, batch> all;
    for (ev_prepare& one : all) ev_prepare_init(&one, [](struct ev_loop*, ev_prepare*, int) { --left; });
    std::int64_t const begin = measure::cpu_ns();
    for (left = calls; left > 0;) {
        for (ev_prepare& one : all) ev_feed_event(loop, &one, EV_CUSTOM);
        ev_run(loop, EVRUN_NOWAIT);
    }
    return measure::per(begin, calls);
}
#endif

#ifdef HAVE_EVENT
double event_chain(long calls) {
    static event_base* const base = event_base_new();
    static event* one = nullptr;
    one = event_new(base, -1, 0, [](evutil_socket_t, short, void*) {
        if (--left > 0) event_active(one, EV_TIMEOUT, 0);
    }, nullptr);
    std::int64_t const begin = measure::cpu_ns();
    left = calls;
    event_active(one, EV_TIMEOUT, 0);
    event_base_dispatch(base);
    double const value = measure::per(begin, calls);
    event_free(one);
    return value;
}
double event_batch(long calls) {
    static event_base* const base = event_base_new();
    static std::array<event*, batch> all;
    for (event*& one : all)
        if (!one) one = event_new(base, -1, 0, [](evutil_socket_t, short, void*) { --left; }, nullptr);
    std::int64_t const begin = measure::cpu_ns();
    for (left = calls; left > 0;) {
        for (event* one : all) event_active(one, EV_TIMEOUT, 0);
        event_base_loop(base, EVLOOP_NONBLOCK);
    }
    return measure::per(begin, calls);
}
#endif

#ifdef HAVE_ASIO
struct asio_next {
    asio::io_context& io;
    void operator()() const {
        if (--left > 0) asio::post(io, *this);
    }
};
double asio_chain(long calls) {
    asio::io_context io(1);   // one thread: no locks
    std::int64_t const begin = measure::cpu_ns();
    left = calls;
    asio::post(io, asio_next{io});
    io.run();
    return measure::per(begin, calls);
}
double asio_batch(long calls) {
    asio::io_context io(1);
    std::int64_t const begin = measure::cpu_ns();
    for (left = calls; left > 0;) {
        for (long i = 0; i < batch; ++i) asio::post(io, [] { --left; });
        io.restart();
        io.run();
    }
    return measure::per(begin, calls);
}
#endif
}  // namespace

int main(int count, char** arguments) {
    measure::pin();
    measure::effort const e(count, arguments);
    spruce::loop hub;
    long const calls = (e.of(1'000'000) + batch - 1) / batch * batch;
    measure::contest chain("call_soon_chain");
    chain.enter("spruce", [&] { return spruce_chain(hub, calls); });
    chain.enter("floor", [&] { return bare_chain(calls); });
#ifdef HAVE_UV
    chain.enter("libuv", [&] { return uv_chain(calls / 20); });
#endif
#ifdef HAVE_EV
    chain.enter("libev", [&] { return ev_chain(calls); });
#endif
#ifdef HAVE_EVENT
    chain.enter("libevent", [&] { return event_chain(calls); });
#endif
#ifdef HAVE_ASIO
    chain.enter("asio", [&] { return asio_chain(calls); });
#endif
    chain.run(e);

    measure::contest many("call_soon_batch");
    many.enter("spruce", [&] { return spruce_batch(hub, calls); });
    many.enter("floor", [&] { return bare_batch(calls); });
#ifdef HAVE_EV
    many.enter("libev", [&] { return ev_batch(calls); });
#endif
#ifdef HAVE_EVENT
    many.enter("libevent", [&] { return event_batch(calls); });
#endif
#ifdef HAVE_ASIO
    many.enter("asio", [&] { return asio_batch(calls); });
#endif
    many.run(e);
}
