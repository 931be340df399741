// What every poller must do, whatever the kernel below it.
#include <atomic>
#include <limits>
#include <map>
#include <poll.h>
#include <thread>

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
        {a, 1, none, rd, 9}, {out, 3, none, rd, 9}, {a, 1, rd, wr, 9}, {a, 1, wr, none, 9}, {a, 2, none, rd, 9}, {out, 3, rd, none, 9}};
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
    CHECK_EQ(s.ready(out, 1), +ready_hangup);
    auto const [reader, writer] = s.pipe();
    CHECK_EQ(s.change(writer, 2, none, wr), 0);
    CHECK_EQ(s.ready(writer, 2), w);
    s.close(reader);
    CHECK((s.ready(writer, 2) & ready_error) != 0);
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

POLLER_TEST("a wait of no length comes back at once, and a short one not before its time") {
    auto const [out, in] = s.pipe();
    CHECK_EQ(s.change(out, 1, none, rd), 0);
    CHECK(s.wait(0).empty());
    for (std::int64_t const ns : {std::int64_t{1}, std::int64_t{100'000}, std::int64_t{1'500'000}, std::int64_t{3'000'000}}) {
        // A signal may end a wait early, now and then.
        bool whole = false;
        for (int i = 0; i != 5 && !whole; ++i) {
            std::int64_t const before = s.now();
            CHECK(s.wait(ns).empty());
            whole = s.now() - before >= ns;
        }
        CHECK(whole);
    }
}

POLLER_TEST("whatever the timeout, what is ready ends the wait") {
    auto const [out, in] = s.pipe();
    CHECK_EQ(s.change(out, 1, none, rd), 0);
    s.write(in);
    std::int64_t const before = s.now();
    for (std::int64_t const ns : {std::int64_t{-1}, std::int64_t{1}, std::int64_t{3'600'000'000'000}, std::numeric_limits<std::int64_t>::max(),
                                  std::numeric_limits<std::int64_t>::max() - 1, std::numeric_limits<std::int64_t>::min()})
        CHECK_EQ(s.wait(ns).size(), 1U);
    CHECK(s.now() - before < 3'600'000'000'000);
}

POLLER_TEST("a wait for ever is ended by a wake from another thread, and many wakes are one") {
    for (waker_kind const kind : {waker_kind::eventfd, waker_kind::pipe}) {
        waker_fds fds;
        REQUIRE(s.on().calls->make_waker(s.on().context, kind, &fds) == 0);
        s.keep(fds.read_fd);
        if (fds.write_fd != fds.read_fd) s.keep(fds.write_fd);
        CHECK_EQ(s.change(fds.read_fd, 1, none, rd), 0);
        for (int round = 0; round != 50; ++round) {
            std::atomic<int> posted{0};
            std::thread other([&] {
                for (int i = 0; i != 1 + round % 3; ++i) {
                    ++posted;
                    s.on().calls->wake(s.on().context, fds.write_fd);
                }
            });
            auto const events = s.wait(round % 2 == 0 ? -1 : std::numeric_limits<std::int64_t>::max());
            CHECK(posted.load() > 0 || events.empty());
            CHECK(events.size() <= 1);
            other.join();
            s.on().calls->drain_waker(s.on().context, fds.read_fd);
            CHECK(s.wait().empty());
        }
        // Beyond what a pipe holds, or a counter counts: never blocks, never lost.
        for (int i = 0; i != 100'000; ++i) s.on().calls->wake(s.on().context, fds.write_fd);
        CHECK_EQ(s.ready(fds.read_fd, 1), r);
        for (int i = 0; i != 100 && !s.wait().empty(); ++i) s.on().calls->drain_waker(s.on().context, fds.read_fd);
        CHECK(s.wait().empty());
        CHECK_EQ(s.change(fds.read_fd, 1, rd, none), 0);
    }
}

POLLER_TEST("with room for fewer events than there are, each level has its turn, and no edge is lost") {
    constexpr int many = 40;
    std::vector<pair_of> levels, edges;
    for (int i = 0; i != many; ++i) {
        levels.push_back(s.pipe());
        CHECK_EQ(s.change(levels.back().a, static_cast<std::uint32_t>(i), none, rd), 0);
        s.write(levels.back().b);
    }
    std::map<int, int> told;
    for (int i = 0; i != 3 * many / 4; ++i)
        for (auto const& e : s.wait(0, 4)) ++told[e.fd];
    CHECK_EQ(told.size(), std::size_t{many});
    for (auto const& p : levels) CHECK_EQ(s.change(p.a, 0, rd, none), 0);
    CHECK(s.wait().empty());
    for (int i = 0; i != many; ++i) {
        edges.push_back(s.pipe());
        CHECK_EQ(s.change(edges.back().a, static_cast<std::uint32_t>(i), none, rd | edge), 0);
        s.write(edges.back().b);
    }
    told.clear();
    for (int i = 0; i != many; ++i)
        for (auto const& e : s.wait(0, 3)) ++told[e.fd];
    CHECK_EQ(told.size(), std::size_t{many});
    for (auto const& [fd, times] : told) CHECK_EQ(times, 1);
}

POLLER_TEST("one who is busy all the time does not keep others from being told") {
    auto const [busy_out, busy_in] = s.pipe();
    auto const [out, in] = s.pipe();
    s.write(busy_in);
    CHECK_EQ(s.change(busy_out, 1, none, rd), 0);
    CHECK_EQ(s.change(out, 2, none, rd), 0);
    CHECK_EQ(s.wait(0, 1).size(), 1U);
    s.write(in);
    bool told = false;
    for (int i = 0; i != 4 && !told; ++i)
        for (auto const& e : s.wait(0, 1)) told |= e.fd == out;
    CHECK(told);
}

POLLER_TEST("a renewed poller knows nothing, and takes all again") {
    auto const [out, in] = s.pipe();
    auto const [more, other] = s.pipe();
    s.write(in);
    s.write(other);
    CHECK_EQ(s.change(out, 1, none, rd), 0);
    CHECK_EQ(s.change(more, 2, none, rd), 0);
    int const handed_out = s.calls().backend_fd(s.context());
    CHECK_EQ(s.calls().renew(s.context(), false), 0);
    CHECK(s.wait().empty());
    CHECK_EQ(s.change(out, 3, none, rd), 0);
    CHECK_EQ(s.ready(out, 3), r);
    CHECK_EQ(s.calls().backend_fd(s.context()), handed_out);
}

POLLER_TEST("a ghost, closed while a duplicate lives, is at most told under its old generation, and gone after a renewal") {
    auto const [out, in] = s.pipe();
    CHECK_EQ(s.change(out, 1, none, rd), 0);
    s.duplicate(out);
    s.close(out);
    s.write(in);
    for (auto const& e : s.wait()) CHECK(e.fd == out && e.generation == 1);
    CHECK_EQ(s.calls().renew(s.context(), false), 0);
    for (int i = 0; i != 3; ++i) CHECK(s.wait().empty());
}

POLLER_TEST("the backend's fd, where there is one, can be read when a wait would tell something") {
    int const fd = s.calls().backend_fd(s.context());
    if (fd < 0) {
        CHECK_EQ(fd, -ENOSYS);
        harness::skip("this poller has none");
    }
    auto const readable = [&] {
        pollfd p{fd, POLLIN, 0};
        return ::poll(&p, 1, 0) == 1;
    };
    CHECK(!readable());
    auto const [out, in] = s.pipe();
    CHECK_EQ(s.change(out, 1, none, rd), 0);
    CHECK(!readable());
    s.write(in);
    CHECK(readable());
    CHECK_EQ(s.ready(out, 1), r);
    CHECK(readable());
    s.drain(out);
    CHECK(s.wait().empty());
    CHECK(!readable());
    CHECK_EQ(s.calls().renew(s.context(), false), 0);
    CHECK_EQ(s.change(out, 2, none, rd), 0);
    s.write(in);
    CHECK(readable());
}

POLLER_TEST("without memory a poller is not made; a registration is refused, and those there are go on") {
    kernel::made_poller more;
    s.heap.left = 0;
    CHECK_EQ(s.make(more), -ENOMEM);
    s.heap.left = -1;
    // However many allocations succeed: what was refused is out, what was taken is in.
    for (long allowed = 0; allowed != 6; ++allowed) {
        REQUIRE(s.calls().renew(s.context(), false) == 0);
        std::vector<pair_of> pipes;
        std::vector<int> taken;
        s.heap.left = allowed;
        for (int i = 0; i != 40 + 20 * static_cast<int>(allowed); ++i) {
            auto const p = s.pipe();
            pipes.push_back(p);
            s.write(p.b);
            int const got = s.change(p.a, 3, none, rd);
            CHECK(got == 0 || got == -ENOMEM);
            if (got == 0) taken.push_back(p.a);
        }
        std::map<int, unsigned> told;
        for (auto const& e : s.wait(0, 128)) told[e.fd] = e.ready;
        CHECK_EQ(told.size(), std::min(taken.size(), std::size_t{128}));
        for (int const fd : taken) CHECK(taken.size() > 128 || told[fd] == r);
        s.heap.left = -1;
        auto const p = s.pipe();
        CHECK_EQ(s.change(p.a, 3, none, rd), 0);
        for (auto const& q : pipes) s.close(q.a), s.close(q.b);
        s.close(p.a), s.close(p.b);
    }
}

// Level-triggered readiness of socket pairs against a model: what is pending, who has closed, what is wanted.
POLLER_TEST("whatever is registered, written, read and closed at random, a wait tells just what is ready") {
    struct end {
        int fd = -1;
        int wanted = none;
        std::uint32_t generation = 0;
        std::size_t pending = 0;   // bytes to be read here
        bool alone = false;        // the other end is closed
    };
    harness::random random(harness::seed());
    std::vector<end> ends(24);   // 2n and 2n + 1 are a pair
    std::uint32_t generation = 0;
    int const rounds = harness::nightly() ? 400'000 : 4'000;
    for (int i = 0; i != rounds; ++i) {
        std::size_t const at = random.below(ends.size());
        end& e = ends[at];
        end& peer = ends[at ^ 1];
        switch (random.below(8)) {
        case 0:
            if (e.fd < 0 && peer.fd < 0) {
                auto const [a, b] = s.sockets();
                e = {a, none, 0, 0, false};
                peer = {b, none, 0, 0, false};
            }
            break;
        case 1:
            if (e.fd >= 0 && random.chance(30)) {
                // Out of the set first, or, of one that knows what is behind a number, behind its back.
                bool const by_number = std::string_view(s.calls().name) == "poll";
                if (e.wanted != none && (by_number || random.chance(60))) CHECK_EQ(s.change(e.fd, e.generation, e.wanted, none), 0);
                s.close(e.fd);
                e = {};
                peer.alone = true;
            }
            break;
        case 2:
        case 3:
            if (e.fd >= 0 && !e.alone && peer.pending < 1'000) {
                s.write(e.fd, 5);
                peer.pending += 5;
            }
            break;
        case 4:
            if (e.fd >= 0) {
                CHECK_EQ(s.drain(e.fd), e.pending);
                e.pending = 0;
            }
            break;
        default:
            if (e.fd >= 0) {
                int const wanted = static_cast<int>(random.below(4));
                if (wanted == e.wanted) break;
                if (e.wanted == none) e.generation = ++generation;
                CHECK_EQ(s.change(e.fd, e.generation, e.wanted, wanted), 0);
                e.wanted = wanted;
            }
        }
        std::map<int, poll_event> told;
        for (auto const& event : s.wait()) CHECK(told.emplace(event.fd, event).second);
        for (end const& x : ends) {
            if (x.fd < 0) continue;
            auto const found = told.find(x.fd);
            unsigned const ready = found == told.end() ? 0 : found->second.ready;
            bool const can_read = x.pending != 0 || x.alone;
            CHECK_EQ((ready & r) != 0, (x.wanted & rd) != 0 && can_read);
            CHECK_EQ((ready & w) != 0, (x.wanted & wr) != 0);
            CHECK_EQ((ready & ready_hangup) != 0, x.wanted != none && x.alone);
            if (ready) CHECK_EQ(found->second.generation, x.generation);
            if (found != told.end()) told.erase(found);
        }
        CHECK(told.empty());
    }
}
