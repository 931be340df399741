// How the cost of tasks grows with their number, 10 to 1,000,000: a yield among n that do nothing else, a wake-up among n
// that wait, a task spawned and joined beside n that wait, and n spawned together. Flat but for the caches: each task
// touched needs the lines of its stack. Ours beside the floor and coroutines, which go to 100,000, and boost.fiber.
// links: -lboost_fiber -lboost_context
#include <spruce/spruce.hpp>

#include <memory>
#include <string>

#include "yield_rounds.hpp"

namespace {
constexpr long biggest_of_others = 100'000;   // the rings of the floor and of the coroutines hold no more than 2^18

// A million tasks touch a page each at the least, and the page tables; with what else runs, under 6 GB are too few.
bool room_for(long tasks) { return tasks < 1'000'000 || measure::available_bytes() > 6'000'000'000; }
std::string name_of(char const* what, long n) { return std::string("grow_") + what + "_" + std::to_string(n); }

void yield_among(long n, long yields, measure::effort const& e) {
    spruce::loop hub;
    yields::work const w{n, yields};
    measure::contest all(name_of("yield", n));
    all.enter("spruce", [&] { return yields::spruce_round(hub, w); });
    if (n <= biggest_of_others) {
#ifdef HAVE_BARE_SWITCH
        all.enter("floor", [&] { return yields::bare_round(w); });
#endif
        all.enter("coroutine", [&] { return yields::coroutine_round(w); });
#ifdef HAVE_BOOST_FIBER
        all.enter("boost.fiber", [&] { return yields::boost_round(yields::work{n, yields / 4 + 1}); });
#endif
    }
    all.run(e);
}

// Many tasks, each of which waits for an event of its own, again and again.
struct crowd {
    explicit crowd(long n) : size(n), events(std::make_unique<spruce::event[]>(static_cast<std::size_t>(n))) {
        for (long i = 0; i < n; ++i)
            spruce::spawn([this, i] {
                while (!over) static_cast<void>(events[static_cast<std::size_t>(i)].wait());
            });
        static_cast<void>(spruce::yield());   // all wait
    }
    ~crowd() {
        over = true;
        wake_all();
    }
    void wake_all() {
        for (long i = 0; i < size; ++i) {
            spruce::event& one = events[static_cast<std::size_t>(i)];
            one.set();
            one.clear();
        }
        static_cast<void>(spruce::yield());   // all have come and wait again
    }
    long size;
    std::unique_ptr<spruce::event[]> events;
    bool over = false;
};

void beside(long n, long operations, measure::effort const& e) {
    spruce::loop hub;
    spruce::spawn([&] {
        crowd all(n);
        measure::contest wake(name_of("park_wake", n));
        wake.enter("spruce", [&] {
            long const rounds = operations / n + 1;
            std::int64_t const begin = measure::cpu_ns();
            for (long i = 0; i < rounds; ++i) all.wake_all();
            return static_cast<double>(measure::cpu_ns() - begin) / static_cast<double>(rounds * n);
        });
        wake.run(e);
        measure::contest join(name_of("spawn_join_beside", n));
        join.enter("spruce", [&] {
            std::int64_t const begin = measure::cpu_ns();
            for (long i = 0; i < operations; ++i) static_cast<void>(spruce::spawn([] {}).join());
            return static_cast<double>(measure::cpu_ns() - begin) / static_cast<double>(operations);
        });
        join.run(e);
    });
    static_cast<void>(hub.run());
}

void spawn_together(long n, long operations, measure::effort const& e) {
    spruce::loop hub;
    measure::contest all(name_of("spawn_run", n));
    all.enter("spruce", [&] {
        long const batches = operations / n + 1;
        std::int64_t const begin = measure::cpu_ns();
        for (long b = 0; b < batches; ++b) {
            for (long i = 0; i < n; ++i) spruce::spawn([] {});
            static_cast<void>(hub.run());
        }
        return static_cast<double>(measure::cpu_ns() - begin) / static_cast<double>(batches * n);
    });
    all.run(e);
}
}  // namespace

int main(int count, char** arguments) {
    measure::pin();
    measure::effort const whole(count, arguments);
    long const last = whole.rounds == 1 ? 1'000 : whole.rounds < 9 ? 100'000 : 1'000'000;
    for (long n = 10; n <= last; n *= 10) {
        if (!room_for(n)) {
            for (char const* what : {"yield", "park_wake", "spawn_join_beside", "spawn_run"})
                std::printf("skipped %s under 6 GB of memory are free\n", name_of(what, n).c_str());
            continue;
        }
        measure::effort e = whole;
        if (n >= 100'000) e.rounds = std::min(e.rounds, 5);
        long const operations = whole.of(500'000, 1'000);
        yield_among(n, std::max(2 * operations / n, 4L), e);
        beside(n, operations, e);
        spawn_together(n, operations, e);
    }
}
