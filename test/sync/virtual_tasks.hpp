// What the tests of this floor share: a run in virtual time, and many waiters of whom half give up.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include <spruce/spruce.hpp>
#include <spruce/testing.hpp>

#include "../harness/virtual_run.hpp"

// Where the loop fails, its tasks are canceled, and the one that runs a test leaves its frame before those that refer to
// it have ended: so what these tests join they must have, or they end there (REQUIRE).
template <class F> auto run_virtually(F&& f, spruce::loop_options o = {}) {
    return harness::run_virtually(std::forward<F>(f), o);
}

// How a call ended: errc{} for ok.
template <class R> spruce::errc ending_of(R const& r) noexcept {
    return r.ok() ? spruce::errc{} : static_cast<spruce::errc>(r.error().code());
}

// Lets those who are ready run, and those whom they wake, so many in a chain.
inline void settle(int rounds = 4) {
    for (int i = 0; i != rounds; ++i) static_cast<void>(spruce::yield());
}

// A length of time below so many milliseconds, in microseconds.
inline spruce::duration milliseconds_below(harness::random& r, std::uint64_t n) noexcept {
    return std::chrono::microseconds(r.below(n * 1000));
}

// The steps of a random model test, and the waiters of a crowd.
inline long model_steps() noexcept { return harness::nightly() ? 1'000'000 : 50'000; }

// A call in a task of its own, for a model to follow: when it must have ended, and how.
struct followed {
    spruce::task<void> handle;
    spruce::errc ended{}, expected{};
    bool done = false, waits = false;
    spruce::time_point due = spruce::time_point::max();
    // The model says that its wait has ended so; counted.
    void ends(spruce::errc how, long& count) noexcept {
        waits = false;
        expected = how;
        ++count;
    }
};
// For a model whose calls end one by one: any of them is canceled; those expire that are due.
template <class Calls> void cancel_one(harness::random& r, Calls& calls, long& canceled) {
    if (calls.empty()) return;
    auto& c = *calls[r.below(calls.size())];
    c.handle.cancel();
    if (c.waits) c.ends(spruce::errc::canceled, canceled);
}
template <class Calls> void expire(Calls& calls, spruce::time_point now, long& expired) {
    for (auto& c : calls)
        if (c->waits && c->due <= now) c->ends(spruce::errc::timed_out, expired);
}

// A crowd's end: here and there one is canceled, a third of them at most, and all end.
inline void thin_out(harness::random& r, std::vector<spruce::task<void>>& crowd) {
    settle();
    for (std::size_t i = 0; i != crowd.size() / 3; ++i) {
        crowd[r.below(crowd.size())].cancel();
        if (r.chance(30)) static_cast<void>(spruce::sleep_for(std::chrono::milliseconds(1)));
    }
    for (auto& t : crowd) REQUIRE(t.join().ok());
}

// Time for a model: deadlines lie in the middle between two of the moments at which it looks.
class model_time {
public:
    explicit model_time(harness::random& r) noexcept : random_(r), start_(spruce::loop_clock::now()) {}
    // Now, or never, or so many moments from here.
    spruce::deadline draw(followed& f) {
        f.due = spruce::time_point::max();
        if (random_.chance(40)) return {};
        if (random_.chance(15)) return f.due = moment(), spruce::in(std::chrono::seconds(0));
        f.due = moment() + std::chrono::milliseconds(10 * random_.below(8) + 5);
        return spruce::at(f.due);
    }
    void pass() {
        now_ += 1 + random_.below(3);
        REQUIRE(spruce::sleep_until(moment()).ok());   // a model without time goes no further
    }
    spruce::time_point moment() const { return start_ + std::chrono::milliseconds(10 * now_); }

private:
    harness::random& random_;
    spruce::time_point start_;
    std::uint64_t now_ = 0;
};
