// What every poller must tell of what is registered with it, whatever the kernel below.
#include <map>

#include "poller_subject.hpp"

using namespace contract;

namespace {
constexpr int rd = interest_read, wr = interest_write, edge = interest_edge, none = interest_none;
constexpr unsigned r = ready_read, w = ready_write;
}  // namespace

POLLER_TEST("what is registered for reading is told while it can be read, and no longer") {
    auto const [out, in] = s.pipe();
    CHECK_EQ(s.change(out, 7, none, rd), 0);
    CHECK_EQ(s.ready(out, 7), 0U);
    s.write(in);
    CHECK_EQ(s.ready(out, 7), r);
    CHECK_EQ(s.ready(out, 7), r);   // a level: until it is read
    CHECK_EQ(s.drain(out), 1U);
    CHECK_EQ(s.ready(out, 7), 0U);
}

POLLER_TEST("what can be read when it is registered is told at once") {
    auto const [out, in] = s.pipe();
    s.write(in);
    CHECK_EQ(s.change(out, 1, none, rd), 0);
    CHECK_EQ(s.ready(out, 1), r);
}

POLLER_TEST("only the directions that are wanted are told, and both if both are") {
    auto const [a, b] = s.sockets();
    s.write(b);
    CHECK_EQ(s.change(a, 1, none, wr), 0);
    CHECK_EQ(s.ready(a, 1), w);
    CHECK_EQ(s.change(a, 1, wr, rd | wr), 0);
    CHECK_EQ(s.ready(a, 1), r | w);
    CHECK_EQ(s.change(a, 1, rd | wr, rd), 0);
    CHECK_EQ(s.ready(a, 1), r);
    s.fill(a);
    CHECK_EQ(s.change(a, 1, rd, rd | wr), 0);
    CHECK_EQ(s.ready(a, 1), r);
    CHECK(s.drain(b) != 0);
    CHECK_EQ(s.ready(a, 1), r | w);
}

POLLER_TEST("what was taken out is silent, and can be put in again under another generation") {
    auto const [out, in] = s.pipe();
    s.write(in);
    CHECK_EQ(s.change(out, 1, none, rd), 0);
    CHECK_EQ(s.change(out, 1, rd, none), 0);
    CHECK(s.wait().empty());
    CHECK_EQ(s.change(out, 2, none, rd), 0);
    CHECK_EQ(s.ready(out, 2), r);
}

POLLER_TEST("several changes of one fd in a batch are applied in order, and the last one holds") {
    auto const [a, b] = s.sockets();
    auto const [out, in] = s.pipe();
    s.write(b);
    s.write(in);
    std::vector<poll_change> all{
        {a, 1, none, rd, 9}, {out, 3, none, rd, 9}, {a, 1, rd, wr, 9},
        {a, 1, wr, none, 9}, {a, 2, none, rd, 9},   {out, 3, rd, none, 9}};
    s.change(all);
    for (auto const& c : all) CHECK_EQ(c.result, 0);
    auto const events = s.wait();
    REQUIRE(events.size() == 1);
    CHECK(events[0].fd == a && events[0].generation == 2 && events[0].ready == r);
    std::vector<poll_change> away{{a, 2, rd, rd | wr, 9}, {a, 2, rd | wr, none, 9}, {out, 4, none, rd, 9}};
    s.change(away);
    for (auto const& c : away) CHECK_EQ(c.result, 0);
    CHECK_EQ(s.ready(out, 4), r);
}

POLLER_TEST("in a batch each change says how it went, and a bad one does not stop the others") {
    auto const [out, in] = s.pipe();
    auto const [shut, other] = s.pipe();
    s.write(in);
    s.close(shut);
    std::vector<poll_change> all{{shut, 1, none, rd, 9}, {out, 1, none, rd, 9}, {shut, 1, rd, none, 9}};
    s.change(all);
    CHECK_EQ(all[0].result, -EBADF);
    CHECK_EQ(all[1].result, 0);
    CHECK(all[2].result < 0);
    CHECK_EQ(s.ready(out, 1), r);
}

POLLER_TEST("an edge is told once, however long it stays unread, and again after news") {
    auto const [out, in] = s.pipe();
    CHECK_EQ(s.change(out, 5, none, rd | edge), 0);
    CHECK(s.wait().empty());
    s.write(in);
    CHECK_EQ(s.ready(out, 5), r);
    CHECK(s.wait().empty());
    CHECK(s.wait().empty());
    CHECK_EQ(s.drain(out), 1U);
    s.rearm(out, 5, rd | edge);
    CHECK(s.wait().empty());
    s.write(in);
    CHECK_EQ(s.ready(out, 5), r);
    CHECK(s.wait().empty());
}

