// What a client asks: the parser of a request's head. Pure: bytes in, a request or a refusal out; no I/O, no heap.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace serve {

inline constexpr std::size_t request_line_limit = 8 * 1024;  // longer: 414
inline constexpr std::size_t head_limit = 16 * 1024;         // request line and all fields together; longer: 431
inline constexpr std::size_t field_limit = 100;              // more header fields: 431
// No method served here has use for a body: longer ones get 413
inline constexpr std::uint64_t body_limit = 64 * 1024;

enum class method : std::uint8_t {
    get,
    head,
    other,   // one that HTTP knows and this server does not allow: 405
    unknown  // any other word: 501
};

// Why a request cannot be answered as asked: a status, and a sentence for the person at the other end.
struct refusal {
    int status = 0;  // 0: nothing is wrong
    char const* why = "";
    explicit operator bool() const noexcept { return status != 0; }
};

// The head of a request, as views into the bytes that were parsed.
struct request {
    method what = method::unknown;
    std::string_view method_name;        // empty unless it is a word
    std::string_view target;             // as sent; no control characters and no spaces in it
    std::string_view path;               // of the target, still percent-encoded; begins with '/', or is "*"
    std::string_view query;              // without the '?'
    bool has_query = false;
    bool is_http_1_0 = false;
    bool keep_alive = false;             // the client wants the connection to stay, by its version's rules
    bool expects_continue = false;       // it waits for 100 before it sends the body
    std::uint64_t body_bytes = 0;        // declared by Content-Length
    std::string_view if_modified_since;  // empty: not sent
    std::string_view if_unmodified_since;
    std::string_view if_match;           // of tags; we give none, so none but "*" is ours
    std::string_view if_none_match;
    std::string_view range;
    std::string_view if_range;
};

// Where a request's head ends, for a reader: the empty line. A bare LF ends it here too, so that a client that
// sends one is refused at once and does not wait for its timeout.
inline constexpr std::string_view head_end = "\n\r\n";
inline constexpr std::string_view bare_head_end = "\n\n";

// Takes a head with its empty line. Empty lines before the request line are skipped, as RFC 9112 asks.
// A refusal for the bytes (400, 411, 413, 414, 417, 431, 501, 505) ends the connection: after it nobody can say
// where the next request begins. Methods are judged by the caller: `out` is complete when nothing was refused.
refusal parse_request(std::string_view head, request& out) noexcept;

// What is behind the empty lines at its beginning.
std::string_view without_empty_lines(std::string_view text) noexcept;

// Which refusal a head gets that filled head_limit and has no end yet.
refusal refuse_endless(std::string_view begin) noexcept;

// For tokens of HTTP: the same but for the case of ASCII letters.
bool same_word(std::string_view a, std::string_view b) noexcept;

}  // namespace serve
