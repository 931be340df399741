#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

TEST("a call runs to its first wait before it returns, from a task, a callback, or plain code") {
    std::string seen;
    async_function walk([&](std::string const& who) {
        seen += who + "1 ";
        CHECK(yield().ok());
        seen += who + "2 ";
        return static_cast<int>(who.size());
    });
    testing::simulation world(harness::as_asked());
    loop_options o;
    o.on = world.on();
    loop hub(o);
    REQUIRE(hub.status().ok());
    auto plain = walk("plain");
    CHECK_EQ(std::string_view(seen), "plain1 ");
    hub.call_soon([&] { walk("callback"), seen += "back "; });
    auto t = spawn([&] {
        auto f = walk(std::string("a task"));   // its argument is gone with the call: the call has its own
        seen += "on ";
        return f.get().value_or(0);
    });
    CHECK(hub.run().ok());
    CHECK_EQ(std::string_view(seen), "plain1 plain2 callback1 back a task1 on callback2 a task2 ");
    CHECK_EQ(t.get().value_or(0), 6);
    CHECK_EQ(plain.get().value_or(0), 5);
    auto done = async_function([] { return 3; })();
    CHECK(done.done());
    CHECK_EQ(done.get().value_or(0), 3);
}

TEST("a call gives what its function gave: a value, a result, nothing, a reference; and takes all kinds of arguments") {
    auto r = run_virtually([]() -> result<void> {
        int there = 1;
        CHECK(async_function([]() -> result<int> { return errc::broken; })().get() == errc::broken);
        CHECK(async_function([] {})().get().ok());
        CHECK(&*async_function([&]() -> int& { return there; })().get() == &there);
        CHECK_EQ(**async_function([](std::unique_ptr<int> p) { return p; })(std::make_unique<int>(4)).get(), 4);
        async_function add([](int& to, int n) {
            CHECK(yield().ok());
            to += n;
        });
        CHECK(add(there, 5).wait().ok());
        CHECK_EQ(there, 6);
        async_function<long(int, int)> sum(+[](int a, int b) { return a + b; });
        auto copy = sum;
        CHECK_EQ(copy(1, 2).get().value_or(0), 3L);
        int calls = 0;
        async_function count([calls]() mutable { return ++calls; });
        count();
        CHECK_EQ(count().get().value_or(0), 2);   // one function, one state
        return {};
    });
    CHECK(r.ok());
}

TEST("a call goes on though neither its future nor its function is kept, and its error is told once if nobody looks") {
    std::string told;
    int ended = 0;
    auto r = run_virtually([&]() -> result<void> {
        loop::current()->on_unhandled([&](unhandled const& u) { told = std::string(u.name) + ": " + u.what; ++ended; });
        async_function([&]() -> result<void> {
            auto big = std::make_unique<int>(1);
            SPRUCE_CHECK(sleep_for(1ms));
            ended += *big;
            return detail::with_detail(errc::broken, "late");
        }, {.name = "the pump"})();
        return sleep_for(5ms);
    });
    CHECK(r.ok());
    CHECK_EQ(ended, 2);
    CHECK(told.starts_with("the pump: ") && told.ends_with(": late"));
}

#if SPRUCE_THROWS
TEST("an exception before the first wait, or after it, is the call's outcome, and leaves the next calls alone") {
    auto r = run_virtually([]() -> result<void> {
        async_function f([](bool wait) -> int {
            if (wait) static_cast<void>(yield());
            throw std::runtime_error("no");
        }, {.policy = call_policy::synchronized});
        auto a = f(false), b = f(true), c = f(false);
        for (auto* each : {&a, &b, &c}) {
            auto got = each->get();
            CHECK(got == errc::task_failed);
            CHECK_EQ(std::string_view(got.error().detail()), "no");
            CHECK(each->exception() != nullptr);
        }
        return {};
    });
    CHECK(r.ok());
}
#endif

