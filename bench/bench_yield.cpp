// Yield: among 2, 1,000 and 100,000 tasks that do nothing else. Ours beside its floor, boost.fiber and C++20
// coroutines. Making the tasks is not measured, their first entry is.
// links: -lboost_fiber -lboost_context
#include <spruce/spruce.hpp>

#include "floors/coroutine_tasks.hpp"
#include "floors/tasks_floor.hpp"
#include "measure.hpp"

#if __has_include(<boost/fiber/all.hpp>) && defined(__cpp_exceptions)
#include <boost/fiber/all.hpp>
#define HAVE_BOOST_FIBER 1
#endif

namespace {
struct work {
    long tasks;
    long yields;   // each
    double per_yield(std::int64_t begin) const {
        return measure::per(begin, tasks * yields);
    }
};

double spruce_round(spruce::loop& hub, work const& w) {
    for (long i = 0; i < w.tasks; ++i)
        spruce::spawn([yields = w.yields] {
            for (long y = 0; y < yields; ++y) static_cast<void>(spruce::yield());
        });
    std::int64_t const begin = measure::now_ns();
    static_cast<void>(hub.run());
    return w.per_yield(begin);
}

#ifdef HAVE_BARE_SWITCH
[[gnu::noinline]] void bare_body(void* yields) {
    floors::bare_scheduler& s = *floors::bare_scheduler::here;
    for (long y = 0; y < *static_cast<long*>(yields); ++y) s.yield();
}
double bare_round(work w) {
    static floors::bare_scheduler s;
    floors::bare_scheduler::here = &s;
    for (long i = 0; i < w.tasks; ++i) s.spawn(bare_body, &w.yields);
    std::int64_t const begin = measure::now_ns();
    while (s.live != 0) s.yield();
    return w.per_yield(begin);
}
#endif

floors::coroutine_task coroutine_body(floors::coroutine_ring& ring, long yields) {
    for (long y = 0; y < yields; ++y) co_await ring.yield();
}
double coroutine_round(work const& w) {
    static floors::coroutine_ring ring;
    for (long i = 0; i < w.tasks; ++i) ring.push(coroutine_body(ring, w.yields).handle);
    std::int64_t const begin = measure::now_ns();
    ring.run();
    return w.per_yield(begin);
}

#ifdef HAVE_BOOST_FIBER
double boost_round(work const& w) {
    static boost::fibers::fixedsize_stack stacks(16 * 1024);
    static long live;
    live = w.tasks;
    for (long i = 0; i < w.tasks; ++i)
        boost::fibers::fiber(std::allocator_arg, boost::fibers::fixedsize_stack(stacks), [yields = w.yields] {
            for (long y = 0; y < yields; ++y) boost::this_fiber::yield();
            --live;
        }).detach();
    std::int64_t const begin = measure::now_ns();
    while (live != 0) boost::this_fiber::yield();
    return w.per_yield(begin);
}
#endif

void race(char const* name, work w, measure::effort const& e) {
    spruce::loop hub;
    measure::contest all(name);
    all.enter("spruce", [&] { return spruce_round(hub, w); });
#ifdef HAVE_BARE_SWITCH
    all.enter("floor", [&] { return bare_round(w); });
#endif
    all.enter("coroutine", [&] { return coroutine_round(w); });
#ifdef HAVE_BOOST_FIBER
    work const fewer{w.tasks, w.yields / 4 + 1};
    all.enter("boost.fiber", [&] { return boost_round(fewer); });
#endif
    all.run(e);
}
}  // namespace

int main(int count, char** arguments) {
    measure::pin();
    measure::effort const e(count, arguments);
    race("yield_2", {2, e.of(1'000'000)}, e);
    race("yield_1000", {1'000, e.of(2'000)}, e);
    race("yield_100000", {e.of(100'000, 1'000) < 100'000 && e.rounds == 1 ? 1'000 : 100'000, e.of(20, 2)}, e);
}
