// A Spruce loop as a guest of an Asio io_context that one thread runs, without a thread of its own: a descriptor and a timer.
// Copy it. For a context that several threads run neither this will do nor a strand, whose calls come on any of them: the loop
// is one thread's. Give it a context of its own, which one thread runs; the others call it by its remote().
//
//     spruce::loop loop;
//     asio::io_context host;
//     asio_guest guest(loop, host);
//     host.run();
#pragma once
#include <asio.hpp>
#include <memory>
#include <spruce/spruce.hpp>

class asio_guest {
public:
    // Thread: the loop's, which runs the context. Lifetime: the loop outlives it. Throws asio::system_error if the loop's poller
    // has no fd.
    asio_guest(spruce::loop& loop, asio::io_context& host) : state_(std::make_shared<state>(loop, host)) {
        wait(state_);
        asio::post(host, [s = state_] { turn(s); });
    }
    ~asio_guest() {
        // The handlers that are under way find that nobody is here.
        state_->over = true;
        state_->due.cancel();
        state_->readable.cancel();
        state_->readable.release();   // the fd is the loop's
    }
    asio_guest(asio_guest const&) = delete;
    asio_guest& operator=(asio_guest const&) = delete;

private:
    struct state {
        state(spruce::loop& l, asio::io_context& host) : loop(l), readable(host, l.backend_fd()), due(host) {}
        spruce::loop& loop;
        asio::posix::stream_descriptor readable;
        asio::steady_timer due;
        bool over = false, waiting = false, in_turn = false;
    };
    using shared = std::shared_ptr<state>;

    static void wait(shared const& s) {
        if (s->waiting) return;
        s->waiting = true;
        s->readable.async_wait(asio::posix::stream_descriptor::wait_read, [s](asio::error_code failed) {
            s->waiting = false;
            if (!failed) turn(s);
        });
    }
    static void turn(shared const& s) {
        // In what a task or a callback of Spruce's lets the context do, the loop waits until that is over.
        if (s->over || s->in_turn) return;
        s->in_turn = true;
        auto const ran = s->loop.dispatch();
        s->in_turn = false;
        if (s->over) return;   // a callback has ended us
        auto const until = s->loop.prepare();
        if (!ran || !until) {
            s->over = true;
            s->due.cancel();
            return;
        }
        wait(s);
        if (*until == spruce::never()) {
            s->due.cancel();
            return;
        }
        s->due.expires_after(until->remaining());
        s->due.async_wait([s](asio::error_code failed) {
            if (!failed) turn(s);
        });
    }

    shared state_;
};
