// Waits, each of them a real one: one task waits, the other wakes it and lets it run. Per wait: for one of two things (a
// channel and a deadline), for one of eight events, for an event, for a future (which is made for it); per hand-over: a
// mutex that the other waits for, and a permit that goes to and fro. Ours beside floors and boost.fiber: its mutex
// (which it does not hand over), its promise, and for the event its condition_variable. It has no semaphore, and cannot
// wait for one of several; asio's coroutines can, for a value of its channel and a timer.
// links: -lboost_fiber -lboost_context
#include <spruce/spruce.hpp>

#include <memory>

#include "asio_rounds.hpp"
#include "floors/waits_floor.hpp"
#include "floors/wheel_floor.hpp"
#include "measure.hpp"
#include "wait_paths.hpp"

#if __has_include(<boost/fiber/all.hpp>) && defined(__cpp_exceptions)
#include <boost/fiber/all.hpp>
#define HAVE_BOOST_FIBER 1
#endif

namespace {
using std::chrono_literals::operator""s;

[[noreturn]] void wrong(char const* what) {
    std::fprintf(stderr, "bench_wait: %s\n", what);
    std::exit(1);
}

// So many of one of the paths.
template <auto path> double spruce_each(spruce::loop& hub, long n) {
    std::int64_t const begin = measure::cpu_ns();
    path(hub, n);
    return measure::per(begin, n);
}
constexpr auto any_of_2 = [](spruce::loop& hub, long n) { paths::any_of_2(hub, n, wrong); };
constexpr auto any_of_8 = [](spruce::loop& hub, long n) { paths::any_of_8(hub, n, wrong); };
constexpr auto futures = [](spruce::loop& hub, long n) { paths::futures(hub, n, wrong); };

#ifdef HAVE_BARE_SWITCH
// A pair of bare tasks; the last one to end wakes who began them.
struct bare_pair {
    long times;
    long n;             // what each of them does
    int running = 2;
    floors::bare_waiter main{};
    explicit bare_pair(long all) : bare_pair(all, all) {}
    bare_pair(long all, long each) : times(all), n(each) {}
    [[gnu::always_inline]] static floors::bare_scheduler& tasks() noexcept { return *floors::bare_scheduler::here; }
    double run(void (*first)(void*), void (*second)(void*), void* work) {
        static floors::bare_scheduler s;
        floors::bare_scheduler::here = &s;
        running = 2;
        s.spawn(first, work);
        s.spawn(second, work);
        std::int64_t const begin = measure::cpu_ns();
        s.park(main);
        while (s.live != 0) s.yield();
        return measure::per(begin, times);
    }
    void end() noexcept {
        if (--running == 0) tasks().wake(main);
    }
};
// One task of a pair W: its step, n times.
template <class W, void (W::*step)(long)> [[gnu::noinline]] void bare_steps(void* work) {
    auto& w = *static_cast<W*>(work);
    for (long i = 0, n = w.n; i < n; ++i) (w.*step)(i);
    w.end();
}
template <class W> double bare_round(long n) {
    auto const w = std::make_unique<W>(n);
    return w->run(bare_steps<W, &W::waits>, bare_steps<W, &W::wakes>, w.get());
}
struct bare_any_of_2 : bare_pair {
    using bare_pair::bare_pair;
    floors::bare_source c;
    floors::bare_wheel wheel{1};
    void waits(long i) {
        floors::bare_choice mine;
        floors::bare_option o;
        mine.winner = -1;
        c.join(o, mine, 0);
        wheel.arm(0, 1000);
        tasks().park(mine.waiter);
        wheel.disarm(0);
        c.leave(o);
        measure::keep(mine);
        if (mine.value != i) wrong("floor: another value");
    }
    void wakes(long i) {
        c.speak(i);
        tasks().yield();
    }
};
struct bare_any_of_8 : bare_pair {
    using bare_pair::bare_pair;
    floors::bare_source e[8];
    void waits(long i) {
        floors::bare_choice mine;
        floors::bare_option o[8];
        mine.winner = -1;
        for (long k = 0; k < 8; ++k) e[k].join(o[k], mine, k);
        tasks().park(mine.waiter);
        for (floors::bare_option& each : o) floors::bare_source::leave(each);
        measure::keep(mine);
        if (mine.winner != (i & 7)) wrong("floor: another event");
    }
    void wakes(long i) {
        e[i & 7].speak(0);
        tasks().yield();
    }
};
struct bare_event_pair : bare_pair {
    using bare_pair::bare_pair;
    floors::bare_event e;
    void waits(long) { e.wait(); }
    void wakes(long) {
        e.set();
        e.is_set = false;
        tasks().yield();
    }
};
struct bare_future_pair : bare_pair {
    using bare_pair::bare_pair;
    floors::bare_future* now = nullptr;
    void waits(long i) {
        floors::bare_future mine;
        now = &mine;
        measure::keep(mine);
        if (mine.get() != i) wrong("floor: another value");
    }
    void wakes(long i) {
        now->set(i);
        tasks().yield();
    }
};
struct bare_mutex_pair : bare_pair {
    explicit bare_mutex_pair(long all) : bare_pair(all, all / 2) {}
    floors::bare_mutex m;
    void waits(long i) {
        if (i == 0) begin();
        m.unlock();
        m.lock();
        if (i == n - 1) m.unlock();
    }
    void begin() {
        m.lock();
        if (!std::exchange(both, true)) tasks().yield();
    }
    bool both = false;
    void wakes(long i) { waits(i); }
};
struct bare_semaphore_pair : bare_pair {
    explicit bare_semaphore_pair(long all) : bare_pair(all, all / 2) { here.permits = 1; }
    floors::bare_semaphore here, there;
    void waits(long) {
        here.acquire();
        there.release();
    }
    void wakes(long) {
        there.acquire();
        here.release();
    }
};
#endif

#ifdef HAVE_BOOST_FIBER
template <class A, class B> double boost_pair(long n, A&& first, B&& second) {
    std::int64_t const begin = measure::cpu_ns();
    boost::fibers::fiber a([&] { first(); });
    boost::fibers::fiber b([&] { second(); });
    a.join();
    b.join();
    return measure::per(begin, n);
}
double boost_event(long n) {
    boost::fibers::mutex m;
    boost::fibers::condition_variable changed;
    long done = 0;
    return boost_pair(n, [&] {
        std::unique_lock<boost::fibers::mutex> held(m);
        for (long i = 0; i < n; ++i) changed.wait(held, [&] { return done > i; });
    }, [&] {
        for (long i = 0; i < n; ++i) {
            {
                std::unique_lock<boost::fibers::mutex> const held(m);
                ++done;
            }
            changed.notify_all();
            boost::this_fiber::yield();
        }
    });
}
double boost_future(long n) {
    boost::fibers::promise<long>* now = nullptr;
    return boost_pair(n, [&] {
        for (long i = 0; i < n; ++i) {
            boost::fibers::promise<long> mine;
            now = &mine;
            if (mine.get_future().get() != i) wrong("boost: another value");
            now = nullptr;
        }
    }, [&] {
        for (long i = 0; i < n; ++i) {
            while (!now) boost::this_fiber::yield();
            now->set_value(i);
            boost::this_fiber::yield();
        }
    });
}
double boost_mutex(long n) {
    boost::fibers::mutex m;
    auto const body = [&] {
        for (long i = 0; i < n / 2; ++i) {
            m.lock();
            boost::this_fiber::yield();   // the other wants it
            m.unlock();
            boost::this_fiber::yield();   // and is let in: it is not handed over
        }
    };
    return boost_pair(n, body, body);
}
#endif

#ifdef HAVE_ASIO_CHANNEL
double asio_any_of_2(long n) {
    long sum = 0;
    double const each = asio_rounds::wait_any_round(n, sum);
    if (sum != n * (n - 1) / 2) wrong("asio: a value was lost");
    return each;
}
#endif

using ours = double (*)(spruce::loop&, long);
using other = double (*)(long);
void race(char const* name, ours own, [[maybe_unused]] other floor, [[maybe_unused]] other boost, measure::effort const& e,
          [[maybe_unused]] other asio = nullptr) {
    spruce::loop hub;
    long const n = e.of(400'000, 16);
    measure::contest all(name);
    all.enter("spruce", [&] { return own(hub, n); });
    if (floor) all.enter("floor", [&] { return floor(2 * n); });
    if (boost) all.enter("boost.fiber", [&] { return boost(n / 4); });
    if (asio) all.enter("asio", [&] { return asio(n / 8); });
    all.run(e);
}
}  // namespace

#ifdef HAVE_BARE_SWITCH
#define FLOOR(pair) bare_round<pair>
#else
#define FLOOR(pair) nullptr
#endif
#ifdef HAVE_BOOST_FIBER
#define BOOST(round) round
#else
#define BOOST(round) nullptr
#endif

#ifdef HAVE_ASIO_CHANNEL
#define ASIO(round) round
#else
#define ASIO(round) nullptr
#endif

int main(int count, char** arguments) {
    measure::pin();
    measure::effort const e(count, arguments);
    race("wait_any_2", spruce_each<any_of_2>, FLOOR(bare_any_of_2), nullptr, e, ASIO(asio_any_of_2));
    race("wait_any_8", spruce_each<any_of_8>, FLOOR(bare_any_of_8), nullptr, e);
    race("event_wait", spruce_each<paths::events>, FLOOR(bare_event_pair), BOOST(boost_event), e);
    race("future_wait", spruce_each<futures>, FLOOR(bare_future_pair), BOOST(boost_future), e);
    race("mutex_hand_over", spruce_each<paths::mutexes>, FLOOR(bare_mutex_pair), BOOST(boost_mutex), e);
    race("semaphore_hand_over", spruce_each<paths::permits>, FLOOR(bare_semaphore_pair), nullptr, e);
}
