#include <stdexcept>

#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
// Jobs that count how many of them run at once.
struct crowd {
    int running = 0, most = 0, ended = 0;
    std::string order;
    auto job(duration d) {
        return [this, d](int n) -> result<int> {
            most = std::max(most, ++running);
            order += std::to_string(n);
            auto const slept = sleep_for(d);
            --running;
            ++ended;
            SPRUCE_CHECK(slept);
            return n * n;
        };
    }
};
}  // namespace

TEST("a pool runs its jobs in as many tasks as it may, made when they are needed; the others wait in line") {
    auto r = run_virtually([]() -> result<void> {
        SPRUCE_TRY(loop& hub, loop::current());
        auto const tasks = [&] {
            int n = 0;
            for (auto const& t : hub.census()) n += std::string_view(t.name) == "worker" ? 1 : 0;
            return n;
        };
        crowd c;
        task_pool pool(3, {.name = "worker"});
        CHECK_EQ(tasks(), 0);
        std::vector<future<int>> f;
        for (int i = 0; i != 8; ++i) {
            SPRUCE_TRY(auto made, pool.submit(c.job(10ms), i));
            f.push_back(std::move(made));
            CHECK_EQ(tasks(), std::min(i + 1, 3));
        }
        CHECK_EQ(pool.size(), 8U);
        CHECK_EQ(c.running, 0);   // a job begins in its turn
        settle();
        CHECK_EQ(std::string_view(c.order), "012");
        for (int i = 0; i != 8; ++i) CHECK_EQ(f[static_cast<std::size_t>(i)].get().value_or(-1), i * i);
        CHECK_EQ(std::string_view(c.order), "01234567");
        CHECK_EQ(c.most, 3);
        CHECK(pool.join().ok());
        CHECK_EQ(tasks(), 0);
        // Values, results, nothing, exceptions, what cannot be copied.
        SPRUCE_TRY(auto none, pool.submit([] {}));
        SPRUCE_TRY(auto fails, pool.submit([]() -> result<int> { return errc::broken; }));
        SPRUCE_TRY(auto moves, pool.submit([](std::unique_ptr<int> p) { return p; }, std::make_unique<int>(4)));
        CHECK(none.get().ok());
        CHECK(fails.get() == errc::broken);
        CHECK_EQ(**std::move(moves).get(), 4);
#if SPRUCE_EXCEPTIONS
        SPRUCE_TRY(auto throws, pool.submit([]() -> int { throw std::runtime_error("words"); }));
        CHECK(throws.get() == errc::task_failed);
#endif
        return {};
    });
    CHECK(r.ok());
}

TEST("a full pool makes who submits wait, first come, first served; who would not wait is told") {
    auto r = run_virtually([]() -> result<void> {
        crowd c;
        task_pool pool(1, {.bound = 1});
        CHECK(pool.try_submit(c.job(10ms), 0).ok());
        CHECK(pool.try_submit(c.job(10ms), 1).ok());
        CHECK(pool.try_submit(c.job(10ms), 9) == errc::full);
        CHECK(with_deadline(in(1ms), [&] { return pool.submit(c.job(0ms), 9); }) == errc::timed_out);
        std::vector<task<void>> more;
        for (int i = 2; i != 5; ++i) more.push_back(spawn([&, i] { CHECK(pool.submit(c.job(10ms), i).ok() == (i != 3)); }));
        settle();
        more[1].cancel();
        SPRUCE_CHECK(sleep_for(15ms));
        CHECK_EQ(pool.size(), 2U);
        CHECK(pool.try_submit(c.job(10ms), 9) == errc::full);   // nobody slips in
        for (auto& t : more) CHECK(t.join().ok());
        CHECK(pool.join().ok());
        CHECK_EQ(std::string_view(c.order), "0124");
        CHECK_EQ(c.most, 1);
        // Without a line at all one waits for a task.
        task_pool direct(2, {.bound = 0});
        c.order.clear();
        for (int i = 0; i != 4; ++i) CHECK(direct.submit(c.job(10ms), i).ok());
        CHECK_EQ(std::string_view(c.order), "01");
        settle();
        CHECK_EQ(std::string_view(c.order), "0123");
        CHECK(direct.try_submit(c.job(10ms), 9) == errc::full);
        CHECK(direct.join(in(1ms)) == errc::timed_out);
        return direct.join();
    });
    CHECK(r.ok());
}

