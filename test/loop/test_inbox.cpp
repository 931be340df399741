#include <atomic>
#include <csignal>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "../harness/axes.hpp"
#include "../harness/spoiled.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

TEST("calls from other threads run on the loop's thread, each thread's in order") {
    world w;
    loop l(w.options());
    constexpr int threads = 4, each = 2'000;
    std::vector<int> next(threads, 0);
    int total = 0;
    auto const here = std::this_thread::get_id();
    hold_token hold = l.hold();
    std::vector<std::thread> pool;
    loop_ref const door = l.remote();
    for (int t = 0; t != threads; ++t) {
        pool.emplace_back([&, t] {
            for (int i = 0; i != each; ++i) {
                auto sent = door.call([&, t, i] {
                    if (next[static_cast<std::size_t>(t)]++ != i) CHECK(false);
                    if (std::this_thread::get_id() != here) CHECK(false);
                    if (++total == threads * each) hold.release();
                });
                if (!sent && sent == errc::full) {
                    --i;
                    std::this_thread::yield();
                } else if (!sent) {
                    CHECK(false);
                }
            }
        });
    }
    CHECK(l.run().ok());
    for (auto& t : pool) t.join();
    CHECK_EQ(total, threads * each);
}

TEST("a pending call holds run(), also one that was posted on the loop's own thread before it") {
    world w;
    loop l(w.options());
    bool ran = false;
    auto sent = l.call_from_thread([&] { ran = true; });
    REQUIRE(sent.ok());
    CHECK(!sent->done());
    CHECK(l.run().ok());
    CHECK(ran);
    CHECK(sent->done());
    CHECK(!sent->cancel());
}

TEST("a call taken back never runs, and is destroyed all the same") {
    world w;
    loop l(w.options());
    auto alive = std::make_shared<int>(1);
    auto sent = l.call_from_thread([alive] { CHECK(false); });
    REQUIRE(sent.ok());
    CHECK(sent->cancel());
    CHECK(!sent->cancel());
    CHECK(l.run().ok());
    CHECK_EQ(alive.use_count(), 1L);
}

