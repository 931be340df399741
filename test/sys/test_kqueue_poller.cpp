// kqueue's poller over a table that says what the test wants: failures, odd answers, and what it must not do.
#include <cerrno>
#include <map>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "../../src/sys/kevent.hpp"
#include "../harness/forked.hpp"
#include "../harness/harness.hpp"

using namespace spruce;
using namespace spruce::detail;

namespace {
constexpr std::uint8_t rd = interest_read, wr = interest_write, edge = interest_edge, none = interest_none;

// Takes note of every change, refuses those it is told to, and tells the events it is given.
struct scripted_queue {
    struct key {
        std::uintptr_t ident;
        kevent_filter filter;
        auto operator<=>(key const&) const = default;
    };
    std::map<key, int> refusals;            // of what is added
    std::map<key, kevent_record> registered;
    std::vector<kevent_record> events;
    std::vector<std::int64_t> timeouts;     // of each wait
    int next_wait = 0;                      // what a wait gives instead, once
    bool none_left = false;                 // no queue can be made
    int made = 0, closed = 0, calls_made = 0;
    int kind = fd_other_socket;
    std::int64_t now = 0;
    bool late = false;                      // by a sixteenth
    int sleeps = 0;
    kevent_calls calls{create, kevent, close, forked, kind_of, nullptr, true, true, 0,
                       [](void* c, int, std::int64_t) noexcept { ++self(c).sleeps; return 0; }};
    kernel::made_poller poller;

    explicit scripted_queue(bool receipts = true) {
        calls.has_receipts = receipts;
        REQUIRE(make_kqueue_poller(calls, this, {}, &poller) == 0);
    }
    ~scripted_queue() { poller.calls->close(poller.context); }

    static scripted_queue& self(void* context) { return *static_cast<scripted_queue*>(context); }
    static int create(void* c) noexcept { return self(c).none_left ? -EMFILE : 500 + self(c).made++; }
    static void close(void* c, int) noexcept { ++self(c).closed; }
    static void forked(void*) noexcept {}
    static int kind_of(void* c, int fd) noexcept { return fd < 400 ? self(c).kind : -EBADF; }
    int apply(kevent_record const& r) {
        key const at{r.ident, r.filter};
        if ((r.flags & kevent_delete) != 0) return registered.erase(at) != 0 ? 0 : -ENOENT;
        if (auto const no = refusals.find(at); no != refusals.end()) return no->second;
        registered[at] = r;
        return 0;
    }
    static int kevent(void* c, int, kevent_record const* changes, int count, kevent_record* into, int room, std::int64_t timeout_ns) noexcept {
        scripted_queue& q = self(c);
        ++q.calls_made;
        int answers = 0;
        for (int i = 0; i < count; ++i) {
            int const failed = q.apply(changes[i]);
            bool const receipt = q.calls.has_receipts && (changes[i].flags & kevent_receipt) != 0;
            if (failed == 0 && !receipt) continue;
            if (answers == room) return answers != 0 ? answers : failed;
            into[answers] = changes[i];
            into[answers].flags = kevent_error;
            into[answers++].data = -failed;
        }
        if (count != 0) return answers;
        q.timeouts.push_back(timeout_ns);
        if (int const instead = std::exchange(q.next_wait, 0)) return instead;
        for (kevent_record const& e : q.events) {
            if (answers == room) break;
            into[answers++] = e;
        }
        if (answers == 0 && timeout_ns > 0) q.now += timeout_ns + (q.late ? timeout_ns / 16 : 0);
        return answers;
    }

    int change(int fd, std::uint8_t before, std::uint8_t wanted, std::uint32_t generation = 1) {
        poll_change c{fd, generation, before, wanted, 7};
        poller.calls->change(poller.context, &c, 1);
        return c.result;
    }
    std::vector<poll_event> wait(std::int64_t timeout_ns = 0, int room = 16) {
        std::vector<poll_event> got(static_cast<std::size_t>(room));
        int const count = poller.calls->wait(poller.context, got.data(), room, timeout_ns);
        REQUIRE(count >= 0);
        got.resize(static_cast<std::size_t>(count));
        return got;
    }
    // How often a guest's sleep came to the kernel.
    int asleep() {
        sleeps = 0;
        CHECK_EQ(poller.calls->lie_down(poller.context), 0);
        CHECK_EQ(poller.calls->sleep(poller.context, -1), 0);
        return sleeps;
    }
    bool has(int fd, kevent_filter f) const { return registered.count({static_cast<std::uintptr_t>(fd), f}) != 0; }
    void refuse(int fd, kevent_filter f, int with) { refusals[{static_cast<std::uintptr_t>(fd), f}] = with; }
};
}  // namespace

