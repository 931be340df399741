// Signals from several threads to several loops, while handlers come and go.
#include <array>
#include <atomic>
#include <csignal>
#include <memory>
#include <pthread.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
constexpr std::array<int, 3> numbers{SIGUSR1, SIGUSR2, SIGHUP};
constexpr int senders = 4, hubs = 3;
// Signals of a number that were sent, and that no loop has run handlers for yet: the kernel holds one, each thread may
// be in the midst of one, and the loop was told of one. A handler made meanwhile may hear of them.
constexpr long on_their_way = 1 + senders + hubs + 1 + 1;

struct storm {
    // Counted before a signal is sent, and after: a handler hears of what lies between.
    std::array<std::atomic<long>, numbers.size()> begun{}, sent{};
    std::atomic<bool> over{false};
    std::atomic<int> ready{0};   // loops that listen
};

struct listener_record {
    std::size_t which;
    handler name;
    long sent_before;          // those of before its time
    long runs = 0, heard = 0;  // how many were begun when it was made, or ran last: of later ones it must hear
    bool canceled = false;
};

// One loop's thread: adds and cancels handlers, and runs; at the end those that are left hear the last signal.
void live(storm& s, loop_options const& options, std::uint64_t seed, long& wrong, long& runs) {
    harness::random random(seed);
    loop l(options);
    std::vector<std::unique_ptr<listener_record>> all;
    std::vector<listener_record*> live;
    auto const add = [&](std::size_t which) {
        all.push_back(std::make_unique<listener_record>());
        listener_record& r = *all.back();
        r.which = which;
        r.sent_before = s.sent[which].load();
        auto made = l.add_signal_handler(numbers[which], [&] {
            ++r.runs;
            ++runs;
            r.heard = s.begun[r.which].load();
            wrong += r.canceled || r.runs > r.heard - r.sent_before + on_their_way;
            // Now and then it takes itself back, or another.
            if (s.over || live.empty() || !random.chance(20)) return;
            std::size_t const i = random.below(live.size());
            live[i]->name.cancel();
            live[i]->canceled = true;
            live[i] = live.back();
            live.pop_back();
        });
        wrong += !made.ok();
        r.name = *made;
        r.heard = s.begun[which].load();
        live.push_back(&r);
    };
    for (std::size_t which = 0; which != numbers.size(); ++which) add(which);
    ++s.ready;
    while (!s.over) {
        if (live.size() < 12 && random.chance(60)) add(random.below(numbers.size()));
        if (!live.empty() && random.chance(40)) {
            std::size_t const i = random.below(live.size());
            wrong += !live[i]->name.cancel();
            live[i]->canceled = true;
            live[i] = live.back();
            live.pop_back();
        }
        if (random.chance(1)) {
            // The last one of a signal goes, and with it the loop's interest.
            std::size_t const which = random.below(numbers.size());
            l.remove_signal_handlers(numbers[which]);
            std::erase_if(live, [&](listener_record* r) { return r->which == which && (r->canceled = true); });
        }
        static_cast<void>(l.run_once(in(500us)));
    }
    auto const all_heard = [&] {
        for (listener_record* r : live)
            if (r->heard != s.begun[r->which].load()) return false;
        return true;
    };
    // Who was there for the last signal runs after it.
    wrong += !l.run_until(all_heard, in(20s)).ok();
}
}  // namespace

TEST_FOR(600, "signals from four threads to three loops: no handler misses the last, or runs for none, or after its cancel") {
    if (harness::simulated()) harness::skip("the real kernel's signals");
    if (harness::option("signals") == "signalfd") harness::skip("one signalfd takes the signal from the others");
    // When nobody listens the disposition is this again, and not the end of the program.
    for (int const number : numbers) std::signal(number, [](int) {});
    harness::world w;
    storm s;
    long const each = (harness::nightly() ? 1'000'000 : 100'000) / senders;
    std::array<long, hubs> wrong{}, runs{};
    std::vector<std::thread> loops, pool;
    for (std::size_t i = 0; i != hubs; ++i)
        loops.emplace_back([&, i] { live(s, w.options(), harness::seed() * 31 + i, wrong[i], runs[i]); });
    while (s.ready != hubs) std::this_thread::yield();
    for (int t = 0; t != senders; ++t) {
        pool.emplace_back([&, t] {
            harness::random random(harness::seed() * 77 + static_cast<std::uint64_t>(t));
            for (long n = 0; n != each; ++n) {
                std::size_t const which = random.below(numbers.size());
                ++s.begun[which];
                ::kill(::getpid(), numbers[which]);
                ++s.sent[which];
            }
        });
    }
    for (auto& t : pool) t.join();
    s.over = true;
    for (auto& t : loops) t.join();
    for (std::size_t i = 0; i != hubs; ++i) {
        CHECK_EQ(wrong[i], 0L);
        CHECK(runs[i] != 0);
    }
    for (int const number : numbers) std::signal(number, SIG_DFL);
}
