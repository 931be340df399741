// The smallest host that a loop can be interleaved with: a queue of calls, and a thread that makes them.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>

#include <spruce/spruce.hpp>

namespace harness {

class queue_host {
public:
    // What is given to interleave().
    auto post() {
        return [this](spruce::host_turn turn) {
            // Told with the lock held: afterwards the host may be gone.
            std::lock_guard const held(lock_);
            ++posts_;
            turns_.push_back(std::move(turn));
            if (turns_.size() > most_) most_ = turns_.size();
            changed_.notify_all();
        };
    }
    // Makes the next call; waits for one if need be. false: none came in time.
    bool step(std::chrono::milliseconds limit = std::chrono::seconds(10)) {
        std::unique_lock held(lock_);
        if (!changed_.wait_for(held, limit, [this] { return !turns_.empty(); })) return false;
        spruce::host_turn const turn = std::move(turns_.front());
        turns_.pop_front();
        held.unlock();
        turn();
        return true;
    }
    // Until done() is true. false: it is not, and no call came for long.
    template <class Done> bool run(Done&& done) {
        while (!done())
            if (!step()) return false;
        return true;
    }
    long posts() const { return std::lock_guard(lock_), posts_; }
    std::size_t most() const { return std::lock_guard(lock_), most_; }
    std::size_t waiting() const { return std::lock_guard(lock_), turns_.size(); }
    void wait_for_posts(long count) {
        std::unique_lock held(lock_);
        changed_.wait(held, [&] { return posts_ >= count; });
    }
    // Drops what is queued.
    void forget() {
        std::deque<spruce::host_turn> gone;
        std::lock_guard const held(lock_);
        gone.swap(turns_);
    }

private:
    mutable std::mutex lock_;
    std::condition_variable changed_;
    std::deque<spruce::host_turn> turns_;
    long posts_ = 0;
    std::size_t most_ = 0;
};

}  // namespace harness