POLLER_TEST("what comes between the last read and the re-arming of an edge is not lost") {
    auto const [out, in] = s.pipe();
    CHECK_EQ(s.change(out, 5, none, rd | edge), 0);
    for (int i = 0; i != 10; ++i) {
        s.write(in);
        CHECK_EQ(s.ready(out, 5), r);
        CHECK_EQ(s.drain(out), 1U);
        s.write(in);   // news that nobody has read
        s.rearm(out, 5, rd | edge);
        CHECK_EQ(s.ready(out, 5), r);
        CHECK_EQ(s.drain(out), 1U);
        s.rearm(out, 5, rd | edge);
        CHECK(s.wait().empty());
    }
}

POLLER_TEST("the two directions of an edge are told each when it comes") {
    auto const [a, b] = s.sockets();
    CHECK_EQ(s.change(a, 5, none, rd | wr | edge), 0);
    CHECK_EQ(s.ready(a, 5), w);
    CHECK(s.wait().empty());
    s.write(b);
    CHECK((s.ready(a, 5) & r) != 0);   // that it can be written still may be said again
    CHECK(s.wait().empty());
    CHECK_EQ(s.drain(a), 1U);
    s.fill(a);
    s.rearm(a, 5, rd | wr | edge);
    CHECK(s.wait().empty());
    CHECK(s.drain(b) != 0);
    CHECK_EQ(s.ready(a, 5) & w, w);
    CHECK(s.wait().empty());
}

POLLER_TEST("an edge changed to a level and back is looked at afresh each time") {
    auto const [out, in] = s.pipe();
    s.write(in);
    CHECK_EQ(s.change(out, 1, none, rd | edge), 0);
    CHECK_EQ(s.ready(out, 1), r);
    CHECK(s.wait().empty());
    CHECK_EQ(s.change(out, 1, rd | edge, rd), 0);
    CHECK_EQ(s.ready(out, 1), r);
    CHECK_EQ(s.ready(out, 1), r);
    CHECK_EQ(s.change(out, 1, rd, rd | edge), 0);
    CHECK_EQ(s.ready(out, 1), r);
    CHECK(s.wait().empty());
}

POLLER_TEST("said again where no re-arming is needed, an edge is nothing") {
    if (s.calls().needs_rearm) harness::skip("this poller is re-armed");
    auto const [out, in] = s.pipe();
    s.write(in);
    CHECK_EQ(s.change(out, 1, none, rd | edge), 0);
    CHECK_EQ(s.ready(out, 1), r);
    CHECK_EQ(s.change(out, 1, rd | edge, rd | edge), 0);
    CHECK(s.wait().empty());
}

POLLER_TEST("a number closed and given out again is told under its new generation only") {
    auto const [out, in] = s.pipe();
    CHECK_EQ(s.change(out, 1, none, rd), 0);
    s.write(in);
    CHECK_EQ(s.ready(out, 1), r);
    s.close(out);
    s.close(in);
    auto const [again, other] = s.pipe();
    REQUIRE(again == out && other == in);
    CHECK_EQ(s.change(again, 2, none, rd), 0);
    CHECK_EQ(s.ready(again, 2), 0U);
    s.write(other);
    CHECK_EQ(s.ready(again, 2), r);
}

POLLER_TEST("of a number given out again behind the loop's back the poller takes what is wanted, whatever was before") {
    for (int const before : {none, rd, wr, rd | wr}) {
        auto const [a, b] = s.sockets();
        if (before != none) CHECK_EQ(s.change(a, 1, none, before), 0);
        s.close(a);
        s.close(b);
        auto const [again, other] = s.sockets();
        REQUIRE(again == a && other == b);
        int const wanted = before == rd ? rd | wr : rd;
        CHECK_EQ(s.change(again, 2, before, wanted), 0);
        s.write(other);
        CHECK_EQ(s.ready(again, 2), wanted == rd ? r : r | w);
        s.close(again);
        s.close(other);
    }
}

POLLER_TEST("what is registered already may be registered as new: the new generation counts") {
    auto const [out, in] = s.pipe();
    CHECK_EQ(s.change(out, 1, none, wr), 0);
    s.write(in);
    CHECK_EQ(s.change(out, 2, none, rd), 0);
    CHECK_EQ(s.ready(out, 2), r);
    CHECK_EQ(s.change(out, 2, rd, none), 0);
    CHECK(s.wait().empty());
}

POLLER_TEST("an fd closed while registered is told no more than once, and taking it out is harmless") {
    auto const [out, in] = s.pipe();
    CHECK_EQ(s.change(out, 1, none, rd), 0);
    s.write(in);
    s.close(out);
    int told = 0;
    for (int i = 0; i != 10; ++i) told += s.wait().empty() ? 0 : 1;
    CHECK(told <= 1);
    static_cast<void>(s.change(out, 1, rd, none));
    CHECK(s.wait().empty());
    CHECK(s.change(out, 1, rd, none) != 0);   // it is gone
}

