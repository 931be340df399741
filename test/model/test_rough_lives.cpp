// Lives at random, with what is rough in users' programs: loops that end while tasks are shielded, handles and sources that
// are replaced under who waits for them, groups that end while their members spawn, deadlines that have passed, floods of
// calls that need not wait. Nothing is followed step by step: what counts is that nobody gets what is another's, that all
// tasks end but those that a loop had to leave, and that the sanitizers find nothing.
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
// What two loops share, each in a thread of its own; with one loop, its own.
struct meeting_place {
    shared_channel<int> items{2};
    shared_event signal;
    std::atomic<int> sent = 0, received = 0;
};

// What the tasks of one loop live with. It outlives loops, and is used by the next one.
struct world {
    harness::random r;
    meeting_place& shared;
    std::unique_ptr<event> events[3] = {std::make_unique<event>(), std::make_unique<event>(), std::make_unique<event>()};
    std::unique_ptr<channel<int>> channels[2] = {std::make_unique<channel<int>>(0), std::make_unique<channel<int>>(2)};
    semaphore permits{2};
    queue<int> work{2};
    mailbox<int> box{4};
    struct {
        task<std::string> handle;
        int serial = 0;
    } tasks[6];
    struct {
        std::optional<promise<std::string>> in;
        future<std::string> out;
        int serial = 0;
    } futures[4];
    int serials = 0, living = 0, sent = 0, received = 0;
    long steps = 0, handed_over = 0, replaced = 0, shielded = 0, floods = 0, passed = 0;

    world(std::uint64_t seed, meeting_place& m) : r(seed), shared(m) {}
    // Some time, none at all, or a time that is over.
    deadline patience() {
        if (r.chance(10)) return ++passed, in(0s);
        if (r.chance(10)) return ++passed, at(loop_clock::now() - 1ms);
        return r.chance(5) ? deadline() : in(milliseconds_below(r, 3));
    }
};

struct counted_life {
    world& w;
    explicit counted_life(world& of) : w(of) { ++w.living; }
    ~counted_life() { --w.living; }
};

// On the heap, so that the sanitizers see who reads what has gone.
std::string name_of(int serial) { return "the one whose number is " + std::to_string(serial); }

void live(world& w, int depth, task_group* in);
std::string one_life(world& w, int serial, int depth, task_group* in) {
    counted_life const counts(w);
    live(w, depth, in);
    return name_of(serial);
}
auto some_life(world& w, int depth, task_group* in = nullptr) {
    return [&w, depth, in, serial = ++w.serials] { return one_life(w, serial, depth, in); };
}

void use_handles(world& w, int depth) {
    auto& one = w.tasks[w.r.below(6)];
    auto& kept = w.futures[w.r.below(4)];
    switch (w.r.below(6)) {
    case 0:   // under whoever waits for it
        one.serial = w.serials + 1;
        one.handle = spawn(some_life(w, depth));
        ++w.replaced;
        break;
    case 1: {
        int const serial = one.serial;
        if (auto const got = one.handle.get(w.patience())) {
            CHECK_EQ(*got, name_of(serial));
            ++w.handed_over;
        }
        break;
    }
    case 2: one.handle.cancel(); break;
    case 3:
        kept.in.emplace();
        kept.out = kept.in->get_future();
        kept.serial = ++w.serials;
        ++w.replaced;
        break;
    case 4: {
        int const serial = kept.serial;
        if (auto const got = kept.out.get(w.patience())) {
            CHECK_EQ(*got, name_of(serial));
            ++w.handed_over;
        }
        break;
    }
    case 5:
        if (kept.in) static_cast<void>(kept.in->set(name_of(kept.serial)));
        break;
    }
}

void use_channels(world& w) {
    auto& one = w.channels[w.r.below(2)];
    switch (w.r.below(5)) {
    case 0:
        one = std::make_unique<channel<int>>(w.r.below(3));   // who stands in its lines is given closed
        ++w.replaced;
        break;
    case 1:
    case 2: w.sent += one->send(1, w.patience()).ok(); break;
    default: w.received += one->receive(w.patience()).ok();
    }
}

void use_events(world& w) {
    auto& one = w.events[w.r.below(3)];
    switch (w.r.below(6)) {
    case 0:
        one = std::make_unique<event>();
        ++w.replaced;
        break;
    case 1: one->set(); break;
    case 2: one->clear(); break;
    case 3: static_cast<void>(wait_any(*one, *w.channels[1], w.patience())); break;
    case 4: static_cast<void>(wait_all(*one, w.permits, w.patience())); break;
    default: static_cast<void>(one->wait(w.patience()));
    }
}

void use_others(world& w) {
    switch (w.r.below(6)) {
    case 0:
        if (auto const held = w.permits.acquire(w.patience())) static_cast<void>(sleep_for(milliseconds_below(w.r, 1)));
        break;
    case 1: static_cast<void>(w.work.push(1, w.patience())); break;
    case 2:
        if (w.work.take(w.patience())) CHECK(w.work.task_done().ok());
        break;
    case 3: static_cast<void>(w.box.send({"it", 1})); break;
    case 4: static_cast<void>(w.box.receive({{"it"}}, w.patience())); break;
    case 5: static_cast<void>(sleep_until(loop_clock::now() - 1ms)); break;
    }
}

