#include <cerrno>
#include <tuple>

#include "simulated_world.hpp"

TEST("a simulated number is given out again, the lowest first, as soon as it is closed") {
    simulated_world w;
    int a, b;
    std::tie(a, b) = *w.sim.make_pipe();
    int c, d;
    std::tie(c, d) = *w.sim.make_pipe();
    CHECK_EQ(a, 1'000);
    CHECK_EQ(d, 1'003);
    CHECK(w.sim.close(c).ok());
    CHECK(w.sim.close(b).ok());
    CHECK_EQ(w.sim.open_fds(), 2U);
    int e, f;
    std::tie(e, f) = *w.sim.make_pipe();
    CHECK_EQ(e, b);
    CHECK_EQ(f, c);
    CHECK(w.sim.close(12'345) == spruce::error::from_errno(EBADF));
    CHECK_EQ(w.sim.lowest_open_fd(), a);
}

TEST("a simulated kernel out of numbers says EMFILE, and leaks none") {
    simulated_world w({.max_fds = 3});
    auto const pair = w.sim.make_pipe();
    CHECK(pair.ok());
    CHECK(w.sim.make_pipe() == spruce::error::from_errno(EMFILE));
    CHECK(w.sim.make_socketpair() == spruce::error::from_errno(EMFILE));
    CHECK(w.sim.make_file() .ok());
    CHECK(w.sim.make_file() == spruce::error::from_errno(EMFILE));
    CHECK_EQ(w.sim.open_fds(), 3U);
}

TEST("a simulated pipe gives bytes in order, then its end") {
    simulated_world w;
    int r, wr;
    std::tie(r, wr) = *w.sim.make_pipe();
    char c;
    CHECK(w.sim.read(r, &c, 1) == spruce::error(errc::would_wait));
    CHECK_EQ(*w.sim.write(wr, "hello, "), 7U);
    CHECK_EQ(*w.sim.write(wr, "world"), 5U);
    CHECK_EQ(w.take(r, 9), "hello, wo");
    CHECK(w.sim.close(wr).ok());
    CHECK_EQ(w.take(r), "rld");
    CHECK(w.sim.read(r, &c, 1) == spruce::error(errc::end_of_stream));
}

TEST("a simulated pipe without a reader breaks, and each end serves one direction") {
    simulated_world w;
    int r, wr;
    std::tie(r, wr) = *w.sim.make_pipe();
    char c;
    CHECK_EQ(w.failure(w.sim.read(wr, &c, 1)), EBADF);
    CHECK_EQ(w.failure(w.sim.write(r, "x")), EBADF);
    CHECK(w.sim.close(r).ok());
    CHECK_EQ(w.failure(w.sim.write(wr, "x")), EPIPE);
    CHECK_EQ(w.calls.recv(w.on.context, wr, &c, 1), -ENOTSOCK);
}

TEST("a simulated pipe holds what it was made to hold, and takes small writes whole or not at all") {
    simulated_world w({.pipe_buffer = 8'192});
    int r, wr;
    std::tie(r, wr) = *w.sim.make_pipe();
    CHECK_EQ(*w.sim.write(wr, std::string(5'000, 'a')), 5'000U);
    CHECK(w.sim.write(wr, std::string(4'000, 'b')) == spruce::error(errc::would_wait));
    CHECK_EQ(*w.sim.write(wr, std::string(9'000, 'b')), 3'192U);   // larger than PIPE_BUF: what fits
    CHECK_EQ(w.watch(wr, interest_write), 0);
    CHECK_EQ(w.ready(wr), 0U);
    CHECK_EQ(w.take(r, 4'095).size(), 4'095U);
    CHECK_EQ(w.ready(wr), 0U);
    CHECK_EQ(w.take(r, 1).size(), 1U);
    CHECK_EQ(w.ready(wr), unsigned{ready_write});
}

TEST("a simulated pipe tells its poller of hang-ups as Linux does: HUP to the reader, ERR to the writer") {
    simulated_world w;
    int r, wr;
    std::tie(r, wr) = *w.sim.make_pipe();
    int r2, wr2;
    std::tie(r2, wr2) = *w.sim.make_pipe();
    CHECK_EQ(w.watch(r), 0);
    CHECK_EQ(w.watch(wr2, interest_read), 0);   // no interest in writing: only the error shows
    CHECK_EQ(w.wait(), 0);
    CHECK_EQ(*w.sim.write(wr, "x"), 1U);
    CHECK(w.sim.close(wr).ok());
    CHECK(w.sim.close(r2).ok());
    CHECK_EQ(w.wait(), 2);
    CHECK_EQ(w.events[0].fd, r);
    CHECK_EQ(w.events[0].ready, ready_read | ready_hangup);
    CHECK_EQ(w.events[1].fd, wr2);
    CHECK_EQ(w.events[1].ready, unsigned{ready_error});
    CHECK_EQ(w.take(r), "x");
    CHECK_EQ(w.ready(r), unsigned{ready_hangup});
}

TEST("a gathered write to a simulated pipe arrives as one") {
    simulated_world w;
    int r, wr;
    std::tie(r, wr) = *w.sim.make_pipe();
    io_slice const slices[] = {{"one ", 4}, {"", 0}, {"two ", 4}, {"three", 5}};
    CHECK_EQ(w.calls.writev(w.on.context, wr, slices, 4), 13);
    CHECK_EQ(w.take(r), "one two three");
}

TEST("a simulated file reads to its end, appends, and cannot be polled") {
    simulated_world w;
    int const f = *w.sim.make_file("contents");
    CHECK_EQ(w.watch(f), -EPERM);
    CHECK_EQ(w.take(f, 4), "cont");
    CHECK_EQ(*w.sim.write(f, "!"), 1U);
    CHECK_EQ(w.take(f), "ents!");
    char c;
    CHECK(w.sim.read(f, &c, 1) == spruce::error(errc::end_of_stream));
    CHECK_EQ(w.calls.kind_of(w.on.context, f), int{fd_file});
}

TEST("a duplicate of a simulated fd keeps the other end from seeing it closed") {
    simulated_world w;
    int r, wr;
    std::tie(r, wr) = *w.sim.make_pipe();
    int const again = *w.sim.duplicate(wr);
    CHECK(w.sim.close(wr).ok());
    char c;
    CHECK(w.sim.read(r, &c, 1) == spruce::error(errc::would_wait));
    CHECK_EQ(*w.sim.write(again, "x"), 1U);
    CHECK_EQ(w.take(r), "x");
    CHECK(w.sim.close(again).ok());
    CHECK(w.sim.read(r, &c, 1) == spruce::error(errc::end_of_stream));
}

TEST("a simulated FIFO hangs up when its writer goes, not before one has come") {
    simulated_world w;
    int const fifo = *w.sim.make_fifo();
    CHECK_EQ(w.watch(fifo), 0);
    char b[4];
    CHECK_EQ(w.calls.read(w.on.context, fifo, b, 4), 0);
    CHECK_EQ(w.ready(fifo), 0U);
    CHECK_EQ(w.calls.end_of(w.on.context, fifo, fd_pipe), static_cast<int>(end_kind::none));
    for (int i = 0; i != 2; ++i) {
        int const writer = *w.sim.open_writer(fifo);
        CHECK_EQ(w.calls.read(w.on.context, fifo, b, 4), -EAGAIN);
        CHECK_EQ(w.ready(fifo), 0U);
        CHECK_EQ(w.sim.write(writer, "ab").value_or(0), 2U);
        CHECK(w.sim.close(writer).ok());
        CHECK_EQ(w.ready(fifo), unsigned{ready_read | ready_hangup});
        CHECK_EQ(w.take(fifo), "ab");
        CHECK_EQ(w.ready(fifo), unsigned{ready_hangup});
        CHECK_EQ(w.calls.end_of(w.on.context, fifo, fd_pipe), static_cast<int>(end_kind::gone));
    }
    CHECK(w.sim.open_writer(99'999) == error::from_errno(EBADF));
    CHECK(w.sim.open_writer(*w.sim.listen()) == error::from_errno(EINVAL));
}

TEST("simulated writes that are kept apart are read one by one, each to its end") {
    simulated_world w({.keep_apart = true});
    int a, b;
    std::tie(a, b) = *w.sim.make_socketpair();
    for (char const* part : {"abc", "de", "f"}) CHECK(w.sim.write(a, part).ok());
    CHECK_EQ(w.take(b, 2), "ab");
    CHECK_EQ(w.take(b), "c");
    CHECK_EQ(w.take(b, 2), "de");
    CHECK(w.sim.write(a, "gh").ok());
    CHECK_EQ(w.take(b), "f");
    CHECK_EQ(w.take(b), "gh");
    CHECK_EQ(w.take(b), "");
    CHECK(w.sim.write(a, "left there").ok());
}

TEST("a simulated waker's place is given back with its last number, also that of one which could not be made") {
    simulated_world w;
    for (waker_kind const kind : {waker_kind::eventfd, waker_kind::pipe}) {
        // There are 64 places: many more lives than that, each of them heard.
        for (int life = 0; life != 300; ++life) {
            waker_fds made;
            REQUIRE(w.calls.make_waker(w.on.context, kind, &made) == 0);
            REQUIRE(w.watch(made.read_fd) == 0);
            w.calls.wake(w.on.context, made.write_fd);
            CHECK_EQ(w.ready(made.read_fd) & ready_read, unsigned{ready_read});
            w.calls.drain_waker(w.on.context, made.read_fd);
            CHECK_EQ(w.ready(made.read_fd) & ready_read, 0U);
            // Either end first.
            if (made.write_fd != made.read_fd) CHECK(w.sim.close(life % 2 ? made.write_fd : made.read_fd).ok());
            CHECK(w.sim.close(made.write_fd != made.read_fd && life % 2 == 0 ? made.write_fd : made.read_fd).ok());
        }
        waker_fds all[64];
        int had = 0;
        while (had != 64 && w.calls.make_waker(w.on.context, kind, &all[had]) == 0) ++had;
        CHECK_EQ(had, 64);
        waker_fds more;
        CHECK_EQ(w.calls.make_waker(w.on.context, kind, &more), -EMFILE);
        for (int i = 0; i != had; ++i) {
            CHECK(w.sim.close(all[i].read_fd).ok());
            if (all[i].write_fd != all[i].read_fd) CHECK(w.sim.close(all[i].write_fd).ok());
        }
    }
    CHECK_EQ(w.sim.open_fds(), 0U);
    // Without numbers for it, or for its second end only, as often as one likes.
    simulated_world none({.max_fds = 1});
    waker_fds made;
    for (int i = 0; i != 100; ++i) CHECK_EQ(none.calls.make_waker(none.on.context, waker_kind::pipe, &made), -EMFILE);
    CHECK_EQ(none.sim.open_fds(), 0U);
    CHECK_EQ(none.calls.make_waker(none.on.context, waker_kind::eventfd, &made), 0);
    CHECK(none.sim.close(made.read_fd).ok());
}
