#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
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

TEST("a read gives up at its deadline, or when canceled, and no byte is lost") {
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

TEST("write_some writes what there is room for, at least a byte, and says how much") {
    world w;
    auto r = run_in(w, [&]() -> result<void> {
        socket_pair ends(w);
        SPRUCE_TRY(auto a, ends.first());
        SPRUCE_TRY(auto b, ends.second());
        std::string const big(3'000'000, 'x');
        CHECK_EQ(a.write_some("").value_or(9), 0U);
        SPRUCE_TRY(std::size_t n, a.write_some(big));
        CHECK(n >= 1 && n < big.size());
        CHECK_EQ(a.bytes_written(), n);
        std::size_t all = n;
        while (auto more = a.write_some(big, in(0s))) all += *more;   // to the brim
        CHECK(a.write_some("x", in(0s)) == errc::timed_out);
        CHECK(a.write_some("x", in(1ms)) == errc::timed_out);
        CHECK_EQ(a.bytes_written(), all);
        auto waits = spawn([&] { return a.write_some(big, in(5s)); });
        SPRUCE_CHECK(yield());
        CHECK(a.write_some("x") == errc::already_registered);
        CHECK(!waits.done());
        std::vector<char> room(100'000);
        std::size_t got = 0;
        while (got < all) {
            SPRUCE_TRY(std::size_t some, b.read(room, in(5s)));
            got += some;
        }
        SPRUCE_TRY(std::size_t last, waits.get());
        CHECK(last >= 1);
        CHECK_EQ(a.bytes_written(), all + last);
        while (got < all + last) {
            SPRUCE_TRY(std::size_t some, b.read(room, in(5s)));
            got += some;
        }
        CHECK_EQ(got, all + last);
        a.close();
        CHECK(a.write_some("x") == errc::closed);
        return {};
    });
    CHECK(r.ok());
}

TEST("write_some that is canceled beforehand, or while it waits, writes nothing") {
    world w;
    auto r = run_in(w, [&]() -> result<void> {
        socket_pair ends(w);
        SPRUCE_TRY(auto a, ends.first());
        auto before = spawn([&] { return a.write_some("x").error() == errc::canceled; });
        before.cancel();
        CHECK(before.join().ok());
        CHECK_EQ(a.bytes_written(), 0U);
        auto at_start = spawn([&] {
            this_task::cancel_requested();
            CHECK(!sleep_for(1s).ok());
            const_bytes const parts[] = {"a", "b"};
            return a.write_some("x") == errc::canceled && a.write("x") == errc::canceled && a.write(parts) == errc::canceled;
        });
        SPRUCE_CHECK(yield());
        at_start.cancel();
        CHECK(at_start.get().value_or(false));
        CHECK_EQ(a.bytes_written(), 0U);
        return {};
    });
    CHECK(r.ok());
}

TEST("gathered writes of one part to forty, of none, of empty ones, and of parts beyond all buffers") {
    world w;
    auto r = run_in(w, [&]() -> result<void> {
        socket_pair ends(w);
        SPRUCE_TRY(auto a, ends.first());
        SPRUCE_TRY(auto b, ends.second());
        std::string got;
        auto reads = harness::needed([&] {
            std::vector<char> room(50'000);
            while (auto n = b.read(room)) got.append(room.data(), *n);
        });
        SPRUCE_CHECK(a.write(std::span<const_bytes const>()));
        std::vector<const_bytes> const empty(40, const_bytes(""));
        for (std::size_t n : {1U, 15U, 16U, 17U, 40U}) SPRUCE_CHECK(a.write(std::span(empty).first(n)));
        CHECK_EQ(a.bytes_written(), 0U);
        std::string expected;
        for (std::size_t n = 1; n <= 40; ++n) {
            // An empty part at each place, also first and last.
            for (std::size_t hole = 0; hole <= n; hole += 5) {
                std::vector<std::string> texts;
                for (std::size_t i = 0; i != n; ++i) texts.push_back(i == hole || i + 1 == hole ? "" : std::to_string(i) + ",");
                std::vector<const_bytes> parts(texts.begin(), texts.end());
                SPRUCE_CHECK(a.write(parts));
                for (auto const& t : texts) expected += t;
            }
        }
        CHECK_EQ(a.bytes_written(), expected.size());
        std::vector<std::string> big(20, std::string(harness::cut_short() ? 1'000 : 100'000, 'b'));
        big[3] = big[19] = "";
        for (auto const& t : big) expected += t;
        std::vector<const_bytes> many(big.begin(), big.end());
        SPRUCE_CHECK(a.write(many, in(20s)));
        a.close();
        SPRUCE_CHECK(reads.join());
        CHECK(got == expected);
        const_bytes const parts[] = {"x", "y"};
        CHECK(a.write(parts) == errc::closed);
        CHECK(a.write(std::span<const_bytes const>()) == errc::closed);
        CHECK(a.write("") == errc::closed);
        CHECK(a.write_some("") == errc::closed);
        return {};
    });
    CHECK(r.ok());
}

TEST("a pipe for which there is room for one end only is refused, and leaves nothing open") {
    if (harness::simulated()) harness::skip("max_fds counts from 0 there, too high");
    for (std::size_t more : {16U, 17U}) {   // one of them leaves an odd number
        world w;
        auto options = w.options();
        auto const probe = w.pipe();
        w.close(probe.first);
        w.close(probe.second);
        options.max_fds = static_cast<std::size_t>(probe.first) + more;
        auto r = run(options, [&]() -> result<void> {
            std::vector<pipe_stream> ends;
            for (;;) {
                auto pipe = make_pipe();
                if (!pipe) {
                    CHECK(pipe == errc::full);
                    break;
                }
                ends.push_back(std::move(pipe->read_end));
                ends.push_back(std::move(pipe->write_end));
            }
            if (ends.size() < 2) return errc::full;
            // What was refused is not half there: room for two is room for a pipe again.
            ends.pop_back();
            ends.pop_back();
            CHECK(make_pipe().ok());
            return {};
        });
        CHECK(r.ok());
    }
}

TEST("on a foreign thread streams, listeners and readers say wrong_thread; after their loop closed, on any thread") {
    world w;
    std::optional<stream> kept;
    harness::owned_pair ends(w.sockets(), w.on());
    auto r = run_in(w, [&]() -> result<void> {
        SPRUCE_TRY(kept, ends.first.adopt());
        SPRUCE_TRY(auto listener, tcp_listener::listen("127.0.0.1:0"));
        SPRUCE_TRY(auto client, tcp_stream::connect(listener.local()));
        w.write(*ends.second, "ab");
        reader lines(*kept);
        CHECK_EQ(lines.read_exactly(1).value_or("?"), "a");   // and the other is here already
        auto const elsewhere = [&] {
            char room[4];
            const_bytes const parts[] = {"x", "y"};
            CHECK(kept->read(room) == errc::wrong_thread);
            CHECK(kept->write("x") == errc::wrong_thread);
            CHECK(kept->write(parts) == errc::wrong_thread);
            CHECK(kept->write_some("x") == errc::wrong_thread);
            CHECK(kept->shut_write() == errc::wrong_thread);
            CHECK(kept->release() == errc::wrong_thread);
            CHECK(listener.accept() == errc::wrong_thread);
            CHECK(client.no_delay(true) == errc::wrong_thread);
            CHECK(lines.read_exactly(1) == errc::wrong_thread);
            CHECK(lines.read_some() == errc::wrong_thread);
            CHECK(lines.read_line() == errc::wrong_thread);
            CHECK(lines.read_until({";"}) == errc::wrong_thread);
        };
        std::thread(elsewhere).join();
        std::thread([&] { CHECK(run(elsewhere).ok()); }).join();   // with a loop of its own
        CHECK_EQ(lines.read_some().value_or("?"), "b");
        return {};
    });
    CHECK(r.ok());
    if (!kept) return;
    auto const after = [&] {
        char room[4];
        CHECK(kept->read(room) == errc::closed);
        CHECK(kept->write("x") == errc::closed);
        CHECK(kept->shut_write() == errc::closed);
        CHECK(kept->release() == errc::closed);
    };
    after();
    std::thread(after).join();
    CHECK(run(after).ok());
    std::thread([&] { CHECK(run(after).ok()); }).join();
}

TEST("who is canceled reads nothing, not even what the reader has already") {
    world w;
    auto r = run_in(w, [&]() -> result<void> {
        socket_pair ends(w);
        SPRUCE_TRY(auto a, ends.first());
        CHECK_EQ(ends.write_second("1\n2\n"), 4);
        reader lines(a);
        CHECK_EQ(lines.read_line().value_or("?"), "1");
        auto t = spawn([&] {
            CHECK(!sleep_for(1s).ok());
            return lines.read_line() == errc::canceled && lines.read_some() == errc::canceled && lines.read_exactly(1) == errc::canceled;
        });
        SPRUCE_CHECK(yield());
        t.cancel();
        CHECK(t.get().value_or(false));
        CHECK_EQ(lines.read_line().value_or("?"), "2");
        return {};
    });
    CHECK(r.ok());
}

TEST("a second call on a reader takes nothing of what the first waits to complete") {
    world w;
    auto r = run_in(w, [&]() -> result<void> {
        socket_pair ends(w);
        SPRUCE_TRY(auto a, ends.first());
        reader in_a(a);
        CHECK_EQ(ends.write_second("12"), 2);
        auto first = spawn([&]() -> result<std::string> {
            SPRUCE_TRY(auto got, in_a.read_exactly(4, in(5s)));
            return std::string(got);
        });
        SPRUCE_CHECK(sleep_for(1ms));
        CHECK(!first.done());
        CHECK(in_a.read_some() == errc::already_registered);
        CHECK(in_a.read_exactly(1) == errc::already_registered);
        CHECK(in_a.read_line() == errc::already_registered);
        CHECK_EQ(ends.write_second("34"), 2);
        CHECK_EQ(first.get().value_or("?"), "1234");
        return {};
    });
    CHECK(r.ok());
}
