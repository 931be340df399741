// Spawning: a task that does nothing, made, run and joined one at a time; in batches that are let go, counted by the
// tasks themselves; and in batches that a group joins. Ours beside its floor, boost.fiber and C++20 coroutines on the
// heap. Stacks are warm: the first round, which is not counted, has made them.
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
    long tasks;    // a batch; 1: each is joined
    long batches;
    double per_task(std::int64_t begin) const {
        return measure::per(begin, tasks * batches);
    }
};
long live;   // volatile in spirit: tasks count it down

// Runs `all` as a task of the hub, and gives what it gave.
template <class F> double in_task(spruce::loop& hub, F&& all) {
    double value = 0;
    spruce::spawn([&] { value = all(); });
    static_cast<void>(hub.run());
    return value;
}

double spruce_one(work const& w) {
    std::int64_t const begin = measure::cpu_ns();
    for (long b = 0; b < w.batches; ++b) static_cast<void>(spruce::spawn([] { --live; }).join());
    return w.per_task(begin);
}
double spruce_batch(work const& w) {
    std::int64_t const begin = measure::cpu_ns();
    for (long b = 0; b < w.batches; ++b) {
        live = w.tasks;
        for (long i = 0; i < w.tasks; ++i) spruce::spawn([] { --live; });
        while (live != 0) static_cast<void>(spruce::yield());
    }
    return w.per_task(begin);
}
double spruce_group(work const& w) {
    std::int64_t const begin = measure::cpu_ns();
    for (long b = 0; b < w.batches; ++b) {
        spruce::task_group group;
        for (long i = 0; i < w.tasks; ++i) group.spawn([] { --live; });
        static_cast<void>(group.join());
    }
    return w.per_task(begin);
}

#ifdef HAVE_BARE_SWITCH
double bare_round(work const& w) {
    static floors::bare_scheduler s;
    floors::bare_scheduler::here = &s;
    std::int64_t const begin = measure::cpu_ns();
    for (long b = 0; b < w.batches; ++b) {
        for (long i = 0; i < w.tasks; ++i) s.spawn([](void* counted) { --*static_cast<long*>(counted); }, &live);
        while (s.live != 0) s.yield();
    }
    return w.per_task(begin);
}
#endif

floors::coroutine_task coroutine_body() {
    --live;
    co_return;
}
floors::coroutine_task coroutine_one(floors::coroutine_ring& ring, work w, double* value) {
    std::int64_t const begin = measure::cpu_ns();
    for (long b = 0; b < w.batches; ++b) {
        floors::coroutine_task const t = coroutine_body();
        ring.push(t.handle);
        co_await floors::join(ring, t);
    }
    *value = w.per_task(begin);
}
floors::coroutine_task coroutine_batch(floors::coroutine_ring& ring, work w, double* value) {
    std::int64_t const begin = measure::cpu_ns();
    for (long b = 0; b < w.batches; ++b) {
        live = w.tasks;
        for (long i = 0; i < w.tasks; ++i) ring.push(coroutine_body().handle);
        while (live != 0) co_await ring.yield();
    }
    *value = w.per_task(begin);
}
double coroutine_round(work const& w) {
    static floors::coroutine_ring ring;
    double value = 0;
    ring.push((w.tasks == 1 ? coroutine_one(ring, w, &value) : coroutine_batch(ring, w, &value)).handle);
    ring.run();
    return value;
}

#ifdef HAVE_BOOST_FIBER
// Its pooled stacks, small ones, are the quickest it has.
double boost_round(work const& w) {
    static boost::fibers::pooled_fixedsize_stack stacks(16 * 1024);
    auto const make = [] {
        return boost::fibers::fiber(std::allocator_arg, boost::fibers::pooled_fixedsize_stack(stacks), [] { --live; });
    };
    std::int64_t const begin = measure::cpu_ns();
    for (long b = 0; b < w.batches; ++b) {
        if (w.tasks == 1) {
            make().join();
            continue;
        }
        live = w.tasks;
        for (long i = 0; i < w.tasks; ++i) make().detach();
        while (live != 0) boost::this_fiber::yield();
    }
    return w.per_task(begin);
}
#endif

using ours = double (*)(work const&);
void race(char const* name, ours own, work w, measure::effort const& e) {
    spruce::loop hub;
    measure::contest all(name);
    all.enter("spruce", [&] { return in_task(hub, [&] { return own(w); }); });
#ifdef HAVE_BARE_SWITCH
    all.enter("floor", [&] { return bare_round(w); });
#endif
    all.enter("coroutine", [&] { return coroutine_round(w); });
#ifdef HAVE_BOOST_FIBER
    work const fewer{w.tasks, w.batches / 8 + 1};
    all.enter("boost.fiber", [&] { return boost_round(fewer); });
#endif
    all.run(e);
}
}  // namespace

int main(int count, char** arguments) {
    measure::pin();
    measure::effort const e(count, arguments);
    race("spawn_join", spruce_one, {1, e.of(1'000'000)}, e);
    race("spawn_batch_1000", spruce_batch, {1'000, e.of(500)}, e);
    race("spawn_group_1000", spruce_group, {1'000, e.of(500)}, e);
    race("spawn_batch_10000", spruce_batch, {10'000, e.of(50)}, e);
}
