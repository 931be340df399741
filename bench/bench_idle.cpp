// An idle loop wakes nobody: how often a process is woken in a minute whose loop has a task asleep for an hour, a timer
// as far away and a pipe that nobody writes to. Beside it libuv, libev and asio with a timer and the pipe. All sleep at
// the same time, as processes of their own, and their voluntary switches are counted. Fails if ours is woken at all.
// links: -luv -lev
#include <spruce/spruce.hpp>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "child.hpp"

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

#if defined(__linux__)
namespace {
int silent_pipe() {
    int ends[2];
    if (::pipe(ends) != 0) std::abort();
    return ends[0];
}

void spruce_idles(measure::teller const& tell) {
    using namespace std::chrono_literals;
    spruce::loop hub;
    static_cast<void>(hub.add_reader(silent_pipe(), [] {}));
    hub.call_later(1h, [] {});
    spruce::spawn([] { static_cast<void>(spruce::sleep_for(1h)); });
    tell(1);
    static_cast<void>(hub.run());
}
#ifdef HAVE_UV
void uv_idles(measure::teller const& tell) {
    uv_timer_t far;
    uv_poll_t poll;
    uv_timer_init(uv_default_loop(), &far);
    uv_timer_start(&far, [](uv_timer_t*) {}, 3'600'000, 0);
    uv_poll_init(uv_default_loop(), &poll, silent_pipe());
    uv_poll_start(&poll, UV_READABLE, [](uv_poll_t*, int, int) {});
    tell(1);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
#endif
#ifdef HAVE_EV
void ev_idles(measure::teller const& tell) {
    ev_timer far;
    ev_io io;
    ev_timer_init(&far, [](struct ev_loop*, ev_timer*, int) {}, 3600., 0.);
    ev_io_init(&io, [](struct ev_loop*, ev_io*, int) {}, silent_pipe(), EV_READ);
    ev_timer_start(ev_default_loop(EVBACKEND_EPOLL), &far);
    ev_io_start(ev_default_loop(EVBACKEND_EPOLL), &io);
    tell(1);
    ev_run(ev_default_loop(EVBACKEND_EPOLL), 0);
}
#endif
#ifdef HAVE_ASIO
void asio_idles(measure::teller const& tell) {
    asio::io_context io(1);
    asio::steady_timer far(io, std::chrono::hours(1));
    far.async_wait([](asio::error_code) {});
    asio::posix::stream_descriptor pipe(io, silent_pipe());
    pipe.async_wait(asio::posix::stream_descriptor::wait_read, [](asio::error_code) {});
    tell(1);
    io.run();
}
#endif

// How often it has gone to sleep since it began, which is once more than it was woken.
long sleeps(pid_t process) {
    std::FILE* const f = std::fopen(("/proc/" + std::to_string(process) + "/status").c_str(), "r");
    char text[256];
    long count = -1;
    while (f && std::fgets(text, sizeof text, f) && std::sscanf(text, "voluntary_ctxt_switches: %ld", &count) != 1) {}
    if (f) std::fclose(f);
    return count;
}
void wait_ms(long ms) {
    timespec const t{ms / 1000, ms % 1000 * 1'000'000};
    ::nanosleep(&t, nullptr);
}
}  // namespace

int main(int count, char** arguments) {
    long const ms = measure::brief(count, arguments) ? 100 : measure::quick(count, arguments) ? 5'000 : 60'000;
    struct sleeper {
        char const* whose;
        std::unique_ptr<measure::child> process;
        long before;
    };
    std::vector<sleeper> all;
    auto const enter = [&](char const* whose, void (*body)(measure::teller const&)) {
        all.push_back({whose, std::make_unique<measure::child>(body), 0});
        all.back().process->told();
    };
    enter("spruce", spruce_idles);
#ifdef HAVE_UV
    enter("libuv", uv_idles);
#endif
#ifdef HAVE_EV
    enter("libev", ev_idles);
#endif
#ifdef HAVE_ASIO
    enter("asio", asio_idles);
#endif
    wait_ms(500);   // all have gone to sleep
    for (sleeper& s : all) s.before = sleeps(s.process->pid());
    wait_ms(ms);
    bool quiet = true;
    for (sleeper const& s : all) {
        long const woken = sleeps(s.process->pid()) - s.before;
        measure::figures a_minute;
        a_minute.add(static_cast<double>(woken) * 60'000 / static_cast<double>(ms));
        measure::report("idle", s.whose, a_minute, "wake-ups/min");
        if (&s == &all.front() && (woken != 0 || s.before < 0)) quiet = false;
    }
    if (!quiet) std::fprintf(stderr, "an idle loop was woken\n");
    return quiet ? 0 : 1;
}
#else
int main() {}
#endif
