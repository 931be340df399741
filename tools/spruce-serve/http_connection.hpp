// One client's connection: a task that reads requests and answers them, one after another.
#pragma once
#include <spruce/spruce.hpp>

#include "site.hpp"

namespace serve {

class http_connection {
public:
    http_connection(site& where, spruce::tcp_stream peer) noexcept;
    http_connection(http_connection const&) = delete;
    http_connection& operator=(http_connection const&) = delete;
    ~http_connection();

    // The task's whole life; back when the connection is over.
    void serve();
    // The server stops: if no request has begun, none will. One that the kernel has already received is still
    // answered: only what would come later is cut off.
    void end_if_idle() noexcept;
    http_connection* next() const noexcept { return next_; }

private:
    enum class fate : std::uint8_t {
        stay,    // the next request may come
        close,   // over: the client knows, or cannot be told
        linger   // over, but the client may still be sending, and must get to read our last answer first
    };

    bool has_begun() const noexcept;
    spruce::result<std::string_view> wait_for_head();
    fate refuse_head(spruce::error why);
    fate serve_request(std::string_view head);
    fate serve_path(request const& asked, bool stay);
    fate send_file(request const& asked, found& what, std::string_view path, bool stay);
    fate send_redirect(request const& asked, safe_path const& path, bool stay);
    fate send_refusal(refusal why, request const& asked, bool stay);
    bool send(std::string_view bytes);
    bool drop_body(std::uint64_t bytes);
    void linger();
    void note(request const& asked, int status, std::uint64_t bytes) const noexcept;

    site& site_;
    spruce::tcp_stream peer_;
    spruce::reader in_;
    bool waiting_for_head_ = false;
    bool answered_before_ = false;
    http_connection* next_ = nullptr;
    http_connection* previous_ = nullptr;
};

}  // namespace serve
