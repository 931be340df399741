// Calls from other threads: how many a loop takes from one and from two senders that never pause, and a round trip
// between two threads that wait in their loops for nothing else: ours awake, as calls come quickly; the others asleep.
// Ours beside a bare inbox (the nodes made beforehand) over an eventfd, and asio's post.
// cores: 2
#include <spruce/spruce.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "floors/calls_floor.hpp"
#include "measure.hpp"

#if __has_include(<asio.hpp>) && defined(__cpp_exceptions)
#define ASIO_NO_DEPRECATED
#include <asio.hpp>
#define HAVE_ASIO 1
#endif

namespace {
// Starts so many threads, which all begin to send when the last is there, and runs `receive` meanwhile.
template <class Send, class Receive> double throughput(int senders, long each, Send&& send, Receive&& receive) {
    std::atomic<int> ready{0};
    std::atomic<bool> go{false};
    std::vector<std::thread> threads;
    for (int s = 0; s < senders; ++s)
        threads.emplace_back([&, s] {
            measure::pin_to(1);   // both senders beside the receiver's core
            ready.fetch_add(1);
            while (!go.load(std::memory_order_acquire)) std::this_thread::yield();
            for (long i = 0; i < each; ++i) send(s, i);
        });
    while (ready.load() != senders) std::this_thread::yield();
    std::int64_t const begin = measure::now_ns();
    go.store(true, std::memory_order_release);
    receive(senders * each);
    double const value = measure::per_wall(begin, senders * each);
    for (std::thread& t : threads) t.join();
    return value;
}

// How many calls ran, on lines that no sender reads: what the receiver's thread writes at each call is not beside what the
// senders' calls go through.
struct alignas(128) tally {
    long count = 0;
};

double spruce_send(int senders, long each) {
    spruce::loop hub;
    spruce::loop_ref const door = hub.remote();
    tally got;
    return throughput(
        senders, each,
        [&door, to = &got](int, long) {
            // Its bound is reached: the loop is behind, and wants the core.
            while (!door.call([to] { ++to->count; }).ok()) std::this_thread::yield();
        },
        [&](long all) { static_cast<void>(hub.run_until([&] { return got.count == all; })); });
}

// Two loops, each on its own thread, which post to each other; neither has anything else to do.
double spruce_trips(long trips) {
    spruce::loop hub;
    spruce::loop_ref const here = hub.remote();
    std::atomic<spruce::loop*> other{nullptr};
    std::thread far([&] {
        measure::pin_to(1);
        spruce::loop there;
        other.store(&there);
        static_cast<void>(there.run_forever());
    });
    while (!other.load()) std::this_thread::yield();
    spruce::loop_ref const there = other.load()->remote();
    long left = trips;
    std::function<void()> ping = [&] {
        static_cast<void>(there.call([&] {
            static_cast<void>(here.call([&] {
                if (--left > 0) ping();
            }));
        }));
    };
    std::int64_t const begin = measure::now_ns();
    ping();
    static_cast<void>(hub.run_until([&] { return left == 0; }));
    double const value = measure::per_wall(begin, trips);
    static_cast<void>(there.stop());
    far.join();
    return value;
}

#ifdef HAVE_BARE_INBOX
struct counted_call : floors::bare_call {
    long* got;
};
double bare_send(int senders, long each) {
    floors::bare_inbox inbox;
    tally got;
    std::vector<std::vector<counted_call>> calls(static_cast<std::size_t>(senders), std::vector<counted_call>(static_cast<std::size_t>(each)));
    for (auto& mine : calls)
        for (counted_call& c : mine) {
            c.run = [](floors::bare_call& self) { ++*static_cast<counted_call&>(self).got; };
            c.got = &got.count;
        }
    return throughput(
        senders, each, [&](int s, long i) { inbox.push(calls[static_cast<std::size_t>(s)][static_cast<std::size_t>(i)]); },
        [&](long all) {
            while (got.count != all) inbox.run_some();
        });
}
struct trip : floors::bare_call {
    floors::bare_inbox* here;
    floors::bare_inbox* there;
    trip* answer;
    std::atomic<long>* left;
};
double bare_trips(long trips) {
    floors::bare_inbox here, there;
    std::atomic<long> left{trips};
    trip back{{nullptr, [](floors::bare_call& c) {
        auto& t = static_cast<trip&>(c);
        if (t.left->fetch_sub(1) > 1) t.there->push(*t.answer);
    }}, &here, &there, nullptr, &left};
    trip out{{nullptr, [](floors::bare_call& c) {
        auto& t = static_cast<trip&>(c);
        t.here->push(*t.answer);
    }}, &here, &there, &back, &left};
    back.answer = &out;
    bool ended = false;   // the far thread's own
    struct last_call : floors::bare_call {
        bool* ended;
    } last{{nullptr, [](floors::bare_call& c) { *static_cast<last_call&>(c).ended = true; }}, &ended};
    std::thread far([&] {
        measure::pin_to(1);
        while (!ended) there.run_some();
    });
    std::int64_t const begin = measure::now_ns();
    there.push(out);
    while (left.load() > 0) here.run_some();
    double const value = measure::per_wall(begin, trips);
    there.push(last);
    far.join();
    return value;
}
#endif

#ifdef HAVE_ASIO
double asio_send(int senders, long each) {
    asio::io_context io;
    auto const work = asio::make_work_guard(io);
    struct ended_tally : tally {
        asio::io_context* io;
        long all;
    } got{{}, &io, senders * each};
    return throughput(
        senders, each,
        [&io, to = &got](int, long) {
            asio::post(io, [to] {
                if (++to->count == to->all) to->io->stop();
            });
        },
        [&](long) {
            io.run();
        });
}
double asio_trips(long trips) {
    asio::io_context here, there;
    auto const work_here = asio::make_work_guard(here);
    auto work_there = asio::make_work_guard(there);
    long left = trips;
    std::thread far([&] {
        measure::pin_to(1);
        there.run();
    });
    std::function<void()> ping = [&] {
        asio::post(there, [&] {
            asio::post(here, [&] {
                if (--left > 0) ping();
            });
        });
    };
    std::int64_t const begin = measure::now_ns();
    ping();
    while (left > 0) here.run_one();
    double const value = measure::per_wall(begin, trips);
    work_there.reset();
    far.join();
    return value;
}
#endif
}  // namespace

int main(int count, char** arguments) {
    measure::pin_to(0);
    measure::effort const e(count, arguments);
    long const each = e.of(400'000, 1'000);
    for (int senders = 1; senders <= 2; ++senders) {
        measure::contest all(senders == 1 ? "call_from_thread_1" : "call_from_thread_2");
        all.enter("spruce", [=] { return spruce_send(senders, each / senders); });
#ifdef HAVE_BARE_INBOX
        all.enter("floor", [=] { return bare_send(senders, each / senders); });
#endif
#ifdef HAVE_ASIO
        all.enter("asio", [=] { return asio_send(senders, each / senders); });
#endif
        all.run(e);
    }
    long const trips = e.of(8'000, 100);
    measure::contest all("round_trip");
    all.enter("spruce", [=] { return spruce_trips(trips); });
#ifdef HAVE_BARE_INBOX
    all.enter("floor", [=] { return bare_trips(trips); });
#endif
#ifdef HAVE_ASIO
    all.enter("asio", [=] { return asio_trips(trips); });
#endif
    all.run(e);
}
