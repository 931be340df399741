// A future, one that follows it, and three tasks that wait in every way: all that can happen to them, one thing after
// another, against a table of what each thing does.
#include <algorithm>
#include <optional>

#include "../sync/virtual_tasks.hpp"
#include "traces.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
// How a task waits for the future.
enum class way : char {
    plain,      // get()
    timed,      // … with a deadline
    shield,     // through future::shield()
    refusing,   // in a cancel_shield
    follower,   // for the one that follows it, or will
    any         // in a wait_any()
};
constexpr int ways = 6, tasks = 3;

enum class op : char {
    start,   // the next task, `which` way
    cancel_task, time_passes, set, fail, abandon, on_cancel, cancel, cancel_follower, follow, subscribe, subscribe_follower,
    look,    // at the outcome
    drop     // the handle
};
constexpr int ops = static_cast<int>(op::drop) + 1;
struct step {
    op what;
    int which;
};
int choices(op what) { return what == op::start ? ways : what == op::cancel_task ? tasks : 1; }

constexpr errc pending = errc::would_wait;

// What should come of it.
struct model {
    struct one {
        errc outcome = pending;
        int subscribers = 0, told = 0;
    };
    struct task_state {
        bool started = false, canceled_in_shield = false;
        way how{};
        errc ended = pending;
        bool waits() const { return started && ended == pending; }
    };
    one f, g;
    bool promise = true, cancelable = false, follows = false, handle = true, looked = false;
    int stopped = 0;   // how often on_cancel() was called
    task_state of[tasks];
    int started = 0;

    std::string key() const {
        std::string k, each[tasks];
        for (one const* x : {&f, &g}) k += static_cast<char>(x->outcome), k += static_cast<char>('0' + x->subscribers);
        for (bool b : {promise, cancelable, follows, handle, looked}) k += b ? '1' : '0';
        for (int i = 0; i != tasks; ++i) {
            auto const& t = of[i];
            if (t.started) each[i] = {static_cast<char>('a' + static_cast<int>(t.how)), t.waits() ? 'w' : 'e', t.canceled_in_shield ? 'c' : '-'};
        }
        std::sort(each, each + tasks);
        for (auto const& e : each) k += e;
        return k;
    }
    bool can(step s) const {
        switch (s.what) {
        case op::start: return started != tasks && (handle || static_cast<way>(s.which) == way::follower);
        case op::cancel_task: return of[s.which].waits();
        case op::abandon: return promise;
        case op::on_cancel: return promise && !cancelable;
        case op::set:
        case op::fail: return promise;
        case op::follow: return handle;
        case op::subscribe: return handle && f.subscribers + f.told < 2;
        case op::subscribe_follower: return g.subscribers + g.told < 2;
        case op::cancel:
        case op::look:
        case op::drop: return handle;
        default: return true;
        }
    }
    bool waits_for(way w) const {
        return std::any_of(of, of + tasks, [w](auto& t) { return t.waits() && t.how == w; });
    }
    // Who wants it, besides the follower, which asks.
    bool wanted() const {
        return f.subscribers != 0 || waits_for(way::plain) || waits_for(way::timed) || waits_for(way::shield) ||
               waits_for(way::refusing) || waits_for(way::any);
    }
    bool follower_wanted() const { return g.subscribers != 0 || waits_for(way::follower); }
    bool can_cancel() const { return f.outcome == pending && cancelable; }
    bool can_cancel_follower() const { return g.outcome == pending && follows && can_cancel(); }

