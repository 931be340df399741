// A Spruce loop as a guest of libevent's, without a thread: an event on the loop's fd, and one for what is due. Copy it.
//
//     spruce::loop loop;
//     libevent_guest guest(loop, base);
//     event_base_dispatch(base);
#pragma once
#include <event2/event.h>
#include <spruce/spruce.hpp>

class libevent_guest {
public:
    // Thread: the loop's, which runs the base. Lifetime: the loop and the base outlive it.
    libevent_guest(spruce::loop& loop, event_base* host) : loop_(loop) {
        auto const called = [](evutil_socket_t, short, void* self) { static_cast<libevent_guest*>(self)->turn(); };
        readable_ = event_new(host, loop.backend_fd(), EV_READ | EV_PERSIST, called, this);
        due_ = evtimer_new(host, called, this);
        ok_ = loop.backend_fd() >= 0 && event_add(readable_, nullptr) == 0;
        if (!ok_) return;
        timeval const now{};
        evtimer_add(due_, &now);
    }
    ~libevent_guest() {
        if (ended_) *ended_ = true;
        event_free(readable_);
        event_free(due_);
    }
    libevent_guest(libevent_guest const&) = delete;
    libevent_guest& operator=(libevent_guest const&) = delete;

    // false: this loop's poller has no fd, or the loop has failed, or ended.
    bool ok() const { return ok_; }

private:
    void turn() {
        bool ended = false;
        ended_ = &ended;
        auto const ran = loop_.dispatch();
        if (ended) return;   // a callback has ended us
        ended_ = nullptr;
        // What plain code changes after prepare() makes the fd readable, so that it is asked anew.
        auto const until = loop_.prepare();
        if (!ran || !until) {
            ok_ = false;
            event_del(readable_);
            evtimer_del(due_);
            return;
        }
        if (*until == spruce::never()) {
            evtimer_del(due_);
            return;
        }
        auto const us = (until->remaining().count() + 999) / 1'000;   // rounded up: not early
        timeval const after{static_cast<time_t>(us / 1'000'000), static_cast<suseconds_t>(us % 1'000'000)};
        evtimer_add(due_, &after);
    }

    spruce::loop& loop_;
    event* readable_;
    event* due_;
    bool ok_ = false;
    bool* ended_ = nullptr;   // of the turn that is under way
};
