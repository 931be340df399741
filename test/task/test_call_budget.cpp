// Calls that complete without waiting are counted: however fast a task's peer is, others get their turns.
#include <csignal>
#include <ctime>
#include <fcntl.h>
#include <functional>
#include <string>
#include <unistd.h>
#include <vector>

#include "../../src/context/sanitizers.hpp"
#include "../harness/axes.hpp"
#include "../harness/harness.hpp"
#include "../harness/virtual_run.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::run_virtually;

namespace {
// A call that never needs to wait, and what it is called on.
struct source {
    char const* name;
    std::function<bool()> call;   // whether it went as it should
};

pipe_ends needed_pipe() {
    auto made = make_pipe();
    REQUIRE(made.ok());
    return std::move(*made);
}
template <class T> bool gives(result<T> const& got, T const& expected) { return got.ok() && *got == expected; }

struct sources {
    event set;
    semaphore permits{1};
    mutex lock;
    channel<int> closed{1}, loop_back{4};
    queue<int> work{4};
    wait_group none;
    barrier alone{1};
    mailbox<int> box{4};
    shared_event shared_set;
    shared_channel<int> shared_values{4};
    promise<int> done;
    future<int> outcome;
    task<int> ended;
    task_group members;
    pipe_ends pipe;
    std::vector<source> all;

    sources() : pipe(needed_pipe()) {
        set.set();
        closed.close();
        shared_set.set();
        outcome = done.get_future();
        CHECK(done.set(1).ok());
        ended = spawn([] { return 7; });
        CHECK(ended.join().ok());
        add("event", [this] { return set.wait().ok(); });
        add("semaphore", [this] { return permits.acquire().ok(); });
        add("mutex", [this] { return lock.lock().ok(); });
        add("channel, closed", [this] { return closed.receive() == errc::end_of_stream; });
        add("channel, send and receive", [this] { return loop_back.send(1).ok() && loop_back.receive().ok(); });
        add("queue", [this] { return work.push(1).ok() && work.take().ok() && work.task_done().ok(); });
        add("queue's join", [this] { return work.join().ok(); });
        add("wait group", [this] { return none.wait().ok(); });
        add("barrier", [this] { return alone.wait().ok(); });
        add("mailbox", [this] { return box.send({"m", 1}).ok() && box.receive({{"m"}}).ok(); });
        add("shared event", [this] { return shared_set.wait().ok(); });
        add("shared channel", [this] { return shared_values.send(1).ok() && shared_values.receive().ok(); });
        add("future's wait", [this] { return outcome.wait().ok(); });
        add("future's get", [this] { return outcome.get().ok(); });
        add("task's join", [this] { return ended.join().ok(); });
        add("task's join with a deadline", [this] { return ended.join(in(1h)).ok(); });
        add("task's get", [this] { return ended.get().ok(); });
        add("group's join", [this] { return members.join().ok(); });
        add("wait_any", [this] { return wait_any(set, in(1h)).ok(); });
        add("wait_any of a channel", [this] { return loop_back.try_send(1).ok() && wait_any(loop_back, in(1h)).ok(); });
        add("wait_any, its deadline passed", [] { return wait_any(in(0s)).ok(); });
        add("wait_all", [this] { return wait_all(set, outcome).ok(); });
        add("an event's passed deadline", [] {
            event never_set;
            return never_set.wait(in(0s)) == errc::timed_out;
        });
        add("a read's passed deadline", [this] {
            char byte;
            return pipe.read_end.read({&byte, 1}, in(0s)) == errc::timed_out;
        });
        add("a pipe", [this] {
            char byte = 'x';
            return pipe.write_end.write({&byte, 1}).ok() && pipe.read_end.read({&byte, 1}).ok();
        });
        add("sleep_for 0", [] { return sleep_for(0s).ok(); });
        add("sleep_until what has passed", [] { return sleep_until(loop_clock::now() - 1ms).ok(); });
    }
    void add(char const* name, std::function<bool()> call) { all.push_back({name, std::move(call)}); }
};

// How many of the calls complete before a task that is ready runs.
int calls_before_others(source const& of) {
    bool others = false;
    auto ready = spawn([&] { others = true; });
    int calls = 0;
    for (; !others && calls != 1000; ++calls) CHECK(of.call());
    CHECK(ready.join().ok());
    return calls;
}
}  // namespace

