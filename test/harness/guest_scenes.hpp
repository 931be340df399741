// What guests go through, whichever way they are driven; and what is told of them.
#pragma once
#include <atomic>
#include <cerrno>
#include <poll.h>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "axes.hpp"

namespace harness {

// What the unhandled hook was told.
struct hears {
    explicit hears(spruce::loop& l) {
        l.on_unhandled([this](spruce::unhandled const& u) {
            texts.emplace_back(u.what);
            reasons.push_back(u.reason);
        });
    }
    bool has(char const* part) const {
        for (auto const& t : texts)
            if (t.find(part) != t.npos) return true;
        return false;
    }
    std::vector<std::string> texts;
    std::vector<spruce::error> reasons;
};

inline auto is_over(spruce::loop& l) {
    return [&l] { return !l.running(); };
}

// Whether an fd can be read, or comes to be in time.
inline bool can_read(int fd, int timeout_ms = 0) {
    pollfd p{fd, POLLIN, 0};
    int got = 0;
    do got = ::poll(&p, 1, timeout_ms);
    while (got < 0 && errno == EINTR);
    return got == 1;
}

// A reader, a timer, a task and calls from another thread, all of which ride through the host: run(done) drives it.
struct mixed_ride {
    world& w;
    spruce::loop& l;
    std::pair<int, int> ends = w.pipe();
    std::string got{};
    int beats = 0, slept = 0, posted = 0, elsewhere = 0;
    std::thread::id const here = std::this_thread::get_id();
    spruce::handler reader{};

    mixed_ride(world& in, spruce::loop& on) : w(in), l(on) {}
    ~mixed_ride() {
        reader.cancel();
        w.close(ends.first);
        w.close(ends.second);
    }
    void note() { elsewhere += std::this_thread::get_id() != here; }
    template <class Begin, class Run> void check(Begin&& begin, Run&& run) {
        using namespace std::chrono_literals;
        auto r = l.add_reader(ends.first, [this] {
            char c = 0;
            if (w.read(ends.first, &c, 1) == 1) got += c;
            note();
        });
        REQUIRE(r.ok());
        reader = *r;
        l.call_every(1ms, [this](spruce::handler self) {
            note();
            if (++beats == 3) self.cancel();
        });
        auto t = spruce::spawn([this] {
            for (; slept != 3; ++slept) CHECK(spruce::sleep_for(500us).ok());
            note();
        });
        begin();
        std::thread other([this, ref = l.remote()] {
            for (int i = 0; i != 100; ++i) CHECK(ref.call([this] { note(), ++posted; }).ok());
            w.write(ends.second, "abc");
        });
        run([&] { return got == "abc" && beats == 3 && t.done() && posted == 100; });
        other.join();
        CHECK_EQ(slept, 3);
        CHECK_EQ(elsewhere, 0);
    }
};

// Calls from another thread, each of which must wake a loop that sleeps for ever, or come in time before it does.
template <class Run> void no_call_is_lost(spruce::loop& l, int many, Run&& run) {
    std::atomic<int> ran{0};
    std::thread other([&, ref = l.remote()] {
        for (int i = 0; i != many; ++i) {
            while (!ref.call([&] { ++ran; }).ok()) std::this_thread::yield();
            // Every other one alone.
            if (i % 2 == 0)
                while (ran != i + 1) std::this_thread::yield();
        }
    });
    run([&] { return ran == many; });
    other.join();
    CHECK_EQ(ran.load(), many);
}

}  // namespace harness