TEST("a job that is canceled before it began never does, and is gone at once; one that runs ends with its task") {
    auto r = run_virtually([]() -> result<void> {
        crowd c;
        task_pool pool(1, {.bound = 3});
        auto const life = std::make_shared<int>(0);
        SPRUCE_TRY(auto runs, pool.submit(c.job(10ms), 0));
        SPRUCE_TRY(auto waits, pool.submit([life, j = c.job(10ms)]() mutable { return j(1); }));
        SPRUCE_TRY(auto last, pool.submit(c.job(10ms), 2));
        settle();
        CHECK_EQ(life.use_count(), 2);
        CHECK(waits.cancelable() && waits.cancel());
        CHECK_EQ(life.use_count(), 1);
        CHECK(waits.done() && waits.get() == errc::task_canceled);
        CHECK(waits.get().error().is_from(waits.id()));
        CHECK(!waits.cancel());
        CHECK_EQ(pool.size(), 2U);
        CHECK(runs.cancel());
        CHECK(!runs.done());
        CHECK(runs.get() == errc::task_canceled);
        // Made, but not yet begun.
        SPRUCE_CHECK(sleep_for(1ms));
        CHECK(last.cancel());
        CHECK(last.get() == errc::task_canceled);
        SPRUCE_TRY(auto fresh, pool.submit([life] { return 3; }));
        CHECK(fresh.cancel());
        CHECK(fresh.get() == errc::task_canceled);
        CHECK(fresh.get().error().is_from(fresh.id()));
        CHECK_EQ(life.use_count(), 1);
        CHECK_EQ(pool.size(), 0U);
        // Who alone waits for a job takes it along when it is canceled.
        SPRUCE_TRY(auto busy, pool.submit(c.job(10ms), 3));
        auto waiter = spawn([&] {
            auto mine = pool.submit([life] {});
            return mine ? mine->get() : result<void>(mine.error());
        });
        settle();
        CHECK_EQ(life.use_count(), 2);
        waiter.cancel();
        CHECK(waiter.get() == errc::task_canceled);
        CHECK_EQ(life.use_count(), 1);
        CHECK(busy.get().ok());
        CHECK_EQ(std::string_view(c.order), "023");
        return pool.join();
    });
    CHECK(r.ok());
}

TEST("a pool that was shut down runs what it has, and takes no more; once or twice") {
    auto r = run_virtually([]() -> result<void> {
        crowd c;
        task_pool pool(2, {.bound = 1});
        std::vector<future<int>> f;
        for (int i = 0; i != 3; ++i) {
            SPRUCE_TRY(auto made, pool.submit(c.job(10ms), i));
            f.push_back(std::move(made));
        }
        auto waits = spawn([&] { return pool.submit(c.job(10ms), 9).ok() ? result<void>() : result<void>(errc::closed); });
        settle();
        pool.close();
        CHECK(waits.get() == errc::closed);
        CHECK(pool.submit(c.job(1ms), 9) == errc::closed);
        CHECK(pool.try_submit(c.job(1ms), 9) == errc::closed);
        CHECK(pool.shutdown(in(1ms)) == errc::timed_out);
        CHECK(pool.shutdown().ok());
        CHECK(pool.shutdown().ok());
        pool.close();
        for (auto& each : f) CHECK(each.get().ok());
        CHECK_EQ(c.ended, 3);
        task_pool none(0);
        CHECK(none.submit([] {}) == errc::invalid_argument);
        CHECK(none.join() == errc::invalid_argument);
        return {};
    });
    CHECK(r.ok());
}