TEST("after 128 calls that need not wait, on whatever source, the ready ones run") {
    auto r = run_virtually([]() -> result<void> {
        sources s;
        for (source const& one : s.all) {
            int const calls = calls_before_others(one);
            if (calls > 128) harness::fail_text(__FILE__, __LINE__, "kept others waiting", one.name, std::to_string(calls));
            CHECK(calls >= 1);
        }
        return {};
    });
    CHECK(r.ok());
}

TEST("calls that fail at once, since there is nothing to wait for, are counted as well") {
    auto r = run_virtually([]() -> result<void> {
        future<int> no_future;
        task<int> no_task;
        shared_channel<int> no_channel(0);
        loop_thread no_thread;
        loop_ref no_loop;
        task_pool no_pool(0), closed(1);
        closed.close();
        mutex lock;
        task<void> self;
        std::vector<source> all;
        auto const add = [&](char const* name, std::function<bool()> call) { all.push_back({name, std::move(call)}); };
        add("no future's wait", [&] { return no_future.wait() == errc::wrong_state; });
        add("no future's get", [&] { return no_future.get() == errc::wrong_state; });
        add("no task's join", [&] { return no_task.join() == errc::wrong_state; });
        add("no task's get", [&] { return no_task.get() == errc::wrong_state; });
        add("a task's own join", [&] { return self.join() == errc::deadlock; });
        add("no shared channel's send", [&] { return no_channel.send(1) == errc::invalid_argument; });
        add("no shared channel's receive", [&] { return no_channel.receive() == errc::invalid_argument; });
        add("no thread's join", [&] { return no_thread.join() == errc::wrong_state; });
        add("no loop's call_wait", [&] { return no_loop.call_wait([] {}) == errc::no_loop; });
        add("its own loop's call_wait", [&] { return loop::current()->remote().call_wait([] {}) == errc::deadlock; });
        add("no pool's submit", [&] { return no_pool.submit([] {}) == errc::invalid_argument; });
        add("no pool's join", [&] { return no_pool.join() == errc::invalid_argument; });
        add("a closed pool's submit", [&] { return closed.submit([] {}) == errc::closed; });
        add("a mutex, locked again", [&] { return lock.lock() == errc::deadlock; });
        add("connect, to no address", [] { return tcp_stream::connect("nowhere") == errc::invalid_argument; });
        self = harness::needed([&] {
            auto const mine = lock.try_lock();
            CHECK(mine.ok());
            for (source const& one : all) {
                int const calls = calls_before_others(one);
                if (calls > 128) harness::fail_text(__FILE__, __LINE__, "kept others waiting", one.name, std::to_string(calls));
            }
        });
        cancel_shield const until_the_end;   // of who uses what is here
        return self.join();
    });
    CHECK(r.ok());
}

TEST("a budget of calls is the loop's option: others run after exactly so many, and nothing is taken meanwhile") {
    for (std::size_t const budget : {1u, 3u, 128u}) {
        auto r = run_virtually([&]() -> result<void> {
            channel<int> values(1000);
            for (int i = 0; i != 1000; ++i) CHECK(values.try_send(int{i}).ok());
            CHECK(yield().ok());   // a dispatch of its own
            std::size_t left = 0;
            auto ready = spawn([&] { left = values.size(); });
            for (int i = 0; i != 500; ++i) CHECK(gives(values.receive(), i));
            CHECK_EQ(left, 1000 - budget);
            CHECK(ready.join().ok());
            return {};
        }, {.call_budget = budget});
        CHECK(r.ok());
    }
    loop none({.call_budget = 0});
    CHECK(none.status() == errc::invalid_argument);
}

