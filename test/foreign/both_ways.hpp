// The same scenes for each host that has a loop and no windows: as a guest by its fd, and interleaved. A Host has
// run() until quit(), after(ms, f): f is called once by a timer of its own, and wakes(): how often it has come out of its own
// wait, or has called somebody where it does not tell that; for the second way also post(turn).
#pragma once
#include <stdexcept>

#include <unistd.h>

#include "ride.hpp"

namespace foreign {

// A loop whose poller has no fd to watch: the adapter says so, and does nothing. Elsewhere, since a thread has one loop.
template <class Guest, class... Host> void without_fd(checks& all, Host... host) {
    std::thread([&] {
        spruce::loop loop(spruce::loop_options{.poller = spruce::poller::poll});
        auto soon = loop.call_soon([&] { all.expect(false, "no turn of a loop without an fd"); });
        Guest guest(loop, host...);
        all.expect(!guest.ok(), "a loop whose poller has no fd is refused");
        soon.cancel();
    }).join();
}

// An fd is readable, and the host has no time for it.
template <class Host> void busy_host(checks& all, Host& host, spruce::loop& loop) {
    using namespace std::chrono_literals;
    int ends[2] = {-1, -1};
    bool const made = ::pipe(ends) == 0;
    long read = 0, woken = -1;
    double used = 1;
    auto reader = loop.add_reader(ends[0], [&] {
        char c = 0;
        read += ::read(ends[0], &c, 1);
        host.quit();
    });
    host.after(10, [&] {
        static_cast<void>(!::write(ends[1], "x", 1));
        double const before = processor_seconds();
        idle_watch watch(2s, idle_watch::of::all_but_this);
        std::this_thread::sleep_for(2s);
        woken = watch.woken();
        used = processor_seconds() - before;
    });
    host.run();
    all.expect(made && reader.ok() && read == 1, "an fd that was readable while the host was blocked is read afterwards");
    all.expect(woken == 0 && used < 0.05, "and meanwhile no thread woke up, nor took processor time");
    if (reader.ok()) reader->cancel();
    ::close(ends[0]);
    ::close(ends[1]);
}

template <class Host> void scenes(checks& all, Host& host, spruce::loop& loop, char const* way) {
    using namespace std::chrono_literals;
    std::printf("-- %s\n", way);
    {
        ride everything(loop, [&] { host.quit(); });
        host.run();
        everything.check(all);
        // The host wakes up once, by its own timer, and not for us.
        long const turns = everything.turns(), wakes = host.wakes();
        double const used = processor_seconds();
        idle_watch watch(5s);
        host.after(5'000, [&] { host.quit(); });
        host.run();
        all.expect(everything.turns() <= turns + 1, "idle for five seconds, no turn but the host's own");
        all.expect(host.wakes() <= wakes + 2, "idle, the host's loop wakes for its own timer alone");
        all.expect(watch.woken() == 0, "idle, not one wake-up of any thread");
        all.expect(processor_seconds() - used < 0.1, "idle, no processor time");
    }
    busy_host(all, host, loop);
    bool slept = false, fired = false, released = false;
    spruce::event go;
    spruce::spawn([&] { released = go.wait().ok(); });
    host.after(10, [&] { go.set(); });
    host.after(20, [&] {
        loop.call_later(3ms, [&] { fired = true; });
        spruce::spawn([&] {
            slept = spruce::sleep_for(5ms).ok();
            host.quit();
        });
    });
    host.run();
    all.expect(released && slept && fired, "what a callback of the host's wakes, spawns and times runs, and sleeps");
    // A registered fd that is closed behind the loop's back, and a callback that throws: told, and the guest lives on.
    int ends[2] = {-1, -1};
    bool registered = ::pipe(ends) == 0;
    registered = registered && loop.add_reader(ends[0], [] {}).ok();
    long told = 0, ticks = 0;
    loop.on_unhandled([&](spruce::unhandled const&) { ++told; });
    host.after(5, [&] {
        ::close(ends[0]);
        ::close(ends[1]);
        loop.call_soon([] { throw std::runtime_error("a callback's"); });
    });
    double const before = processor_seconds();
    auto ticking = loop.call_every(10ms, [&] {
        if (++ticks == 30) host.quit();
    });
    host.run();
    ticking.cancel();
    all.expect(registered && ticks == 30 && processor_seconds() - before < 0.15, "an fd closed behind its back neither ends nor spins it");
    all.expect(told == 1, "what a callback throws is told once, and the guest lives on");
    loop.on_unhandled([](spruce::unhandled const&) {});
    auto answer = spruce::spawn([]() -> spruce::result<int> {
        SPRUCE_CHECK(spruce::sleep_for(5ms));
        return 3;
    });
    all.expect(spruce::run_host_until(answer, [&] { host.once(); }, spruce::in(10s)).ok(), "plain code waits by running the host");
    all.expect(answer.get().value_or(0) == 3, "and has the answer");
}

template <class Host> void scenes_interleaved(checks& all, Host& host) {
    using namespace std::chrono_literals;
    spruce::loop loop;
    std::string seen;
    loop.on_start([&] { seen += 's'; });
    loop.on_shutdown(spruce::shutdown_phase::before, [&] {
        spruce::spawn([&, held = loop.hold()] { seen += spruce::sleep_for(3ms).ok() ? 't' : '?'; });
    });
    loop.on_shutdown(spruce::shutdown_phase::after, [&] {
        seen += 'a';
        host.quit();
    });
    auto const post = [&](spruce::host_turn turn) { host.post(std::move(turn)); };
    long const threads = threads_of_process();
    all.expect(loop.interleave(post).ok(), "it is interleaved");
    scenes(all, host, loop, "interleaved");
    // Its end comes from the host, whose loop ends when ours says that it has.
    host.after(1, [&] { all.expect(loop.stop().ok(), "the host's callback stops it"); });
    host.run();
    for (int i = 0; i != 100 && loop.running(); ++i) host.once();
    all.expect(seen == "sta" && !loop.running(), "the shutdown waits for its task, in the host's turns");
    all.expect(threads_of_process() == threads, "no thread is left");
    seen.clear();
    all.expect(loop.interleave(post).ok(), "it is interleaved again");
    all.expect(loop.destroy(spruce::in(5s)).ok() && seen == "sta", "and its end is the guest's, where the host goes first");
    all.expect(threads_of_process() == threads, "no thread is left, again");
}

}  // namespace foreign
