// Waiting awake: between calls from other threads that come one soon after another, and never otherwise.
#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <functional>
#include <sched.h>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "../../src/loop/hub.hpp"
#include "../harness/axes.hpp"
#include "../harness/kernel_between.hpp"
#include "../harness/spoiled.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

namespace {
std::uint64_t waits(loop const& l) { return l.impl()->spin.waits(); }

#if defined(__linux__)
std::vector<int> cores() {
    cpu_set_t all;
    std::vector<int> found;
    if (::sched_getaffinity(0, sizeof all, &all) == 0)
        for (int i = 0; i != CPU_SETSIZE; ++i)
            if (CPU_ISSET(i, &all)) found.push_back(i);
    return found;
}
bool bind_to(int core) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    return ::sched_setaffinity(0, sizeof one, &one) == 0 && detail::core_of_thread() == core;
}
#else
std::vector<int> cores() { return {}; }
bool bind_to(int) { return false; }
#endif

// A loop on another thread, on the core that is said.
class far_loop {
public:
    far_loop(world& w, int core) {
        std::atomic<bool> up{false};
        thread_ = std::thread([&, core] {
            bound_ = bind_to(core);
            loop l(w.options());
            at_ = &l;
            up = true;
            static_cast<void>(l.run_forever());
        });
        while (!up) std::this_thread::yield();
        door_ = at_.load()->remote();
    }
    ~far_loop() {
        static_cast<void>(door_.stop());
        thread_.join();
    }
    far_loop(far_loop const&) = delete;
    far_loop& operator=(far_loop const&) = delete;
    loop_ref const& door() const { return door_; }
    bool bound() const { return bound_; }

private:
    std::thread thread_;
    std::atomic<loop*> at_{nullptr};
    loop_ref door_;
    std::atomic<bool> bound_{false};
};

// So many calls there and back, one after another.
void trips(loop& here, loop_ref const& there, int count) {
    loop_ref const home = here.remote();
    int left = count;
    std::function<void()> trip = [&] {
        CHECK(there.call([&] { CHECK(home.call([&] { --left > 0 ? trip() : void(); }).ok()); }).ok());
    };
    trip();
    CHECK(here.run_until([&] { return left == 0; }).ok());
}

// On a busy machine the other thread may not get its core for a while: asked again until the next wait is to be awake.
void go_until_it_waits(loop& here, loop_ref const& there) {
    auto const end = std::chrono::steady_clock::now() + 10s;
    do trips(here, there, 50);
    while ((waits(here) == 0 || !here.impl()->spin.pays()) && std::chrono::steady_clock::now() < end);
    if (SPRUCE_TSAN && !here.impl()->spin.pays()) harness::skip("what the sanitizer adds to a call lasts longer than a wait awake");
    CHECK(waits(here) != 0 && here.impl()->spin.pays());
}

// Two cores, and we on the first; skips the test where that is not to be had.
std::vector<int> two_cores() {
    if (!harness::how.each.empty()) harness::skip("calls that are not lost");
    if (harness::simulated() || !harness::option("host").empty()) harness::skip("a loop of its own on the real kernel");
    auto const c = cores();
    if (c.size() < 2) harness::skip("two cores that the process may choose from");
    if (!bind_to(c[0])) harness::skip("a core of its own for each thread");
    return c;
}
}  // namespace

