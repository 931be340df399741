// Random operations on futures, against a simple model of who has which outcome.
#include <algorithm>

#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
constexpr int count = 8;

struct slot {
    promise<int> in;
    future<int> out;
    bool cancelable = false;   // on_cancel()
    int follows = -1;
    bool done = false;
    errc ended{};
    int value = 0;
    int subscribers = 0;
    long told = 0, expected_told = 0;   // on_done's calls
    long stopped = 0, expected_stopped = 0;   // on_cancel's
};
struct waiter : followed {
    int at = 0;
    int got = 0, wanted = 0;
};

struct world {
    slot slots[count];
    std::vector<std::unique_ptr<waiter>> waiters;

    bool wanted(int i, int besides) const {
        for (auto const& w : waiters)
            if (w->waits && w->at == i) return true;
        for (int j = 0; j != count; ++j)
            if (j != besides && !slots[j].done && slots[j].follows == i) return true;
        return slots[i].subscribers != 0;
    }
    bool leads(int from, int to) const {
        for (; from >= 0; from = slots[from].done ? -1 : slots[from].follows)
            if (from == to) return true;
        return false;
    }
    void resolve(int i, errc how, int value) {
        slot& s = slots[i];
        s.done = true;
        s.ended = how;
        s.value = value;
        s.expected_told += std::exchange(s.subscribers, 0);
        for (auto& w : waiters) {
            if (!w->waits || w->at != i) continue;
            w->waits = false;
            w->expected = how;
            w->wanted = value;
        }
        for (int j = 0; j != count; ++j)
            if (!slots[j].done && slots[j].follows == i) resolve(j, how, value);
    }
    bool can_cancel(int i) const {
        while (!slots[i].done && slots[i].follows >= 0 && !slots[i].cancelable) i = slots[i].follows;
        return !slots[i].done && slots[i].cancelable;
    }
    void cancel(int i) {
        while (slots[i].follows >= 0 && !slots[i].cancelable && !wanted(slots[i].follows, i)) i = slots[i].follows;
        slots[i].follows = -1;
        if (slots[i].cancelable) ++slots[i].expected_stopped;
        resolve(i, errc::task_canceled, 0);
    }
    // Who no longer waits because it was canceled takes the future along.
    void gives_up(waiter& w, errc how) {
        w.waits = false;
        w.expected = how;
        if (how == errc::canceled && !wanted(w.at, -1) && can_cancel(w.at)) cancel(w.at);
    }
};
}  // namespace

TEST_FOR(300, "a long random run of futures that are set, followed, canceled, awaited and dropped goes as a simple model says") {
    auto r = run_virtually([]() -> result<void> {
        harness::random dice(harness::seed());
        world w;
        model_time time(dice);
        for (auto& s : w.slots) s.out = s.in.get_future();
        auto check = [&] {
            settle(6);
            for (auto& s : w.slots) {
                CHECK_EQ(s.out.done(), s.done);
                if (s.done) CHECK_EQ(ending_of(s.out.get()), s.ended);
                CHECK_EQ(s.told, s.expected_told);
                CHECK_EQ(s.stopped, s.expected_stopped);
            }
            for (auto& each : w.waiters) {
                CHECK_EQ(each->done, !each->waits);
                if (each->waits) continue;
                CHECK_EQ(each->ended, each->expected);
                if (each->ended == errc{}) CHECK_EQ(each->got, each->wanted);
            }
            std::erase_if(w.waiters, [](auto const& each) { return !each->waits; });
        };
        for (long step = 0; step != model_steps(); ++step) {
            int const i = static_cast<int>(dice.below(count)), j = static_cast<int>(dice.below(count));
            slot& s = w.slots[i];
            bool const open = !s.done && s.follows < 0;
            errc const refused = open ? errc{} : errc::wrong_state;
            switch (dice.below(12)) {
            case 0: {
                int const value = static_cast<int>(dice.below(1000));
                CHECK_EQ(ending_of(s.in.set(value)), refused);
                if (open) w.resolve(i, {}, value);
                break;
            }
            case 1:
                CHECK_EQ(ending_of(s.in.fail(errc::broken)), refused);
                if (open) w.resolve(i, errc::broken, 0);
                break;
            case 2:
            case 3: {
                errc const expected = !open ? errc::wrong_state : w.leads(j, i) ? errc::deadlock : errc{};
                CHECK_EQ(ending_of(s.in.follow(w.slots[j].out)), expected);
                if (expected != errc{}) break;
                s.follows = j;
                if (w.slots[j].done) w.resolve(i, w.slots[j].ended, w.slots[j].value);
                break;
            }
            case 4:
            case 5:
            case 6: {
                auto& f = *w.waiters.emplace_back(std::make_unique<waiter>());
                f.at = i;
                deadline const dl = time.draw(f);
                f.waits = !s.done;
                f.expected = s.ended;
                f.wanted = s.value;
                if (f.waits && f.due == time.moment()) f.waits = false, f.expected = errc::timed_out;
                f.handle = spawn([&f, dl, from = s.out]() mutable {
                    auto got = from.get(dl);
                    f.ended = ending_of(got);
                    f.got = got.value_or(0);
                    f.done = true;
                });
                settle(1);
                break;
            }
            case 7:
                s.out.on_done([&s](result<int> const&) { ++s.told; });
                s.done ? ++s.expected_told : ++s.subscribers;
                break;
            case 8:
                if (s.done || s.cancelable) break;
                s.in.on_cancel([&s] { ++s.stopped; });
                s.cancelable = true;
                break;
            case 9: {
                bool const can = w.can_cancel(i);
                CHECK_EQ(s.out.cancelable(), can);
                CHECK_EQ(s.out.cancel(), can);
                if (can) w.cancel(i);
                break;
            }
            case 10:
                if (w.waiters.empty()) break;
                if (auto& f = *w.waiters[dice.below(w.waiters.size())]; f.waits) {
                    f.handle.cancel();
                    w.gives_up(f, errc::canceled);
                }
                break;
            case 11:
                check();
                if (s.done || (open && dice.chance(30))) {
                    // A new one in its place; the old promise, if there is no outcome, goes without.
                    s.in = promise<int>();
                    if (!s.done) w.resolve(i, errc::closed, 0);
                    check();
                    s.out = s.in.get_future();
                    s.done = s.cancelable = false;
                    s.follows = -1;
                    s.ended = {};
                }
                time.pass();
                for (auto& each : w.waiters)
                    if (each->waits && each->due <= time.moment()) w.gives_up(*each, errc::timed_out);
                break;
            }
            if (dice.chance(30)) check();
        }
        for (auto& s : w.slots) s.in = promise<int>();
        for (int i = 0; i != count; ++i)
            if (!w.slots[i].done && w.slots[i].follows < 0) w.resolve(i, errc::closed, 0);
        check();
        CHECK(w.waiters.empty());
        return {};
    });
    CHECK(r.ok());
}