TEST("kqueue's poller: a change that is done by half is undone, and what was there before stays") {
    for (bool const receipts : {true, false}) {
        scripted_queue q(receipts);
        q.refuse(5, kevent_filter::write, -ENOMEM);
        CHECK_EQ(q.change(5, none, rd | wr | edge), -ENOMEM);
        CHECK(q.registered.empty());
        CHECK_EQ(q.change(5, none, rd), 0);
        CHECK_EQ(q.change(5, rd, rd | wr), -ENOMEM);
        CHECK(q.has(5, kevent_filter::read) && q.registered.size() == 1);
        q.refusals.clear();
        CHECK_EQ(q.change(5, rd, rd | wr), 0);
        CHECK_EQ(q.registered.size(), 2U);
        CHECK_EQ(q.change(5, rd | wr, none), 0);
        CHECK(q.registered.empty());
        CHECK_EQ(q.change(5, rd, none), -ENOENT);
    }
}

TEST("kqueue's poller: what cannot be watched at all is always ready, what can be read only is written at once") {
    for (int const refusal : {-EINVAL, -ENODEV, -EOPNOTSUPP, -ENXIO, -EPERM}) {
        scripted_queue q;
        q.refuse(5, kevent_filter::read, refusal);
        q.refuse(5, kevent_filter::write, refusal);
        CHECK_EQ(q.change(5, none, rd), -EPERM);
        CHECK_EQ(q.change(5, none, wr), -EPERM);
        CHECK_EQ(q.change(5, none, rd | wr | edge), -EPERM);
        q.refuse(6, kevent_filter::write, refusal);
        CHECK_EQ(q.change(6, none, rd | wr | edge, 3), 0);
        auto const told = q.wait(-1);
        REQUIRE(told.size() == 1);
        CHECK(told[0].fd == 6 && told[0].generation == 3 && told[0].ready == ready_write);
        CHECK_EQ(q.timeouts.back(), 0);   // something is there: no waiting
        CHECK(q.wait(-1).empty());
        CHECK_EQ(q.timeouts.back(), -1);
    }
}

TEST("kqueue's poller: one call for a batch where answers are given, one for each change where not") {
    for (bool const receipts : {true, false}) {
        scripted_queue q(receipts);
        poll_change all[20];
        for (int i = 0; i != 20; ++i) all[i] = {10 + i, 1, none, rd | wr | edge, 7};
        q.poller.calls->change(q.poller.context, all, 20);
        CHECK_EQ(q.calls_made, receipts ? 1 : 40);
        CHECK_EQ(q.registered.size(), 40U);
        for (auto const& c : all) CHECK_EQ(c.result, 0);
        for (auto const& r : q.registered) CHECK(r.second.udata == 1 && (r.second.flags & kevent_clear) != 0);
    }
}

TEST("kqueue's poller: an fd's directions are one event, of one generation; the end of each is told as such") {
    scripted_queue q;
    CHECK_EQ(q.change(5, none, rd | wr, 2), 0);
    auto const event = [](std::uintptr_t udata, kevent_filter f, unsigned flags, std::uint32_t notes) {
        return kevent_record{5, udata, 0, notes, static_cast<std::uint16_t>(flags), f};
    };
    q.events = {event(2, kevent_filter::read, 0, 0), event(2, kevent_filter::write, 0, 0)};
    auto told = q.wait();
    REQUIRE(told.size() == 1);
    CHECK(told[0].generation == 2 && told[0].ready == (ready_read | ready_write));
    q.events = {event(2, kevent_filter::read, kevent_eof, 0), event(2, kevent_filter::write, kevent_eof, ECONNRESET)};
    told = q.wait();
    REQUIRE(told.size() == 1);
    CHECK_EQ(told[0].ready, ready_read | ready_read_closed | ready_write | ready_hangup | ready_error);
    // An older registration's event stays apart, so that whoever checks the generation sees it.
    q.events = {event(1, kevent_filter::read, 0, 0), event(2, kevent_filter::write, 0, 0)};
    told = q.wait();
    REQUIRE(told.size() == 2);
    CHECK(told[0].generation == 1 && told[0].ready == ready_read);
    CHECK(told[1].generation == 2 && told[1].ready == ready_write);
}

