// Waits, each of them a real one: one task waits, the other wakes it and lets it run. What bench_wait times and what
// hot_paths counts.
#pragma once
#include <spruce/spruce.hpp>

#include <type_traits>

namespace paths {

// Two tasks of the hub, the first one first.
template <class A, class B> void both(spruce::loop& hub, A&& first, B&& second) {
    spruce::spawn([&] { first(); });
    spruce::spawn([&] { second(); });
    static_cast<void>(hub.run());
}
// The first waits n times; the second wakes it, and lets it run.
template <class A, class B> void pair(spruce::loop& hub, long n, A&& waits, B&& wakes) {
    both(hub, [&] {
        for (long i = 0; i < n; ++i) waits(i);
    }, [&] {
        for (long i = 0; i < n; ++i) {
            wakes(i);
            static_cast<void>(spruce::yield());
        }
    });
}

// Looks at nothing that comes: where instructions are counted.
struct unchecked {};
// `wrong(what)` is told of what should not be.
template <class W> inline constexpr bool checks = !std::is_same_v<W, unchecked>;

template <class W = unchecked> void any_of_2(spruce::loop& hub, long n, W wrong = {}) {
    using std::chrono_literals::operator""s;
    spruce::channel<long> c;
    pair(hub, n, [&](long i) {
        auto won = spruce::wait_any(c, spruce::in(1s));
        if constexpr (checks<W>) {
            if (!won || won->index() != 0 || *won->template get<0>() != i) wrong("another value than was sent");
        } else {
            static_cast<void>(i);
        }
    }, [&](long i) { static_cast<void>(c.try_send(static_cast<long>(i))); });
}
template <class W = unchecked> void any_of_8(spruce::loop& hub, long n, W wrong = {}) {
    spruce::event e[8];
    pair(hub, n, [&](long i) {
        auto const won = spruce::wait_any(e[0], e[1], e[2], e[3], e[4], e[5], e[6], e[7]);
        if constexpr (checks<W>) {
            if (!won || won->index() != static_cast<std::size_t>(i & 7)) wrong("another event than was set");
        } else {
            static_cast<void>(i);
        }
    }, [&](long i) {
        e[i & 7].set();
        e[i & 7].clear();
    });
}
inline void events(spruce::loop& hub, long n) {
    spruce::event e;
    pair(hub, n, [&](long) { static_cast<void>(e.wait()); }, [&](long) {
        e.set();
        e.clear();
    });
}
// Each is made for its wait.
template <class W = unchecked> void futures(spruce::loop& hub, long n, W wrong = {}) {
    spruce::promise<long>* now = nullptr;
    pair(hub, n, [&](long i) {
        spruce::promise<long> mine;
        now = &mine;
        auto const got = mine.get_future().get();
        if constexpr (checks<W>) {
            if (!got || *got != i) wrong("another value than was set");
        } else {
            static_cast<void>(i);
        }
    }, [&](long i) { static_cast<void>(now->set(i)); });
}
// Handed over to the other, who waits for it.
inline void mutexes(spruce::loop& hub, long n) {
    spruce::mutex m;
    auto const body = [&] {
        auto held = m.lock();
        static_cast<void>(spruce::yield());   // the other comes, too
        for (long i = 0; i < n / 2; ++i) {
            held->unlock();
            held = m.lock();
        }
    };
    both(hub, body, body);
}
inline void permits(spruce::loop& hub, long n) {
    spruce::semaphore here(1), there(0);
    auto const body = [n](spruce::semaphore& mine, spruce::semaphore& other) {
        for (long i = 0; i < n / 2; ++i) {
            mine.acquire()->keep();
            static_cast<void>(other.release());
        }
    };
    both(hub, [&] { body(here, there); }, [&] { body(there, here); });
}

}  // namespace paths
