// Timers: arming and disarming one beside many, re-arming at random, and letting a million expire.
// Ours beside its floor, and beside libuv and libev where they are installed (libuv1-dev, libev-dev). Rounds
// interleave; printed are the minimum, the median, and the ratios of the medians.
// links: -luv -lev
#include <memory>
#include <string>
#include <tuple>

#include "timer_contenders.hpp"

namespace {
using namespace timers;
using measure::figures;

struct lengths {
    std::size_t timers;
    std::size_t operations;
    int rounds;
};

// One contender at all sizes of a workload; the timer after the last stands for the one beside many.
template <class C> struct runner {
    explicit runner(std::size_t n) : all(n), it(std::make_unique<C>(n + 1)) {}
    void fill(std::size_t n) {
        for (; filled < n; ++filled) it->arm(filled, 1000 + random.below(59'000));
    }
    double add_cancel(std::size_t operations) {
        std::int64_t const begin = measure::cpu_ns();
        for (std::size_t i = 0; i < operations; ++i) {
            it->arm(all, 1000 + random.below(59'000));
            it->disarm(all);
        }
        return measure::per(begin, static_cast<long>(operations));
    }
    double rearm(std::size_t among, std::size_t operations) {
        std::int64_t const begin = measure::cpu_ns();
        for (std::size_t i = 0; i < operations; ++i) {
            std::size_t const one = random.below(static_cast<std::uint32_t>(among));
            it->disarm(one);
            it->arm(one, 1000 + random.below(59'000));
        }
        return measure::per(begin, static_cast<long>(operations));
    }
    // The processor's time: peers with a clock of their own sleep in between.
    double add_expire() {
        for (; filled > 0; --filled) it->disarm(filled - 1);
        std::int64_t const begin = measure::cpu_ns();
        for (std::size_t i = 0; i < all; ++i) it->arm(i, 1 + static_cast<std::uint32_t>(i * 7919 % 1000));
        it->expire_all(all);
        return static_cast<double>(measure::cpu_ns() - begin) / static_cast<double>(all);
    }
    std::size_t all;
    std::size_t filled = 0;
    measure::numbers random;
    std::unique_ptr<C> it;
    figures values;
};

template <class... C> struct race {
    explicit race(std::size_t n) : runners(runner<C>(n)...) {}
    template <class F> void run(std::string const& workload, int rounds, F&& one) {
        std::apply([](auto&... r) { (static_cast<void>(r.values = {}), ...); }, runners);
        for (int i = 0; i < rounds; ++i)
            std::apply([&](auto&... r) { (r.values.add(one(r)), ...); }, runners);
        double const own = std::get<0>(runners).values.median();
        std::apply([&](auto&... r) { (tell(workload, r, own), ...); }, runners);
    }
    template <class Each> void each(Each&& f) {
        std::apply([&](auto&... r) { (f(r), ...); }, runners);
    }
    template <class D> static void tell(std::string const& workload, runner<D>& r, double own) {
        measure::report(workload.c_str(), D::name, r.values, "ns");
        if constexpr (!std::is_same_v<D, ours>)
            measure::line(workload.c_str(), (std::string("spruce_to_") + D::name).c_str(), own / r.values.median(), "ratio");
    }
    std::tuple<runner<C>...> runners;
};

// What a hub does all day: a wait that ends before its deadline, a turn of the loop, the time to sleep.
void turns(std::size_t connections, std::size_t operations, int rounds, char const* name) {
    figures values;
    auto o = std::make_unique<ours>(connections);
    for (std::size_t i = 0; i < connections; ++i) o->in.arm(o->timers[i], o->now + static_cast<std::int64_t>(i) * 30'000 * ms / static_cast<std::int64_t>(connections));
    std::size_t next = 0;
    for (int round = 0; round < rounds; ++round) {
        std::int64_t const begin = measure::cpu_ns();
        for (std::size_t i = 0; i < operations; ++i) {
            // The one whose turn it is, is always the one due first.
            o->in.arm(o->timers[next], o->now + 30'000 * ms);
            next = next + 1 == connections ? 0 : next + 1;
            o->now += 30'000 * ms / static_cast<std::int64_t>(connections) / 2;
            o->in.expire(o->now, [](timer&) {});
            measure::keep(o->in.next_due_ns());
        }
        values.add(measure::per(begin, static_cast<long>(operations)));
    }
    measure::report(name, "spruce", values, "ns");
}
}  // namespace

int main(int count, char** arguments) {
    measure::pin();
    bool const brief = measure::brief(count, arguments);
    bool const quick = measure::quick(count, arguments);
    lengths const l = brief ? lengths{10'000, 10'000, 1} : quick ? lengths{100'000, 200'000, 3} : lengths{1'000'000, 1'000'000, 7};
    race<ours, bare
#ifdef HAVE_UV
         , libuv
#endif
#ifdef HAVE_EV
         , libev
#endif
         > all(l.timers);
    struct {
        std::size_t among;
        char const* tag;
    } const sizes[] = {{1'000, "_1k"}, {100'000, "_100k"}, {1'000'000, "_1m"}};
    double first = 0, last = 0;   // what adding and canceling one costs us beside the fewest, and beside the most
    for (auto const& size : sizes) {
        if (size.among > l.timers) break;
        all.each([&](auto& r) {
            r.fill(size.among);
            r.rearm(size.among, l.operations);
        });
        all.run(std::string("add_cancel") + size.tag, l.rounds, [&](auto& r) { return r.add_cancel(2 * l.operations); });
        last = std::get<0>(all.runners).values.minimum();
        if (first == 0) first = last;
        all.run(std::string("rearm") + size.tag, l.rounds, [&](auto& r) { return r.rearm(size.among, l.operations); });
    }
    figures flat;
    flat.add(last / first);
    measure::report("add_cancel_flat", "spruce", flat, "ratio");
    all.run(brief ? "add_expire_10k" : quick ? "add_expire_100k" : "add_expire_1m", l.rounds, [](auto& r) { return r.add_expire(); });
    turns(1'000, l.operations / 10, l.rounds, "turn_1k");
    if (!brief && !quick) {
        turns(100'000, l.operations / 10, l.rounds, "turn_100k");
        turns(1'000'000, l.operations / 10, l.rounds, "turn_1m");
    }
}
