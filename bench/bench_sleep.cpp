// Many tasks that sleep 1 to 1,000 ms each, once: the processor's time per task, from its spawn to its end. Stacks are warm
// after the first round, which is not counted. Ours beside boost.fiber, whose million need three times the memory.
// links: -lboost_fiber -lboost_context
#include <spruce/spruce.hpp>

#include "measure.hpp"

#if __has_include(<boost/fiber/all.hpp>) && defined(__cpp_exceptions)
#include <boost/fiber/all.hpp>
#define HAVE_BOOST_FIBER 1
#endif

namespace {
long ended;
std::chrono::milliseconds length_of(long i) { return std::chrono::milliseconds(1 + i * 7919 % 1000); }
double per_task(std::int64_t begin, long tasks) {
    double const each = static_cast<double>(measure::cpu_ns() - begin) / static_cast<double>(tasks);
    if (ended != tasks) std::abort();
    ended = 0;
    return each;
}

double spruce_round(spruce::loop& hub, long tasks) {
    std::int64_t const begin = measure::cpu_ns();
    for (long i = 0; i < tasks; ++i)
        spruce::spawn([i] {
            static_cast<void>(spruce::sleep_for(length_of(i)));
            ++ended;
        });
    static_cast<void>(hub.run());
    return per_task(begin, tasks);
}
#ifdef HAVE_BOOST_FIBER
double boost_round(long tasks) {
    static boost::fibers::fixedsize_stack stacks(16 * 1024);
    std::int64_t const begin = measure::cpu_ns();
    for (long i = 0; i < tasks; ++i)
        boost::fibers::fiber(std::allocator_arg, boost::fibers::fixedsize_stack(stacks), [i] {
            boost::this_fiber::sleep_for(length_of(i));
            ++ended;
        }).detach();
    while (ended != tasks) boost::this_fiber::sleep_for(std::chrono::milliseconds(5));
    return per_task(begin, tasks);
}
#endif

void race(char const* name, long tasks, int rounds, measure::effort e) {
    std::uint64_t const free = measure::available_bytes();
    if (tasks >= 1'000'000 && free < 6'000'000'000) {
        std::printf("skipped %s under 6 GB of memory are free\n", name);
        return;
    }
    e.rounds = std::min(e.rounds, rounds);
    spruce::loop hub;
    measure::contest all(name);
    all.enter("spruce", [&] { return spruce_round(hub, tasks); });
#ifdef HAVE_BOOST_FIBER
    if (tasks < 1'000'000 || free > 19'000'000'000) all.enter("boost.fiber", [&] { return boost_round(tasks); });
#endif
    all.run(e);
}
}  // namespace

int main(int count, char** arguments) {
    measure::pin();
    measure::effort const e(count, arguments);
    if (e.rounds == 1) return race("sleep_1k", 1'000, 1, e), 0;
    race("sleep_100k", 100'000, 7, e);
    if (e.rounds == 9) race("sleep_1m", 1'000'000, 3, e);
}
