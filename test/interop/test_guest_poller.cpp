// The poller of an interleaved loop: what the thread that sleeps calls, and what a refusal of the kernel's comes to.
#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <spruce/faults.hpp>
#include <spruce/spruce.hpp>

#include "../harness/guest_scenes.hpp"
#include "../harness/kernel_between.hpp"
#include "../harness/queue_host.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::hears;
using harness::is_over;
using harness::kernel_between;
using harness::queue_host;
using harness::world;

namespace {
// A guest of a queue's whose kernel does as the test says, and a pipe with something in it that nobody reads.
struct guest_on {
    world w;
    kernel_between kernel{w.on()};
    std::pair<int, int> ends = w.pipe();
    queue_host host;
    std::optional<loop> l;
    std::optional<hears> told;
    int ticks = 0;

    guest_on() {
        auto options = w.options();
        options.on = kernel.on();
        l.emplace(options);
        told.emplace(*l);
    }
    ~guest_on() {
        l.reset();
        w.close(ends.first);
        w.close(ends.second);
    }
    void begin() { REQUIRE(l->interleave(host.post()).ok()); }
    bool run_to_end() { return host.run(is_over(*l)); }
};
error const no_memory = error::from_errno(ENOMEM), bad_fd = error::from_errno(EBADF);
}  // namespace

TEST("each call of the kernel that fails once for want of memory leaves an interleaved run going") {
    std::set<std::string> struck;
    for (std::uint64_t n = 1; n != 40; ++n) {
        testing::simulation world(harness::as_asked());
        testing::faulty_kernel faulty(world.on());
        queue_host host;
        loop l(loop_options{.on = faulty.on()});
        hears told(l);
        auto const ends = world.make_pipe();
        REQUIRE(ends.ok());
        int ticks = 0, read = 0;
        bool slept = false;
        auto r = l.add_reader(ends->first, [&, fd = ends->first] {
            char c;
            auto const got = world.read(fd, &c, 1);
            read += got.ok() && *got == 1;
        });
        REQUIRE(r.ok());
        handler const ticking = l.call_every(1ms, [&] {
            if (++ticks == 3) faulty.fail_call(n, ENOMEM);
            if (ticks == 5) REQUIRE(world.write(ends->second, "x").ok());
        });
        harness::needed([&] { slept = sleep_for(7ms).ok(); });
        REQUIRE(ticking.active());
        REQUIRE(l.interleave(host.post()).ok());
        CHECK(host.run([&] { return ticks >= 12 && slept && read == 1; }));
        bool const polls = faulty.struck() && std::string_view(faulty.struck()) == "poller wait";
        if (faulty.struck()) struck.insert(faulty.struck());
        CHECK(l.running());
        REQUIRE(told.reasons.size() == (polls ? 1U : 0U));
        if (polls) CHECK(told.reasons[0] == errc::no_memory || told.reasons[0] == no_memory);
        CHECK(l.stop().ok());
        CHECK(host.run(is_over(l)));
        CHECK(r->cancel());
        CHECK(l.destroy().ok());
        CHECK(world.close(ends->first).ok() && world.close(ends->second).ok());
    }
    CHECK(struck.count("poller wait") == 1 && struck.count("poller lie_down") == 1);
}

