// Corners of tasks and their loops that are seldom met: another thread's handles, a stopped run, large arguments.
#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include <spruce/spruce.hpp>
#include <spruce/testing.hpp>

#include "../harness/virtual_run.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::run_virtually;

TEST("to join or get a task of another loop is wrong_thread, with or without a deadline, in a task and in plain code") {
    auto other = loop_thread::start();
    REQUIRE(other.ok());
    task<int> foreign;
    REQUIRE(other->remote().call_wait([&] {
        foreign = spawn([] {
            static_cast<void>(sleep_for(1h));
            return 1;
        });
    }).ok());
    auto const ask = [&] {
        CHECK(foreign.join() == errc::wrong_thread);
        CHECK(foreign.join(in(1s)) == errc::wrong_thread);
        CHECK(foreign.get() == errc::wrong_thread);
        CHECK(std::move(foreign).get(in(1s)) == errc::wrong_thread);
        CHECK(!foreign.cancel() && !foreign.done());
    };
    ask();
    auto r = run([&]() -> result<void> {
        ask();
        CHECK(wait_any(foreign) == errc::wrong_thread);
        return {};
    });
    CHECK(r.ok());
    REQUIRE(other->remote().call_wait([&] {
        CHECK(foreign.cancel());
        foreign = {};
    }).ok());
}

TEST("a run that stop() ends while a task waits is ok and no deadlock; the next one goes on with it") {
    testing::simulation world(harness::as_asked());
    loop l(loop_options{.on = world.on()});
    event go;
    bool ran = false;
    auto waits = spawn([&] { ran = go.wait().ok(); });
    l.call_soon([&] { CHECK(l.stop().ok()); });
    CHECK(l.run().ok());
    CHECK(!waits.done() && !ran);
    CHECK(l.run() == errc::deadlock);   // nobody stopped this one
    l.call_soon([&] { go.set(); });
    CHECK(l.run().ok());
    CHECK(ran);
}

TEST("advance(0) moves nothing, and what is due already still comes") {
    testing::simulation world;
    loop l(loop_options{.on = world.on()});
    auto const before = l.time();
    CHECK(l.advance(0s).ok());
    CHECK(l.time() == before);
    int ran = 0;
    l.call_later(1ms, [&] { ++ran; });
    CHECK(l.advance(0s).ok());
    CHECK(l.run_once(in(0s)) == errc::timed_out);
    CHECK_EQ(ran, 0);
    CHECK(l.advance(2ms).ok());
    CHECK(l.advance(0s).ok());
    CHECK(l.run_once(in(0s)).ok());
    CHECK_EQ(ran, 1);
    loop* const none = &l;
    std::thread([none] { CHECK(none->advance(0s) == errc::wrong_thread); }).join();
}

TEST("a callback of a loop without tasks blocks in call_wait() until the other loop's answer is there") {
    auto other = loop_thread::start();
    REQUIRE(other.ok());
    loop l;
    int got = 0;
    bool in_task = true;
    l.call_soon([&] {
        auto const answer = other->remote().call_wait([] { return 7; });
        got = answer.value_or(-1);
        in_task = this_task::id() != task_id{};
        CHECK(l.remote().call_wait([] {}) == errc::deadlock);
    });
    CHECK(l.run().ok());
    CHECK_EQ(got, 7);
    CHECK(!in_task);
}

TEST("a task that ends a loop_thread's handle is as open to its cancellation as before") {
    auto r = run([]() -> result<void> {
        bool asked = false;
        result<void> slept;
        std::unique_ptr<loop_thread> held;
        {
            SPRUCE_TRY(auto made, loop_thread::start());
            held = std::make_unique<loop_thread>(std::move(made));
        }
        auto t = spawn([&] {
            held.reset();   // waits, whatever happens meanwhile
            asked = this_task::cancel_requested();
            slept = sleep_for(1h);
        });
        SPRUCE_CHECK(yield());
        t.cancel();
        CHECK(t.join().ok());
        CHECK(asked);
        CHECK(slept == errc::canceled);
        return {};
    });
    CHECK(r.ok());
}

namespace {
std::size_t stack_of(loop& l, char const* name) {
    for (auto const& t : l.census())
        if (std::string_view(t.name) == name) return t.stack_bytes;
    return 0;
}
template <std::size_t bytes> struct load {
    char room[bytes] = {};
};
}  // namespace

TEST("arguments that fill a good part of a stack get one that is larger by them; others leave it as it is") {
    testing::simulation world(harness::as_asked());
    loop l(loop_options{.on = world.on()});
    constexpr std::size_t usual = sizeof(void*) == 8 ? 256 << 10 : 64 << 10;
    auto const plain = spawn({.name = "plain"}, [] {});
    auto const light = spawn({.name = "light"}, [](load<usual / 8>) {}, load<usual / 8>());
    auto const heavy = spawn({.name = "heavy"}, [](load<usual / 2>) {}, load<usual / 2>());
    auto const asked = spawn({.name = "asked", .stack_size = 16 << 10}, [](load<3 << 10>) {}, load<3 << 10>());
    auto const burdened = spawn({.name = "burdened", .stack_size = 16 << 10}, [](load<8 << 10>) {}, load<8 << 10>());
    CHECK_EQ(stack_of(l, "plain"), usual);
    CHECK_EQ(stack_of(l, "light"), usual);
    CHECK(stack_of(l, "heavy") >= usual + usual / 2);
    CHECK_EQ(stack_of(l, "asked"), std::size_t{16} << 10);
    CHECK(stack_of(l, "burdened") > std::size_t{16} << 10);
    // Without a name or options, by another way in.
    auto const unnamed = spawn([](load<usual / 2>) {}, load<usual / 2>());
    CHECK(stack_of(l, unnamed.name()) >= usual + usual / 2);
    CHECK(l.run().ok());
}

#if SPRUCE_EXCEPTIONS
TEST("a task that was left behind at its loop's end has no exception") {
    static task<int> kept;
    {
        testing::simulation world(harness::as_asked());
        loop l(loop_options{.on = world.on()});
        kept = spawn([]() -> int {
            cancel_shield const stubborn;
            static_cast<void>(sleep_for(1h));
            return 1;
        });
        CHECK(l.run_once(in(0s)).ok());
        CHECK(l.destroy(in(1ms)) == errc::tasks_left);
    }
    CHECK(kept.exception() == nullptr);
    CHECK(kept.get() == errc::closed);
    harness::pass();   // its stack is abandoned on purpose
}
#endif
