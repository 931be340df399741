#include <array>
#include <cerrno>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "socket_pair.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

namespace {
template <class F> auto run_in(world& w, F&& f) { return run(w.options(), std::forward<F>(f)); }
std::string_view view(char const* room, std::size_t n) { return {room, n}; }
}  // namespace

TEST("bytes go through a pipe, to the last, and then comes its end") {
    world w;
    auto r = run_in(w, []() -> result<void> {
        SPRUCE_TRY(auto pipe, make_pipe());
        auto writer = spawn([&]() -> result<void> {
            SPRUCE_CHECK(pipe.write_end.write("hello "));
            SPRUCE_CHECK(sleep_for(1ms));
            SPRUCE_CHECK(pipe.write_end.write("world"));
            pipe.write_end.close();
            return {};
        });
        std::string got;
        char room[4];
        for (;;) {
            auto n = pipe.read_end.read(room);
            if (!n) {
                CHECK(n == errc::end_of_stream);
                break;
            }
            got.append(room, *n);
        }
        CHECK_EQ(std::string_view(got), "hello world");
        CHECK(pipe.read_end.read(room) == errc::end_of_stream);
        CHECK(pipe.write_end.write("x") == errc::closed);
        return writer.get();
    });
    CHECK(r.ok());
}

TEST("a write larger than all buffers waits for its reader, and counts every byte") {
    world w;
    auto r = run_in(w, [&]() -> result<void> {
        socket_pair ends(w);
        SPRUCE_TRY(auto a, ends.first());
        SPRUCE_TRY(auto b, ends.second());
        std::string big(3'000'000, 'x');
        for (std::size_t i = 0; i < big.size(); i += 97) big[i] = static_cast<char>('a' + i % 26);
        auto writer = spawn([&]() -> result<void> {
            SPRUCE_CHECK(a.write(big));
            return a.shut_write();
        });
        std::string got;
        std::array<char, 10'000> room;
        while (auto n = b.read(room)) got.append(room.data(), *n);
        CHECK(got == big);
        CHECK_EQ(a.bytes_written(), big.size());
        return writer.get();
    });
    CHECK(r.ok());
}

TEST("gathered parts are written in order, empty ones among them") {
    world w;
    auto r = run_in(w, [&]() -> result<void> {
        socket_pair ends(w);
        SPRUCE_TRY(auto a, ends.first());
        SPRUCE_TRY(auto b, ends.second());
        std::vector<const_bytes> parts;
        std::string expected;
        std::vector<std::string> texts;
        for (int i = 0; i != 40; ++i) texts.push_back(std::string(static_cast<std::size_t>(i % 5), static_cast<char>('a' + i % 26)));
        for (auto const& t : texts) {
            parts.emplace_back(t);
            expected += t;
        }
        SPRUCE_CHECK(a.write(parts));
        a.close();
        std::string got;
        char room[16];
        while (auto n = b.read(room)) got.append(room, *n);
        CHECK(got == expected);
        return {};
    });
    CHECK(r.ok());
}

TEST("a read gives up at its deadline, or when cancelled, and no byte is lost") {
    if (harness::cut_short()) harness::skip("it counts bytes a read");
    world w;
    auto r = run_in(w, []() -> result<void> {
        SPRUCE_TRY(auto pipe, make_pipe());
        char room[8];
        CHECK(pipe.read_end.read(room, in(1ms)) == errc::timed_out);
        CHECK(pipe.read_end.read(room, in(0s)) == errc::timed_out);
        auto reads = spawn([&] {
            char mine[8];
            return pipe.read_end.read(mine).ok();
        });
        CHECK(yield().ok());
        CHECK(pipe.read_end.read(room) == errc::already_registered);
        reads.cancel();
        CHECK(!reads.get().value_or(true));
        CHECK(pipe.write_end.write("abc").ok());
        auto n = pipe.read_end.read(room);
        CHECK(n.ok() && view(room, *n) == "abc");
        CHECK(pipe.read_end.read(std::span<char>()) == errc::invalid_argument);
        return {};
    });
    CHECK(r.ok());
}

TEST("closing a stream wakes who waits on it, even if the stream is destroyed under it") {
    world w;
    auto r = run_in(w, [&]() -> result<void> {
        socket_pair ends(w);
        SPRUCE_TRY(auto a, ends.first());
        SPRUCE_TRY(auto second, ends.second());
        auto b = std::make_unique<stream>(std::move(second));
        auto reads = spawn([&] {
            char room[8];
            return b->read(room).error() == errc::closed;
        });
        CHECK(yield().ok());
        b.reset();
        CHECK(reads.get().value_or(false));
        char room[8];
        CHECK(a.read(room) == errc::end_of_stream);
        a.close();
        a.close();
        CHECK(!a.is_open());
        CHECK(a.read(room) == errc::closed);
        CHECK(a.shut_write() == errc::closed);
        CHECK(a.release() == errc::closed);
        return {};
    });
    CHECK(r.ok());
}

