// A generator against a simple model: which values are made when, who gets which, and how it ends for whom.
#include <algorithm>

#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
// A call that takes a value; -1 until it has one.
struct taking : followed {
    long got = -1, wanted = -1;
};

struct generator_model {
    explicit generator_model(harness::random& r) : random(r), time(r) { begin(); }

    harness::random& random;
    model_time time;
    std::unique_ptr<generator<long>> values;
    std::unique_ptr<semaphore> gate;     // a permit lets one more value be made
    long really_made = 0;
    std::vector<std::unique_ptr<taking>> calls;
    // The model's.
    long look_ahead = 0, length = 0, gates = 0;
    long made = 0, taken = 0;
    long asked = 0, unclaimed = 0;       // unclaimed: asked for by calls that ended without one
    bool ended = false;
    errc how{}, last_how{};              // how it will end, and has
    long served = 0, expired = 0, canceled = 0, told_end = 0, destroyed = 0, stopped = 0;

    void begin() {
        look_ahead = static_cast<long>(random.below(4));
        length = static_cast<long>(random.below(40));
        constexpr errc ends[] = {errc::end_of_stream, errc::broken, SPRUCE_EXCEPTIONS ? errc::task_failed : errc::broken};
        how = ends[random.below(3)];
        gates = made = taken = asked = unclaimed = really_made = 0;
        ended = false;
        gate = std::make_unique<semaphore>(0);
        values = std::make_unique<generator<long>>([this](yielder<long>& yield) -> result<void> {
            for (long i = 0; i != length; ++i) {
                SPRUCE_TRY(auto pass, gate->acquire());
                pass.keep();
                ++really_made;
                SPRUCE_CHECK(yield(i));
            }
            if (how == errc::broken) return errc::broken;
#if SPRUCE_EXCEPTIONS
            if (how == errc::task_failed) throw 1;
#endif
            return {};
        }, generator_options{.look_ahead = static_cast<std::size_t>(look_ahead)});
    }
    // Whether the function comes to its next value: the last one has a place, and another one is wanted.
    bool goes_on() const { return !ended && made - taken <= look_ahead + 1 && made < look_ahead + asked; }
    // All that can happen by itself.
    void go_on() {
        while (goes_on() && made != length && made < gates) {
            ++made;
            for (auto& c : calls) {
                if (!c->waits) continue;
                c->ends({}, served);
                c->wanted = taken++;
                break;
            }
        }
        if (goes_on() && made == length) end(how);
    }
    void stop() {
        if (made - taken == look_ahead + 2) --made, --really_made;   // the one that it could not give
        end(errc::task_canceled);
    }
    void end(errc why) {
        ended = true;
        last_how = why;
        for (auto& c : calls)
            if (c->waits) c->ends(why, told_end);
    }
    // Those that end without a value leave what they have asked for.
    template <class F> void lose_some(F&& f) {
        auto const waiting = [&] { return std::count_if(calls.begin(), calls.end(), [](auto& c) { return c->waits; }); };
        auto const before = waiting();
        f();
        unclaimed += before - waiting();
    }
    void take() {
        if (calls.size() > 6) return;
        auto& c = *calls.emplace_back(std::make_unique<taking>());
        deadline const dl = time.draw(c);
        bool const among_others = c.due > time.moment() && random.chance(40);
        c.handle = spawn([this, &c, dl, among_others] {
            auto const got = among_others ? first(dl) : values->next(dl);
            c.ended = ending_of(got);
            c.got = got.value_or(-1);
            c.done = true;
        });
        if (unclaimed != 0) --unclaimed;
        else ++asked;
        if (made != taken) {
            c.ends({}, served);
            c.wanted = taken++;
        } else if (ended) {
            c.ends(last_how, told_end);
        } else if (c.due <= time.moment()) {
            c.ends(errc::timed_out, expired);
            ++unclaimed;
        } else {
            c.waits = true;
        }
    }
    result<long> first(deadline dl) {
        SPRUCE_TRY(auto won, wait_any(*values, dl));
        return won.index() == 1 ? result<long>(errc::timed_out) : won.template get<0>();
    }
    void check() {
        go_on();
        settle(8);
        CHECK_EQ(really_made, made);
        CHECK_EQ(values->active(), !ended || made != taken);
        for (auto& c : calls) {
            CHECK_EQ(c->done, !c->waits);
            if (!c->done) continue;
            CHECK_EQ(c->ended, c->expected);
            CHECK_EQ(c->got, c->wanted);
        }
        std::erase_if(calls, [](auto& c) { return c->done; });
    }
    void step() {
        switch (random.below(10)) {
        case 0:
        case 1:
        case 2:
            for (auto n = 1 + random.below(3); n != 0; --n, ++gates) CHECK(gate->release().ok());
            // Some give up before it is made.
            if (random.chance(20)) lose_some([&] { cancel_one(random, calls, canceled); });
            break;
        case 3:
            lose_some([&] { cancel_one(random, calls, canceled); });
            break;
        case 4:
            time.pass();
            lose_some([&] { expire(calls, time.moment(), expired); });
            break;
        case 5:
            if (random.chance(5)) {
                stopped += !ended;
                CHECK_EQ(values->cancel(), !ended);
                if (!ended) stop();
            } else if (random.chance(20)) {
                auto moved = std::move(*values);
                *values = std::move(moved);
            }
            break;
        case 6:
            if (random.chance(ended ? 60 : 5)) {
                destroyed += !ended;
                if (!ended) stop();
                values.reset();
                settle(8);
                for (auto& c : calls) CHECK(c->done && c->ended == c->expected);
                calls.clear();
                begin();
            }
            break;
        default:
            take();
            break;
        }
        check();
    }
};
}  // namespace

TEST_FOR(300, "a generator does what its model does: made, asked for, given up, canceled, moved and destroyed at random") {
    harness::random random(harness::seed());
    auto r = run_virtually([&]() -> result<void> {
        SPRUCE_TRY(loop& hub, loop::current());
        hub.on_unhandled([](unhandled const&) {});   // ends that nobody looked at
        generator_model m(random);
        m.check();
        for (long i = 0; i != model_steps(); ++i) m.step();
        CHECK(m.served > 5'000 && m.expired > 300 && m.canceled > 300 && m.told_end > 300);
        CHECK(m.destroyed > 20 && m.stopped > 20);
        for (auto& c : m.calls) c->handle.cancel();
        settle();
        return {};
    });
    CHECK(r.ok());
}
