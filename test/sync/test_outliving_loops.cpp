#include <atomic>
#include <thread>
#include <utility>
#include <vector>

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
        subscription = bus.subscribe({}, async_function([life](std::string_view, int) { static_cast<void>(sleep_for(1h)); }));
        REQUIRE(bus.post("x", 1).ok());
        CHECK(hub.run_once(in(0s)).ok());
        CHECK(hub.destroy().ok());
    }
    CHECK(delayed.done() && !delayed.get().ok());
    CHECK(!limited.get().ok());
    CHECK_EQ(first.get().value_or(0), 2);   // it was canceled, and had its say
    CHECK(!second.get().ok());
    CHECK(!emission.get().ok());
    pool.reset();
    numbers = {};
    original.reset();
    subscription = {};
    CHECK_EQ(life.use_count(), 1);
}

namespace {
// One of everything, made by a task.
struct one_of_each {
    mutex lock;
    semaphore permits{1};
    event happened;
    barrier meeting{2};
    wait_group work;
    channel<int> places{1}, none;
    queue<int> items{2};
    mailbox<int> box;
    emitter<int> news;
    emitted<int> heard{news};
    called<int> asked;
    event_bus<int> bus;
    generator<int> numbers{[](yielder<int>& yield) -> result<void> {
        SPRUCE_CHECK(yield(1));
        return yield(2);
    }};
    task_pool pool{1};
    promise<int> given;
    shared_channel<int> shared{1};
    timer beat{[] {}};
    task_group group;
    task<int> ended = spawn([] { return 1; });
    one_of_each() { work.add(); }

    // On a thread that has no loop any more: what need not wait is done, and the rest says why not.
    void answer() {
        constexpr auto waits = errc::not_in_task;
        message_filter const x{.accept = {"x"}};
        CHECK(lock.lock().ok());
        CHECK(permits.acquire().ok());
        CHECK(permits.try_acquire().ok());
        CHECK(wait_any(permits).ok());
        CHECK(happened.wait() == waits);
        CHECK(wait_any(happened, none) == waits);
        happened.set();
        CHECK(happened.wait().ok() && wait_any(happened).ok());
        CHECK(meeting.wait() == waits);
        CHECK(work.wait() == waits);
        CHECK(work.done().ok() && work.wait().ok());
        CHECK(places.send(1).ok() && places.receive().ok());
        CHECK(places.receive() == waits);
        CHECK(none.send(1) == waits);
        places.close();
        CHECK(places.send(1) == errc::closed);
        CHECK(places.receive() == errc::end_of_stream);
        CHECK(items.push(1).ok() && items.take().ok());
        CHECK(items.take() == waits);
        CHECK(box.send({"x", 1}).ok() && box.receive(x).ok());
        CHECK(box.receive(x) == waits);
        news.emit(1);
        CHECK(wait_any(heard).ok());
        CHECK(wait_any(heard) == waits);
        CHECK(asked(1).ok() && wait_any(asked).ok());
        CHECK(bus.post("x", 1) == errc::no_loop);
        CHECK_EQ(numbers.next().value_or(0), 1);
        CHECK(numbers.next() == errc::task_canceled);
        CHECK(!numbers.cancel() && !numbers.active());
        CHECK(pool.submit([] {}) == errc::closed);
        CHECK(pool.try_submit([] {}) == errc::closed);
        CHECK(pool.shutdown() == errc::closed);
        auto const f = given.get_future();
        CHECK(given.set(1) == errc::closed);
        CHECK(f.wait() == errc::closed);
        CHECK(!f.cancel() && !f.on_done([](result<int> const&) {}));
        CHECK(shared.send(1).ok() && shared.receive().ok());
        CHECK(shared.receive(in(0s)) == errc::timed_out);
        CHECK(ended.join().ok() && !ended.cancel());
        CHECK_EQ(ended.get().value_or(0), 1);
        CHECK(async_function([] { return 1; })().get() == errc::no_loop);
        CHECK(delay(1s).get() == errc::no_loop);
        CHECK(as_future(news).get() == errc::no_loop);
        CHECK(beat.start(1s) == errc::no_loop);
        CHECK(!beat.active());
        CHECK(group.join().ok());
        CHECK(!group.spawn([] {}).join().ok());
    }
};
}  // namespace

TEST("everything that tasks wait for answers each call when its loop was destroyed, and when that is gone, too") {
    for (bool const gone : {false, true}) {
        // A thread: the main one would get another loop.
        std::thread([gone] {
            std::unique_ptr<one_of_each> all;
            testing::simulation world(harness::as_asked());
            {
                loop hub(loop_options{.on = world.on()});
                harness::needed([&] { all = std::make_unique<one_of_each>(); });
                static_cast<void>(hub.run());   // the generator's task goes on waiting
                REQUIRE(all != nullptr);
                CHECK(hub.destroy().ok());
                if (!gone) all->answer();
            }
            if (gone) all->answer();
        }).join();
    }
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

TEST("a task's handle may be dropped on another thread at any moment of its loop's end, and its outcome ends once") {
    if (harness::simulated() || !harness::option("host").empty()) harness::skip("threads with loops of their own");
    harness::random random(harness::seed());
    std::atomic<int> values = 0;
    struct counted_value {
        std::atomic<int>* count;
        explicit counted_value(std::atomic<int>& c) : count(&c) { ++*count; }
        counted_value(counted_value&& other) noexcept : count(std::exchange(other.count, nullptr)) {}
        ~counted_value() {
            if (count) --*count;
        }
    };
    for (int round = 0; round != (SPRUCE_TSAN || SPRUCE_ASAN ? 200 : 2'000); ++round) {
        std::vector<task<counted_value>> handles;
        std::atomic<int> step = 0;
        std::thread other([&] {
            loop l;
            for (int i = 0; i != 4; ++i) handles.push_back(spawn([&] { return counted_value(values); }));
            CHECK(l.run().ok());
            step = 1;
            while (step != 2) {}
            CHECK(l.destroy().ok());
        });
        while (step != 1) {}
        step = 2;
        for (auto n = random.below(3'000); n != 0; --n) std::atomic_signal_fence(std::memory_order_seq_cst);
        handles.clear();
        other.join();
        CHECK_EQ(values.load(), 0);
    }
}
