// The head of a response, written into a given room. Pure; no heap.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "byte_range.hpp"
#include "http_request.hpp"

namespace serve {

// "Not Found" for 404; "Unknown" for what this server never sends.
std::string_view reason_phrase(int status) noexcept;

struct response_head {
    int status = 200;
    std::string_view date{};           // of now, as HTTP writes it
    bool keep_alive = false;
    bool answers_http_1_0 = false;     // a client of HTTP/1.0 must be told that the connection stays
    std::uint64_t content_length = 0;
    std::string_view content_type{};
    std::string_view last_modified{};  // empty: not sent
    std::string_view location_path{};  // of a redirect: the decoded path, without its first slash
    std::string_view location_query{};  // as the client sent it
    bool location_has_query = false;
    bool offers_ranges = false;
    byte_range range{};                // not `whole`: Content-Range is sent
    std::uint64_t whole_size = 0;      // for Content-Range
    bool allows_reading_only = false;  // 405 names what is allowed
};

// Text put together in a room of fixed size; what does not fit is noticed, not written.
class text_room {
public:
    explicit text_room(std::span<char> room) noexcept : room_(room) {}
    text_room& operator<<(std::string_view text) noexcept;
    text_room& operator<<(std::uint64_t number) noexcept;
    // Bytes of a path, with %XX for all that does not stand for itself in an address.
    void add_encoded(std::string_view path) noexcept;
    bool overflowed() const noexcept { return overflowed_; }
    std::size_t size() const noexcept { return size_; }

private:
    std::span<char> room_;
    std::size_t size_ = 0;
    bool overflowed_ = false;
};

// Writes it with its empty line; how many bytes, or 0 if the room is too small.
std::size_t write_head(std::span<char> room, response_head const& head) noexcept;

}  // namespace serve
