// All hubs of the server: one on the calling thread, the others on threads of their own, all on one port.
#pragma once
#include <atomic>
#include <pthread.h>

#include "serve_worker.hpp"

namespace serve {

class serve_threads {
public:
    explicit serve_threads(settings const& common) noexcept : common_(common), here_(common) {}
    serve_threads(serve_threads const&) = delete;
    serve_threads& operator=(serve_threads const&) = delete;
    ~serve_threads();  // stops at once what still runs

    // All hubs listen when this comes back ok. Port 0 is chosen by the first.
    spruce::result<void> begin(std::string_view host_and_port, unsigned count);
    // Serves until SIGTERM or SIGINT and the end of the last request.
    spruce::result<void> run();
    spruce::address const& local() const noexcept { return here_.local(); }
    unsigned count() const noexcept { return others_ + 1; }
    bool cut_off() const noexcept { return here_.cut_off() || others_cut_off_.load(); }

private:
    static constexpr unsigned most_others = 255;
    // What a thread and the first one tell each other. Written by the thread before it raises `listens` or `ended`.
    struct other {
        serve_threads* all = nullptr;
        pthread_t thread{};
        spruce::loop_ref loop;
        serve_worker* worker = nullptr;  // of that thread alone: null again before it dies
        spruce::result<void> outcome;
        std::atomic<bool> listens = false, ended = false;
    };
    spruce::result<void> claim(std::string_view host_and_port, bool shared);
    static void* thread_main(void* argument);
    void serve_on(other& me);
    bool all_listen() const noexcept;
    bool all_ended() const noexcept;
    void stop_all() noexcept;

    settings const& common_;
    spruce::loop hub_;
    serve_worker here_;
    spruce::result<spruce::waker> news_ = spruce::errc::wrong_state;  // another thread listens, or has ended
    other other_[most_others];
    unsigned others_ = 0;
    std::atomic<bool> others_cut_off_ = false;
    std::atomic<bool> stopping_ = false;
};

}  // namespace serve
