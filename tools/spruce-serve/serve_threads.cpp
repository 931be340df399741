#include "serve_threads.hpp"

#include <csignal>

namespace serve {

spruce::result<void> serve_threads::begin(std::string_view host_and_port, unsigned count) {
    SPRUCE_CHECK(hub_.status());
    SPRUCE_CHECK(claim(host_and_port, count > 1));
    news_ = hub_.make_waker([] {});  // the wake-up is all: run_until() and run() then look again
    if (!news_) return news_.error();
    for (others_ = 0; others_ + 1 < count && others_ != most_others; ++others_) {
        other& next = other_[others_];
        next.all = this;
        if (int failed = ::pthread_create(&next.thread, nullptr, thread_main, &next)) return spruce::error::from_errno(failed);
    }
    SPRUCE_CHECK(hub_.run_until([this] { return all_listen(); }));
    for (unsigned i = 0; i != others_; ++i) SPRUCE_CHECK(other_[i].outcome);
    // From here on, so that whoever has read where we serve may stop us.
    for (int sig : {SIGTERM, SIGINT}) {
        auto heard = hub_.add_signal_handler(sig, [this] { stop_all(); });
        if (!heard) return heard.error();
    }
    return {};
}

// Sockets that share a port share it with every process of this user, a second server that was started by mistake
// included. So the port is first taken for ourselves alone, to hear that it is taken.
spruce::result<void> serve_threads::claim(std::string_view host_and_port, bool shared) {
    if (shared && !host_and_port.ends_with(":0")) {
        auto alone = spruce::tcp_listener::listen(host_and_port);
        if (!alone) return alone.error();
    }
    return here_.listen(host_and_port, shared);
}

spruce::result<void> serve_threads::run() {
    here_.start();
    SPRUCE_CHECK(hub_.run());
    // Our own connections are over; a second signal must still reach the others'.
    SPRUCE_CHECK(hub_.run_until([this] { return all_ended(); }));
    for (unsigned i = 0; i != others_; ++i) SPRUCE_CHECK(other_[i].outcome);
    return {};
}

serve_threads::~serve_threads() {
    if (!all_ended()) {
        stop_all();
        stop_all();
    }
    for (unsigned i = 0; i != others_; ++i) ::pthread_join(other_[i].thread, nullptr);
}

void* serve_threads::thread_main(void* argument) {
    auto& me = *static_cast<other*>(argument);
    me.all->serve_on(me);
    return nullptr;
}

void serve_threads::serve_on(other& me) {
    {
        spruce::loop hub;
        serve_worker worker(common_);
        me.outcome = hub.status();
        if (me.outcome) me.outcome = worker.listen(local().text(), true);
        if (me.outcome) {
            worker.start();
            me.loop = hub.remote();
            me.worker = &worker;
            me.listens = true;
            if (stopping_) worker.stop();  // the others gave up meanwhile
            news_->wake();
            me.outcome = hub.run();
            me.worker = nullptr;
            if (worker.cut_off()) others_cut_off_ = true;
        }
    }
    me.ended = true;
    news_->wake();
}

bool serve_threads::all_listen() const noexcept {
    for (unsigned i = 0; i != others_; ++i)
        if (!other_[i].listens && !other_[i].ended) return false;
    return true;
}

bool serve_threads::all_ended() const noexcept {
    for (unsigned i = 0; i != others_; ++i)
        if (!other_[i].ended) return false;
    return true;
}

void serve_threads::stop_all() noexcept {
    stopping_ = true;
    here_.stop();
    for (unsigned i = 0; i != others_; ++i) {
        auto stop = [it = &other_[i]] {
            if (it->worker) it->worker->stop();
        };
        // A loop that has ended says closed, and there is nothing to stop.
        if (other_[i].listens) (void)other_[i].loop.call(stop);
    }
}

}  // namespace serve