    void resolve_follower(errc how) {
        g.outcome = how;
        g.told += std::exchange(g.subscribers, 0);
        for (auto& t : of)
            if (t.waits() && t.how == way::follower) end(t, how);
    }
    void resolve(errc how) {
        f.outcome = how;
        if (f.subscribers != 0) looked = true;
        f.told += std::exchange(f.subscribers, 0);
        for (auto& t : of)
            if (t.waits() && t.how != way::follower) end(t, how);
        if (!follows || g.outcome != pending) return;
        if (g.subscribers != 0) looked = true;
        resolve_follower(how);
    }
    void end(task_state& t, errc how) {
        t.ended = how;
        if (how == f.outcome) looked = true;
    }
    void cancel_it() {
        ++stopped;
        resolve(errc::task_canceled);
    }
    void cancel_follower_of_it() {
        if (!wanted()) return cancel_it();   // and the follower with it
        follows = false;
        resolve_follower(errc::task_canceled);
    }
    void cancel_waiter(task_state& t) {
        if (t.how == way::refusing) return void(t.canceled_in_shield = true);
        t.ended = errc::canceled;
        if (t.how == way::plain || t.how == way::timed) {
            if (!wanted() && !(follows && g.outcome == pending) && can_cancel()) cancel_it();
        } else if (t.how == way::follower) {
            if (!follower_wanted() && can_cancel_follower()) cancel_follower_of_it();
        }
    }
    void take(step s) {
        switch (s.what) {
        case op::start: {
            auto& t = of[started++];
            t.started = true;
            t.how = static_cast<way>(s.which);
            errc const now = t.how == way::follower ? g.outcome : f.outcome;
            if (now != pending) end(t, now);
            break;
        }
        case op::cancel_task: cancel_waiter(of[s.which]); break;
        case op::time_passes:
            for (auto& t : of)
                if (t.waits() && t.how == way::timed) t.ended = errc::timed_out;
            break;
        case op::set:
            if (f.outcome == pending) resolve({});
            break;
        case op::fail:
            if (f.outcome == pending) resolve(errc::broken);
            break;
        case op::abandon:
            promise = false;
            if (f.outcome == pending) resolve(errc::closed);
            break;
        case op::on_cancel: cancelable = f.outcome == pending; break;
        case op::cancel:
            if (can_cancel()) cancel_it();
            break;
        case op::cancel_follower:
            if (can_cancel_follower()) cancel_follower_of_it();
            break;
        case op::follow:
            if (g.outcome != pending || follows) break;
            follows = true;
            if (f.outcome != pending) {
                if (g.subscribers != 0) looked = true;
                resolve_follower(f.outcome);
            }
            break;
        case op::subscribe:
            ++f.subscribers;
            if (f.outcome != pending) f.told += std::exchange(f.subscribers, 0), looked = true;
            break;
        case op::subscribe_follower:
            ++g.subscribers;
            if (g.outcome == pending) break;
            if (g.outcome == f.outcome) looked = true;
            g.told += std::exchange(g.subscribers, 0);
            break;
        case op::look: looked |= f.outcome != pending; break;
        case op::drop: handle = false; break;
        }
    }
};

// The same with the library.
struct stage {
    struct waiter {
        task<void> handle;
        errc ended = pending;
        bool canceled_after = false;
    };
    waiter of[tasks];
    int started = 0, stopped = 0, told = 0, told_follower = 0;
    std::optional<promise<int>> in{std::in_place}, follower{std::in_place};
    future<int> f = in->get_future(), g = follower->get_future();

