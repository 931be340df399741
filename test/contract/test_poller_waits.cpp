// What every poller must do when it is waited for: time, wakes, room, renewal, want of memory; and a model.
#include <atomic>
#include <limits>
#include <map>
#include <poll.h>
#include <string_view>
#include <thread>

#include "poller_subject.hpp"

using namespace contract;

namespace {
constexpr int rd = interest_read, wr = interest_write, edge = interest_edge, none = interest_none;
constexpr unsigned r = ready_read, w = ready_write;
}  // namespace

POLLER_TEST("a wait of no length comes back at once, and a short one not before its time") {
    auto const [out, in] = s.pipe();
    CHECK_EQ(s.change(out, 1, none, rd), 0);
    CHECK(s.wait(0).empty());
    constexpr std::int64_t lengths[] = {1, 100'000, 1'500'000, 3'000'000};
    for (std::int64_t const ns : lengths) {
        if (harness::interrupted() && ns > 900'000) break;   // no wait is whole then
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
    using limits = std::numeric_limits<std::int64_t>;
    constexpr std::int64_t lengths[] = {-1, 1, 3'600'000'000'000, limits::max(), limits::max() - 1, limits::min()};
    for (std::int64_t const ns : lengths)
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

POLLER_TEST("a ghost, closed while a duplicate lives, is told of as the old one at most, and gone after a renewal") {
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

POLLER_TEST("who stops sending himself is not hung up on: what comes can still be read") {
    auto const [a, b] = s.sockets();
    CHECK_EQ(s.change(a, 1, none, rd | wr), 0);
    CHECK_EQ(s.on().calls->shutdown(s.on().context, a, 1), 0);
    CHECK_EQ(s.ready(a, 1) & (ready_read_closed | ready_hangup | ready_error), 0U);
    s.write(b, 2);
    CHECK_EQ(s.ready(a, 1) & (r | ready_read_closed | ready_hangup | ready_error), r);
    CHECK_EQ(s.drain(a), 2U);
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
                if (e.wanted != none && (by_number || random.chance(60)))
                    CHECK_EQ(s.change(e.fd, e.generation, e.wanted, none), 0);
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
            bool const asked = s.by_direction() ? (x.wanted & wr) != 0 : x.wanted != none;
            CHECK_EQ((ready & ready_hangup) != 0, asked && x.alone);
            if (s.by_direction()) CHECK_EQ((ready & ready_read_closed) != 0, (x.wanted & rd) != 0 && x.alone);
            if (ready) CHECK_EQ(found->second.generation, x.generation);
            if (found != told.end()) told.erase(found);
        }
        CHECK(told.empty());
    }
}