void use_shared(world& w) {
    meeting_place& m = w.shared;
    switch (w.r.below(5)) {
    case 0: m.signal.set(); break;
    case 1: static_cast<void>(m.signal.wait(w.patience())); break;
    case 2: m.sent += m.items.send(1, w.patience()).ok(); break;
    default: m.received += m.items.receive(w.patience()).ok();
    }
}

// Calls that need not wait, more than one dispatch has.
void flood(world& w) {
    event set;
    set.set();
    for (int i = 0; i != 300; ++i)
        if (!set.wait() && w.r.chance(50)) return;
    ++w.floods;
}

// A group that may end while its members go on spawning into it.
void in_group(world& w, int depth) {
    task_group members(w.r.chance(50) ? on_error::cancel_rest : on_error::keep_going);
    for (auto n = w.r.below(4); n != 0; --n) {
        if (w.r.chance(30)) static_cast<void>(members.spawn([]() -> result<void> { return sleep_for(1us).ok() ? errc::full : errc::canceled; }));
        else static_cast<void>(members.spawn(some_life(w, depth, &members)));
    }
    if (w.r.chance(50)) static_cast<void>(members.join(w.patience()));
    if (w.r.chance(20)) members.cancel();
}

void one_step(world& w, int depth, task_group* in) {
    ++w.steps;
    auto const kind = w.r.below(depth > 0 ? 13 : 9);
    switch (kind) {
    case 0: static_cast<void>(sleep_for(milliseconds_below(w.r, 2))); break;
    case 1: static_cast<void>(yield()); break;
    case 2:
    case 3: use_handles(w, depth > 0 ? depth - 1 : 0); break;
    case 4: use_channels(w); break;
    case 5: use_events(w); break;
    case 6: use_others(w); break;
    case 7: use_shared(w); break;
    case 8:
        if (w.r.chance(20)) flood(w);
        break;
    case 9: static_cast<void>(with_deadline(w.patience(), [&] { live(w, depth - 1, in); })); break;
    case 10: {
        cancel_shield const whatever_happens;
        ++w.shielded;
        live(w, depth - 1, in);
        // The loop's end may come first, and has to leave it.
        if (w.r.chance(5)) static_cast<void>(w.events[0]->wait());
        break;
    }
    case 11: in_group(w, depth - 1); break;
    case 12:
        if (in) static_cast<void>(in->spawn(some_life(w, depth - 1, in)));
        break;
    }
}

void live(world& w, int depth, task_group* in) {
    for (auto n = 1 + w.r.below(5); n != 0; --n) {
        one_step(w, depth, in);
        if (this_task::cancel_requested() && w.r.chance(70)) return;
    }
}

// One loop, from its beginning to its end; what it leaves behind goes on standing nowhere.
void one_loop(world& w, kernel* on) {
    loop_options o;
    o.on = on;
    o.call_budget = 1 + w.r.below(64);
    o.destroy_grace = w.r.chance(50) ? duration(0) : duration(1ms);
    loop l(o);
    for (auto n = 1 + w.r.below(12); n != 0; --n) {
        task_options how;
        how.background = w.r.chance(20);
        static_cast<void>(spawn(how, some_life(w, 3)));
    }
    l.on_unhandled([](unhandled const&) noexcept {});   // failures are the rule here
    int beats = 0;
    auto const beat = l.call_every(200us, [&] {
        if (++beats == 20) l.stop();
    });
    CHECK(beat.active());
    int const before = w.living;
    static_cast<void>(l.run());
    bool const all_ended = l.destroy(in(o.destroy_grace)).ok();
    CHECK_EQ(w.living - before != 0, !all_ended);
    w.living = 0;   // those that were left never run again
}
}  // namespace

TEST_FOR(60, "lives at random, in one loop after the other: each gets what is its own, and all end but those that are left") {
    meeting_place place;
    world w(harness::seed(), place);
    // (A guest's loop costs a thread.)
    bool const slow = SPRUCE_TSAN || !harness::option("host").empty();
    long const rounds = harness::nightly() ? 500'000 : slow ? 1'500 : 15'000;
    for (long round = 0; round != rounds; ++round) {
        testing::simulation kernel(harness::as_asked());
        one_loop(w, kernel.on());
    }
    CHECK(w.received <= w.sent && place.received <= place.sent);
    // It was as rough as it is meant to be.
    CHECK(w.steps > 30 * rounds && w.replaced > 2 * rounds && w.passed > 2 * rounds && w.shielded > rounds);
    CHECK(w.floods > rounds / 4 && w.handed_over > rounds / 2);
    harness::pass();   // what the tasks had that were left is left, too
}

TEST_FOR(60, "lives at random on two threads, whose loops end again and again, and share a channel and an event") {
    if (harness::simulated()) harness::skip("threads with loops of their own");
    meeting_place place;
    auto const lives = [&](std::uint64_t seed) {
        world w(seed, place);
        for (int round = 0; round != (harness::nightly() ? 20'000 : SPRUCE_TSAN ? 100 : 600); ++round) one_loop(w, nullptr);
        CHECK(w.received <= w.sent);
    };
    std::thread other(lives, harness::seed() + 1);
    lives(harness::seed());
    other.join();
    CHECK(place.received <= place.sent);
    harness::pass();
}