TEST("a task canceled while its calls are used up keeps what it has, and takes nothing more") {
    auto r = run_virtually([]() -> result<void> {
        channel<int> values(1000);
        for (int i = 0; i != 1000; ++i) CHECK(values.try_send(int{i}).ok());
        int taken = 0;
        auto takes = spawn([&] {
            while (values.receive()) ++taken;
        });
        auto cancels = spawn([&] { takes.cancel(); });
        CHECK(takes.join().ok());
        CHECK_EQ(taken, 128);
        CHECK_EQ(values.size(), 872u);
        return cancels.join();
    });
    CHECK(r.ok());
}

TEST("what a task waits on may end while its calls are used up, be it a source or a handle") {
    auto r = run_virtually([]() -> result<void> {
        auto set = std::make_unique<event>();
        auto values = std::make_unique<channel<int>>(300);
        auto outcome = std::make_unique<future<int>>(async_function([] { return 5; })());
        CHECK(outcome->wait().ok());
        set->set();
        for (int i = 0; i != 300; ++i) CHECK(values->try_send(int{i}).ok());
        int calls = 0;
        auto flood = [&](auto& source, auto&& call) {
            calls = 0;
            auto floods = spawn([&] {
                while (source) {
                    call();
                    ++calls;
                }
            });
            auto ends = spawn([&] { source.reset(); });
            CHECK(floods.join().ok());
            CHECK_EQ(calls, 128);
            CHECK(ends.join().ok());
        };
        flood(set, [&] { CHECK(set->wait().ok()); });
        flood(values, [&] { CHECK(values->receive().ok()); });
        flood(outcome, [&] { CHECK(gives(outcome->get(), 5)); });
        return {};
    });
    CHECK(r.ok());
}

TEST("one who yields sees on the way back that it was canceled") {
    auto r = run_virtually([]() -> result<void> {
        auto yields = spawn([]() -> result<void> { return yield(); });
        auto cancels = spawn([&] { yields.cancel(); });
        CHECK(yields.join().ok());
        CHECK(yields.get() == errc::task_canceled);
        return cancels.join();
    });
    CHECK(r.ok());
}

TEST("a scope whose deadline has passed fails the first wait, on every kernel") {
    for (deadline const passed : {in(0s), in(-1s), in(duration::min()), at(time_point())}) {
        auto const within = [&] {
            event set;
            set.set();
            auto const refused = with_deadline(passed, [&]() -> result<void> { return set.wait(); });
            CHECK(refused == errc::timed_out);
            CHECK(gives(with_deadline(passed, [] { return this_task::cancel_requested() ? 1 : 0; }), 1));
        };
        harness::world w;
        CHECK(run(w.options(), within).ok());
        CHECK(run(w.options(), [&] {
            CHECK(with_deadline(at(loop_clock::now()), []() -> result<void> { return yield(); }) == errc::timed_out);
        }).ok());
    }
}