TEST("the end of a pool takes back what waits, cancels what runs, and waits for it, but not for itself") {
    auto r = run_virtually([]() -> result<void> {
        crowd c;
        future<int> ran, waited;
        bool over = false;
        {
            task_pool pool(2);
            SPRUCE_TRY(ran, pool.submit(c.job(1h), 0));
            SPRUCE_TRY(auto slow, pool.submit([&] {
                static_cast<void>(sleep_for(1h));
                cancel_shield const once_more;
                over = sleep_for(1s).ok();
            }));
            SPRUCE_TRY(waited, pool.submit(c.job(1h), 1));
            settle();
        }
        CHECK(over);
        CHECK(ran.get() == errc::task_canceled);
        CHECK(waited.get() == errc::closed);
        CHECK_EQ(std::string_view(c.order), "0");
        // In one of its own jobs.
        auto pool = std::make_unique<task_pool>(1);
        bool went_on = false;
        SPRUCE_TRY(auto last, pool->submit([&] {
            pool.reset();
            went_on = sleep_for(1ms).ok();
        }));
        CHECK(last.get().ok());
        CHECK(went_on);
        return {};
    });
    CHECK(r.ok());
}

TEST("map gives the results in the order of its inputs, whoever was faster, and an error in its place") {
    auto r = run_virtually([]() -> result<void> {
        task_pool pool(3, {.bound = 2});
        int const inputs[] = {5, 1, 4, 0, 3, 2, 6};
        std::string seen;
        for (auto& n : pool.map(inputs, [](int n) -> result<int> {
                 SPRUCE_CHECK(sleep_for(n * 1ms));
                 if (n == 4) return errc::end_of_stream;   // of the job, not of the mapping
                 return n * 2;
             })) seen += n ? std::to_string(*n) + " " : std::string(n.error().name()) + " ";
        CHECK_EQ(std::string_view(seen), "10 2 end_of_stream 0 6 4 12 ");
        auto none = pool.map(std::vector<int>(), [](int) {});
        CHECK(none.next() == errc::end_of_stream);
        auto two = pool.map(std::vector<std::string>{"a", "bc"}, [](std::string const& s) { return s.size(); });
        CHECK_EQ(two.next().value_or(0), 1U);
        CHECK_EQ(two.next().value_or(0), 2U);
        CHECK(two.next() == errc::end_of_stream);
        pool.close();
        auto closed = pool.map(inputs, [](int n) { return n; });
        CHECK(closed.next() == errc::closed);
        CHECK(closed.next() == errc::end_of_stream);
        return {};
    });
    CHECK(r.ok());
}

TEST("map's time counts from its call, and when its results are dropped the rest is canceled and has ended") {
    auto r = run_virtually([]() -> result<void> {
        crowd c;
        task_pool pool(2);
        int const inputs[] = {1, 2, 3, 4, 5, 6};
        {
            auto all = pool.map(inputs, c.job(10ms), in(25ms));
            SPRUCE_CHECK(sleep_for(20ms));
            int given = 0;
            errc last{};
            for (auto& n : all) {
                if (n) ++given;
                else last = ending_of(n);
            }
            CHECK_EQ(given, 4);   // two at a time; the third pair comes after 30 ms
            CHECK(last == errc::timed_out);
            CHECK(all.next() == errc::timed_out);
            CHECK_EQ(pool.size(), 2U);
        }
        CHECK_EQ(pool.size(), 0U);
        CHECK_EQ(c.ended, 6);
        CHECK_EQ(c.running, 0);
        c = {};
        for (auto& n : pool.map(inputs, c.job(10ms)))
            if (n) break;
        CHECK_EQ(pool.size(), 0U);
        CHECK(c.ended <= 4 && c.running == 0);
        // Waiting for places is part of it.
        task_pool narrow(1, {.bound = 0});
        auto cut = narrow.map(inputs, c.job(10ms), in(15ms));
        CHECK(cut.next().ok());
        CHECK(cut.next() == errc::timed_out);
        // Who takes the results is canceled.
        auto consumer = spawn([&] {
            int seen = 0;
            for (auto& n : pool.map(inputs, c.job(1h))) seen += n == errc::canceled ? 1 : 100;
            CHECK_EQ(seen, 1);
        });
        settle();
        consumer.cancel();
        CHECK(consumer.join().ok());
        CHECK_EQ(pool.size(), 0U);
        return {};
    });
    CHECK(r.ok());
}

