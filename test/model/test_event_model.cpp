// An event against a simple model: who is woken by which set(), who gives up, and what its end does.
#include <algorithm>

#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

TEST_FOR(300, "an event does what its model does: set, cleared, waited for, given up and destroyed at random") {
    harness::random random(harness::seed());
    auto r = run_virtually([&]() -> result<void> {
        auto e = std::make_unique<event>();
        bool is_set = false;
        std::vector<std::unique_ptr<followed>> calls;
        model_time time(random);
        long woken = 0, ended = 0, expired = 0, canceled = 0;
        auto wake_all = [&](errc how, long& count) {
            for (auto& c : calls)
                if (c->waits) c->ends(how, count);
        };
        auto check = [&] {
            settle();
            for (auto& c : calls) {
                CHECK_EQ(c->done, !c->waits);
                if (c->done) CHECK_EQ(c->ended, c->expected);
            }
            std::erase_if(calls, [](auto& c) { return c->done; });
        };
        for (long step = 0; step != model_steps(); ++step) {
            switch (random.below(12)) {
            case 0:
                e->set();
                is_set = true;
                wake_all({}, woken);
                if (random.chance(70)) e->clear(), is_set = false;   // they are woken all the same
                break;
            case 1:
                e->clear();
                is_set = false;
                break;
            case 2:
            case 3:
                cancel_one(random, calls, canceled);
                break;
            case 4:
                if (random.chance(5)) {
                    settle(1);
                    e.reset();
                    wake_all(errc::closed, ended);
                    check();
                    e = std::make_unique<event>();
                    is_set = false;
                } else {
                    time.pass();
                    expire(calls, time.moment(), expired);
                }
                break;
            default: {
                if (calls.size() > 30) break;
                auto& c = *calls.emplace_back(std::make_unique<followed>());
                deadline const dl = time.draw(c);
                c.handle = spawn([&e = *e, &c, dl] {
                    c.ended = ending_of(e.wait(dl));
                    c.done = true;
                });
                c.waits = !is_set && c.due > time.moment();
                if (!is_set && !c.waits) c.expected = errc::timed_out;
                CHECK(yield().ok());
                break;
            }
            }
            CHECK_EQ(e->is_set(), is_set);
            if (random.chance(50)) check();   // else more in the same turn
        }
        CHECK(woken > 1'000 && expired > 300 && canceled > 300 && ended > 50);
        for (auto& c : calls) c->handle.cancel();
        settle();
        return {};
    });
    CHECK(r.ok());
}
