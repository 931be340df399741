// Callbacks that throw: which stay, which go, and what the unhandled hook hears of it.
#include <stdexcept>
#include <string>
#include <vector>

#include <spruce/spruce.hpp>

#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

#if SPRUCE_EXCEPTIONS
TEST("a reader or writer that throws is reported once, and canceled; the fd's other side and the loop go on") {
    world w;
    auto const p = w.sockets();
    CHECK_EQ(w.write(p.second, "never read"), 10);
    {
        loop l(w.options());
        int reported = 0, read = 0, written = 0;
        l.on_unhandled([&](unhandled const&) { ++reported; });
        auto const reader = l.add_reader(p.first, [&] {
            ++read;
            throw std::runtime_error("before it has read");
        });
        auto const writer = l.add_writer(p.first, [&](handler self) {
            if (++written == 5) self.cancel();
        });
        REQUIRE(reader.ok() && writer.ok());
        CHECK(l.run().ok());   // ends, as nothing holds it
        CHECK_EQ(read, 1);
        CHECK_EQ(reported, 1);
        CHECK_EQ(written, 5);
        CHECK(!reader->active());
        // The place is free for another.
        auto const again = l.add_writer(p.first, [&] {
            ++written;
            throw 7;
        });
        REQUIRE(again.ok());
        CHECK(l.run().ok());
        CHECK_EQ(written, 6);
        CHECK_EQ(reported, 2);
        CHECK(l.add_reader(p.first, [] {}).ok());
    }
    w.close(p.first), w.close(p.second);
}

TEST("a reader of what is always ready, and one that reads and throws then, are canceled as well") {
    world w;
    auto const p = w.pipe();
    CHECK_EQ(w.write(p.second, "ab"), 2);
    {
        loop l(w.options());
        int reported = 0;
        l.on_unhandled([&](unhandled const&) { ++reported; });
        CHECK(l.add_reader(p.first, [&] {
                   char c;
                   CHECK_EQ(w.read(p.first, &c, 1), 1);
                   throw 1;
               }).ok());
        CHECK(l.run().ok());
        CHECK_EQ(reported, 1);
    }
    w.close(p.first), w.close(p.second);
}

TEST("with keep_failing_fd_callbacks a reader that throws stays, and is reported each time") {
    world w;
    auto const p = w.pipe();
    CHECK_EQ(w.write(p.second, "abc"), 3);
    {
        auto o = w.options();
        o.keep_failing_fd_callbacks = true;
        loop l(o);
        int reported = 0;
        l.on_unhandled([&](unhandled const&) { ++reported; });
        auto const reader = l.add_reader(p.first, [&] {
            char c;
            CHECK_EQ(w.read(p.first, &c, 1), 1);
            throw 1;
        });
        REQUIRE(reader.ok());
        CHECK(l.run_until([&] { return reported == 3; }, in(5s)).ok());
        CHECK(reader->active());
    }
    w.close(p.first), w.close(p.second);
}

TEST("a reader in whose call something else throws and is reported stays; so do timers, hooks and wakers that throw") {
    world w;
    auto const p = w.pipe();
    CHECK_EQ(w.write(p.second, "ab"), 2);
    {
        loop l(w.options());
        int reported = 0, beats = 0, turns = 0, woken = 0;
        l.on_unhandled([&](unhandled const&) { ++reported; });
        emitter<> other;
        auto const c = other.connect([] { throw 1; });
        auto const reader = l.add_reader(p.first, [&](handler self) {
            char one;
            if (w.read(p.first, &one, 1) == 1 && one == 'b') self.cancel();
            other.emit();
        });
        REQUIRE(reader.ok());
        CHECK(l.run().ok());
        CHECK_EQ(reported, 2);
        auto beat = l.call_every(1ms, [&] {
            ++beats;
            throw 1;
        });
        l.on_turn([&] {
            ++turns;
            throw 1;
        });
        auto knock = l.make_waker([&] {
            ++woken;
            throw 1;
        });
        REQUIRE(knock.ok());
        knock->wake();
        CHECK(l.run_until([&] { return beats == 3; }, in(5s)).ok());
        knock->wake();
        CHECK(l.run_until([&] { return woken == 2; }, in(5s)).ok());
        CHECK(beat.active());
        CHECK(turns > 3);
    }
    w.close(p.first), w.close(p.second);
}
#endif

namespace {
result<void> failing(errc why) { return why; }
}  // namespace

TEST("a hook for the unhandled that waits loses nothing of what is reported meanwhile") {
    world w;
    loop l(w.options());
    std::vector<std::string> seen;
    l.on_unhandled([&](unhandled const& what) {
        std::string const who = what.name;
        if (!who.empty()) CHECK(sleep_for(2ms).ok());
        seen.push_back(who);
    });
    spawn({.name = "a"}, failing, errc::full);
    spawn({.name = "b"}, failing, errc::broken);
    spawn({.name = "c"}, [] {
        CHECK(sleep_for(1ms).ok());
        return failing(errc::full);
    });
    l.call_later(1ms, [] { detail::callback_threw("of a callback"); });
    CHECK(l.run().ok());
    REQUIRE(seen.size() == 4);
    CHECK_EQ(std::string_view(seen[0]), "");
    CHECK_EQ(std::string_view(seen[1]), "a");
    CHECK_EQ(std::string_view(seen[2]), "b");
    CHECK_EQ(std::string_view(seen[3]), "c");
}

TEST("what a hook for the unhandled throws itself is lost, whether it waits or not, and it may be replaced while it waits") {
    world w;
    auto counted = std::make_shared<int>(0);
    {
        loop l(w.options());
        int first = 0, second = 0;
        l.on_unhandled([&, kept = counted](unhandled const&) {
            ++first;
            detail::callback_threw("by the hook");
            CHECK(sleep_for(2ms).ok());
            detail::callback_threw("by the hook, later");
            CHECK_EQ(*kept, 0);
        });
        for (char const* name : {"a", "b"}) spawn({.name = name}, failing, errc::full);
        l.call_later(1ms, [&] {
            l.on_unhandled([&, kept = counted](unhandled const&) { ++second; });
            CHECK_EQ(counted.use_count(), 3);   // two calls of the first are under way
        });
        CHECK(l.run().ok());
        CHECK_EQ(counted.use_count(), 2);
        CHECK_EQ(first, 2);
        CHECK_EQ(second, 0);
        detail::callback_threw("to the second");
        CHECK_EQ(second, 1);
    }
    CHECK_EQ(counted.use_count(), 1);
}
