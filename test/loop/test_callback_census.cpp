// loop::callbacks(): what a loop still has to do.
#include <string>

#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

namespace {
std::size_t count(loop& l, callback_kind k) {
    std::size_t n = 0;
    for (callback_info const& c : l.callbacks()) n += c.kind == k;
    return n;
}
}  // namespace

TEST("the timers that are pending are listed with their times, and no longer once they ran or were canceled") {
    world w;
    loop l(w.options());
    handler soon = l.call_later(1ms, [] {});
    handler late = l.call_later(1h, [] {});
    handler beats = l.call_every(1min, [] {});
    handler suspended = l.call_later(1h, [] {});
    CHECK(suspended.rearm(never()));
    CHECK(l.call_later(1h, [] {}).cancel());
    std::size_t seen = 0;
    for (callback_info const& c : l.callbacks()) {
        ++seen;
        CHECK(c.kind == callback_kind::timer);
        CHECK_EQ(c.number, -1);
        CHECK_EQ(c.periodic, c.name == beats);
        CHECK(c.name == soon || c.name == late || c.name == beats || c.name == suspended);
        if (c.name == suspended) CHECK(c.due == time_point::max());
        else CHECK(c.due == *c.name.due());
    }
    CHECK_EQ(seen, 4U);
    CHECK(l.run_until([&] { return !soon.active(); }, in(5s)).ok());
    CHECK_EQ(count(l, callback_kind::timer), 3U);
    // All may be canceled on the way.
    for (callback_info c : l.callbacks()) CHECK(c.name.cancel());
    CHECK(!late.active());
    CHECK_EQ(count(l, callback_kind::timer), 0U);
    CHECK(l.run().ok());
}

TEST("readers and writers are listed with their fds, and the loop's own fds are not") {
    world w;
    loop l(w.options());
    auto [out, into] = w.pipe();
    REQUIRE(l.add_reader(out, [] {}).ok());
    REQUIRE(l.add_writer(into, [] {}).ok());
    int readers = -1, writers = -1;
    std::size_t seen = 0;
    for (callback_info const& c : l.callbacks()) {
        ++seen;
        if (c.kind == callback_kind::reader) readers = c.number;
        if (c.kind == callback_kind::writer) writers = c.number;
    }
    CHECK_EQ(seen, 2U);
    CHECK_EQ(readers, out);
    CHECK_EQ(writers, into);
    CHECK(l.remove_reader(out));
    CHECK_EQ(count(l, callback_kind::reader), 0U);
    for (callback_info c : l.callbacks()) CHECK(c.name.cancel());
    w.close(out);
    w.close(into);
}

TEST("each kind of callback is listed as what it is; one that runs is only if it may run again") {
    world w;
    loop l(w.options());
    l.call_when_idle([] {});
    l.on_start([] {});
    l.on_unhandled([](unhandled const&) {});   // is no callback that waits for something
    auto t = spawn([] {});
    CHECK(t.on_done([] {}).active());
    handler once, each;
    std::size_t inside_once = 9, inside_each = 0;
    once = l.call_soon([&] {
        inside_once = count(l, callback_kind::soon);
    });
    each = l.call_every(1ms, [&] {
        inside_each = count(l, callback_kind::timer);
        CHECK(each.cancel());
        CHECK_EQ(count(l, callback_kind::timer), 0U);
    });
    CHECK_EQ(count(l, callback_kind::soon), 1U);
    CHECK_EQ(count(l, callback_kind::idle), 1U);
    CHECK_EQ(count(l, callback_kind::hook), 1U);
    CHECK_EQ(count(l, callback_kind::task_end), 1U);
    CHECK(l.run().ok());
    CHECK_EQ(inside_once, 1U);   // the task has ended before it: its on_done() is in the ring now
    CHECK_EQ(inside_each, 1U);
    CHECK_EQ(count(l, callback_kind::hook), 1U);
    CHECK(l.destroy().ok());
    std::size_t none = 0;
    for (callback_info const& c : l.callbacks()) none += c.number <= -1;
    CHECK_EQ(none, 0U);
}
