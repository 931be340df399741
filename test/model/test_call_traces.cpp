// Two functions of one group, whose calls pause at an interval: all that can happen to three calls under each policy,
// against a model. (Functions by themselves: future/test_async_function_policies.cpp.)
#include <optional>

#include "../sync/virtual_tasks.hpp"
#include "traces.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
constexpr call_policy policies[] = {call_policy::each, call_policy::synchronized, call_policy::singleton, call_policy::pass_last};
constexpr int calls = 3, nobody = -1;
char digit(int n) { return static_cast<char>('0' + n); }

enum class op { call, go, time_passes, cancel, drop, end_group };
constexpr int ops = static_cast<int>(op::end_group) + 1;
struct step {
    op what;
    int which;   // the function, or the call
};
int choices(op what) { return what == op::call ? 2 : what == op::time_passes || what == op::end_group ? 1 : calls; }

// A call logs its begin, waits to be let go, pauses, and logs its end and that of the one that was the last before it.
struct stage {
    explicit stage(call_policy policy) {
        async_options const o{.policy = policy, .interval = 10ms, .group = &*group};
        for (int i : {0, 1})
            function[i].emplace([this, i](call_context<int>& call, int n) -> result<int> {
                auto last = call.last();
                (log += 'b') += digit(n);
                log += static_cast<char>('x' + i);
                auto went = go[n].wait();
                if (went) went = yield();
                (log += went ? 'e' : 'c') += digit(n);
                if (last.wait(in(0s)) != errc::wrong_state) log += last.done() ? digit(last.get().value_or(9)) : '?';
                if (!went) return went.error();
                return n;
            }, o);
    }
    void take(step s) {
        auto const w = static_cast<std::size_t>(s.which);
        switch (s.what) {
        case op::call:
            futures.push_back((*function[w])(static_cast<int>(futures.size())));
            break;
        case op::go: go[w].set(); break;
        case op::time_passes: REQUIRE(sleep_for(11ms).ok()); break;
        case op::cancel: futures[w].cancel(); break;
        case op::drop: futures[w] = {}; break;
        case op::end_group: group.reset(); break;
        }
        settle(8);
    }
    std::string log;
    event go[calls];
    std::optional<policy_group> group{std::in_place};
    std::optional<async_function<result<int>(int)>> function[2];
    std::vector<future<int>> futures;
};

// What should come of it.
struct model {
    enum state : char { none, queued, running, pausing, value, canceled, closed };
    explicit model(call_policy p) : policy(p) {}
    call_policy policy;
    struct one {
        state is = none;
        int as = nobody;        // whose future it has
        int function = 0, last = nobody;
        bool go = false, dropped = false;
        bool lives() const { return is == running || is == pausing; }
        bool waits() const { return is == queued || lives(); }
    } of[calls];
    int made = 0;
    bool group = true;
    std::string log{};

    std::string key() const {
        std::string k{digit(made), group ? 'g' : '-'};
        for (auto const& c : of) {
            k += digit(c.is), k += digit(c.as + 1), k += digit(c.function), k += digit(c.last + 1);
            k += c.go ? 'g' : '-', k += c.dropped ? 'd' : '-';
        }
        for (int i : pause_order()) k += digit(i);
        return k;
    }
    bool can(step s) const {
        switch (s.what) {
        case op::call: return group && made != calls;
        case op::go: return !of[s.which].go;
        case op::cancel:
        case op::drop: return s.which < made && !of[s.which].dropped;
        case op::end_group: return group;
        default: return true;
        }
    }
    void begin(int i) {
        (log += 'b') += digit(i);
        log += static_cast<char>('x' + of[i].function);
        of[i].is = of[i].go ? pausing : running;
    }
    void end(int i, state how) {
        bool const ran = of[i].lives();
        of[i].is = how;
        if (!ran) return;
        (log += how == value ? 'e' : 'c') += digit(i);
        // Who was canceled cannot ask for the last one's value.
        if (int const last = of[i].last; last != nobody) log += of[last].lives() ? '?' : how == value && of[last].is == value ? digit(last) : '9';
        for (int j = 0; j != made; ++j)
            if (of[j].is == queued) return begin(j);
    }
    void take(step s) {
        happens(s);
        note_pauses();
    }
    void happens(step s) {
        switch (s.what) {
        case op::call: {
            int const i = made++;
            one& c = of[i];
            c.as = i;
            c.function = s.which;
            bool beside = false;
            for (int j = 0; j != i; ++j) {
                if (!of[j].waits()) continue;
                beside = true;
                if (policy == call_policy::singleton) c.as = j;
                if (policy == call_policy::pass_last) c.last = j;
            }
            if (c.as != i) break;
            if (beside && policy == call_policy::synchronized) c.is = queued;
            else begin(i);
            break;
        }
        case op::go:
            of[s.which].go = true;
            if (of[s.which].is == running) of[s.which].is = pausing;
            break;
        case op::time_passes: {
            // Those that pause end in the order in which they began to; who begins by that pauses after them.
            auto const due = pause_order();
            for (int j : due) end(j, value);
            break;
        }
        case op::cancel: {
            int const i = of[s.which].as;
            if (of[i].waits()) end(i, canceled);
            break;
        }
        case op::drop: of[s.which].dropped = true; break;
        case op::end_group:
            group = false;
            for (auto& c : of)
                if (c.is == queued) c.is = closed;
            break;
        }
    }
    std::vector<int> pause_order() const {
        std::vector<int> all;
        for (int i : began_pause)
            if (of[i].is == pausing) all.push_back(i);
        return all;
    }
    void note_pauses() {
        for (int i = 0; i != made; ++i) {
            bool known = false;
            for (int j : began_pause) known |= j == i;
            if (of[i].is == pausing && !known) began_pause.push_back(i);
        }
    }
    std::vector<int> began_pause{};
};

void compare(model const& m, stage& real) {
    CHECK_EQ(std::string_view(real.log), std::string_view(m.log));
    for (int i = 0; i != m.made; ++i) {
        if (m.of[i].dropped) continue;
        auto& f = real.futures[static_cast<std::size_t>(i)];
        auto const& c = m.of[m.of[i].as];
        CHECK_EQ(f.done(), !c.waits());
        if (c.is == model::value) CHECK_EQ(f.get().value_or(-1), m.of[i].as);
        if (c.is == model::canceled) CHECK_EQ(ending_of(f.get()), errc::task_canceled);
        if (c.is == model::closed) CHECK_EQ(ending_of(f.get()), errc::closed);
    }
}

void run_trace(call_policy policy, std::vector<step> const& trace) {
    model m(policy);
    stage real(policy);
    for (step s : trace) {
        m.take(s);
        real.take(s);
        compare(m, real);
    }
    for (int i = 0; i != calls; ++i)
        if (!m.of[i].go) m.take({op::go, i}), real.take({op::go, i});
    for (int i = 0; i != calls; ++i) m.take({op::time_passes, 0}), real.take({op::time_passes, 0});
    compare(m, real);   // also those that nobody could ask any more have run
}
}  // namespace

TEST_FOR(60, "all traces of three calls of a group's two functions, with pauses, under each policy go as the model says") {
    auto r = run_virtually([]() -> result<void> {
        for (call_policy policy : policies) {
            auto const all = try_all_traces(model(policy), steps_of<step>(ops, choices), harness::nightly() ? 8 : 5,
                                            [&](std::vector<step> const& trace) { run_trace(policy, trace); });
            CHECK(all.traces > 1'000);
        }
        return {};
    });
    CHECK(r.ok());
}
