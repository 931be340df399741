// One hub's share of the server: a listener, the connections it took, and how they end.
#pragma once
#include <spruce/spruce.hpp>

#include "site.hpp"

namespace serve {

// Lives on the stack of its hub's thread, after the loop; all calls on that thread.
class serve_worker {
public:
    explicit serve_worker(settings const& common) noexcept : site_(common) {}
    serve_worker(serve_worker const&) = delete;
    serve_worker& operator=(serve_worker const&) = delete;

    // Several workers of one process share an address when all of them say so.
    spruce::result<void> listen(std::string_view host_and_port, bool shared);
    spruce::address const& local() const noexcept { return listener_->local(); }
    // Begins to accept: a task, which ends when the server has stopped and the last connection is over.
    void start();
    // The first time: accepts what has already arrived, then nothing; ends idle connections; lets requests in
    // flight finish. The second time: cancels those, too.
    void stop() noexcept;
    // Whether connections were cut off by a second stop().
    bool cut_off() const noexcept { return cut_off_; }

private:
    void accept_all();
    void take(spruce::task_group& connections, spruce::tcp_stream peer);

    site site_;
    spruce::result<spruce::tcp_listener> listener_ = spruce::errc::wrong_state;
    spruce::task<void> acceptor_;
    spruce::task_group* connections_ = nullptr;
    bool cut_off_ = false;
};

}  // namespace serve
