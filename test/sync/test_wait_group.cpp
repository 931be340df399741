#include <deque>

#include "virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

TEST("a wait group wakes all who wait, in the order they came, when the last work is done") {
    auto r = run_virtually([]() -> result<void> {
        wait_group work;
        CHECK(work.wait().ok());   // nothing to be done
        CHECK(work.done() == errc::wrong_state);
        work.add(2);
        work.add();
        std::string seen;
        task_group g;
        for (char c : {'a', 'b', 'c'}) g.spawn([&, c] {
            if (work.wait()) seen += c;
        });
        settle();
        CHECK(work.done().ok() && work.done().ok());
        settle();
        CHECK_EQ(seen.size(), 0U);
        CHECK(work.done().ok());
        work.add();   // they are through, whatever comes now
        REQUIRE(g.join().ok());
        CHECK_EQ(std::string_view(seen), "abc");
        CHECK(work.wait(in(1ms)) == errc::timed_out);
        CHECK(work.wait(in(0s)) == errc::timed_out);
        CHECK(work.done().ok());
        CHECK(work.done() == errc::wrong_state);
        return {};
    });
    CHECK(r.ok());
}

TEST("a wait group serves plain code as long as it need not wait, and its end wakes with closed") {
    auto work = std::make_unique<wait_group>();
    CHECK(work->wait().ok());
    work->add();
    CHECK(work->wait() == errc::not_in_task);
    auto r = run_virtually([&]() -> result<void> {
        auto a = spawn([&] { return work->wait(); });
        auto b = spawn([&] { return work->wait(); });
        settle();
        b.cancel();
        work.reset();
        CHECK(a.get() == errc::closed);
        CHECK(b.get() == errc::task_canceled);
        return {};
    });
    CHECK(r.ok());
}

TEST_FOR(60, "of a thousand who wait for work half give up at random, and each of the others is woken once, at its end") {
    harness::random random(harness::seed());
    for (int round = 0; round != (harness::nightly() ? 200 : 4); ++round) {
        auto r = run_virtually([&]() -> result<void> {
            constexpr int crowd = 1'000;
            wait_group work;
            work.add(50);
            int served = 0, gave_up = 0, left = 50;
            std::vector<task<void>> tasks;
            for (int i = 0; i != crowd; ++i)
                tasks.push_back(spawn([&] {
                    if (!work.wait(random.chance(25) ? in(milliseconds_below(random, 80)) : deadline())) return void(++gave_up);
                    CHECK_EQ(left, 0);
                    ++served;
                }));
            settle();
            while (left != 0) {
                for (int i = 0; i != 7; ++i) tasks[random.below(crowd)].cancel();
                CHECK(sleep_for(1ms).ok());
                --left;
                CHECK(work.done().ok());
            }
            for (auto& t : tasks) REQUIRE(t.join().ok());
            CHECK_EQ(served + gave_up, crowd);
            CHECK(served > 100 && gave_up > 100);
            return {};
        });
        CHECK(r.ok());
    }
}

TEST_FOR(300, "a wait group does what its model does: work, deadlines and cancels at random") {
    harness::random random(harness::seed());
    auto r = run_virtually([&]() -> result<void> {
        wait_group work;
        std::size_t left = 0;
        std::deque<std::unique_ptr<followed>> calls;
        model_time time(random);
        long served = 0, expired = 0, canceled = 0;
        for (long step = 0; step != model_steps(); ++step) {
            switch (random.below(9)) {
            case 0:
            case 1: {
                if (calls.size() > 30) break;
                auto& c = *calls.emplace_back(std::make_unique<followed>());
                deadline const dl = time.draw(c);
                c.handle = spawn([&work, &c, dl] {
                    c.ended = ending_of(work.wait(dl));
                    c.done = true;
                });
                if (left && c.due <= time.moment()) c.expected = errc::timed_out;
                else c.waits = left != 0;
                CHECK(yield().ok());
                break;
            }
            case 2: {
                std::size_t const n = left < 3 ? random.below(3) : 0;
                work.add(n);
                left += n;
                break;
            }
            case 3:
            case 4:
            case 5: {
                CHECK(left ? work.done().ok() : work.done() == errc::wrong_state);
                if (left == 0 || --left != 0) break;
                for (auto& c : calls)
                    if (c->waits) c->ends(errc{}, served);
                break;
            }
            case 6:
                cancel_one(random, calls, canceled);
                break;
            default:
                time.pass();
                expire(calls, time.moment(), expired);
                break;
            }
            if (random.chance(50)) continue;   // more in the same turn
            settle();
            for (auto i = calls.begin(); i != calls.end();) {
                followed& c = **i;
                CHECK_EQ(c.done, !c.waits);
                if (c.done) CHECK(c.ended == c.expected);
                if (c.done) i = calls.erase(i);
                else ++i;
            }
        }
        CHECK(served > 1'000 && expired > 300 && canceled > 300);
        for (auto& c : calls) c->handle.cancel();
        settle();
        return {};
    });
    CHECK(r.ok());
}