TEST("a stream may outlive its loop; its calls say closed, and its fd is given back") {
    world w;
    auto ends = w.sockets();
    {
        result<stream> kept = errc::closed;
        CHECK(run_in(w, [&]() -> result<void> {
                  kept = stream::adopt(ends.first);
                  return {};
              }).ok());
        REQUIRE(kept.ok());
        char room[8];
        CHECK(kept->read(room) == errc::closed);
        CHECK(kept->write("x") == errc::closed);
    }
    w.close(ends.second);
}

TEST("a released fd is the caller's again, and an fd cannot be adopted twice") {
    world w;
    auto ends = w.sockets();
    auto r = run_in(w, [&]() -> result<void> {
        SPRUCE_TRY(auto a, stream::adopt(ends.first));
        CHECK(stream::adopt(ends.first) == errc::already_registered);
        CHECK(stream::adopt(9'999) == errc::invalid_argument);
        auto back = a.release();
        CHECK(back.ok() && *back == ends.first);
        SPRUCE_TRY(loop& l, loop::current());
        auto h = l.add_reader(ends.first, [](handler self) { self.cancel(); });
        CHECK(h.ok());
        w.write(ends.second, "x");
        return {};
    });
    CHECK(r.ok());
    w.close(ends.first);
    w.close(ends.second);
}

TEST("what is written to a peer that has gone says EPIPE, and nobody dies of it") {
    world w;
    auto r = run_in(w, [&]() -> result<void> {
        socket_pair ends(w);
        SPRUCE_TRY(auto a, ends.first());
        CHECK_EQ(ends.close_second(), 0);
        auto wrote = a.write("x");
        CHECK(wrote == error::from_errno(EPIPE));
        return {};
    });
    CHECK(r.ok());
}

TEST("a reader gives lines, with any ends, and the last one without") {
    world w;
    auto r = run_in(w, [&]() -> result<void> {
        socket_pair ends(w);
        SPRUCE_TRY(auto a, ends.first());
        SPRUCE_TRY(auto b, ends.second());
        auto writer = spawn([&]() -> result<void> {
            for (char c : std::string_view("one\r\ntwo\n\nlast")) SPRUCE_CHECK(a.write(std::string_view(&c, 1)));
            return a.shut_write();
        });
        reader lines(b);
        CHECK_EQ(lines.read_line().value_or("?"), "one");
        CHECK_EQ(lines.read_line().value_or("?"), "two");
        CHECK_EQ(lines.read_line().value_or("?"), "");
        CHECK_EQ(lines.read_line().value_or("?"), "last");
        CHECK(lines.read_line() == errc::end_of_stream);
        return writer.get();
    });
    CHECK(r.ok());
}

TEST("a reader keeps a partial: after a deadline the next call goes on, at the end it stays") {
    if (harness::cut_short()) harness::skip("it counts bytes a read");
    world w;
    auto r = run_in(w, [&]() -> result<void> {
        socket_pair ends(w);
        SPRUCE_TRY(auto a, ends.first());
        SPRUCE_TRY(auto b, ends.second());
        reader in_b(b, 16);
        SPRUCE_CHECK(a.write("abc"));
        CHECK(in_b.read_exactly(5, in(1ms)) == errc::timed_out);
        CHECK_EQ(in_b.buffered(), "abc");
        SPRUCE_CHECK(a.write("defg"));
        CHECK_EQ(in_b.read_exactly(5).value_or("?"), "abcde");
        CHECK_EQ(in_b.read_some().value_or("?"), "fg");
        CHECK(in_b.read_exactly(17) == errc::too_long);
        CHECK(in_b.read_until({}) == errc::invalid_argument);
        CHECK(in_b.read_until({""}) == errc::invalid_argument);
        SPRUCE_CHECK(a.write("k=v; k2=v2--x"));
        CHECK_EQ(in_b.read_until({"--", "; "}).value_or("?"), "k=v; ");
        CHECK_EQ(in_b.read_until({"--", "; "}).value_or("?"), "k2=v2--");
        SPRUCE_CHECK(a.write("0123456789012345"));
        CHECK(in_b.read_until({"\n"}) == errc::too_long);
        CHECK_EQ(in_b.read_exactly(16).value_or("?"), "x012345678901234");
        a.close();
        CHECK(in_b.read_exactly(5) == errc::end_of_stream);
        CHECK_EQ(in_b.buffered(), "5");
        return {};
    });
    CHECK(r.ok());
}

TEST("a deadline for a call that reads many times counts once") {
    testing::simulation sim(harness::as_asked());
    auto r = run(loop_options{.on = sim.on()}, [&]() -> result<void> {
        SPRUCE_TRY(auto pipe, make_pipe());
        auto drip = spawn([&]() -> result<void> {
            for (;;) {
                SPRUCE_CHECK(sleep_for(4ms));
                SPRUCE_CHECK(pipe.write_end.write("x"));
            }
        });
        reader lines(pipe.read_end);
        time_point const before = sim.now();
        CHECK(lines.read_line(in(10ms)) == errc::timed_out);
        CHECK(sim.now() - before < 12ms);
        drip.cancel();
        return {};
    });
    CHECK(r.ok());
}