POLLER_TEST("the end of what is sent is told with the data that is left, and then alone") {
    auto const [a, b] = s.sockets();
    CHECK_EQ(s.change(a, 1, none, rd), 0);
    s.write(b, 3);
    s.close(b);
    unsigned const first = s.ready(a, 1);
    CHECK((first & r) != 0);
    CHECK((first & (ready_read_closed | ready_hangup)) != 0);
    CHECK_EQ(s.drain(a), 3U);
    CHECK((s.ready(a, 1) & (r | ready_read_closed | ready_hangup)) != 0);   // a level, too
}

POLLER_TEST("a peer that only stops sending does not hang up") {
    auto const [a, b] = s.sockets();
    CHECK_EQ(s.change(a, 1, none, rd | wr), 0);
    CHECK_EQ(s.on().calls->shutdown(s.on().context, b, 1), 0);
    unsigned const told = s.ready(a, 1);
    CHECK((told & ready_read_closed) != 0);
    CHECK((told & w) != 0);
    CHECK_EQ(told & (ready_hangup | ready_error), 0U);
    s.write(a);
    CHECK_EQ(s.drain(b), 1U);
}

POLLER_TEST("a pipe's reader is told of the last writer's end, and its writer of the last reader's") {
    auto const [out, in] = s.pipe();
    CHECK_EQ(s.change(out, 1, none, rd), 0);
    int const twin = s.duplicate(in);
    s.close(in);
    CHECK(s.wait().empty());
    s.close(twin);
    CHECK_EQ(s.ready(out, 1), s.by_direction() ? r | ready_read_closed : +ready_hangup);
    auto const [reader, writer] = s.pipe();
    CHECK_EQ(s.change(writer, 2, none, wr), 0);
    CHECK_EQ(s.ready(writer, 2), w);
    s.close(reader);
    CHECK((s.ready(writer, 2) & (s.by_direction() ? ready_hangup : ready_error)) != 0);
}

POLLER_TEST("data and the end in one event: nothing is lost, whichever directions are asked for, level or edge") {
    for (int const how : {rd, rd | edge, rd | wr, rd | wr | edge}) {
        auto const [a, b] = s.sockets();
        auto const [out, in] = s.pipe();
        s.write(b, 3);
        s.write(in, 5);
        s.close(b);
        s.close(in);
        // The pipe has no writer any more when it is registered.
        CHECK_EQ(s.change(a, 1, none, how), 0);
        CHECK_EQ(s.change(out, 2, none, how), 0);
        std::map<int, unsigned> told;
        for (auto const& e : s.wait()) {
            CHECK_EQ(told[e.fd], 0U);
            told[e.fd] = e.ready;
        }
        CHECK((told[a] & r) != 0 && (told[a] & (ready_read_closed | ready_hangup)) != 0);
        CHECK((told[out] & r) != 0 && (told[out] & (ready_read_closed | ready_hangup)) != 0);
        CHECK_EQ(s.drain(a), 3U);
        CHECK_EQ(s.drain(out), 5U);
        if ((how & edge) != 0) {
            // One's own reads of a pipe that is over may be told as its end once more (all BSDs), and that is all.
            for (auto const& e : s.wait()) CHECK(e.fd == out && (e.ready & (ready_read_closed | ready_hangup)) != 0);
            CHECK(s.wait().empty());
        }
        CHECK_EQ(s.change(a, 1, how, none), 0);
        CHECK_EQ(s.change(out, 2, how, none), 0);
        CHECK(s.wait().empty());
    }
}

POLLER_TEST("a pipe's writer whose reader is gone already is told so when it is registered, an edge once") {
    for (int const how : {wr, wr | edge}) {
        auto const [out, in] = s.pipe();
        s.close(out);
        CHECK_EQ(s.change(in, 1, none, how), 0);
        CHECK((s.ready(in, 1) & (w | ready_error | ready_hangup)) != 0);
        CHECK_EQ(s.ready(in, 1) != 0, (how & edge) == 0);
        CHECK_EQ(s.change(in, 1, how, none), 0);
        CHECK(s.wait().empty());
        s.close(in);
        auto const [again, other] = s.pipe();   // the number, with a reader now
        CHECK_EQ(s.change(other, 2, none, how), 0);
        CHECK_EQ(s.ready(other, 2), w);
        s.close(again);
        s.close(other);
    }
}