namespace {
std::int64_t processor_ns() {
    timespec t{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}
// Processor time within which others are served: 5 ms, but where each step takes many times as long, as under
// ThreadSanitizer, which marks each byte that is read.
std::int64_t bound_ns() {
    bool const slow = harness::spoilt_kernel() || harness::interrupted() || SPRUCE_TSAN;
    return std::int64_t{5'000'000} * (slow ? 20 : 1);
}

// One task calls at full speed; a timer, a signal and another task's fd come at the same time as it begins.
void serves_others(char const* name, std::function<bool()> const& call) {
    bool over = false;
    std::int64_t fired = 0, signaled_at = 0, read_at = 0;
    auto ends = make_pipe();
    REQUIRE(ends.ok());
    task_group members;   // they end before what they refer to
    // At its first wait, the signal's condition begins to listen.
    auto waits = members.spawn([&]() -> result<void> {
        signaled usr(SIGUSR2);
        SPRUCE_CHECK(wait_any(usr));
        signaled_at = processor_ns();
        return {};
    });
    auto reads = members.spawn([&]() -> result<void> {
        char byte;
        SPRUCE_CHECK(ends->read_end.read({&byte, 1}));
        read_at = processor_ns();
        return {};
    });
    REQUIRE(sleep_for(1ms).ok());
    auto const l = loop::current();
    REQUIRE(l.ok());
    REQUIRE(!waits.done() && !reads.done());   // nobody else hears the signal
    std::int64_t const began = processor_ns();
    scoped_handler const fires(l->call_later(1ms, [&] { fired = processor_ns(); }));
    CHECK(fires.get().active());
    ::raise(SIGUSR2);
    char byte = 'x';
    REQUIRE(ends->write_end.write({&byte, 1}).ok());
    std::int64_t const give_up = began + 2'000'000'000;
    while (!over) {
        bool const went = call();
        CHECK(went);
        over = !went || (fired && waits.done() && reads.done()) || processor_ns() > give_up;
    }
    if (!fired || fired - began > 1'000'000 + bound_ns()) harness::fail_text(__FILE__, __LINE__, "the timer was late", name, std::to_string(fired - began));
    if (!signaled_at || signaled_at - began > bound_ns()) harness::fail_text(__FILE__, __LINE__, "the signal was late", name, std::to_string(signaled_at - began));
    if (!read_at || read_at - began > bound_ns()) harness::fail_text(__FILE__, __LINE__, "the fd was late", name, std::to_string(read_at - began));
    CHECK(waits.join().ok());
    CHECK(reads.join().ok());
}
}  // namespace

TEST("with one task at full speed on any source a timer, a signal and an fd are served within 5 ms of processor time") {
    if (harness::simulated()) harness::skip("its clock stands still while something is ready");
    harness::world w;
    auto const r = run(w.options(), [] {
        sources s;
        for (source const& one : s.all) {
            serves_others(one.name, one.call);
        }
    });
    CHECK(r.ok());
}

TEST("devices that are always ready keep nothing waiting, whatever is read or written at a time") {
    if (harness::simulated()) harness::skip("it has no devices");
    harness::world w;
    auto const r = run(w.options(), [] {
        auto zeros = stream::adopt(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
        auto sink = stream::adopt(::open("/dev/null", O_WRONLY | O_CLOEXEC));
        REQUIRE(zeros.ok() && sink.ok());
        std::string room(16 << 20, 'x');
        for (std::size_t const size : {std::size_t{16}, std::size_t{65536}, room.size()}) {
            serves_others("/dev/zero", [&] { return zeros->read({room.data(), size}).ok(); });
            serves_others("/dev/null", [&] { return sink->write({room.data(), size}).ok(); });
            const_bytes const parts[] = {{room.data(), size}, {room.data(), size}, {room.data(), 0}, {room.data(), size}};
            serves_others("/dev/null in parts", [&] { return sink->write(parts).ok(); });
        }
        reader lines(*zeros, 8 << 20);
        serves_others("a reader", [&] { return lines.read_exactly(1 << 20).ok(); });
        serves_others("a reader of little", [&] { return lines.read_exactly(16).ok(); });
    });
    CHECK(r.ok());
}

TEST("a deadline scope ends what never needs to wait, and a computation that asks") {
    if (harness::simulated()) harness::skip("its clock stands still while something is ready");
    harness::world w;
    auto const r = run(w.options(), [] {
        event set;
        set.set();
        auto const within = with_deadline(in(20ms), [&]() -> result<void> {
            for (;;) SPRUCE_CHECK(set.wait());
        });
        CHECK(within == errc::timed_out);
        std::int64_t asked = 0;
        auto const computed = with_deadline(in(20ms), [&]() -> result<void> {
            while (!this_task::cancel_requested()) ++asked;
            return yield();
        });
        CHECK(computed == errc::timed_out);
        CHECK(asked > 10);
    });
    CHECK(r.ok());
}

TEST("a loop at a fixed rate that is always late starves nobody") {
    if (harness::simulated()) harness::skip("its clock stands still while something is ready");
    harness::world w;
    auto const r = run(w.options(), [] {
        auto next = loop_clock::now();
        serves_others("a late loop", [&] {
            std::int64_t const until = processor_ns() + 200'000;
            while (processor_ns() < until) {}
            return sleep_until(next += 100us).ok();
        });
    });
    CHECK(r.ok());
}

void compute(std::int64_t ns) {
    std::int64_t const until = processor_ns() + ns;
    while (processor_ns() < until) {}
}

TEST("a task that computes between its yields, callbacks and calls from other threads that do, starve nobody") {
    if (harness::simulated()) harness::skip("its clock stands still while something is ready");
    harness::world w;
    auto const r = run(w.options(), []() -> result<void> {
        serves_others("yields", [] {
            compute(200'000);
            return yield().ok();
        });
        SPRUCE_TRY(loop& here, loop::current());
        bool over = false;
        std::function<void()> again = [&] {
            compute(200'000);
            if (!over) here.call_soon(again);
        };
        for (int i = 0; i != 2; ++i) here.call_soon(again);
        serves_others("callbacks", [] { return yield().ok(); });
        over = true;
        int left = 0;   // in the inbox: more than a turn may have
        loop_ref const from_elsewhere = here.remote();
        std::function<void()> posted = [&] {
            compute(200'000);
            --left;
        };
        for (; left != 1'000; ++left) SPRUCE_CHECK(from_elsewhere.call(posted));
        serves_others("calls from other threads", [] { return yield().ok(); });
        while (left != 0) SPRUCE_CHECK(yield());
        return {};
    });
    CHECK(r.ok());
}

TEST("a turn lasts as long as turn_time says, or its entries; more than eleven days are refused by name") {
    if (harness::simulated()) harness::skip("its clock stands still while something is ready");
    // Entries of 0.2 ms until the poll that sees the timer.
    auto const entries = [](duration turn_time) {
        harness::world w;
        auto o = w.options();
        o.turn_time = turn_time;
        int n = 0;
        CHECK(run(o, [&]() -> result<void> {
            bool fired = false;
            SPRUCE_TRY(loop& here, loop::current());
            SPRUCE_CHECK(sleep_for(1ms));   // a new turn
            scoped_handler const h(here.call_later(1us, [&] { fired = true; }));
            if (!h.get()) return h.get().error();
            for (; !fired; ++n) {
                compute(200'000);
                SPRUCE_CHECK(yield());
            }
            return {};
        }).ok());
        return n;
    };
    CHECK(entries(1ms) < 64);
    CHECK(entries(1h) > 128);
    loop_options wrong;
    wrong.turn_time = std::chrono::hours(265);
    loop const refused(wrong);
    CHECK(refused.status() == errc::invalid_argument);
    CHECK(std::string_view(refused.status().error().detail()).starts_with("turn_time: "));
}

TEST("a message's receiver that uses up its calls comes back to its sender, and both have their turns with the others") {
    auto r = run_virtually([]() -> result<void> {
        mailbox<int> box(4);
        event set;
        set.set();
        int calls = 0;
        bool over = false;
        auto receives = spawn([&] {
            while (box.receive({{"m"}}))
                for (int i = 0; i != 1000 && !over; ++i, ++calls) CHECK(set.wait().ok());
        });
        CHECK(yield().ok());
        auto others = spawn([&] { over = true; });
        CHECK(box.send({"m", 1}).ok());
        CHECK_EQ(calls, 126);     // the receive counts, too, and the last does not come back at once
        CHECK(!over);
        for (int i = 0; i != 128; ++i) CHECK(set.wait().ok());   // its sender has as many as before
        CHECK(over);
        receives.cancel();
        CHECK(receives.join().ok());
        return others.join();
    });
    CHECK(r.ok());
}
