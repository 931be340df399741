// The policies as a table, and all that can happen to three calls, against a model.
#include "../sync/virtual_tasks.hpp"

#include "../model/traces.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
constexpr call_policy policies[] = {call_policy::each, call_policy::synchronized, call_policy::singleton, call_policy::pass_last};
char digit(int n) { return static_cast<char>('0' + n); }

enum class op : int { call, go, cancel };
struct step {
    op what;
    int which;
};
int choices(op what) { return what == op::call ? 1 : 3; }

// A function under a policy, each of whose calls logs its begin and its end, and runs until it is let go.
struct stage {
    explicit stage(call_policy policy)
        : work([this](call_context<int>& call, int n) -> result<int> {
              log += 'b', log += digit(n);
              if (call.last().wait(in(0s)) != errc::wrong_state) log += '<';
              auto const went = go[n].wait();
              log += went ? 'e' : 'x', log += digit(n);
              if (!went) return went.error();
              return n;
          }, {.policy = policy}) {}
    void take(step s, int& made) {
        if (s.what == op::call) calls.push_back(work(made++));
        else if (s.what == op::go) go[s.which].set();
        else calls[static_cast<std::size_t>(s.which)].cancel();
        settle(8);
    }
    std::string log;
    event go[3];
    async_function<result<int>(int)> work;
    std::vector<future<int>> calls;
};

// What should come of it.
struct model {
    enum state : char { none, queued, running, value, canceled };
    call_policy policy;
    state calls[3] = {};
    int same_as[3] = {0, 1, 2};
    bool go[3] = {};
    int made = 0;
    std::string log{};

    std::string key() const {
        std::string k{digit(made)};
        for (int i = 0; i != 3; ++i) k += digit(calls[i]), k += digit(same_as[i]), k += go[i] ? 'g' : '-';
        return k;
    }
    bool can(step s) const {
        if (s.what == op::call) return made < 3;
        return s.what == op::go ? !go[s.which] : s.which < made;
    }
    void begin(int i) {
        log += 'b', log += digit(i);
        bool last = false;
        for (int j = 0; j != i; ++j) last |= calls[j] == running;
        if (policy == call_policy::pass_last && last) log += '<';
        calls[i] = running;
        if (go[i]) end(i, value);
    }
    void end(int i, state how) {
        if (calls[i] == running) log += how == value ? 'e' : 'x', log += digit(i);
        bool const had_turn = calls[i] == running;
        calls[i] = how;
        if (!had_turn) return;
        for (int j = 0; j != made; ++j)
            if (calls[j] == queued) return begin(j);
    }
    void take(step s) {
        int const i = s.what == op::call ? made++ : same_as[s.which];
        switch (s.what) {
        case op::call:
            for (int j = 0; j != i; ++j) {
                if (calls[j] != running) continue;
                if (policy == call_policy::singleton) same_as[i] = j;
                if (policy == call_policy::synchronized) calls[i] = queued;
            }
            if (same_as[i] == i && calls[i] == none) begin(i);
            break;
        case op::go:
            go[s.which] = true;
            if (calls[s.which] == running) end(s.which, value);
            break;
        case op::cancel:
            if (calls[i] == running || calls[i] == queued) end(i, canceled);
            break;
        }
    }
};

// Runs the trace, and compares with the model after each step.
void compare(call_policy policy, std::vector<step> const& trace) {
    stage real(policy);
    model m{policy};
    int made = 0;
    for (step s : trace) {
        m.take(s);
        real.take(s, made);
        CHECK_EQ(std::string_view(real.log), std::string_view(m.log));
        for (int i = 0; i != made; ++i) {
            auto& f = real.calls[static_cast<std::size_t>(i)];
            auto const is = m.calls[m.same_as[i]];
            CHECK_EQ(f.done(), is == model::value || is == model::canceled);
            if (is == model::value) CHECK_EQ(f.get().value_or(-1), m.same_as[i]);
            if (is == model::canceled) CHECK(f.get() == errc::task_canceled);
        }
    }
    for (auto& g : real.go) g.set();
    for (auto& f : real.calls) CHECK(f.wait().ok());
}
}  // namespace

TEST("the policies side by side: three calls at once, each ending after its own time") {
    struct row {
        call_policy policy;
        char const* log;
        char const* values;
    };
    row const table[] = {
        {call_policy::each, "b0b1b2e0e1e2", "012"},
        {call_policy::synchronized, "b0e0b1e1b2e2", "012"},
        {call_policy::singleton, "b0e0", "000"},
        {call_policy::pass_last, "b0b1<b2<e0e1e2", "012"},
    };
    auto r = run_virtually([&]() -> result<void> {
        for (auto const& [policy, log, values] : table) {
            stage s(policy);
            int made = 0;
            for (int i = 0; i != 3; ++i) s.take({op::call, 0}, made);
            for (int i = 0; i != 3; ++i) s.take({op::go, i}, made);
            std::string got;
            for (auto& f : s.calls) got += digit(f.get().value_or(9));
            CHECK_EQ(std::string_view(s.log), log);
            CHECK_EQ(std::string_view(got), values);
        }
        return {};
    });
    CHECK(r.ok());
}