POLLER_TEST("a pipe's writer is told that its reader closes, full or not, however it is watched, as a level each time") {
    for (bool const full : {true, false}) {
        for (int const how : {wr, wr | edge, rd | wr, rd | wr | edge}) {
            auto const [out, in] = s.pipe();
            if (full) s.fill(in);
            CHECK_EQ(s.change(in, 3, none, how), 0);
            CHECK_EQ(s.ready(in, 3), full ? 0U : w);
            s.close(out);
            if ((how & edge) != 0) s.rearm(in, 3, how);
            unsigned const first = s.ready(in, 3);
            CHECK((first & (ready_error | ready_hangup)) != 0);
            for (int i = 0; i != 5; ++i) {
                unsigned const next = s.ready(in, 3);
                if ((how & edge) == 0) CHECK((next & (w | ready_error | ready_hangup)) != 0);
                else if (i != 0) CHECK_EQ(next, 0U);   // it may be told twice, by each direction
            }
            // It may be watched otherwise or be given up, as before.
            int const other = full ? how : how ^ rd;
            if (other != how) CHECK_EQ(s.change(in, 3, how, other), 0);
            if ((how & edge) == 0) CHECK((s.ready(in, 3) & (w | ready_error | ready_hangup)) != 0);
            CHECK_EQ(s.change(in, 3, other, none), 0);
            CHECK(s.wait().empty());
            s.close(in);
        }
    }
}

POLLER_TEST("a pipe's writer that is watched for writing is not told of what is written to it, and its reader is told of that alone") {
    for (int const how : {wr, wr | edge}) {
        auto const [out, in] = s.pipe();
        s.fill(in);
        CHECK_EQ(s.change(in, 3, none, how), 0);
        CHECK(s.wait().empty());
        CHECK_EQ(s.change(out, 4, none, rd), 0);
        CHECK_EQ(s.ready(out, 4), r);
        CHECK(s.drain(out) != 0);
        CHECK_EQ(s.ready(in, 3), w);
        CHECK_EQ(s.change(in, 3, how, rd | (how & edge)), 0);
        CHECK(s.wait().empty());
        CHECK_EQ(s.change(in, 3, rd | (how & edge), how), 0);
        CHECK_EQ(s.ready(in, 3), w);
        CHECK_EQ(s.change(in, 3, how, none), 0);
        CHECK_EQ(s.change(out, 4, rd, none), 0);
        s.close(in);
        s.close(out);
    }
}

POLLER_TEST("of hundreds of changes in one batch each is done, and each says how it went") {
    std::vector<pair_of> all;
    std::vector<poll_change> changes;
    for (int i = 0; i != 150; ++i) {
        all.push_back(s.sockets());
        auto const [a, b] = all.back();
        changes.push_back({a, static_cast<std::uint32_t>(i), none, static_cast<std::uint8_t>(rd | wr | edge), 9});
        if (i % 5 == 0) changes.push_back({a, static_cast<std::uint32_t>(i + 7'000), rd | wr | edge, rd, 9});
    }
    for (std::size_t i = 0; i < all.size(); i += 7) s.close(all[i].a);
    s.change(changes);
    std::map<int, unsigned> told;
    for (std::size_t i = 0; i != all.size(); ++i)
        if (i % 7 != 0) s.write(all[i].b);
    for (int i = 0; i != 500; ++i)
        for (auto const& e : s.wait(0, 64)) told[e.fd] |= e.ready;
    for (int i = 0; i != 150; ++i) {
        auto const a = all[static_cast<std::size_t>(i)].a;
        unsigned const right = i % 7 == 0 ? 0 : i % 5 == 0 ? r : r | w;
        CHECK_EQ(told[a], right);
    }
    for (auto const& c : changes) CHECK_EQ(c.result, c.generation % 7 == 0 ? -EBADF : 0);
}

POLLER_TEST("a hang-up is told to whoever waits to write, and to an edge once") {
    auto const [a, b] = s.sockets();
    auto const [c, d] = s.sockets();
    CHECK_EQ(s.change(a, 1, none, wr), 0);
    CHECK_EQ(s.change(c, 2, none, rd | wr | edge), 0);
    CHECK_EQ(s.ready(c, 2), w);
    s.close(b);
    s.close(d);
    std::map<int, unsigned> told;
    for (auto const& e : s.wait()) told[e.fd] = e.ready;
    CHECK((told[a] & ready_hangup) != 0);
    CHECK((told[c] & ready_hangup) != 0);
    CHECK_EQ(s.change(a, 1, wr, none), 0);
    CHECK(s.wait().empty());
}

POLLER_TEST("an fd that cannot be polled is refused with EPERM, or always ready") {
    int const file = s.file();
    int const got = s.change(file, 1, none, rd);
    CHECK(got == 0 || got == -EPERM);
    for (int i = 0; i != 3; ++i) CHECK_EQ(s.ready(file, 1), got == 0 ? r : 0U);
    if (got == 0) CHECK_EQ(s.change(file, 1, rd, none), 0);
    CHECK(s.wait().empty());
}