TEST("an interval paces a call's yields, until the call sets another one") {
    auto r = run_virtually([]() -> result<void> {
        std::vector<int> at;
        auto const start = loop_clock::now();
        auto note = [&] { at.push_back(static_cast<int>((loop_clock::now() - start) / 1ms)); };
        async_function<void()> paced([&](call_context<void>& call) {
            note();
            if (!yield()) return;
            note();
            if (!yield()) return;
            note();
            call.set_interval(0s);
            if (!yield()) return;
            note();
            call.set_interval(5ms);
            if (!yield()) return;
            note();
        }, {.interval = 20ms});
        CHECK(paced().wait().ok());
        REQUIRE(at.size() == 5);
        CHECK(at[0] == 0 && at[1] == 20 && at[2] == 40 && at[3] == 40 && at[4] == 45);
        auto f = paced();
        CHECK(f.cancel());   // in the midst of a pause
        CHECK(f.wait().ok());
        CHECK_EQ(at.back(), 45);
        return {};
    });
    CHECK(r.ok());
}

TEST("a call tells those who watch its future how far it is") {
    auto r = run_virtually([]() -> result<void> {
        async_function work([](call_context<int>& call, int steps) {
            for (int i = 1; i <= steps; ++i) {
                CHECK(sleep_for(100ms).ok());
                CHECK(call.report(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(steps)).ok());
            }
            return steps;
        });
        auto f = work(4);
        std::string seen;
        f.on_progress([&](progress const& p) { seen += std::to_string(static_cast<int>(p.percentage())) + ":" + std::to_string((p.remaining + 20ms) / 100ms) + " "; });
        CHECK_EQ(f.get().value_or(0), 4);
        settle();
        CHECK_EQ(std::string_view(seen), "25:3 50:2 75:1 100:0 ");
        return {};
    });
    CHECK(r.ok());
}

TEST("a call that can have no task, or no memory, fails with the reason, and holds up nobody in its line") {
    if (harness::spoilt_kernel()) harness::skip("what it tests makes no system call");
    loop_options o;
    o.max_tasks = 2;
    auto r = run_virtually([]() -> result<void> {
        async_function f([] { return sleep_for(1ms); }, {.policy = call_policy::synchronized});
        auto a = f(), b = f();
        CHECK(b.done() && b.get() == errc::full);
        CHECK(a.get().ok());
        CHECK(f().get().ok());
        harness::refused_allocations() = {0, 1};
        auto c = f();
        harness::refused_allocations() = {0, 1};
        async_function none([] {});
        harness::refused_allocations() = {};
        CHECK(c.get() == errc::no_memory);
        CHECK(none().get() == errc::no_memory);
        CHECK(f().get().ok());
        return {};
    }, o);
    CHECK(r.ok());
}

TEST("a canceled call always ends, also if it never began, or nobody waits for it, or it catches it and gives a value") {
    auto r = run_virtually([]() -> result<void> {
        auto token = std::make_shared<int>(0);
        bool began = false;
        async_function one([&, token](std::shared_ptr<int>, bool stubborn) -> result<int> {
            began = true;
            auto slept = sleep_for(1h);
            if (!slept && !stubborn) return slept.error();
            return 7;
        }, {.policy = call_policy::synchronized});
        auto a = one(nullptr, true);
        began = false;
        auto b = one(token, true);
        CHECK(b.cancel());
        CHECK(b.get() == errc::task_canceled);
        CHECK(!began);
        CHECK_EQ(token.use_count(), 2);   // its argument went with it
        CHECK(a.cancel());
        CHECK_EQ(a.get().value_or(0), 7);   // as a task's: a value is a value
        auto c = one(token, false);
        CHECK(c.cancel());
        settle();
        CHECK(c.done());
        CHECK(c.get() == errc::task_canceled);
        return {};
    });
    CHECK(r.ok());
}

TEST("a call that would wait for its own end is told of its deadlock, by itself or among others") {
    auto r = run_virtually([]() -> result<void> {
        future<int> own;
        async_function waits([&]() -> result<int> {
            SPRUCE_CHECK(yield());
            CHECK(own.wait(in(1h)) == errc::deadlock);
            CHECK(own.get() == errc::deadlock);
            CHECK(wait_any(own, in(1h)) == errc::deadlock);
            return 5;
        });
        own = waits();
        CHECK_EQ(own.get().value_or(0), 5);
        return {};
    });
    CHECK(r.ok());
}
