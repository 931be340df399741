// The one rule for errors that nobody looked at, of tasks, members of groups, and futures: reported once, in the name of
// what failed, when its last chance to be looked at has passed; canceled, task_canceled and closed never.
#include <optional>
#include <stdexcept>
#include <string>

#include <spruce/spruce.hpp>
#include <spruce/testing.hpp>

#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
struct hook {
    std::string text;
    void listen() {
        (*loop::current()).on_unhandled([this](unhandled const& u) { text += std::string(u.name) + "|" + u.reason.name() + ";"; });
    }
    std::string take() { return std::exchange(text, {}); }
};
result<void> fails(errc why) { return why; }
auto run_listening(auto&& body) {
    testing::simulation world(harness::as_asked());
    return run(loop_options{.on = world.on()}, [&]() -> result<void> {
        hook h;
        h.listen();
        result<void> const r = body(h);
        (*loop::current()).on_unhandled([](unhandled const&) { CHECK(false); });
        return r;
    });
}
}  // namespace

TEST("a group that nobody joined reports its first error in the name of the member, not of its owner") {
    auto r = run_listening([](hook& h) -> result<void> {
        {
            task_group g;
            g.spawn({.name = "first"}, fails, errc::full);
            g.spawn({.name = "second"}, fails, errc::broken);
            SPRUCE_CHECK(yield());
            // The group's end may yet be joined; of the others nobody will hear.
            CHECK_EQ(h.take(), "second|broken;");
        }
        CHECK_EQ(h.take(), "first|full;");
        task_id id;
        std::string what;
        (*loop::current()).on_unhandled([&](unhandled const& u) {
            id = u.task;
            what = u.what;
        });
        task_id member;
        {
            task_group g;
            member = g.spawn([] { return result<void>(detail::with_detail(errc::full, "the fifth of four")); }).id();
            SPRUCE_CHECK(yield());
        }
        CHECK(id == member);
        CHECK_EQ(what, "it failed, and the group was not joined: the fifth of four");
        return {};
    });
    CHECK(r.ok());
}

TEST("an error that somebody looked at by the member's handle is not reported again by its group") {
    auto r = run_listening([](hook& h) -> result<void> {
        for (int when = 0; when != 4; ++when) {
            std::optional<task<void>> kept;
            {
                task_group g;
                kept = g.spawn({.name = "seen"}, fails, errc::full);
                if (when == 0) CHECK(kept->get() == errc::full);
                SPRUCE_CHECK(yield());
                if (when == 1) CHECK(kept->get() == errc::full);
                if (when == 2) {
                    CHECK(kept->get() == errc::full);
                    kept.reset();
                }
            }
            if (when == 3) CHECK(kept->get() == errc::full);   // the group is over, and its handle is not
        }
        CHECK_EQ(h.take(), "");
        // Whoever looks, join() gives it all the same.
        task_group g;
        auto kept = g.spawn(fails, errc::full);
        CHECK(kept.get() == errc::full);
        CHECK(g.join() == errc::full);
        CHECK(g.join().ok());
        // What join() gave was looked at, handle or not.
        g.spawn(fails, errc::broken);
        auto held = g.spawn(fails, errc::full);
        CHECK(g.join() == errc::broken);
        CHECK(held.get() == errc::full);
        auto only = g.spawn(fails, errc::full);
        CHECK(g.join() == errc::full);
        only = {};
        CHECK_EQ(h.take(), "");
        return {};
    });
    CHECK(r.ok());
}

TEST("a member whose handle is kept is reported when that goes, or its group, whichever is later") {
    auto r = run_listening([](hook& h) -> result<void> {
        {
            std::optional<task<void>> kept;
            {
                task_group g;
                kept = g.spawn({.name = "late"}, fails, errc::full);
                SPRUCE_CHECK(yield());
            }
            CHECK_EQ(h.take(), "");
            kept.reset();
            CHECK_EQ(h.take(), "late|full;");
        }
        {
            task_group g;
            auto kept = g.spawn({.name = "early"}, fails, errc::full);
            SPRUCE_CHECK(yield());
            kept = {};
            CHECK_EQ(h.take(), "");
        }
        CHECK_EQ(h.take(), "early|full;");
        return {};
    });
    CHECK(r.ok());
}

TEST("canceled, task_canceled and closed are reported of nobody: no task, no member, no future") {
    auto r = run_listening([](hook& h) -> result<void> {
        for (errc const why : {errc::canceled, errc::task_canceled, errc::closed}) {
            static_cast<void>(spawn(fails, why));
            {
                task_group g;
                g.spawn(fails, why);
                SPRUCE_CHECK(yield());
            }
            {
                task_group g;
                auto kept = g.spawn(fails, why);
                SPRUCE_CHECK(yield());
            }
            {
                promise<void> p;
                static_cast<void>(p.get_future());
                CHECK(p.fail(why).ok());
            }
            static_cast<void>(async_function(fails)(why));
            for (int i = 0; i != 3; ++i) SPRUCE_CHECK(yield());
        }
        CHECK_EQ(h.take(), "");
        // For join() and the others of a group `closed` is an error, as ever.
        task_group g(on_error::cancel_rest);
        auto rest = g.spawn([] { return sleep_for(1h); });
        g.spawn(fails, errc::closed);
        CHECK(g.join() == errc::closed);
        CHECK(rest.get() == errc::task_canceled);
        return {};
    });
    CHECK(r.ok());
}

TEST("each failure is reported in its own name: a task's, a call's, a promise's, a pool's job") {
    auto r = run_listening([](hook& h) -> result<void> {
        static_cast<void>(spawn({.name = "task"}, fails, errc::full));
        static_cast<void>(async_function(fails, {.name = "call"})(errc::full));
        {
            promise<void> p;
            auto const f = p.get_future();
            CHECK(p.fail(errc::full).ok());
        }
        {
            task_pool pool(1, {.name = "job"});
            CHECK(pool.submit(fails, errc::full).ok());
            SPRUCE_CHECK(pool.join());
        }
        std::string const all = h.take();
        for (char const* each : {"task|full;", "call|full;", "|full;", "job|full;"}) CHECK(all.find(each) != std::string::npos);
        return {};
    });
    CHECK(r.ok());
}

#if SPRUCE_THROWS
TEST("an exception that nobody looked at is reported once, as a task's and as a member's") {
    auto r = run_listening([](hook& h) -> result<void> {
        auto const throws = [] { throw std::runtime_error("words"); };
        static_cast<void>(spawn({.name = "task"}, throws));
        SPRUCE_CHECK(yield());
        CHECK_EQ(h.take(), "task|task_failed;");
        {
            task_group g;
            g.spawn({.name = "member"}, throws);
            auto seen = g.spawn({.name = "seen"}, throws);
            SPRUCE_CHECK(yield());
            CHECK(seen.exception() != nullptr);
        }
        CHECK_EQ(h.take(), "member|task_failed;");
        return {};
    });
    CHECK(r.ok());
}
#endif
