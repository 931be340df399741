// The model of kqueue by itself: what the manual says of changes, answers and events, and where the BSDs differ.
#include <csignal>

#include "../sys/queue_world.hpp"

TEST("model of kqueue: a registration that is there takes new udata, is looked at afresh, and stays level or edge as it was") {
    queue_world w;
    auto const [out, in] = w.pipe();
    CHECK_EQ(w.change(out, rd, add, 5), 0);
    REQUIRE(w.sim.write(in, "ab").ok());
    CHECK_EQ(w.change(out, rd, add | clear, 6), 0);
    for (int i = 0; i != 2; ++i) {
        auto const got = w.take();
        REQUIRE(got.size() == 1);
        CHECK(got[0].udata == 6 && got[0].data == 2);
    }
    CHECK_EQ(w.change(out, rd, drop), 0);
    CHECK_EQ(w.change(out, rd, add | clear), 0);
    CHECK_EQ(w.take().size(), 1U);
    CHECK_EQ(w.take().size(), 0U);
    CHECK_EQ(w.change(out, rd, add), 0);   // pending still: told again
    CHECK_EQ(w.take().size(), 1U);
    CHECK_EQ(w.take().size(), 0U);
}

TEST("model of kqueue: receipts answer every change in its place, and events do not come with them") {
    queue_world w;
    auto const [out, in] = w.pipe();
    REQUIRE(w.sim.write(in, "x").ok());
    auto const at = static_cast<std::uintptr_t>(out);
    auto const got = w.take(8, 0, {w.record(at, rd, add | receipt), w.record(77, rd, add | receipt), w.record(at, wr, drop | receipt)});
    REQUIRE(got.size() == 3);
    for (auto const& r : got) CHECK_EQ(r.flags, +kevent_error);
    CHECK(got[0].data == 0 && got[1].data == EBADF && got[2].data == ENOENT);
    CHECK(got[0].ident == at && got[1].ident == 77);
    // What follows the one whose answer found no room is not done.
    auto const gone = w.record(at, rd, drop | receipt);
    CHECK_EQ(w.take(1, 0, {gone, w.record(at, rd, add | receipt), gone}).size(), 1U);
    CHECK_EQ(w.take().size(), 1U);
}

TEST("model of kqueue: where receipts are unknown only failures are answered, and else events come") {
    queue_world w(kqueue_of::netbsd);
    CHECK(!w.calls.has_receipts);
    auto const [out, in] = w.pipe();
    REQUIRE(w.sim.write(in, "x").ok());
    auto const at = static_cast<std::uintptr_t>(out);
    auto const got = w.take(8, 0, {w.record(at, rd, add | receipt), w.record(77, rd, add | receipt)});
    REQUIRE(got.size() == 1);
    CHECK(got[0].flags == kevent_error && got[0].data == EBADF);
    auto const events = w.take(8, 0, {w.record(at, rd, add | receipt)});
    REQUIRE(events.size() == 1);
    CHECK_EQ(events[0].flags, 0U);
}

TEST("model of kqueue: closing a number removes what was registered under it, though the thing lives on under another") {
    queue_world w;
    auto const [out, in] = w.pipe();
    int const twin = *w.sim.duplicate(out);
    CHECK_EQ(w.change(out, rd, add, 1), 0);
    CHECK_EQ(w.change(twin, rd, add, 2), 0);
    REQUIRE(w.sim.write(in, "x").ok());
    REQUIRE(w.sim.close(out).ok());
    auto const got = w.take();
    REQUIRE(got.size() == 1);
    CHECK_EQ(got[0].udata, 2U);
    CHECK_EQ(w.change(out, rd, drop), -EBADF);
    auto const [again, other] = w.pipe();
    REQUIRE(again == out);
    CHECK_EQ(w.change(again, rd, drop), -ENOENT);   // it has inherited nothing
}

TEST("model of kqueue: the end is told with what is pending, and a refused connection's error with the end") {
    queue_world w;
    auto const pair = *w.sim.make_socketpair();
    CHECK_EQ(w.change(pair.first, rd, add), 0);
    REQUIRE(w.sim.write(pair.second, "abc").ok());
    REQUIRE(w.sim.shutdown_write(pair.second).ok());
    auto got = w.take();
    REQUIRE(got.size() == 1);
    CHECK(got[0].data == 3 && (got[0].flags & kevent_eof) != 0 && got[0].notes == 0);
    CHECK_EQ(w.change(pair.first, rd, drop), 0);
    int const socket = *w.sim.connect(9);   // nobody listens there
    CHECK_EQ(w.change(socket, wr, add), 0);
    got = w.take();
    REQUIRE(got.size() == 1);
    CHECK((got[0].flags & kevent_eof) != 0 && got[0].notes == ECONNREFUSED);
}

