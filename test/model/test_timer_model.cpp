// Timers as objects, and timed functions, against a simple model of what is due when: started, stopped, ended, from plain
// code and from their own and other calls, with beats that come late because the clock was moved.
#include <algorithm>
#include <deque>
#include <optional>

#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
constexpr std::size_t count = 6;
constexpr timer_policy policies[] = {timer_policy::once, timer_policy::many, timer_policy::restart};
// A timer fires late by a tick at most, and so does the sleep of who looks.
constexpr duration slack = 200us;

class campaign {
public:
    campaign(testing::simulation& w, harness::random& r) : world_(w), random_(r) {
        for (std::size_t i = 0; i != count; ++i) make_beat(i), make_shot(i), make_timed(i);
    }
    void run() {
        for (step_ = 0; step_ != model_steps(); ++step_) {
            if (random_.chance(60)) {
                change();
                continue;
            }
            if (random_.chance(10)) world_.advance(std::chrono::microseconds(random_.below(100'000)));
            time_point const until = loop_clock::now() + 1us + milliseconds_below(random_, 25);   // a turn, at least
            REQUIRE(sleep_until(until).ok());
            REQUIRE(yield().ok());   // behind those that are due in the same tick: the clock moves between two turns
            look(until);
        }
        CHECK(beats_ > 1'000 && skipped_ > 30 && shots_ > 1'000 && calls_ > 1'000 && ignored_ > 100 && stopped_ > 1'000 && within_ > 300);
    }

private:
    struct beat {
        std::unique_ptr<timer> object;
        bool active = false, now = false;   // now: it is called in the next pass, too
        long begun = 0;                     // in which step
        time_point due{};
        duration period{};
        std::uint64_t starts = 0;
    };
    struct shot {
        std::unique_ptr<one_shot_timer> object;
        bool active = false;
        time_point due{};
    };
    struct late_call {
        long number;
        time_point due;
    };
    struct call_later {
        campaign* of;
        std::size_t which;
        void operator()(long number) const {
            campaign* const c = of;   // the function may end within its own call
            c->called(which, number);
        }
    };
    struct timed_one {
        std::optional<timed_function<call_later>> object;
        duration after{};
        std::deque<late_call> calls;
    };

    void make_beat(std::size_t i) {
        beats_of_[i] = {std::make_unique<timer>([this, i] { return beat_came(i); })};
    }
    void make_shot(std::size_t i) {
        shots_of_[i] = {std::make_unique<one_shot_timer>([this, i] { shot_came(i); })};
    }
    void make_timed(std::size_t i) {
        auto& t = timed_of_[i];
        t.after = std::chrono::milliseconds(1 + random_.below(40));
        t.calls.clear();
        t.object.emplace(timed(t.after, call_later{this, i}, policies[i % 3]));
    }
    // Nobody who was due clearly before it still waits.
    void in_turn(time_point due) {
        CHECK(due <= loop_clock::now());
        for (auto& b : beats_of_) CHECK(!b.active || b.due + slack >= due);
        for (auto& s : shots_of_) CHECK(!s.active || s.due + slack >= due);
        for (auto& t : timed_of_) CHECK(t.calls.empty() || t.calls.front().due + slack >= due);
    }
    bool beat_came(std::size_t i) {
        auto* const c = this;   // the callable may go within its call
        beat& b = c->beats_of_[i];
        REQUIRE(b.active);
        if (b.now) {
            b.now = false;
        } else {
            c->in_turn(b.due);
            auto const missed = (loop_clock::now() - b.due) / b.period;
            c->skipped_ += missed;
            b.due += (missed + 1) * b.period;
            ++c->beats_;
        }
        std::uint64_t const starts = b.starts;
        c->meddle();
        if (b.starts != starts) return c->random_.chance(50);   // begun anew, or gone: what it returns does not matter
        bool const on = c->random_.chance(85);
        if (!on) b.active = b.now = false;
        return on;
    }
    void shot_came(std::size_t i) {
        auto* const c = this;
        shot& s = c->shots_of_[i];
        REQUIRE(s.active);
        c->in_turn(s.due);
        s.active = false;
        CHECK(!s.object->active());
        ++c->shots_;
        c->meddle();
    }
    void called(std::size_t i, long number) {
        timed_one& t = timed_of_[i];
        REQUIRE(!t.calls.empty());
        in_turn(t.calls.front().due);
        CHECK_EQ(number, t.calls.front().number);
        t.calls.pop_front();
        ++calls_;
        meddle();
    }
    void meddle() {
        for (auto n = random_.chance(40) ? 1 + random_.below(2) : 0; n != 0; --n) change(), ++within_;
    }

    void change() {
        std::size_t const i = random_.below(count);
        auto const what = random_.below(12);
        if (what < 4) change_beat(i, what);
        else if (what < 8) change_shot(i, what - 4);
        else change_timed(i, what - 8);
    }
    void change_beat(std::size_t i, std::uint64_t what) {
        beat& b = beats_of_[i];
        if (what == 0) {
            CHECK_EQ(b.object->stop(), b.active);
            stopped_ += b.active;
            b.active = b.now = false;
            ++b.starts;
        } else if (what == 1 && random_.chance(30)) {
            std::uint64_t const starts = b.starts;
            b.object.reset();
            make_beat(i);
            b.starts = starts + 1;
        } else {
            b.period = std::chrono::microseconds(1'000 + random_.below(30'000));
            b.now = random_.chance(30);
            CHECK(b.object->start(b.period, b.now).ok());
            b.active = true;
            b.begun = step_;
            b.due = loop_clock::now() + b.period;
            ++b.starts;
        }
        CHECK_EQ(b.object->active(), b.active);
    }
    void change_shot(std::size_t i, std::uint64_t what) {
        shot& s = shots_of_[i];
        if (what == 0) {
            CHECK_EQ(s.object->stop(), s.active);
            stopped_ += s.active;
            s.active = false;
        } else if (what == 1 && random_.chance(30)) {
            s.object.reset();
            make_shot(i);
        } else {
            auto const d = std::chrono::microseconds(random_.below(30'000));
            CHECK(s.object->start(d).ok());
            s.active = true;
            s.due = loop_clock::now() + d;
        }
        CHECK_EQ(s.object->active(), s.active);
    }
    void change_timed(std::size_t i, std::uint64_t what) {
        timed_one& t = timed_of_[i];
        bool const waits = !t.calls.empty();
        if (what == 0) {
            CHECK_EQ(t.object->stop(), waits);
            stopped_ += waits;
            t.calls.clear();
        } else if (what == 1 && random_.chance(20)) {
            t.object.reset();
            make_timed(i);
        } else if (t.calls.size() < 8) {
            auto const policy = policies[i % 3];
            bool const taken = policy != timer_policy::once || !waits;
            ignored_ += !taken;
            CHECK_EQ((*t.object)(++numbers_), taken);
            if (policy == timer_policy::restart) t.calls.clear();
            if (taken) t.calls.push_back({numbers_, loop_clock::now() + t.after});
        }
    }
    // Whoever was due was called.
    void look(time_point until) {
        auto const late = until - slack;
        for (auto& b : beats_of_) {
            CHECK_EQ(b.object->active(), b.active);
            CHECK(!b.active || (b.due >= late && (!b.now || b.begun == step_)));
        }
        for (auto& s : shots_of_) {
            CHECK_EQ(s.object->active(), s.active);
            CHECK(!s.active || s.due >= late);
        }
        for (auto& t : timed_of_) CHECK(t.calls.empty() || t.calls.front().due >= late);
    }

    testing::simulation& world_;
    harness::random& random_;
    beat beats_of_[count];
    shot shots_of_[count];
    timed_one timed_of_[count];
    long step_ = 0, beats_ = 0, skipped_ = 0, shots_ = 0, calls_ = 0, numbers_ = 0, ignored_ = 0, stopped_ = 0, within_ = 0;
};
}  // namespace

TEST_FOR(300, "timers and timed functions do what their model does: started, stopped, ended, called and late at random") {
    harness::random random(harness::seed());
    testing::simulation world(harness::as_asked());
    auto r = spruce::run(loop_options{.on = world.on()}, [&] { campaign(world, random).run(); });
    CHECK(r.ok());
}
