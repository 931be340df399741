// What an error says, to those who ask another task for it, and to those who only see a line.
#include <spruce/spruce.hpp>
#include <spruce/testing.hpp>
#include <string>

#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
struct heard {
    std::string text;
    void listen() {
        (*loop::current()).on_unhandled([this](unhandled const& u) { text += std::string(u.name) + "|" + u.what + ";"; });
    }
};
result<int> out_of_range() { return detail::with_detail(errc::invalid_argument, "the ninth of eight"); }
}  // namespace

TEST("a detail goes with the error to the task that gets it, and to the caller of run()") {
    auto r = run([]() -> result<int> {
        auto t = spawn([] { return out_of_range(); });
        auto got = t.get();
        CHECK_EQ(got.error().detail(), "the ninth of eight");
        return got;
    });
    CHECK(r == errc::invalid_argument);
    CHECK_EQ(r.error().detail(), "the ninth of eight");
}

TEST("a group's error has the detail of the member that failed") {
    auto r = run([]() -> result<void> {
        task_group g;
        g.spawn([] { return out_of_range(); });
        auto joined = g.join();
        CHECK_EQ(joined.error().detail(), "the ninth of eight");
        return {};
    });
    CHECK(r.ok());
}

TEST("a detail may be handed on through a full ring") {
    auto r = run([]() -> result<int> {
        auto t = spawn([] { return out_of_range(); });
        CHECK(t.join().ok());
        for (int i = 0; i != 15; ++i) static_cast<void>(detail::with_detail(errc::full, "noise"));
        for (int i = 0; i != 40; ++i) CHECK_EQ(t.get().error().detail(), "the ninth of eight");
        return 1;
    });
    CHECK(r.ok());
}

TEST("run() that ends in a deadlock says who waits for what") {
    auto r = run([]() -> result<void> {
        event never_set;
        spawn({.name = "friend"}, [&] { return never_set.wait(); });
        return never_set.wait();
    });
    CHECK(r == errc::deadlock);
    std::string const who = r.error().detail();
    CHECK(who.find("'friend' waits for event") != std::string::npos);
}

TEST("an error that nobody looked at is told with its detail") {
    heard h;
    auto r = run([&]() -> result<void> {
        h.listen();
        spawn({.name = "lost"}, [] { return out_of_range(); });
        SPRUCE_CHECK(yield());
        {
            task_group g;
            g.spawn([] { return out_of_range(); });
            SPRUCE_CHECK(yield());
        }
        return {};
    });
    CHECK(r.ok());
    CHECK(h.text.find("lost|an argument is out of its range: the ninth of eight;") == 0);
    CHECK(h.text.find("the group was not joined: the ninth of eight;") != std::string::npos);
}

TEST("a task's own error of an empty or spent handle says which, not an older detail") {
    auto r = run([]() -> result<void> {
        static_cast<void>(detail::with_detail(errc::wrong_state, "something older"));
        static_cast<void>(detail::with_detail(errc::invalid_argument, "something older"));
        task<int> empty;
        CHECK_EQ(empty.join().error().detail(), "an empty task handle");
        auto t = spawn([] {});
        CHECK(t.join().ok());
        CHECK_EQ(run_now(t).error().detail(), "the task runs, waits or has ended");
        CHECK_EQ((*loop::current()).call_every(0s, [] {}).error().detail(), "d: 0 or less");
        return {};
    });
    CHECK(r.ok());
}

TEST("of errors alike each has its own detail, whoever asks for them in whatever order") {
    auto r = run([]() -> result<void> {
        auto told = [](char const* what) { return spawn([what]() -> result<int> { return detail::with_detail(errc::broken, what); }); };
        auto a = told("a"), b = told("b");
        auto none = spawn([]() -> result<int> { return errc::broken; });
        auto const got_b = b.get(), got_a = a.get(), got_none = none.get();
        CHECK_EQ(got_a.error().detail(), "a");
        CHECK_EQ(got_b.error().detail(), "b");
        CHECK_EQ(got_none.error().detail(), "");
        CHECK_EQ(error(errc::broken).detail(), "");
        return {};
    });
    CHECK(r.ok());
}

TEST("an error sent through a channel or a future takes its detail along, and one without has none on the other side") {
    auto r = run([]() -> result<void> {
        channel<int> c(4);
        auto sender = spawn([&]() -> result<void> {
            SPRUCE_CHECK(c.send_error(detail::with_detail(errc::broken, "by channel")));
            return c.send_error(errc::broken);
        });
        auto const with = c.receive(), without = c.receive();
        CHECK_EQ(with.error().detail(), "by channel");
        CHECK_EQ(without.error().detail(), "");
        SPRUCE_CHECK(sender.get());
        promise<int> told, plain;
        auto setter = spawn([&]() -> result<void> {
            SPRUCE_CHECK(told.fail(detail::with_detail(errc::broken, "by promise")));
            return plain.fail(errc::broken);
        });
        SPRUCE_CHECK(setter.get());
        CHECK_EQ(plain.get_future().get().error().detail(), "");
        CHECK_EQ(told.get_future().get().error().detail(), "by promise");
        auto all = when_all(told.get_future(), plain.get_future()).get();
        SPRUCE_CHECK(all);
        CHECK_EQ(std::get<0>(*all).error().detail(), "by promise");
        CHECK_EQ(std::get<1>(*all).error().detail(), "");
        return {};
    });
    CHECK(r.ok());
}

TEST("refused handlers and tasks keep the detail of their own refusal") {
    auto r = run({.max_tasks = 1}, []() -> result<void> {
        loop& here = *loop::current();
        handler const never_made = here.call_every(0s, [] {});
        auto const refused = spawn([] {});
        handler const no_phase = here.on_start(static_cast<start_phase>(9), [] {});
        handler const none;
        auto const other = spawn({.stack_size = 1u << 30}, [] {});
        CHECK_EQ(never_made.error().detail(), "d: 0 or less");
        CHECK_EQ(no_phase.error().detail(), "phase: there is none such");
        CHECK_EQ(refused.join().error().detail(), "max_tasks");
        CHECK(other.join().error().detail()[0] != '\0');
        CHECK(none.error() == errc::no_loop);
        CHECK_EQ(none.error().detail(), "");
        return {};
    });
    CHECK(r.ok());
}