TEST("all traces of three calls under each policy, to five steps and more, go as the model says") {
    auto r = run_virtually([]() -> result<void> {
        for (call_policy policy : policies) {
            auto const all = try_all_traces(model{policy}, steps_of<step>(3, choices), harness::nightly() ? 9 : 5,
                                            [&](std::vector<step> const& trace) { compare(policy, trace); });
            CHECK(all.states > 20 && all.traces > 100);
        }
        return {};
    });
    CHECK(r.ok());
}

TEST("synchronized calls run one after another, whether they end well, fail or are canceled, in the order they were made") {
    auto r = run_virtually([]() -> result<void> {
        std::string seen;
        int inside = 0;
        async_function one([&](int n) -> result<int> {
            CHECK_EQ(++inside, 1);
            seen += digit(n);
            auto const slept = sleep_for(10ms);
            --inside;
            if (!slept) return slept.error();
            if (n == 1) return errc::broken;
            return n;
        }, {.policy = call_policy::synchronized});
        std::vector<future<int>> f;
        for (int i = 0; i != 6; ++i) f.push_back(one(i));
        f[3].cancel();
        auto dies = spawn([&] {
            CHECK(sleep_for(25ms).ok());
            f[2].cancel();
        });
        CHECK_EQ(f[5].get().value_or(0), 5);
        CHECK_EQ(std::string_view(seen), "01245");
        CHECK(f[1].get() == errc::broken);
        CHECK(f[2].get() == errc::task_canceled);
        CHECK(f[3].get() == errc::task_canceled);
        CHECK(dies.join().ok());
        return {};
    });
    CHECK(r.ok());
}

TEST("a singleton's callers share one call, and a new one begins when it has ended, also badly") {
    auto r = run_virtually([]() -> result<void> {
        int runs = 0;
        async_function once([&](int n) -> result<int> {
            ++runs;
            SPRUCE_CHECK(sleep_for(5ms));
            if (n == 2) return errc::broken;
            return n;
        }, {.policy = call_policy::singleton});
        auto a = once(1), b = once(2), c = once(3);
        CHECK_EQ(a.get().value_or(0) + b.get().value_or(0) + std::move(c).get().value_or(0), 3);
        CHECK_EQ(runs, 1);
        CHECK(once(2).get() == errc::broken);
        CHECK_EQ(once(4).get().value_or(0), 4);
        CHECK_EQ(runs, 3);
        return {};
    });
    CHECK(r.ok());
}

TEST("a call that passes the last is told of the newest that has not ended") {
    auto r = run_virtually([]() -> result<void> {
        event go[4];
        std::string seen;
        async_function<int(int)> f([&](call_context<int>& call, int n) {
            auto before = call.last();
            CHECK(go[n].wait().ok());
            seen += digit(n);
            seen += before.wait() == errc::wrong_state ? '-' : digit(before.get().value_or(9));
            return n;
        }, {.policy = call_policy::pass_last});
        auto a = f(0), b = f(1), c = f(2);
        go[0].set();
        settle();
        auto d = f(3);   // after 2
        for (auto& g : go) g.set();
        CHECK(d.wait().ok());
        CHECK_EQ(std::string_view(seen), "0-102132");
        return {};
    });
    CHECK(r.ok());
}

TEST("a group's functions share one line: one at a time, in order; calls that wait end with the group") {
    auto r = run_virtually([]() -> result<void> {
        std::string seen;
        future<void> waits, runs;
        {
            policy_group group;
            auto make = [&](char who) {
                return async_function([&seen, who](duration d) {
                    seen += who;
                    CHECK(sleep_for(d).ok());
                    seen += static_cast<char>(who - 'a' + 'A');
                }, {.policy = call_policy::synchronized, .group = &group});
            };
            auto a = make('a'), b = make('b');
            auto f = a(2ms), g = b(1ms), h = a(1ms);
            CHECK(h.wait().ok());
            CHECK_EQ(std::string_view(seen), "aAbBaA");
            runs = a(5ms);
            waits = b(5ms);
        }
        CHECK(waits.get() == errc::closed);
        CHECK(runs.get().ok());
        CHECK_EQ(std::string_view(seen), "aAbBaAaA");
        return {};
    });
    CHECK(r.ok());
}

TEST("a singleton group gives the call that runs to all its functions, if it gives their type") {
    auto r = run_virtually([]() -> result<void> {
        policy_group group;
        async_options const o{.policy = call_policy::singleton, .group = &group};
        async_function one([] { return static_cast<void>(sleep_for(1ms)), 1; }, o);
        async_function two([] { return static_cast<void>(sleep_for(1ms)), 2; }, o);
        async_function other([] { return sleep_for(1ms); }, o);
        auto a = one(), b = two();
        CHECK(other().get() == errc::wrong_state);
        CHECK_EQ(a.get().value_or(0), 1);
        CHECK_EQ(b.get().value_or(0), 1);
        CHECK_EQ(two().get().value_or(0), 2);
        CHECK(other().get().ok());
        return {};
    });
    CHECK(r.ok());
}
