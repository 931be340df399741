// A Spruce loop as a guest of libuv's, without a thread: libuv watches the loop's fd, and asks before each sleep how long it
// may be. Copy it.
//
//     spruce::loop loop;
//     libuv_guest guest(loop, uv_default_loop());
//     uv_run(uv_default_loop(), UV_RUN_DEFAULT);
//     guest.close();                          // and let libuv run once more, as it wants for whatever is closed
//     uv_run(uv_default_loop(), UV_RUN_DEFAULT);
//
// By itself the guest does not keep uv_run() going: a host that has nothing of its own holds it by a handle of its own.
#pragma once
#include <spruce/spruce.hpp>
#include <utility>
#include <uv.h>

class libuv_guest {
public:
    // Thread: the loop's, which runs libuv's. Lifetime: the loop outlives it, and it outlives the run after close().
    libuv_guest(spruce::loop& loop, uv_loop_t* host) : loop_(loop) {
        ok_ = loop.backend_fd() >= 0 && uv_poll_init(host, &readable_, loop.backend_fd()) == 0;
        if (!ok_) return;
        uv_prepare_init(host, &before_);
        uv_timer_init(host, &due_);
        before_.data = due_.data = readable_.data = this;
        uv_prepare_start(&before_, [](uv_prepare_t* h) { static_cast<libuv_guest*>(h->data)->prepare(); });
        uv_poll_start(&readable_, UV_READABLE, [](uv_poll_t* h, int, int) { static_cast<libuv_guest*>(h->data)->turn(); });
        for (uv_handle_t* h : handles()) uv_unref(h);
    }
    // false: this loop's poller has no fd, or the loop has failed, or ended.
    bool ok() const { return ok_; }
    void close() {
        if (!std::exchange(ok_, false)) return;
        for (uv_handle_t* h : handles())
            uv_close(h, nullptr);
    }
    libuv_guest(libuv_guest const&) = delete;
    libuv_guest& operator=(libuv_guest const&) = delete;

private:
    struct all_handles {
        uv_handle_t* of[3];
        uv_handle_t** begin() { return of; }
        uv_handle_t** end() { return of + 3; }
    };
    all_handles handles() {
        return {{reinterpret_cast<uv_handle_t*>(&before_), reinterpret_cast<uv_handle_t*>(&due_),
                 reinterpret_cast<uv_handle_t*>(&readable_)}};
    }
    // libuv is about to sleep: a timer says for how long, at most.
    void prepare() {
        auto const until = loop_.prepare();
        if (!until) return;
        uv_update_time(before_.loop);   // its timers count from there
        int const ms = until->poll_timeout_ms();
        if (ms < 0) uv_timer_stop(&due_);
        else uv_timer_start(&due_, [](uv_timer_t* h) { static_cast<libuv_guest*>(h->data)->turn(); }, static_cast<std::uint64_t>(ms), 0);
    }
    void turn() {
        if (!loop_.dispatch().ok()) close();
    }

    spruce::loop& loop_;
    bool ok_ = false;
    uv_prepare_t before_;
    uv_timer_t due_;
    uv_poll_t readable_;
};
