// The echo server of each peer, in the quickest way that its interface has, as a user of it would find: what was read
// is written back at once, and a watcher for writing is there only while the peer is slow. Each runs for ever.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "floors/echo_floor.hpp"

#ifdef HAVE_BARE_SERVERS

#if __has_include(<uv.h>)
#include <uv.h>
#define HAVE_UV 1
#endif
#if __has_include(<ev.h>)
#include <ev.h>
#define HAVE_EV 1
inline constexpr int ev_reads = EV_READ, ev_writes = EV_WRITE;   // libevent has macros of these names, and other values
#endif
#if __has_include(<event2/event.h>)
#include <event2/event.h>
#define HAVE_EVENT 1
#endif
#if __has_include(<asio.hpp>) && defined(__cpp_exceptions)
#define ASIO_NO_DEPRECATED
#include <asio.hpp>
#define HAVE_ASIO 1
#endif

namespace peers {

#ifdef HAVE_UV
// uv_try_write first; only the rest of a short one is queued.
struct uv_connection {
    uv_tcp_t handle;
    uv_write_t rest;
    char room[floors::echo_room];
};
inline void uv_echo(int listener) {
    static uv_loop_t* const loop = uv_default_loop();
    static uv_tcp_t door;
    uv_tcp_init(loop, &door);
    uv_tcp_open(&door, listener);
    uv_listen(reinterpret_cast<uv_stream_t*>(&door), 4096, [](uv_stream_t* from, int) {
        auto* const c = new uv_connection;
        uv_tcp_init(loop, &c->handle);
        c->handle.data = c;
        uv_accept(from, reinterpret_cast<uv_stream_t*>(&c->handle));
        uv_tcp_nodelay(&c->handle, 1);
        uv_read_start(
            reinterpret_cast<uv_stream_t*>(&c->handle),
            [](uv_handle_t* h, std::size_t, uv_buf_t* out) {
                auto* const me = static_cast<uv_connection*>(h->data);
                *out = uv_buf_init(me->room, sizeof me->room);
            },
            [](uv_stream_t* s, ssize_t got, uv_buf_t const*) {
                auto* const me = static_cast<uv_connection*>(s->data);
                if (got < 0) uv_close(reinterpret_cast<uv_handle_t*>(s), [](uv_handle_t* h) { delete static_cast<uv_connection*>(h->data); });
                if (got <= 0) return;
                uv_buf_t all = uv_buf_init(me->room, static_cast<unsigned>(got));
                int const put = uv_try_write(s, &all, 1);
                if (put == got) return;
                if (put < 0 && put != UV_EAGAIN) return;
                int const done = put < 0 ? 0 : put;
                uv_buf_t left = uv_buf_init(me->room + done, static_cast<unsigned>(got - done));
                uv_read_stop(s);   // its room is taken until the rest is out
                auto const restart = [](uv_write_t* w, int) {
                    uv_read_start(
                        w->handle, [](uv_handle_t* h, std::size_t, uv_buf_t* out) {
                            auto* const it = static_cast<uv_connection*>(h->data);
                            *out = uv_buf_init(it->room, sizeof it->room);
                        },
                        reinterpret_cast<uv_read_cb>(w->data));
                };
                me->rest.data = reinterpret_cast<void*>(s->read_cb);
                uv_write(&me->rest, s, &left, 1, restart);
            });
    });
    uv_run(loop, UV_RUN_DEFAULT);
}
#endif

#ifdef HAVE_EV
// Level-triggered, which is all it has: one read a call, as there is then no second one to find that nothing is left.
struct ev_connection {
    ev_io reads, writes;
    floors::bare_connection of;
};
inline void ev_echo(int listener) {
    static struct ev_loop* const loop = ev_default_loop(EVBACKEND_EPOLL);
    static ev_io door;
    ev_io_init(&door, [](struct ev_loop*, ev_io* w, int) {
        for (int fd; (fd = ::accept4(w->fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
            floors::set_no_delay(fd);
            auto* const c = static_cast<ev_connection*>(std::malloc(sizeof(ev_connection)));
            c->of.fd = fd;
            c->of.begin = c->of.end = 0;
            auto const told = [](struct ev_loop* l, ev_io* io, int) {
                auto* const me = static_cast<ev_connection*>(io->data);
                bool const writes_now = me->of.begin != me->of.end;
                if (!me->of.go_on(0)) {
                    ev_io_stop(l, &me->reads);
                    ev_io_stop(l, &me->writes);
                    ::close(me->of.fd);
                    std::free(me);
                    return;
                }
                bool const must_write = me->of.begin != me->of.end;
                if (writes_now == must_write) return;
                (must_write ? ev_io_stop : ev_io_start)(l, &me->reads);
                (must_write ? ev_io_start : ev_io_stop)(l, &me->writes);
            };
            ev_io_init(&c->reads, told, fd, ev_reads);
            ev_io_init(&c->writes, told, fd, ev_writes);
            c->reads.data = c->writes.data = c;
            ev_io_start(loop, &c->reads);
        }
    }, listener, ev_reads);
    ev_io_start(loop, &door);
    ev_run(loop, 0);
}
#endif

#ifdef HAVE_EVENT
// Edge-triggered events with system calls of one's own: its buffered streams take seven calls a request.
struct event_connection {
    struct event* told;
    floors::bare_connection of;
};
inline void event_echo(int listener) {
    static struct event_base* const base = event_base_new();
    struct event* const door = event_new(base, listener, EV_READ | EV_PERSIST, [](evutil_socket_t from, short, void*) {
        for (int fd; (fd = ::accept4(from, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
            floors::set_no_delay(fd);
            auto* const c = static_cast<event_connection*>(std::malloc(sizeof(event_connection)));
            c->of.fd = fd;
            c->of.begin = c->of.end = 0;
            c->told = event_new(base, fd, EV_READ | EV_WRITE | EV_ET | EV_PERSIST, [](evutil_socket_t, short, void* self) {
                auto* const me = static_cast<event_connection*>(self);
                if (me->of.go_on(0)) return;
                event_free(me->told);
                ::close(me->of.fd);
                std::free(me);
            }, c);
            event_add(c->told, nullptr);
        }
    }, nullptr);
    event_add(door, nullptr);
    event_base_dispatch(base);
}
#endif

#ifdef HAVE_ASIO
// A read that is started, a write tried at once; a started one for the rest.
struct asio_connection : std::enable_shared_from_this<asio_connection> {
    explicit asio_connection(asio::ip::tcp::socket s) : socket(std::move(s)) {
        socket.non_blocking(true);
        socket.set_option(asio::ip::tcp::no_delay(true));
    }
    void read() {
        socket.async_read_some(asio::buffer(room), [self = shared_from_this()](asio::error_code e, std::size_t got) {
            if (!e) self->write(got);
        });
    }
    void write(std::size_t got) {
        asio::error_code e;
        std::size_t const put = socket.write_some(asio::buffer(room, got), e);
        if (put == got) return read();
        if (e && e != asio::error::would_block) return;
        asio::async_write(socket, asio::buffer(room + put, got - put), [self = shared_from_this()](asio::error_code f, std::size_t) {
            if (!f) self->read();
        });
    }
    asio::ip::tcp::socket socket;
    char room[floors::echo_room];
};
inline void asio_echo(int listener) {
    asio::io_context io(1);   // of one thread
    asio::ip::tcp::acceptor door(io, asio::ip::tcp::v4(), listener);
    struct next {
        asio::ip::tcp::acceptor& from;
        void operator()(asio::error_code e, asio::ip::tcp::socket s) const {
            if (!e) std::make_shared<asio_connection>(std::move(s))->read();
            from.async_accept(next{from});
        }
    };
    door.async_accept(next{door});
    io.run();
}
#endif

}  // namespace peers
#endif
