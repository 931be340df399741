// Rounds of tasks that only yield: ours, the floor's, boost.fiber's and C++20 coroutines. Making the tasks is not measured,
// their first entry is.
#pragma once
#include <spruce/spruce.hpp>

#include "floors/coroutine_tasks.hpp"
#include "floors/tasks_floor.hpp"
#include "measure.hpp"

#if __has_include(<boost/fiber/all.hpp>) && defined(__cpp_exceptions)
#include <boost/fiber/all.hpp>
#define HAVE_BOOST_FIBER 1
#endif

namespace yields {
struct work {
    long tasks;
    long yields;   // each
    double per_yield(std::int64_t begin) const {
        return measure::per(begin, tasks * yields);
    }
};

inline double spruce_round(spruce::loop& hub, work const& w, bool unguarded = false) {
    for (long i = 0; i < w.tasks; ++i)
        spruce::spawn({.stack_size = unguarded ? std::size_t{2048} : 0, .unguarded = unguarded}, [yields = w.yields] {
            for (long y = 0; y < yields; ++y) static_cast<void>(spruce::yield());
        });
    std::int64_t const begin = measure::cpu_ns();
    static_cast<void>(hub.run());
    return w.per_yield(begin);
}

#ifdef HAVE_BARE_SWITCH
[[gnu::noinline]] inline void bare_body(void* yields) {
    floors::bare_scheduler& s = *floors::bare_scheduler::here;
    for (long y = 0; y < *static_cast<long*>(yields); ++y) s.yield();
}
inline double bare_round(work w) {
    static floors::bare_scheduler s;
    floors::bare_scheduler::here = &s;
    for (long i = 0; i < w.tasks; ++i) s.spawn(bare_body, &w.yields);
    std::int64_t const begin = measure::cpu_ns();
    while (s.live != 0) s.yield();
    return w.per_yield(begin);
}
#endif

inline floors::coroutine_task coroutine_body(floors::coroutine_ring& ring, long yields) {
    for (long y = 0; y < yields; ++y) co_await ring.yield();
}
inline double coroutine_round(work const& w) {
    static floors::coroutine_ring ring;
    for (long i = 0; i < w.tasks; ++i) ring.push(coroutine_body(ring, w.yields).handle);
    std::int64_t const begin = measure::cpu_ns();
    ring.run();
    return w.per_yield(begin);
}

#ifdef HAVE_BOOST_FIBER
inline double boost_round(work const& w) {
    static boost::fibers::fixedsize_stack stacks(16 * 1024);
    static long live;
    live = w.tasks;
    for (long i = 0; i < w.tasks; ++i)
        boost::fibers::fiber(std::allocator_arg, boost::fibers::fixedsize_stack(stacks), [yields = w.yields] {
            for (long y = 0; y < yields; ++y) boost::this_fiber::yield();
            --live;
        }).detach();
    std::int64_t const begin = measure::cpu_ns();
    while (live != 0) boost::this_fiber::yield();
    return w.per_yield(begin);
}
#endif
}  // namespace yields