TEST("calls posted while posts run come with the next turn, so that they cannot starve the loop") {
    world w;
    loop l(w.options());
    int posts = 0;
    bool timer = false;
    std::function<void()> again = [&] {
        if (++posts < 10'000 && !timer) static_cast<void>(l.call_from_thread(again));
    };
    static_cast<void>(l.call_from_thread(again));
    l.call_soon([&] { timer = true; });
    CHECK(l.run().ok());
    CHECK(timer);
    CHECK(posts < 10);
}

TEST("the inbox has a bound, and says full") {
    world w;
    auto o = w.options();
    o.inbox = 3;
    loop l(o);
    int ran = 0;
    for (int i = 0; i != 3; ++i) CHECK(l.call_from_thread([&] { ++ran; }).ok());
    CHECK(l.call_from_thread([&] { ++ran; }) == errc::full);
    CHECK(l.run().ok());
    CHECK_EQ(ran, 3);
    CHECK(l.call_from_thread([&] { ++ran; }).ok());
    CHECK(l.run().ok());
    CHECK_EQ(ran, 4);
}

TEST("what the inbox refuses takes no memory, and that of calls is used again") {
    world w;
    auto o = w.options();
    o.inbox = 150;
    loop l(o);
    REQUIRE(l.status().ok());
    loop_ref const door = l.remote();
    long ran = 0, sent = 0, after_first = 0;
    for (int round = 0; round != 20; ++round) {
        for (int i = 0; i != 150; ++i) sent += door.call([&] { ++ran; }).ok();
        long const full = harness::memory_blocks();
        for (int i = 0; i != 500; ++i) sent += door.call([&] { ++ran; }).ok();
        if (harness::how.each.empty()) CHECK_EQ(harness::memory_blocks(), full);
        CHECK(l.run().ok());
        CHECK_EQ(ran, sent);
        if (round == 0) after_first = harness::memory_blocks();
    }
    if (!harness::how.each.empty()) return;
    CHECK_EQ(sent, 20 * 150);
    CHECK(harness::memory_blocks() <= after_first + 1);   // where a page ends differs from round to round
}

namespace {
template <std::size_t bytes, std::size_t alignment> void send_one(loop_ref const& door, long& right) {
    struct alignas(alignment) piece {
        unsigned char room[bytes];
    };
    piece p;
    for (std::size_t i = 0; i != bytes; ++i) p.room[i] = static_cast<unsigned char>(i * 7 + bytes);
    static_cast<void>(door.call([p, &right] {
        bool same = reinterpret_cast<std::uintptr_t>(&p) % alignment == 0;
        for (std::size_t i = 0; i != bytes; ++i) same = same && p.room[i] == static_cast<unsigned char>(i * 7 + bytes);
        right += same;
    }));
}
}  // namespace

TEST("calls of every size and alignment arrive as they were sent, whatever lies beside them") {
    world w;
    loop l(w.options());
    REQUIRE(l.status().ok());
    loop_ref const door = l.remote();
    long right = 0;
    for (int n = 0; n != 40; ++n) {
        send_one<1, 1>(door, right);
        send_one<8, 8>(door, right);
        send_one<9, 1>(door, right);
        send_one<64, 64>(door, right);
        send_one<500, 4>(door, right);
        send_one<960, 8>(door, right);
        send_one<1'100, 16>(door, right);
        send_one<128, 128>(door, right);
        send_one<5'000, 8>(door, right);
    }
    CHECK(l.run().ok());
    if (harness::how.each.empty()) CHECK_EQ(right, 40 * 9);
}

TEST("after its loop's end a door says closed, and what was pending is destroyed") {
    loop_ref door;
    CHECK(door.call([] {}) == errc::no_loop);
    auto alive = std::make_shared<int>(1);
    posted late;
    {
        world w;
        loop l(w.options());
        door = l.remote();
        CHECK(door.alive());
        auto sent = door.call([alive] { CHECK(false); });
        REQUIRE(sent.ok());
        late = std::move(*sent);
    }
    CHECK_EQ(alive.use_count(), 1L);
    CHECK(!door.alive());
    CHECK(door.call([alive] {}) == errc::closed);
    CHECK_EQ(alive.use_count(), 1L);
    CHECK(door.stop() == errc::closed);
    CHECK(!late.done());
    CHECK(!late.cancel());
}

TEST("threads that post while the loop dies get an answer each, and nothing is lost or leaked") {
    for (int round = 0; round != 50; ++round) {
        world w;
        std::atomic<int> made{0}, gone{0};
        struct counted {
            std::atomic<int>*m, *g;
            counted(std::atomic<int>* a, std::atomic<int>* b) : m(a), g(b) { ++*m; }
            counted(counted const& o) : m(o.m), g(o.g) { ++*m; }
            ~counted() { ++*g; }
            void operator()() const {}
        };
        std::vector<std::thread> pool;
        {
            loop l(w.options());
            for (int t = 0; t != 3; ++t) {
                pool.emplace_back([door = l.remote(), &made, &gone] {
                    for (;;) {
                        auto sent = door.call(counted(&made, &gone));
                        if (sent || sent == errc::full) continue;
                        CHECK(sent == errc::closed);
                        return;
                    }
                });
            }
            static_cast<void>(l.run_once(in(1ms)));
        }
        for (auto& t : pool) t.join();
        CHECK_EQ(made.load(), gone.load());
    }
}

TEST("stop() from another thread ends a sleeping loop") {
    world w;
    loop l(w.options());
    std::thread other([door = l.remote()] { CHECK(door.stop().ok()); });
    CHECK(l.run_forever().ok());
    other.join();
}

TEST("a waker's calls melt into one, from threads and signal handlers alike, and its end takes the function back") {
    static waker* from_signal = nullptr;
    world w;
    loop l(w.options());
    int ran = 0;
    auto alive = std::make_shared<int>(1);
    {
        auto made = l.make_waker([&ran, alive] { ++ran; });
        REQUIRE(made.ok());
        for (int i = 0; i != 100; ++i) made->wake();
        CHECK(l.run_once(in(1s)).ok());
        CHECK_EQ(ran, 1);
        from_signal = &*made;
        std::signal(SIGUSR1, [](int) { from_signal->wake(); });
        std::raise(SIGUSR1);
        CHECK(l.run_once(in(1s)).ok());
        CHECK_EQ(ran, 2);
        std::thread([&] { made->wake(); }).join();
        CHECK(l.run_until([&] { return ran == 3; }, in(5s)).ok());
    }
    CHECK(l.run().ok());
    CHECK_EQ(alive.use_count(), 1L);
    std::signal(SIGUSR1, SIG_DFL);
}

TEST("a waker's function counts relative times from a fresh reading, not from an earlier callback's") {
    testing::simulation world(harness::as_asked());
    loop l(loop_options{.on = world.on()});
    time_point due{};
    auto made = l.make_waker([&] { due = *l.call_later(1s, [] {}).due(); });
    REQUIRE(made.ok());
    l.call_soon([&] {
        handler h = l.call_later(1h, [] {});   // reads the clock
        h.cancel();
        world.advance(10s);
        made->wake();
    });
    CHECK(l.run_until([&] { return due != time_point{}; }, in(1min)).ok());
    CHECK(due >= world.now() + 1s);
    CHECK(l.run().ok());
}

TEST("a waker is made on its loop's thread; others are told so") {
    world w;
    loop l(w.options());
    std::thread([&] { CHECK(l.make_waker([] {}) == errc::wrong_thread); }).join();
    CHECK(l.run().ok());
}

TEST("a waker may outlive its loop, and its function is destroyed once") {
    auto alive = std::make_shared<int>(1);
    world w;
    auto l = std::make_unique<loop>(w.options());
    auto made = l->make_waker([alive] {});
    REQUIRE(made.ok());
    made->wake();
    l.reset();
    made->wake();
    CHECK_EQ(alive.use_count(), 2L);
    {
        waker gone = std::move(*made);
    }
    CHECK_EQ(alive.use_count(), 1L);
}

TEST("wakers made, woken from another thread and dropped at random run on their loop and leave nothing") {
    world w;
    loop l(w.options());
    std::atomic<int> ran{0};
    std::atomic<bool> done{false};
    hold_token hold = l.hold();
    std::vector<waker> some;
    for (int i = 0; i != 8; ++i) some.push_back(std::move(*l.make_waker([&] { ++ran; })));
    std::thread other([&] {
        for (int i = 0; i != 20'000; ++i) some[static_cast<std::size_t>(i) % some.size()].wake();
        done = true;
        static_cast<void>(l.remote().stop());
    });
    CHECK(l.run().ok());
    other.join();
    some.clear();
    hold.release();
    CHECK(l.run().ok());
    CHECK(done);
    CHECK(ran > 0 && ran <= 20'000);
}

TEST("a door says whether the calling thread is its loop's: in tasks, callbacks and plain code there, and nowhere else") {
    CHECK(!loop_ref().is_here());
    loop_ref door;
    {
        world w;
        loop l(w.options());
        door = l.remote();
        CHECK(door.is_here());
        int said = 0;
        l.call_soon([&] { said += door.is_here() ? 1 : 0; });
        auto t = spawn([&] { said += door.is_here() ? 10 : 0; });
        std::thread other([&] {
            CHECK(!door.is_here());
            world of_its_own;
            loop another(of_its_own.options());
            CHECK(!door.is_here() && another.remote().is_here());
        });
        CHECK(l.run().ok());
        other.join();
        CHECK_EQ(said, 11);
    }
    CHECK(!door.is_here());
}