TEST("waiting awake begins with a short sleep that a call from another core ended, and ends with a wait in vain") {
    detail::spin_policy p(30'000);
    CHECK(!p.pays());
    p.slept(20'000, false);
    CHECK(!p.pays());
    p.slept(30'000, true);
    CHECK(!p.pays());
    p.slept(29'999, true);
    CHECK(p.pays());
    p.waited(detail::spin_end::call);
    CHECK(p.pays());
    p.waited(detail::spin_end::in_vain);
    CHECK(!p.pays());
    p.slept(20'000, true);
    CHECK(p.pays());
    p.slept(20'000, false);
    CHECK(!p.pays());
    CHECK_EQ(p.waits(), 2U);

    // What else ends a wait ends the waiting only when it does so again and again.
    p.slept(20'000, true);
    for (int round = 0; round != 2; ++round) {
        for (int i = 0; i != 7; ++i) p.waited(detail::spin_end::other);
        CHECK(p.pays());
        p.waited(round == 0 ? detail::spin_end::call : detail::spin_end::other);
        CHECK(p.pays() == (round == 0));
    }
    p.polled(5'000);
    CHECK(p.has_polled(14'999));
    CHECK(!p.has_polled(15'000));

    detail::spin_policy never(0);
    never.slept(0, true);
    CHECK(!never.pays());
}

// How often the calling thread had to give its core to another one.
long preempted() {
    rusage u{};
    ::getrusage(RUSAGE_THREAD, &u);
    return u.ru_nivcsw;
}

TEST("two loops on two cores that call each other wait awake for each other, and wake each other seldom") {
    auto const c = two_cores();
    world w;
    static std::atomic<int> wakes{0};
    static void (*wake_below)(void*, int) noexcept;
    // The kernel's own calls, one of them counted.
    kernel counting = w.on();
    detail::kernel_calls calls = *counting.calls;
    wake_below = calls.wake;
    calls.wake = [](void* context, int fd) noexcept {
        ++wakes;
        wake_below(context, fd);
    };
    counting.calls = &calls;
    auto options = w.options();
    options.on = &counting;
    loop l(options);
    far_loop far(w, c[1]);
    if (!far.bound()) harness::skip("a core of its own for each thread");
    constexpr int count = 400;
    int fewest = count;
    bool undisturbed = false;
    auto const end = std::chrono::steady_clock::now() + 10s;
    auto const both = [&] { return preempted() + far.door().call_wait(preempted).value_or(0); };
    auto const far_pays = [&] { return far.door().call_wait([] { return loop::current()->impl()->spin.pays(); }); };
    while (fewest > count / 4 && std::chrono::steady_clock::now() < end) {
        // Only a short sleep begins it, and on a busy machine, or a guest of one, no sleep may be short for a while.
        trips(l, far.door(), 50);
        if (!far_pays().value_or(false)) continue;
        trips(l, far.door(), 2);
        if (!l.impl()->spin.pays()) continue;
        long const before = both();
        wakes = 0;
        trips(l, far.door(), count);
        int const needed = wakes.load();
        // What shares its core with other programs is judged by none of this.
        if (both() != before) continue;
        undisturbed = true;
        fewest = std::min(fewest, needed);
    }
    if (!undisturbed) harness::skip("its cores are busy with other programs");
    CHECK(fewest <= count / 4);
    CHECK(waits(l) > count / 2);
}

TEST("once the calls have stopped coming a loop waits awake no more than once, and then sleeps") {
    auto const c = two_cores();
    world w;
    loop l(w.options());
    far_loop far(w, c[1]);
    go_until_it_waits(l, far.door());
    std::uint64_t const before = waits(l);
    int beats = 0;
    l.call_every(5ms, [&] { ++beats; });
    CHECK(l.run_until([&] { return beats == 5; }).ok());
    CHECK(waits(l) <= before + 1);
}

TEST("where the caller has the loop's own core, or the option says never, no loop waits awake") {
    if (harness::simulated()) harness::skip("the real kernel");
    if (!harness::how.each.empty()) harness::skip("calls that are not lost");
    world w;
    auto const c = cores();
    if (c.empty() || !bind_to(c[0])) harness::skip("a core that threads can be bound to");
    auto options = w.options();
    options.spin = 1s;
    loop l(options);
    far_loop far(w, c[0]);
    trips(l, far.door(), 300);
    CHECK_EQ(waits(l), 0U);
    if (c.size() < 2) return;
    static_cast<void>(l.destroy());
    options.spin = 0s;
    loop never(options);
    far_loop other(w, c[1]);
    trips(never, other.door(), 300);
    CHECK_EQ(waits(never), 0U);
}

TEST("a loop that waits awake for calls sees its timers and fds all the same") {
    auto const c = two_cores();
    world w;
    auto options = w.options();
    options.spin = 1s;   // as long as it may be: it would come back too late for all else
    loop l(options);
    far_loop far(w, c[1]);
    go_until_it_waits(l, far.door());
    auto const began = std::chrono::steady_clock::now();
    bool rung = false;
    l.call_later(20ms, [&] { rung = true; });
    CHECK(l.run_until([&] { return rung; }).ok());
    CHECK(std::chrono::steady_clock::now() - began < 700ms);

    go_until_it_waits(l, far.door());
    auto const [out, into] = w.pipe();
    bool got = false;
    auto reader = l.add_reader(out, [&] { got = true; });
    REQUIRE(reader.ok());
    std::thread writer([to = into] {
        std::this_thread::sleep_for(20ms);   // the loop waits by now
        CHECK_EQ(::write(to, "x", 1), 1);
    });
    auto const asked = std::chrono::steady_clock::now();
    CHECK(l.run_until([&] { return got; }).ok());
    CHECK(std::chrono::steady_clock::now() - asked < 700ms);
    writer.join();
    reader->cancel();
    w.close(out);
    w.close(into);
}

TEST("a guest waits awake for nobody, and neither does a loop in virtual time") {
    world w;
    auto options = w.options();
    options.spin = 1s;
    loop l(options);
    REQUIRE(l.status().ok());
    for (int i = 0; i != 50; ++i) {
        bool called = false;
        REQUIRE(l.prepare().ok());
        std::thread([&, door = l.remote()] { called = !door.call([&] { called = true; }).ok(); }).join();
        while (!called) REQUIRE(l.dispatch().ok());
    }
    CHECK_EQ(waits(l), 0U);
    static_cast<void>(l.destroy());
    testing::simulation sim;
    options.on = sim.on();
    options.poller = poller::best;
    loop simulated(options);
    REQUIRE(simulated.status().ok());
    simulated.impl()->spin.slept(0, true);
    CHECK(!simulated.impl()->spin.pays());
}

TEST("an option for waiting awake that is negative, or above a second, is refused by name") {
    world w;
    for (duration const wrong : {duration(-1), duration(1s) + duration(1)}) {
        auto options = w.options();
        options.spin = wrong;
        loop l(options);
        CHECK(l.status() == errc::invalid_argument);
        CHECK(std::string_view(l.status().error().detail()).starts_with("spin: "));
    }
}

TEST("a turn that a call begins at once leaves the poll out only if there was one less than ten microseconds ago") {
    if (harness::simulated()) harness::skip("the real kernel");
    world w;
    loop l(w.options());
    REQUIRE(l.status().ok());
    detail::hub& h = *l.impl();
    auto const [out, into] = w.pipe();
    CHECK_EQ(::write(into, "x", 1), 1);
    auto reader = l.add_reader(out, [] {});   // it stays readable: queued by each poll
    REQUIRE(reader.ok());
    auto const polls_for_call = [&](duration after) {
        CHECK(l.run_once(in(0s)).ok());   // polls, and runs what is queued
        auto const polled = std::chrono::steady_clock::now();
        while (std::chrono::steady_clock::now() - polled < after) {}
        h.spin.slept(0, true);
        CHECK(l.call_from_thread([] {}).ok());
        CHECK_EQ(detail::poll_phase(h, detail::no_time), 0);
        return !h.ready.empty();
    };
    bool left_out = false;
    auto const end = std::chrono::steady_clock::now() + 10s;
    // On a busy machine other programs may come in between.
    for (int i = 0; i < 100 || (!left_out && std::chrono::steady_clock::now() < end); ++i) {
        CHECK(polls_for_call(10us));
        left_out = left_out || !polls_for_call(0us);
    }
    CHECK(left_out);
    reader->cancel();
    w.close(out);
    w.close(into);
}

TEST("a loop that is awake hopes for twice as many calls while more come, and for half when fewer do") {
    detail::spin_policy p(30'000);
    p.took(100);
    CHECK_EQ(p.hoped(), 0u);   // asleep between its calls: nothing to win
    p.slept(0, true);
    CHECK_EQ(p.hoped(), 0u);
    unsigned const doubled[] = {1, 2, 4, 8, 16, 32, 32};
    for (unsigned const hoped : doubled) {
        p.took(33);
        CHECK_EQ(p.hoped(), hoped);
    }
    p.took(32);   // as many as were hoped for
    CHECK_EQ(p.hoped(), 32u);
    unsigned const halved[] = {16, 8, 4, 2, 1, 0, 0};
    for (unsigned const hoped : halved) {
        p.took(1);   // one call at a time: somebody waits for the answer
        CHECK_EQ(p.hoped(), hoped);
    }
    for (bool const slept : {false, true}) {
        p.slept(0, true);
        p.took(2);
        CHECK_EQ(p.hoped(), 1u);
        if (slept) p.slept(1'000'000, true);
        else p.waited(detail::spin_end::in_vain);
        CHECK_EQ(p.hoped(), 0u);
    }
    p.slept(0, true);
    p.took(2);
    p.took(0);
    CHECK_EQ(p.hoped(), 0u);
}

TEST("a loop rests before it takes calls that come closely, but not with something else to do, nor if they are there") {
    if (harness::simulated()) harness::skip("nobody waits awake in virtual time");
    world w;
    loop l(w.options());
    REQUIRE(l.status().ok());
    detail::hub& h = *l.impl();
    // Whether it rests in its next turn, in which there are so many calls.
    auto const rests = [&](bool awake, deadline limit, int calls = 1) {
        if (awake) h.spin.slept(0, true);
        else h.spin.waited(detail::spin_end::in_vain);
        for (int i = 0; i != 6; ++i) h.spin.took(33);
        for (int i = 0; i != calls; ++i) CHECK(l.call_from_thread([] {}).ok());
        auto const before = h.spin.rests();
        CHECK(l.run_once(limit).ok());
        return h.spin.rests() != before;
    };
    CHECK(rests(true, never()));
    CHECK(rests(true, in(1h)));
    CHECK(!rests(false, never()));
    CHECK(!rests(true, never(), 32));   // as many as were hoped for
    l.call_soon([] {});
    CHECK(!rests(true, never()));
    auto idle = l.call_when_idle([] {});
    CHECK(!rests(true, never()));
    idle.cancel();
    CHECK(rests(true, never()));
    CHECK(!rests(true, in(0s)));
    auto due = l.call_later(0s, [] {});
    auto const armed = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - armed < 1ms) {}
    CHECK(!rests(true, never()));
    due.cancel();
    auto const [out, into] = w.pipe();
    auto reader = l.add_reader(out, [] {});
    REQUIRE(reader.ok());
    auto later = l.call_later(1h, [] {});
    CHECK(rests(true, never()));
    later.cancel();
    reader->cancel();
    w.close(out);
    w.close(into);
    CHECK(l.remote().stop().ok());
    CHECK(!rests(true, never()));
    CHECK(rests(true, never()));   // the stop was seen
    int const always = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);   // a file: always ready
    auto ready = l.add_reader(always, [] {});
    REQUIRE(ready.ok());
    if (h.fds.any_unpollable()) CHECK(!rests(true, never()));   // poll() takes files, and tells of them itself
    ready->cancel();
    ::close(always);
}

TEST("a loop does not rest until an inbox for few calls is full") {
    if (harness::simulated()) harness::skip("nobody waits awake in virtual time");
    for (std::size_t const places : {1u, 3u, 4u}) {
        world w;
        loop_options o = w.options();
        o.inbox = places;
        loop l(o);
        REQUIRE(l.status().ok());
        detail::hub& h = *l.impl();
        h.spin.slept(0, true);
        for (int i = 0; i != 6; ++i) h.spin.took(33);
        CHECK(l.call_from_thread([] {}).ok());
        CHECK(l.run_once(never()).ok());
        CHECK_EQ(h.spin.rests(), 0u);   // a quarter is there, or there is no quarter
    }
}

TEST("a loop that hoped for calls and found none hopes for fewer") {
    if (harness::simulated()) harness::skip("nobody waits awake in virtual time");
    world w;
    loop l(w.options());
    REQUIRE(l.status().ok());
    detail::hub& h = *l.impl();
    auto const [out, into] = w.pipe();
    CHECK_EQ(::write(into, "x", 1), 1);
    auto reader = l.add_reader(out, [] {});
    REQUIRE(reader.ok());
    h.spin.slept(0, true);
    for (int i = 0; i != 6; ++i) h.spin.took(33);
    CHECK_EQ(h.spin.hoped(), 32u);
    CHECK(l.run_once(never()).ok());   // which the fd ends
    CHECK_EQ(h.spin.hoped(), 16u);
    reader->cancel();
    w.close(out);
    w.close(into);
}

TEST("while calls come and go without a pause, fds are looked at and timers run") {
    auto const c = two_cores();
    world w;
    loop l(w.options());
    far_loop far(w, c[1]);
    auto const [out, into] = w.pipe();
    CHECK_EQ(::write(into, "x", 1), 1);
    std::uint64_t reads = 0, beats = 0, round = 0;
    go_until_it_waits(l, far.door());
    auto reader = l.add_reader(out, [&] { ++reads; });   // it stays readable: once a poll
    REQUIRE(reader.ok());
    auto beat = l.call_every(1ms, [&] { ++beats; });
    auto const end = std::chrono::steady_clock::now() + 50ms;
    for (; std::chrono::steady_clock::now() < end; ++round) trips(l, far.door(), 50);
    // Every ten microseconds, or every turn if it has been longer than that: fifty trips take more.
    CHECK(reads >= round);
    CHECK(beats >= 10);
    beat.cancel();
    reader->cancel();
    w.close(out);
    w.close(into);
}

TEST("a poller that fails ends the run at once, though the loop waits awake") {
    auto const c = two_cores();
    world w;
    auto options = w.options();
    options.spin = 1s;
    harness::kernel_between between(w.on());
    options.on = between.on();
    loop l(options);
    far_loop far(w, c[1]);
    go_until_it_waits(l, far.door());
    between.refuse_waits(-EBADF, 1);
    auto const began = std::chrono::steady_clock::now();
    auto const ran = l.run_until([] { return false; }, in(5s));
    CHECK(!ran && ran.error().errno_value() == EBADF);
    CHECK(std::chrono::steady_clock::now() - began < 700ms);
}
