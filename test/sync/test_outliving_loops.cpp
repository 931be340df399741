#include <unistd.h>

#include "virtual_tasks.hpp"

#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;

TEST("what waits for time, for jobs, for values or for an emitter may outlive its loop, and says how that ended it") {
    testing::simulation world(harness::as_asked());
    loop_options o;
    o.on = world.on();
    emitter<int> news;
    auto const life = std::make_shared<int>(0);
    future<void> delayed;
    future<int> limited, emission, first, second;
    std::unique_ptr<promise<int>> original;
    std::unique_ptr<task_pool> pool;
    generator<int> numbers;
    event_bus<int> bus;
    connection subscription;
    {
        loop hub(o);
        REQUIRE(hub.status().ok());
        delayed = delay(1h);
        original = std::make_unique<promise<int>>();
        limited = time_limit(original->get_future(), in(1h));
        emission = as_future(news);
        pool = std::make_unique<task_pool>(1);
        auto const job = [life] { return sleep_for(1h) ? 1 : 2; };
        auto a = pool->submit(job), b = pool->submit(job);
        REQUIRE(a.ok() && b.ok());
        first = *std::move(a);
        second = *std::move(b);
        numbers = generator<int>([life](yielder<int>& yield) { while (yield(1)) {} });
        subscription = bus.subscribe({}, async_function([life](std::string_view, int) { sleep_for(1h); }));
        REQUIRE(bus.post("x", 1).ok());
        CHECK(hub.run_once(in(0s)).ok());
        CHECK(hub.destroy().ok());
    }
    CHECK(delayed.done() && !delayed.get().ok());
    CHECK(!limited.get().ok());
    CHECK_EQ(first.get().value_or(0), 2);   // it was cancelled, and had its say
    CHECK(!second.get().ok());
    CHECK(!emission.get().ok());
    pool.reset();
    numbers = {};
    original.reset();
    subscription = {};
    CHECK_EQ(life.use_count(), 1);
}

TEST("a future of a child's end has its exit status; and several may wait for it") {
    if (harness::simulated()) harness::skip("children of the real kernel");
    harness::world w;
    auto r = run(w.options(), []() -> result<void> {
        int const pid = ::fork();
        if (pid == 0) ::_exit(7);
        auto gone = as_future<exited>(pid);
        auto other = spawn([gone]() mutable { return gone.get(); });
        SPRUCE_TRY(auto status, gone.get(in(10s)));
        CHECK_EQ(status.code(), 7);
        CHECK_EQ(other.get()->code(), 7);
        CHECK(as_future<exited>(pid).get() == errc::invalid_argument);
        return {};
    });
    CHECK(r.ok());
}
