// The thread that sleeps for a guest, with a poller that sleeps as the test says.
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "../../src/sys/poll_thread.hpp"
#include "../harness/harness.hpp"

using namespace spruce;
using namespace spruce::detail;
using namespace std::chrono_literals;

namespace {
void wake(void*) noexcept {}   // no sleep here is a long one

// What the sleeps give, and the numbers that were posted.
struct scene {
    std::atomic<int> sleep_gives{0};
    std::atomic<int> refusals{0};        // that are left
    std::mutex lock;
    std::condition_variable changed;
    std::uint32_t posted = 0;
    long posts = 0;
    poller_calls calls{};
    poll_thread* thread = nullptr;

    scene() {
        calls.sleep = [](void* at, std::int64_t) noexcept -> int { return static_cast<scene*>(at)->sleep_gives; };
        poll_thread_options const o{&calls, this, [](void* at, std::uint32_t number, post_outcome& how) noexcept {
            auto& s = *static_cast<scene*>(at);
            if (s.refusals.load() != 0) {
                --s.refusals;
                how.taken = false;
                return;
            }
            keep_turn(*s.thread, number);
            std::lock_guard const held(s.lock);
            s.posted = number;
            ++s.posts;
            s.changed.notify_all();
        }, this, this};
        REQUIRE(start_poll_thread(o, &thread) == 0);
    }
    ~scene() {
        end_poll_thread(*thread, wake, nullptr);
        release(*thread);
    }
    // Waits for a turn and begins it. What went wrong before comes back.
    post_failures next() {
        std::uint32_t number;
        {
            std::unique_lock held(lock);
            changed.wait(held, [this] { return posted != 0; });
            number = posted;
            posted = 0;
        }
        post_failures since;
        CHECK(begin_turn(*thread, number, since));
        CHECK(!begin_turn(*thread, number, since) && since.count < 100);
        drop_turn(*thread, number);
        return since;
    }
};
}  // namespace

TEST("a sleep that a signal interrupted is followed by a turn, and the next sleep by the next") {
    scene s;
    s.sleep_gives = -EINTR;
    for (int i = 0; i != 100; ++i) {
        hand_over(*s.thread, -1);
        post_failures const since = s.next();
        CHECK(since.count == 0 && since.sleep == 0);   // it is no failure
    }
    CHECK_EQ(s.posts, 100);
}

TEST("a poller that cannot sleep makes no host turn round and round: it gets a turn each 10 ms") {
    scene s;
    s.sleep_gives = -EBADF;
    auto const began = std::chrono::steady_clock::now();
    for (int i = 0; i != 5; ++i) {
        hand_over(*s.thread, -1);
        CHECK_EQ(s.next().sleep, -EBADF);
    }
    CHECK(std::chrono::steady_clock::now() - began >= 50ms);
    // No sleep is asked for: the turn comes at once, whatever the poller would say, and nothing new is known of it.
    hand_over(*s.thread, 0);
    CHECK_EQ(s.next().sleep, -EBADF);
    s.sleep_gives = 0;
    hand_over(*s.thread, -1);
    CHECK_EQ(s.next().sleep, 0);
    // The turn's own poll was refused: the poller is not asked to sleep, which it would not.
    auto const pauses = std::chrono::steady_clock::now();
    hand_over(*s.thread, -1, true);
    s.next();
    CHECK(std::chrono::steady_clock::now() - pauses >= 10ms);
}

TEST("a turn that is refused is posted again later and later, and a taken one begins anew") {
    scene s;
    s.refusals = 5;
    auto began = std::chrono::steady_clock::now();
    hand_over(*s.thread, 0);
    post_failures const since = s.next();
    CHECK(std::chrono::steady_clock::now() - began >= 1ms + 2ms + 4ms + 8ms + 16ms);
    CHECK_EQ(since.count, 5U);
    CHECK(!since.first.taken && since.first.why == errc::full);
    s.refusals = 1;
    hand_over(*s.thread, 0);
    CHECK_EQ(s.next().count, 1U);
}

TEST("the thread ends from whatever it does: working, asleep, posted, or pausing after a refusal") {
    for (int what = 0; what != 4; ++what) {
        scene s;
        if (what == 1) {
            s.sleep_gives = -EBADF;   // in the pause after that
            hand_over(*s.thread, -1);
        }
        if (what == 2) {
            hand_over(*s.thread, 0);
            std::unique_lock held(s.lock);
            s.changed.wait(held, [&] { return s.posted != 0; });
        }
        if (what == 3) {
            s.refusals = 1'000'000;
            hand_over(*s.thread, 0);
            while (s.refusals.load() > 999'995) std::this_thread::yield();
        }
        std::uint32_t const number = s.posted;
        end_poll_thread(*s.thread, wake, nullptr);
        end_poll_thread(*s.thread, wake, nullptr);   // twice is harmless
        CHECK(owner_of(*s.thread) == nullptr);
        post_failures since;
        CHECK(!begin_turn(*s.thread, number, since));
        if (number != 0) drop_turn(*s.thread, number);
    }
}