TEST("a job whose task cannot be made fails, and those behind it have their turn") {
    testing::simulation world(harness::as_asked());
    loop_options o;
    o.on = world.on();
    o.max_tasks = 2;
    loop hub(o);
    REQUIRE(hub.status().ok());
    task_pool pool(10);
    auto const blocker = spawn([] { return sleep_for(1s); });
    auto a = pool.submit([] { return 1; });
    auto b = pool.submit([] { return 2; });
    CHECK(a.ok() && b.ok());
    CHECK(b->get() == errc::full);
    CHECK_EQ(pool.size(), 1U);
    CHECK(hub.run().ok());
    CHECK_EQ(a->get().value_or(0), 1);
    CHECK(pool.join().ok());   // nothing is left: plain code need not wait
    task_pool small(1, {.bound = 0});
    CHECK(small.submit([] {}).ok());
    CHECK(small.submit([] {}) == errc::not_in_task);
    CHECK(small.try_submit([] {}) == errc::full);
    CHECK(hub.run().ok());
}

TEST("a thousand jobs, some canceled at random times: each ends once, and never do more run than may") {
    auto r = run_virtually([]() -> result<void> {
        harness::random dice(harness::seed());
        crowd c;
        task_pool pool(7, {.bound = 50});
        std::vector<future<int>> f;
        for (int i = 0; i != 1'000; ++i) {
            SPRUCE_TRY(auto made, pool.submit(c.job(milliseconds_below(dice, 5)), 1));
            f.push_back(std::move(made));
            if (dice.chance(30)) f[dice.below(f.size())].cancel();
        }
        CHECK(pool.shutdown().ok());
        int fine = 0, canceled = 0;
        for (auto& each : f) {
            CHECK(each.done());
            auto const how = ending_of(each.get());
            fine += how == errc{} ? 1 : 0;
            canceled += how == errc::task_canceled ? 1 : 0;
        }
        CHECK_EQ(fine + canceled, 1'000);
        CHECK(fine > 300 && canceled > 20);
        CHECK(c.most <= 7 && c.running == 0 && c.ended >= fine);
        return {};
    });
    CHECK(r.ok());
}

TEST("a job that would wait for its own pool's jobs is told of its deadlock, and the pool goes on") {
    auto r = run_virtually([]() -> result<void> {
        task_pool pool(2);
        SPRUCE_TRY(auto joins, pool.submit([&] { return pool.join(in(1h)); }));
        CHECK(joins.get() == errc::deadlock);
        SPRUCE_TRY(auto shuts, pool.submit([&] { return pool.shutdown(); }));
        CHECK(shuts.get() == errc::deadlock);
        CHECK(pool.try_submit([] {}) == errc::closed);
        CHECK(pool.join(in(1s)).ok());
        return {};
    });
    CHECK(r.ok());
}

TEST("what a job holds may destroy its pool: when the job is taken back, when it runs, and in a callback of its future") {
    struct ends_pool {
        std::unique_ptr<task_pool>* of;
        explicit ends_pool(std::unique_ptr<task_pool>* p) noexcept : of(p) {}
        ends_pool(ends_pool&& other) noexcept : of(std::exchange(other.of, nullptr)) {}
        ~ends_pool() {
            if (of) of->reset();
        }
        int operator()() const { return 1; }
    };
    auto const slow = [] { return sleep_for(1s) ? 1 : 2; };
    auto r = run_virtually([&]() -> result<void> {
        auto pool = std::make_unique<task_pool>(1);
        SPRUCE_TRY(auto runs, pool->submit(slow));
        SPRUCE_TRY(auto waits, pool->submit(ends_pool(&pool)));
        settle(1);
        CHECK(waits.cancel());
        CHECK(pool == nullptr);
        CHECK_EQ(runs.get().value_or(0), 2);   // canceled, and had its say
        pool = std::make_unique<task_pool>(1);
        SPRUCE_TRY(auto ends, pool->submit([&] { pool.reset(); return 3; }));
        SPRUCE_TRY(auto behind, pool->submit(slow));
        CHECK_EQ(ends.get().value_or(0), 3);
        CHECK(behind.get() == errc::closed);
        pool = std::make_unique<task_pool>(1);
        SPRUCE_TRY(auto first, pool->submit([] { return 4; }));
        SPRUCE_TRY(auto second, pool->submit(slow));
        first.on_done([&](result<int> const&) { pool.reset(); });
        CHECK_EQ(first.get().value_or(0), 4);
        CHECK(!second.get().ok());
        settle();
        CHECK(pool == nullptr);
        return {};
    });
    CHECK(r.ok());
}

#if SPRUCE_EXCEPTIONS
TEST("a job whose argument throws as it is copied takes no place: the pool goes on, and ends") {
    struct throws_copied {
        throws_copied() = default;
        throws_copied(throws_copied const&) { throw std::runtime_error("copy"); }
        throws_copied(throws_copied&&) = default;
    };
    auto r = run_virtually([]() -> result<void> {
        task_pool pool(1, {.bound = 1});
        int thrown = 0;
        for (int n = 0; n != 5; ++n) {
            throws_copied const argument;
            try {
                CHECK(!pool.try_submit([](throws_copied const&) {}, argument).ok());
            } catch (std::runtime_error const&) {
                ++thrown;
            }
        }
        CHECK_EQ(thrown, 5);
        CHECK_EQ(pool.size(), 0U);
        SPRUCE_TRY(auto last, pool.try_submit([] { return 7; }));
        CHECK_EQ(last.get().value_or(0), 7);
        return pool.join(in(1s));
    });
    CHECK(r.ok());
}

TEST("a job whose callable cannot be moved into its task is a failed one, and its place is another's") {
    struct moved_so_often {
        int* left;
        explicit moved_so_often(int* n) : left(n) {}
        moved_so_often(moved_so_often&& other) : left(other.left) {
            if ((*left)-- == 0) throw std::runtime_error("move");
        }
        int operator()() const { return 5; }
    };
    auto r = run_virtually([]() -> result<void> {
        SPRUCE_TRY(loop& hub, loop::current());
        int told = 0;
        hub.on_unhandled([&](unhandled const& u) { told += std::string_view(u.what) == "move"; });
        task_pool pool(1);
        int left = 0, thrown = 0, failed = 0, done = 0;
        for (int n = 0; done < 2; ++n) {
            future<void> before;   // every other time it waits in line
            if (n % 2) {
                SPRUCE_TRY(before, pool.submit([] { static_cast<void>(sleep_for(1ms)); }));
            }
            left = n / 2;
            try {
                SPRUCE_TRY(auto made, pool.submit(moved_so_often(&left)));
                auto const got = made.get();
                CHECK(got.ok() || got == errc::closed);
                ++(got.ok() ? done : failed);
            } catch (std::runtime_error const&) {
                ++thrown;
            }
            REQUIRE(pool.join(in(1s)).ok());
            CHECK_EQ(pool.size(), 0U);
        }
        CHECK_EQ(thrown, 2);
        CHECK(failed >= 2);
        CHECK_EQ(told, failed);
        return {};
    });
    CHECK(r.ok());
}
#endif
