// Starting: a loop made, one task (or call) run in it, and the loop destroyed; and a whole process that does so. Ours beside
// libuv, libev, libevent and asio, each with one call by the way that bench_call_soon.cpp names; and beside a thread of
// the C library, made and joined, which is what a task of its own would be without a loop. The process is this program
// itself, with all libraries it is linked with; its floor ends at once.
// links: -luv -levent_core -lev
// (In this order: libev has functions by the names of libevent's, which would take their place.)
#include <spruce/spruce.hpp>

#include <cstdlib>
#include <cstring>
#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>

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

extern char** environ;

namespace {
int ran;
void check(int wanted) {
    if (ran != wanted) std::abort();
}

void spruce_life() {
    spruce::loop hub;
    spruce::spawn([] { ++ran; });
    static_cast<void>(hub.run());
}
void spruce_calls_life() {
    spruce::loop hub;
    hub.call_soon([] { ++ran; });
    static_cast<void>(hub.run());
}
void thread_life() {
    pthread_t one;
    pthread_create(&one, nullptr, [](void*) -> void* { return ++ran, nullptr; }, nullptr);
    pthread_join(one, nullptr);
}
#ifdef HAVE_UV
void uv_life() {
    uv_loop_t loop;
    uv_loop_init(&loop);
    uv_async_t call;
    uv_async_init(&loop, &call, [](uv_async_t* a) {
        ++ran;
        uv_close(reinterpret_cast<uv_handle_t*>(a), nullptr);
    });
    uv_async_send(&call);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}
#endif
#ifdef HAVE_EV
void ev_life() {
    struct ev_loop* const loop = ev_loop_new(0);
    ev_prepare call;
    ev_prepare_init(&call, [](struct ev_loop*, ev_prepare*, int) { ++ran; });
    ev_feed_event(loop, &call, EV_CUSTOM);
    ev_run(loop, EVRUN_NOWAIT);
    ev_loop_destroy(loop);
}
#endif
#ifdef HAVE_EVENT
void event_life() {
    event_base* const base = event_base_new();
    event* const call = event_new(base, -1, 0, [](evutil_socket_t, short, void*) { ++ran; }, nullptr);
    event_active(call, EV_TIMEOUT, 0);
    event_base_dispatch(base);
    event_free(call);
    event_base_free(base);
}
#endif
#ifdef HAVE_ASIO
void asio_life() {
    asio::io_context io(1);
    asio::post(io, [] { ++ran; });
    io.run();
}
#endif

double lives(void (*one)(), long n) {
    ran = 0;
    std::int64_t const begin = measure::now_ns();
    for (long i = 0; i < n; ++i) one();
    double const each = static_cast<double>(measure::now_ns() - begin) / static_cast<double>(n);
    check(static_cast<int>(n));
    return each;
}

struct kind {
    char const* who;
    void (*one)();
};
constexpr kind kinds[] = {
    {"spruce", spruce_life},
    {"floor", +[] { ++ran; }},
#ifdef HAVE_UV
    {"libuv", uv_life},
#endif
#ifdef HAVE_EV
    {"libev", ev_life},
#endif
#ifdef HAVE_EVENT
    {"libevent", event_life},
#endif
#ifdef HAVE_ASIO
    {"asio", asio_life},
#endif
};

double processes(char* self, char const* who, long n) {
    char* const arguments[] = {self, const_cast<char*>("life"), const_cast<char*>(who), nullptr};
    std::int64_t const begin = measure::now_ns();
    for (long i = 0; i < n; ++i) {
        pid_t child;
        int status = 0;
        if (::posix_spawn(&child, self, nullptr, nullptr, arguments, environ) != 0) std::abort();
        if (::waitpid(child, &status, 0) != child || status != 0) std::abort();
    }
    return static_cast<double>(measure::now_ns() - begin) / static_cast<double>(n);
}
}  // namespace

int main(int count, char** arguments) {
    if (count == 3 && std::strcmp(arguments[1], "life") == 0) {
        for (kind const& k : kinds)
            if (std::strcmp(k.who, arguments[2]) == 0) k.one();
        check(1);
        return 0;
    }
    measure::pin();
    measure::effort const e(count, arguments);
    measure::contest loops("start_loop");
    for (kind const& k : kinds)
        if (std::strcmp(k.who, "floor") != 0) loops.enter(k.who, [&] { return lives(k.one, e.of(2'000)); });
    loops.enter("thread", [&] { return lives(thread_life, e.of(2'000)); });
    loops.run(e);
    measure::contest calls("start_loop_no_task");
    calls.enter("spruce", [&] { return lives(spruce_calls_life, e.of(2'000)); });
    calls.run(e);
    measure::contest whole("start_process");
    for (kind const& k : kinds) whole.enter(k.who, [&] { return processes(arguments[0], k.who, e.of(200)); });
    whole.run(e);
}
