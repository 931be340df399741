// What the tests of sources for several threads share: loops on threads of their own, and places to meet.
#pragma once
#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include <spruce/spruce.hpp>

#include "../harness/axes.hpp"

// A thread with a loop, whose first task is f; joined at the end.
class thread_with_loop {
public:
    template <class F> explicit thread_with_loop(F f) : thread_([f = std::move(f)]() mutable {
        bool ran;
        {
            harness::world w;
            spruce::loop l(w.options());
            harness::needed(std::move(f));
            ran = l.run().ok();
        }
        REQUIRE(ran);   // else others may wait for what its tasks were to do
    }) {}
    thread_with_loop(thread_with_loop&&) noexcept = default;
    ~thread_with_loop() {
        if (thread_.joinable()) thread_.join();
    }
    void join() { thread_.join(); }

private:
    std::thread thread_;
};

// Until it holds, on a thread without a loop.
template <class P> void spin_until(P&& holds) {
    while (!holds()) std::this_thread::yield();
}

// Runs `body` where a wait blocks the thread, and as a task, where it parks; it is told which.
template <class F> void in_both(F&& body) {
    std::thread([&] { body(false); }).join();
    bool done = false;
    harness::world w;
    spruce::loop l(w.options());
    spruce::spawn([&] {
        body(true);
        done = true;
    });
    CHECK(l.run().ok());   // a shared source is outside: it holds the run
    CHECK(done);
}
