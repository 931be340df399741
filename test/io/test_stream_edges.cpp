// Streams that change under their waiters, and readiness that comes in odd shapes.
#include <memory>
#include <optional>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

#include "../harness/axes.hpp"

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
    if (harness::simulated()) return;
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