TEST("kqueue's poller: an interrupted wait is none, other failures are told, and no wait is longer than a day") {
    scripted_queue q;
    q.next_wait = -EINTR;
    CHECK(q.wait(1'000).empty());
    poll_event e;
    q.next_wait = -EBADF;
    CHECK_EQ(q.poller.calls->wait(q.poller.context, &e, 1, 0), -EBADF);
    CHECK(q.wait(INT64_MAX).empty());
    CHECK_EQ(q.timeouts.back(), 86'400'000'000'000);
}

TEST("kqueue's poller: renewed, it has forgotten what the kernel refused, and watches and tells it anew") {
    for (bool const receipts : {true, false}) {
        scripted_queue q(receipts);
        q.refuse(6, kevent_filter::write, -EPIPE);
        CHECK_EQ(q.change(6, none, rd | wr, 3), 0);
        CHECK_EQ(q.change(7, none, wr, 3), 0);
        CHECK_EQ(q.wait(-1).size(), 1U);
        CHECK_EQ(q.asleep(), 0);
        CHECK_EQ(q.poller.calls->renew(q.poller.context, false), 0);
        CHECK(q.registered.empty());
        CHECK(q.wait(-1).empty());
        CHECK_EQ(q.timeouts.back(), -1);
        CHECK_EQ(q.asleep(), 1);   // nothing is left to be told without the kernel
        CHECK_EQ(q.change(6, rd | wr, none), -ENOENT);
        CHECK_EQ(q.change(6, none, rd | wr, 4), 0);
        auto const again = q.wait(-1);
        REQUIRE(again.size() == 1);
        CHECK(again[0].fd == 6 && again[0].generation == 4 && again[0].ready == ready_write);
        q.refusals.clear();
        CHECK_EQ(q.poller.calls->renew(q.poller.context, false), 0);
        CHECK_EQ(q.change(6, none, rd | wr, 5), 0);
        CHECK(q.has(6, kevent_filter::write));
        CHECK(q.wait(-1).empty());
    }
}

TEST("kqueue's poller: where timeouts end late by a part of their length, long ones are waited for in a few parts") {
    constexpr std::int64_t ms = 1'000'000, lengths[] = {1, 15, 100'000, 16 * ms, 17 * ms, 1'000 * ms, 60'000 * ms, 86'400'000 * ms};
    for (std::int64_t const length : lengths) {
        scripted_queue q;
        q.calls.late_part = 16;
        q.calls.grain_ns = ms;
        q.calls.now_ns = [](void* c) noexcept { return scripted_queue::self(c).now; };
        q.late = true;
        CHECK(q.wait(length).empty());
        CHECK(q.now >= length && q.now <= length + ms);
        CHECK(q.timeouts.size() <= 9);
        if (length <= 16 * ms) CHECK(q.timeouts.size() == 1 && q.timeouts[0] == length);
        // An event ends it, whichever part it is in.
        q.now = 0;
        q.timeouts.clear();
        q.events = {{5, 1, 0, 0, 0, kevent_filter::read}};
        CHECK_EQ(q.wait(length).size(), 1U);
        CHECK_EQ(q.timeouts.size(), 1U);
    }
}

TEST("kqueue's poller: a pipe's writer is watched for its end, too; of what else is told of that nothing comes of it") {
    for (bool const receipts : {true, false}) {
        scripted_queue q(receipts);
        q.kind = fd_pipe;
        CHECK_EQ(q.change(5, none, wr, 2), 0);
        REQUIRE(q.has(5, kevent_filter::read));
        q.events = {{5, 2, 9, 0, 0, kevent_filter::read}};
        CHECK(q.wait().empty());
        // The end is told each time, once the kernel has refused to go on.
        q.refuse(5, kevent_filter::write, -EPIPE);
        q.events = {{5, 2, 0, 0, kevent_eof, kevent_filter::read}};
        auto told = q.wait();
        REQUIRE(told.size() == 1);
        CHECK(told[0].generation == 2 && told[0].ready == (ready_write | ready_hangup));
        q.events.clear();
        for (int i = 0; i != 3; ++i) {
            told = q.wait(-1);
            REQUIRE(told.size() == 1);
            CHECK_EQ(told[0].ready, +ready_write);
        }
        CHECK_EQ(q.change(5, wr, none), 0);
        CHECK(!q.has(5, kevent_filter::read));
        CHECK(q.wait(-1).empty());
        // A watch that is refused leaves nothing behind, and neither does one that becomes a reader's.
        q.refuse(6, kevent_filter::write, -ENOMEM);
        CHECK_EQ(q.change(6, none, wr), -ENOMEM);
        CHECK(!q.has(6, kevent_filter::read));
        CHECK_EQ(q.change(7, none, wr), 0);
        CHECK_EQ(q.change(7, wr, rd), 0);
        CHECK(!q.has(7, kevent_filter::write));
        CHECK((q.registered[{7, kevent_filter::read}].flags & kevent_clear) == 0);
        CHECK_EQ(q.change(7, rd, wr), 0);
        CHECK((q.registered[{7, kevent_filter::read}].flags & kevent_clear) != 0);
        // A socket's reader is nobody's business who only writes.
        q.kind = fd_stream_socket;
        CHECK_EQ(q.change(8, none, wr), 0);
        CHECK(!q.has(8, kevent_filter::read));
    }
}

TEST("kqueue's poller: in a forked child its parent's queue is left alone, its number may be another's") {
    for (bool const anew : {true, false}) {
        scripted_queue q;
        CHECK_EQ(q.change(5, none, rd), 0);
        int const pid = ::fork();
        if (pid == 0) {
            // Nothing is asked of that number: not to watch, not to forget, and not to close.
            int const calls = q.calls_made;
            bool fine = q.poller.calls->watch_signal(q.poller.context, 10, true) < 0 && q.calls_made == calls;
            if (anew) {
                fine = fine && q.poller.calls->renew(q.poller.context, true) == 0 && q.closed == 0 && q.made == 2;
                fine = fine && q.poller.calls->watch_signal(q.poller.context, 10, true) == 0;
            }
            q.poller.calls->close(q.poller.context);
            fine = fine && q.closed == (anew ? 1 : 0);
            ::_exit(fine ? 0 : 1);
        }
        int status = -1;
        while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        CHECK_EQ(q.closed, 0);
        CHECK_EQ(q.poller.calls->renew(q.poller.context, false), 0);
        CHECK(q.registered.empty() && q.made == 1);   // the queue stays
    }
}

TEST("kqueue's poller: where a forked child could have no queue, its parent's number is asked for nothing until it can") {
    for (bool const receipts : {true, false}) {
        scripted_queue q(receipts);
        q.refuse(6, kevent_filter::write, -EPIPE);
        CHECK_EQ(q.change(5, none, rd), 0);
        CHECK_EQ(q.change(6, none, wr), 0);
        auto const child = harness::forked([&] {
            poll_event e;
            auto const wait = [&] { return q.poller.calls->wait(q.poller.context, &e, 1, 0); };
            int const calls = q.calls_made;
            q.none_left = true;
            bool fine = q.poller.calls->renew(q.poller.context, true) == -EMFILE;
            fine = fine && q.change(5, rd, rd | wr) < 0 && q.change(7, none, wr) < 0 && q.change(5, rd, none) < 0;
            fine = fine && wait() < 0 && q.poller.calls->backend_fd(q.poller.context) < 0 && q.calls_made == calls;
            q.none_left = false;
            fine = fine && q.poller.calls->renew(q.poller.context, true) == 0 && q.change(7, none, wr) == 0 && wait() == 0;
            ::_exit(fine ? 0 : 1);
        });
        CHECK(WIFEXITED(child.status) && WEXITSTATUS(child.status) == 0);
    }
}
