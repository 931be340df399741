// Streams that change under their waiters, and readiness that comes in odd shapes.
#include <memory>
#include <optional>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include "socket_pair.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

TEST("a stream that is closed after its waiter was woken, but before it ran, says closed") {
    for (int how = 0; how != 3; ++how) {
        world w;
        auto r = run(w.options(), [&]() -> result<void> {
            SPRUCE_TRY(auto first, make_pipe());
            SPRUCE_TRY(auto second, make_pipe());
            std::optional<pipe_stream> one(std::move(first.read_end)), two(std::move(second.read_end));
            result<std::size_t> got[2] = {errc::full, errc::full};
            // Both are woken in one turn; whichever runs first ends the other's stream.
            auto reads = [&](int me, std::optional<pipe_stream>& mine, std::optional<pipe_stream>& other) {
                char room[8];
                got[me] = mine->read(room);
                if (!got[me]) return;
                if (how == 0) other->close();
                if (how == 1) other.reset();
                if (how == 2) {
                    auto fd = other->release();
                    CHECK(fd.ok());
                    if (fd) other = pipe_stream(std::move(*detail::open_core(*fd)));
                }
            };
            auto a = spawn([&] { reads(0, one, two); });
            auto b = spawn([&] { reads(1, two, one); });
            SPRUCE_CHECK(yield());
            SPRUCE_CHECK(first.write_end.write("x"));
            SPRUCE_CHECK(second.write_end.write("y"));
            SPRUCE_CHECK(a.get());
            SPRUCE_CHECK(b.get());
            CHECK(got[0].ok() != got[1].ok());
            CHECK((got[0].ok() ? got[1] : got[0]) == errc::closed);
            return {};
        });
        CHECK(r.ok());
    }
}

TEST("a listener that is destroyed after its waiter was woken, but before it ran, says closed") {
    world w;
    auto r = run(w.options(), []() -> result<void> {
        SPRUCE_TRY(auto made, tcp_listener::listen("127.0.0.1:0"));
        address const at = made.local();
        std::optional<tcp_listener> listener(std::move(made));
        SPRUCE_TRY(auto signal, make_pipe());
        // Whoever of the two is woken first, the accept or the one that ends it: no use of what is gone.
        auto ends = spawn([&]() -> result<void> {
            char room[8];
            SPRUCE_CHECK(signal.read_end.read(room));
            listener.reset();
            return {};
        });
        SPRUCE_CHECK(yield());
        auto accepts = spawn([&]() -> result<void> {
            auto got = listener->accept();
            return got ? result<void>() : got.error();
        });
        SPRUCE_CHECK(yield());
        SPRUCE_CHECK(signal.write_end.write("x"));
        auto client = tcp_stream::connect(at);
        SPRUCE_CHECK(ends.get());
        auto const accepted = accepts.get();
        CHECK(accepted.ok() || accepted == errc::closed);
        return {};
    });
    CHECK(r.ok());
}

TEST("bytes behind an urgent one are read, though it ends a read early") {
    if (harness::simulated()) harness::skip("no urgent data there");
    world w;
    auto r = run(w.options(), []() -> result<void> {
        SPRUCE_TRY(auto listener, tcp_listener::listen("127.0.0.1:0"));
        SPRUCE_TRY(auto out, tcp_stream::connect(listener.local()));
        SPRUCE_TRY(auto in_, listener.accept());
        char room[64];
        // The reader has registered and waits once, so that what follows comes as one edge.
        auto reads = spawn([&]() -> result<std::string> {
            std::string all;
            while (all.size() < 7) {
                SPRUCE_TRY(auto n, in_.read(room, in(2s)));
                all.append(room, n);
            }
            return all;
        });
        SPRUCE_CHECK(yield());
        SPRUCE_CHECK(out.write("abc"));
        CHECK_EQ(::send(out.fd(), "!", 1, MSG_OOB), 1);
        SPRUCE_CHECK(out.write("defg"));
        auto all = reads.get();
        CHECK(all.ok());
        if (all) CHECK_EQ(std::string_view(*all), "abcdefg");
        return {};
    });
    CHECK(r.ok());
}

TEST("a read whose deadline has passed takes what is there already") {
    world w;
    auto r = run(w.options(), [&]() -> result<void> {
        socket_pair ends(w);
        SPRUCE_TRY(auto a, ends.first());
        char room[8];
        CHECK_EQ(ends.write_second("x"), 1);
        CHECK_EQ(a.read(room).value_or(0), 1U);
        CHECK(a.read(room, in(0s)) == errc::timed_out);
        CHECK_EQ(ends.write_second("y"), 1);
        // It needs no turn of the loop for that: who asks again and again without one would never have it.
        CHECK_EQ(a.read(room, in(0s)).value_or(0), 1U);
        CHECK_EQ(ends.close_second(), 0);
        CHECK(a.read(room, in(0s)) == errc::end_of_stream);
        SPRUCE_TRY(auto listener, tcp_listener::listen("127.0.0.1:0"));
        CHECK(listener.accept(in(0s)) == errc::timed_out);
        SPRUCE_TRY(auto client, tcp_stream::connect(listener.local()));
        SPRUCE_TRY(auto another, tcp_stream::connect(listener.local()));
        CHECK(listener.accept(at(loop_clock::now())).ok());
        CHECK(listener.accept(in(0s)).ok());
        CHECK(listener.accept(in(0s)) == errc::timed_out);
        return {};
    });
    CHECK(r.ok());
}

TEST("the accepted end of a connection knows its own address, also behind a listener on every address") {
    world w;
    auto r = run(w.options(), []() -> result<void> {
        SPRUCE_TRY(auto listener, tcp_listener::listen("*:0"));
        SPRUCE_TRY(auto to, address::parse("127.0.0.1:" + std::to_string(listener.local().port())));
        SPRUCE_TRY(auto client, tcp_stream::connect(to));
        SPRUCE_TRY(auto served, listener.accept());
        CHECK_EQ(std::string_view(served.local().text()), to.text());
        CHECK_EQ(std::string_view(served.peer().text()), client.local().text());
        return {};
    });
    CHECK(r.ok());
}

TEST("a stream that dies on another thread leaves its number usable to its loop") {
    world w;
    auto r = run(w.options(), [&]() -> result<void> {
        SPRUCE_TRY(auto first, make_pipe());
        char room[4];
        CHECK(first.read_end.read(room, in(1ms)) == errc::timed_out);   // registered
        int const number = first.read_end.fd();
        std::thread([s = std::move(first.read_end)] {}).join();
        bool again = false;   // the number is given out once more
        for (int i = 0; i != 3 && !again; ++i) {
            auto next = make_pipe();
            CHECK(next.ok());
            if (!next) return next.error();
            again = next->read_end.fd() == number || next->write_end.fd() == number;
            SPRUCE_CHECK(next->write_end.write("x"));
            CHECK_EQ(next->read_end.read(room, in(1s)).value_or(0), 1U);
        }
        CHECK(again);
        return {};
    });
    CHECK(r.ok());
}
