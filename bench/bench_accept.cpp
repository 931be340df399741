// Connections taken: the server's processor time to accept one, send it a byte and close it. Ours spawns a task for
// each, as a server does; the others do it in the callback of the listener. Beside it the floor, a bare loop over
// epoll that takes all that wait; libuv (uv_try_write); asio (async_accept, a write at once). Each server is a
// process; the load, our own, is this one, on the same core, with 32 connections waiting at a time.
// links: -luv
#include <spruce/spruce.hpp>

#include <memory>
#include <vector>

#include "child.hpp"
#include "floors/load_floor.hpp"

#if __has_include(<uv.h>)
#include <uv.h>
#define HAVE_UV 1
#endif
#if __has_include(<asio.hpp>) && defined(__cpp_exceptions)
#define ASIO_NO_DEPRECATED
#include <asio.hpp>
#define HAVE_ASIO 1
#endif

#ifdef HAVE_BARE_SERVERS
namespace {
void spruce_greeter(measure::teller const& tell) {
    spruce::loop hub;
    spruce::spawn([&] {
        auto door = spruce::tcp_listener::listen("127.0.0.1:0", {.backlog = 4096});
        tell(door->local().port());
        while (auto peer = door->accept()) spruce::spawn([s = std::move(*peer)]() mutable { static_cast<void>(s.write("x")); });
    });
    static_cast<void>(hub.run());
}

#ifdef HAVE_UV
void uv_greeter(int listener) {
    uv_loop_t* const loop = uv_default_loop();
    static uv_tcp_t door;
    uv_tcp_init(loop, &door);
    uv_tcp_open(&door, listener);
    uv_listen(reinterpret_cast<uv_stream_t*>(&door), 4096, [](uv_stream_t* from, int) {
        auto* const c = new uv_tcp_t;
        auto* const s = reinterpret_cast<uv_stream_t*>(c);
        uv_tcp_init(from->loop, c);
        uv_accept(from, s);
        char byte = 'x';
        uv_buf_t const all = uv_buf_init(&byte, 1);
        uv_try_write(s, &all, 1);
        uv_close(reinterpret_cast<uv_handle_t*>(c), [](uv_handle_t* h) { delete reinterpret_cast<uv_tcp_t*>(h); });
    });
    uv_run(loop, UV_RUN_DEFAULT);
}
#endif

#ifdef HAVE_ASIO
void asio_greeter(int listener) {
    asio::io_context io(1);   // of one thread
    asio::ip::tcp::acceptor door(io, asio::ip::tcp::v4(), listener);
    struct next {
        asio::ip::tcp::acceptor& from;
        void operator()(asio::error_code e, asio::ip::tcp::socket s) const {
            asio::error_code f;
            if (!e) s.write_some(asio::buffer("x", 1), f);
            s.close(f);
            from.async_accept(next{from});
        }
    };
    door.async_accept(next{door});
    io.run();
}
#endif
}  // namespace

int main(int count, char** arguments) {
    measure::pin();
    measure::run_in_batches();
    measure::effort const e(count, arguments);
    long const connections = e.of(3'000, 10);
    std::vector<std::unique_ptr<measure::child>> servers;
    measure::contest all("accept");
    auto const enter = [&](char const* whose, std::function<void(measure::teller const&)> const& body) {
        measure::child const& server = *servers.emplace_back(std::make_unique<measure::child>(body));
        int const port = static_cast<int>(server.told());
        all.enter(whose, [&server, port, connections] {
            std::int64_t const begin = server.cpu_ns();
            floors::knock(port, connections, 32);
            return static_cast<double>(server.cpu_ns() - begin) / static_cast<double>(connections);
        });
    };
    enter("spruce", spruce_greeter);
    enter("floor", measure::with_listener([](int l) { floors::bare_greeter(l); }));
#ifdef HAVE_UV
    enter("libuv", measure::with_listener(uv_greeter));
#endif
#ifdef HAVE_ASIO
    enter("asio", measure::with_listener(asio_greeter));
#endif
    all.run(e);
}
#else
int main() {}
#endif
