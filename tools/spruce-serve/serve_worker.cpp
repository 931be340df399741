#include "serve_worker.hpp"

#include "http_connection.hpp"

namespace serve {

using namespace std::chrono_literals;

spruce::result<void> serve_worker::listen(std::string_view host_and_port, bool shared) {
    listener_ = spruce::tcp_listener::listen(host_and_port, {.backlog = 1024, .reuse_port = shared});
    if (!listener_) return listener_.error();
    return {};
}

void serve_worker::start() {
    acceptor_ = spruce::spawn({.name = "accept"}, [this] { accept_all(); });
}

void serve_worker::take(spruce::task_group& connections, spruce::tcp_stream peer) {
    connections.spawn({.name = "connection"}, [this](spruce::tcp_stream its) { http_connection(site_, std::move(its)).serve(); },
                      std::move(peer));
}

void serve_worker::accept_all() {
    spruce::task_group connections;
    connections_ = &connections;
    while (auto peer = listener_->accept()) take(connections, std::move(*peer));
    {
        // stop() woke us by a cancel. Who connected before it is still served; a closed listener would reset them.
        spruce::cancel_shield here;
        while (auto peer = listener_->accept(spruce::in(0s))) take(connections, std::move(*peer));
        listener_->close();
        (void)connections.join();
    }
    connections_ = nullptr;
}

void serve_worker::stop() noexcept {
    if (site_.stopping) {
        cut_off_ = cut_off_ || (connections_ && connections_->cancel() != 0);
        return;
    }
    site_.stopping = true;
    acceptor_.cancel();
    for (auto* each = site_.connections; each; each = each->next()) each->end_if_idle();
}

}  // namespace serve