    errc ask(way how, future<int> from) {
        switch (how) {
        case way::timed: return ending_of(from.get(in_ten));
        case way::shield: {
            auto kept = std::exchange(from, {}).shield();
            return ending_of(kept.get());
        }
        case way::refusing: {
            cancel_shield none;
            return ending_of(from.get());
        }
        case way::any: {
            auto won = wait_any(from);
            return won ? ending_of(won->get<0>()) : ending_of(won);
        }
        default: return ending_of(from.get());
        }
    }
    // Returns what the call gave, of those that can be refused.
    errc take(step s) {
        errc said{};
        switch (s.what) {
        case op::start: {
            auto& t = of[started++];
            auto const how = static_cast<way>(s.which);
            t.handle = spawn([this, &t, how, from = how == way::follower ? g : f]() mutable {
                t.ended = ask(how, std::move(from));
                t.canceled_after = yield() == errc::canceled;
            });
            break;
        }
        case op::cancel_task: of[s.which].handle.cancel(); break;
        case op::time_passes: REQUIRE(sleep_for(20ms).ok()); break;
        case op::set: said = ending_of(in->set(1)); break;
        case op::fail: said = ending_of(in->fail(errc::broken)); break;
        case op::abandon: in.reset(); break;
        case op::on_cancel: in->on_cancel([this] { ++stopped; }); break;
        case op::cancel: said = f.cancel() ? errc{} : errc::wrong_state; break;
        case op::cancel_follower: said = g.cancel() ? errc{} : errc::wrong_state; break;
        case op::follow: said = ending_of(follower->follow(f)); break;
        case op::subscribe: f.on_done([this](result<int> const&) { ++told; }); break;
        case op::subscribe_follower: g.on_done([this](result<int> const&) { ++told_follower; }); break;
        case op::look: said = f.done() ? ending_of(f.get()) : pending; break;
        case op::drop: f = {}; break;
        }
        settle(6);
        return said;
    }
    static constexpr deadline in_ten = deadline(deadline::kind::relative, 10'000'000);
};
// What the call should give.
errc answer(model const& before, step s) {
    switch (s.what) {
    case op::set:
    case op::fail: return before.f.outcome == pending ? errc{} : errc::wrong_state;
    case op::cancel: return before.can_cancel() ? errc{} : errc::wrong_state;
    case op::cancel_follower: return before.can_cancel_follower() ? errc{} : errc::wrong_state;
    case op::follow: return before.g.outcome == pending && !before.follows ? errc{} : errc::wrong_state;
    case op::look: return before.f.outcome;
    default: return {};
    }
}

void compare(model const& m, stage const& real) {
    for (int i = 0; i != tasks; ++i) {
        CHECK_EQ(real.of[i].ended, m.of[i].ended);
        if (m.of[i].started && !m.of[i].waits()) CHECK_EQ(real.of[i].canceled_after, m.of[i].canceled_in_shield || m.of[i].ended == errc::canceled);
    }
    if (m.handle) {
        CHECK_EQ(real.f.done(), m.f.outcome != pending);
        CHECK_EQ(real.f.failed(), m.f.outcome != pending && m.f.outcome != errc{});
        CHECK_EQ(real.f.cancelable(), m.can_cancel());
    }
    CHECK_EQ(real.g.done(), m.g.outcome != pending);
    CHECK_EQ(real.g.cancelable(), m.can_cancel_follower());
    CHECK_EQ(real.stopped, m.stopped);
    CHECK_EQ(real.told, m.f.told);
    CHECK_EQ(real.told_follower, m.g.told);
}

// Runs the trace, compares after each step, and lets all go: an error that nobody looked at is told then, once.
void run_trace(std::vector<step> const& trace, long& unseen) {
    long const before = unseen;
    model m;
    {
        stage real;
        for (step s : trace) {
            errc const right = answer(m, s);
            m.take(s);
            CHECK_EQ(real.take(s), right);
            compare(m, real);
            CHECK_EQ(unseen, before + (!m.handle && !m.promise && m.f.outcome == errc::broken && !m.looked && !m.follows));
        }
        real.in.reset();
        if (m.f.outcome == pending) m.resolve(errc::closed);
        real.follower.reset();
        if (m.g.outcome == pending) m.resolve_follower(errc::closed);
        settle(6);
        compare(m, real);
        for (int i = 0; i != m.started; ++i) CHECK(real.of[i].handle.done());
    }
    settle(2);
    CHECK_EQ(unseen, before + (m.f.outcome == errc::broken && !m.looked));
}
}  // namespace

TEST_FOR(60, "all traces of three tasks, a future and its follower, to five steps and more, go as a table says") {
    auto r = run_virtually([]() -> result<void> {
        SPRUCE_TRY(loop& hub, loop::current());
        long unseen = 0;
        hub.on_unhandled([&](unhandled const&) { ++unseen; });
        auto const all = try_all_traces(model(), steps_of<step>(ops, choices), harness::nightly() ? 8 : 5,
                                        [&](std::vector<step> const& trace) { run_trace(trace, unseen); });
        CHECK(all.states > 1'000 && all.traces > 20'000);
        return {};
    });
    CHECK(r.ok());
}