TEST("model of kqueue: a listener's data are the connections that wait, a file's what is left of it") {
    queue_world w;
    int const listener = *w.sim.listen();
    CHECK_EQ(w.change(listener, rd, add), 0);
    auto const port = *w.sim.port_of(listener);
    REQUIRE(w.sim.connect(port).ok() && w.sim.connect(port).ok());
    auto const got = w.take();
    REQUIRE(got.size() == 1);
    CHECK_EQ(got[0].data, 2);
    CHECK_EQ(w.change(listener, rd, drop), 0);
    int const file = *w.sim.make_file("1234");
    CHECK_EQ(w.change(file, rd, add), 0);
    auto const of_file = w.take();
    REQUIRE(of_file.size() == 1);
    CHECK_EQ(of_file[0].data, 4);
    char room[8];
    CHECK_EQ(*w.sim.read(file, room, sizeof room), 4U);
    CHECK(w.take().empty());   // at its end: silent
}

TEST("model of kqueue: signals are counted between two looks, and are edges by themselves") {
    queue_world w;
    CHECK_EQ(w.change(SIGUSR1, kevent_filter::signal, add, 3), 0);
    CHECK(w.take().empty());
    for (int i = 0; i != 3; ++i) w.sim.raise_signal(SIGUSR1);
    w.sim.raise_signal(SIGUSR2);
    auto const got = w.take();
    REQUIRE(got.size() == 1);
    CHECK(got[0].ident == SIGUSR1 && got[0].data == 3 && got[0].udata == 3);
    CHECK(w.take().empty());
    CHECK_EQ(w.change(SIGUSR1, kevent_filter::signal, drop), 0);
    CHECK_EQ(w.change(SIGUSR1, kevent_filter::signal, drop), -ENOENT);
    w.sim.raise_signal(SIGUSR1);
    CHECK(w.take().empty());
}

TEST("model of kqueue: a child's end is told once; of one that has ended already at once, or not at all") {
    for (kqueue_of const of : each) {
        queue_world w(of);
        int const pid = *w.sim.spawn_child();
        CHECK_EQ(w.change(pid + 1, kevent_filter::process, add), -ESRCH);
        CHECK_EQ(w.change(pid, kevent_filter::process, add), 0);
        CHECK(w.take().empty());
        REQUIRE(w.sim.end_child(pid, 3).ok());
        child_status status{};
        auto const& kernel = *w.sim.on();
        int const early = kernel.calls->reap_child(kernel.context, pid, -1, &status);
        CHECK_EQ(early, of == kqueue_of::openbsd ? 0 : 1);
        CHECK_EQ(w.take().size(), 1U);   // though it was reaped
        CHECK(w.take().empty());
        if (early == 0) CHECK_EQ(kernel.calls->reap_child(kernel.context, pid, -1, &status), 1);
        CHECK(status.exited && status.code == 3);
        int const other = *w.sim.spawn_child();
        REQUIRE(w.sim.end_child(other, 0).ok());
        CHECK_EQ(w.change(other, kevent_filter::process, add), of == kqueue_of::freebsd ? 0 : -ESRCH);
        CHECK_EQ(w.take().size(), of == kqueue_of::freebsd ? 1U : 0U);
    }
}

TEST("model of kqueue: timeouts are cut to a day and end late by a sixteenth, or are refused when absurd and may end too soon") {
    using record = kevent_record;
    constexpr std::int64_t day = 86'400'000'000'000, absurd = 200'000'000'000'000'000;
    record room[1];
    {
        queue_world w;
        auto const before = w.sim.now();
        CHECK_EQ(w.calls.kevent(&w.kernel_of(), w.fd, nullptr, 0, room, 1, absurd), 0);
        CHECK_EQ((w.sim.now() - before).count(), day + day / 16);
    }
    for (kqueue_of const of : {kqueue_of::netbsd, kqueue_of::openbsd}) {
        queue_world w(of);
        CHECK_EQ(w.calls.kevent(&w.kernel_of(), w.fd, nullptr, 0, room, 1, absurd), -EINVAL);
        auto const before = w.sim.now();
        CHECK_EQ(w.calls.kevent(&w.kernel_of(), w.fd, nullptr, 0, room, 1, 50'000'000), 0);
        CHECK_EQ((w.sim.now() - before).count() < 50'000'000, of == kqueue_of::netbsd);
    }
}

TEST("model of kqueue: a pipe that nobody reads is not watched for writing") {
    for (kqueue_of const of : each) {
        queue_world w(of);
        auto const [out, in] = w.pipe();
        REQUIRE(w.sim.close(out).ok());
        CHECK_EQ(w.change(in, wr, add), of == kqueue_of::netbsd ? -EBADF : -EPIPE);
    }
}