TEST("while the poller refuses a guest, its timers run, its host is not made to turn round and round, and the hook is told once") {
    guest_on g;
    bool read = false;
    auto r = g.l->add_reader(g.ends.first, [&](handler self) {
        read = true;
        self.cancel();
    });
    REQUIRE(r.ok());
    g.begin();
    while (g.host.step(5ms)) {}
    long const before = g.host.posts();
    g.kernel.refuse_waits(-ENOMEM, 5);
    g.w.write(g.ends.second, "x");   // from here on a sleep would end at once
    auto const began = std::chrono::steady_clock::now();
    CHECK(g.host.run([&] { return read; }));
    CHECK(std::chrono::steady_clock::now() - began >= 50ms);
    CHECK_EQ(g.host.posts() - before, 6);
    REQUIRE(g.told->reasons.size() == 1);
    CHECK(g.told->reasons[0] == errc::no_memory || g.told->reasons[0] == no_memory);
    CHECK(g.l->running());
    // What does not need the poller goes on meanwhile; and a later refusal is told anew.
    g.kernel.refuse_waits(-ENOMEM, 1'000'000);
    int ticks = 0;
    bool slept = false, posted = false;
    REQUIRE(g.l->call_every(1ms, [&] { ++ticks; }).active());
    harness::needed([&] { slept = sleep_for(3ms).ok(); });
    REQUIRE(g.l->remote().call([&] { posted = true; }).ok());
    CHECK(g.host.run([&] {
        if (harness::simulated()) CHECK(g.l->advance(1ms).ok());   // nobody else would
        return ticks >= 20 && slept && posted;
    }));
    CHECK(g.kernel.waits_left() > 999'000);
    CHECK_EQ(g.told->reasons.size(), 2U);
    CHECK(g.l->stop().ok());
    CHECK(g.run_to_end());
}

TEST("a sleep that is refused for a while is told once, and a turn comes each 10 ms until it is not") {
    guest_on g;
    g.kernel.refuse_sleeps(-ENOMEM, 4);
    auto const began = std::chrono::steady_clock::now();
    g.begin();
    CHECK(g.host.run([&] { return g.host.posts() >= 4; }));
    while (g.host.step(50ms)) {}
    CHECK(std::chrono::steady_clock::now() - began >= 40ms);
    CHECK_EQ(g.host.posts(), 4);
    CHECK_EQ(g.kernel.sleeps_left(), 0);
    CHECK_EQ(g.told->reasons.size(), 1U);
    bool ran = false;
    REQUIRE(g.l->call_soon([&] { ran = true; }).active());
    CHECK(g.host.run([&] { return ran; }));
    CHECK(g.l->running());
}

TEST("a poller that cannot get better ends an interleaved run with its error, told once, whatever delays the shutdown") {
    for (bool const asleep : {false, true}) {
        guest_on g;
        std::string seen;
        g.l->on_shutdown(shutdown_phase::before, [&] {
            seen += 'b';
            spawn([&, held = g.l->hold()] { static_cast<void>(sleep_for(1h)); });
        });
        g.l->on_shutdown(shutdown_phase::after, [&] { seen += 'a'; });
        g.begin();
        while (g.host.step(5ms)) {}
        if (asleep) g.kernel.refuse_sleeps(-EBADF, 1'000'000);
        else g.kernel.refuse_waits(-EBADF, 1'000'000);
        REQUIRE(g.l->call_soon([] {}).active());
        CHECK(g.run_to_end());
        CHECK_EQ(std::string_view(seen), "ba");
        REQUIRE(g.told->reasons.size() == 1);
        CHECK(g.told->reasons[0] == bad_fd);
        CHECK(g.told->has("ends the run"));
        // What it had is kept for the next run, if the kernel lets it.
        g.kernel.refuse_waits(0, 0);
        g.kernel.refuse_sleeps(0, 0);
        CHECK(g.l->destroy().ok());
    }
}

TEST("the thread that sleeps for a guest calls the poller's sleep and post(), and nothing else of the library's") {
    if (harness::spoilt_kernel()) harness::skip("a scene in which nothing fails");
    guest_on g;
    std::thread::id worker;
    long taken = 0, wakes = 0;
    std::set<std::thread::id> ours;
    auto const here = [&] { ours.insert(std::this_thread::get_id()); };
    int beats = 0, echoed = 0, posted = 0, signals = 0, children = harness::simulated() ? 1 : 0;
    auto const [a, b] = g.w.sockets();
    REQUIRE(g.l->add_signal_handler(SIGUSR1, [&] { here(), ++signals; }).ok() || harness::simulated());
    auto r = g.l->add_reader(g.ends.first, [&] {
        char c;
        here();
        static_cast<void>(g.w.read(g.ends.first, &c, 1));
    });
    REQUIRE(r.ok());
    auto const talk = [&](int fd, bool begins) {
        harness::needed([&, fd, begins] {
            auto peer = stream::adopt(fd);
            REQUIRE(peer.ok());
            char room[8];
            for (int i = 0; i != 20; ++i) {
                REQUIRE(!begins || peer->write("ping").ok());
                REQUIRE(peer->read(room).ok());
                REQUIRE(begins || peer->write("pong").ok());
                here();
                echoed += begins;
            }
        });
    };
    talk(a, true);
    talk(b, false);
    handler const beat = g.l->call_every(1ms, [&] {
        here();
        if (++beats == 4) g.w.write(g.ends.second, "x");
    });
    REQUIRE(beat.active());
    int pid = -1;
    if (!harness::simulated()) {
        pid = ::fork();
        if (pid == 0) ::_exit(3);
        REQUIRE(g.l->add_child_handler(pid, [&](result<exit_status>) { here(), ++children; }).ok());
    }
    REQUIRE(g.l->interleave([&, post = g.host.post()](host_turn turn) mutable {
                 worker = std::this_thread::get_id();
                 taken = harness::memory_calls_here();
                 wakes = kernel_between::wakes_here();
                 post(std::move(turn));
             }).ok());
    std::thread other([&, door = g.l->remote()] {
        for (int i = 0; i != 50; ++i) REQUIRE(door.call([&] { here(), ++posted; }).ok());
    });
    CHECK(g.host.run([&] { return posted == 50 && beats >= 10; }));
    if (!harness::simulated()) ::kill(::getpid(), SIGUSR1);
    else signals = 1;
    CHECK(g.host.run([&] { return signals == 1 && children == 1 && echoed == 20; }));
    other.join();
    CHECK(g.l->stop().ok());
    CHECK(g.run_to_end());
    REQUIRE(worker != std::thread::id() && worker != std::this_thread::get_id());
    CHECK(ours == std::set<std::thread::id>{std::this_thread::get_id()});
    CHECK(g.kernel.calls_on(worker) == std::set<std::string>{"poller sleep"});
    CHECK(g.kernel.calls_on(std::this_thread::get_id()).count("poller wait") == 1);
    CHECK_EQ(taken, 0L);   // memory comes from the loop's thread, too
    CHECK_EQ(wakes, 0L);
    CHECK(r->cancel());
}
