#include "http_request.hpp"

#include <iterator>

namespace serve {
namespace {

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool is_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool is_control(char c) noexcept { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// RFC 9110's tchar.
bool is_token(std::string_view text) noexcept {
    constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
    for (char c : text)
        if (!is_digit(c) && !is_letter(c) && marks.find(c) == marks.npos) return false;
    return !text.empty();
}

std::string_view trim(std::string_view text) noexcept {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

// Is `word` one of the elements of a comma separated list?
bool lists(std::string_view list, std::string_view word) noexcept {
    for (;;) {
        auto comma = list.find(',');
        if (same_word(trim(list.substr(0, comma)), word)) return true;
        if (comma == list.npos) return false;
        list.remove_prefix(comma + 1);
    }
}

method method_of(std::string_view name) noexcept {
    if (name == "GET") return method::get;
    if (name == "HEAD") return method::head;
    for (std::string_view known : {"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"})
        if (name == known) return method::other;
    return method::unknown;
}

// Takes one line and its CRLF off the front. False: it has a bare LF or CR, which proxies and servers read
// differently, and which smuggling therefore lives on.
bool take_line(std::string_view& rest, std::string_view& line) noexcept {
    auto end = rest.find('\n');
    if (end == rest.npos || end == 0 || rest[end - 1] != '\r') return false;
    line = rest.substr(0, end - 1);
    rest.remove_prefix(end + 1);
    return line.find('\r') == line.npos;
}

refusal parse_version(std::string_view text, request& out) noexcept {
    // HTTP/ DIGIT . DIGIT
    if (text.size() != 8 || !text.starts_with("HTTP/") || !is_digit(text[5]) || text[6] != '.' || !is_digit(text[7]))
        return {400, "the request line does not end with a version such as HTTP/1.1"};
    if (text[5] != '1') return {505, "this server speaks HTTP/1.0 and HTTP/1.1"};
    out.is_http_1_0 = text[7] == '0';
    return {};
}

// Splits the target into path and query; an absolute one (http://host/path, what proxies send) loses its host.
refusal parse_target(std::string_view target, request& out) noexcept {
    for (char c : target)
        if (is_control(c)) return {400, "there is a control character in the address"};
    out.target = target;
    if (target.find('#') != target.npos) return {400, "the address has a fragment (#), which clients keep to themselves"};
    // What CONNECT takes is no path, and methods not served need none.
    if (out.what != method::get && out.what != method::head) {
        out.path = "*";
        return {};
    }
    if (target.front() != '/') {
        auto scheme_end = target.find("://");
        if (scheme_end == target.npos) return {400, "the address does not begin with a slash"};
        auto scheme = target.substr(0, scheme_end);
        if (!same_word(scheme, "http") && !same_word(scheme, "https")) return {400, "the address has a scheme other than http"};
        target.remove_prefix(scheme_end + 3);
        auto host_end = target.find_first_of("/?");
        if (host_end == 0 || target.empty()) return {400, "the address names no host"};
        target = host_end == target.npos ? std::string_view("/") : target.substr(host_end);
    }
    auto mark = target.find('?');
    out.path = mark == 0 ? std::string_view("/") : target.substr(0, mark);
    out.has_query = mark != target.npos;
    out.query = out.has_query ? target.substr(mark + 1) : std::string_view();
    return {};
}

refusal parse_request_line(std::string_view line, request& out) noexcept {
    if (line.size() > request_line_limit) return {414, "the request line is longer than 8 KiB"};
    auto first = line.find(' ');
    auto last = line.rfind(' ');
    if (first == line.npos || first == last || line.find(' ', first + 1) != last || last == first + 1)
        return {400, "the request line is not: method, space, address, space, version"};
    auto name = line.substr(0, first);
    if (!is_token(name)) return {400, "the method is not a word"};
    out.method_name = name;  // not before: it goes to the log as it is
    if (auto bad = parse_version(line.substr(last + 1), out)) return bad;
    out.what = method_of(out.method_name);
    return parse_target(line.substr(first + 1, last - first - 1), out);
}

// What the fields say about the connection and the body, gathered before it is judged as a whole.
struct field_notes {
    unsigned hosts = 0, lengths = 0, codings = 0;
    unsigned once = 0;   // a bit for each of `single_fields` that came
    bool close = false, keep_alive = false, last_coding_is_chunked = false;
};

refusal take_length(std::string_view value, request& out, field_notes& notes) noexcept {
    if (++notes.lengths > 1) return {400, "there are two Content-Length fields"};
    if (value.empty()) return {400, "Content-Length is empty"};
    for (char c : value)
        if (!is_digit(c)) return {400, "Content-Length is not a number"};
    out.body_bytes = 0;
    for (char c : value) {
        // Beyond the limit the exact number no longer matters, and it must not wrap.
        if (out.body_bytes <= body_limit) out.body_bytes = out.body_bytes * 10 + static_cast<unsigned>(c - '0');
    }
    return {};
}

constexpr std::string_view single_fields[] = {"range",         "if-range",          "if-match", "if-none-match",
                                              "if-modified-since", "if-unmodified-since", "expect"};

// Whether it is the second of a field that may stand once.
bool is_double(std::string_view name, field_notes& notes) noexcept {
    for (unsigned i = 0; i != std::size(single_fields); ++i) {
        if (!same_word(name, single_fields[i])) continue;
        bool const before = (notes.once & 1u << i) != 0;
        notes.once |= 1u << i;
        return before;
    }
    return false;
}

refusal take_field(std::string_view name, std::string_view value, request& out, field_notes& notes) noexcept {
    if (is_double(name, notes)) return {400, "a header field that may stand once stands twice"};
    if (same_word(name, "host")) {
        if (++notes.hosts > 1) return {400, "there are two Host fields"};
        if (value.find_first_of(" \t,/?#@\\") != value.npos) return {400, "Host is not a host"};
    } else if (same_word(name, "content-length")) {
        return take_length(value, out, notes);
    } else if (same_word(name, "transfer-encoding")) {
        ++notes.codings;
        notes.last_coding_is_chunked = same_word(value, "chunked");
    } else if (same_word(name, "connection")) {
        notes.close = notes.close || lists(value, "close");
        notes.keep_alive = notes.keep_alive || lists(value, "keep-alive");
    } else if (same_word(name, "expect")) {
        if (!same_word(value, "100-continue")) return {417, "of what can be expected only 100-continue is known here"};
        out.expects_continue = true;
    } else if (same_word(name, "if-modified-since")) {
        out.if_modified_since = value;
    } else if (same_word(name, "if-unmodified-since")) {
        out.if_unmodified_since = value;
    } else if (same_word(name, "if-match")) {
        out.if_match = value;
    } else if (same_word(name, "if-none-match")) {
        out.if_none_match = value;
    } else if (same_word(name, "range")) {
        out.range = value;
    } else if (same_word(name, "if-range")) {
        out.if_range = value;
    }
    return {};
}

refusal parse_field(std::string_view line, request& out, field_notes& notes) noexcept {
    if (line.front() == ' ' || line.front() == '\t') return {400, "a header field is folded over two lines"};
    auto colon = line.find(':');
    if (colon == line.npos) return {400, "a header line has no colon"};
    auto name = line.substr(0, colon);
    if (!is_token(name)) return {400, "the name of a header field is not a word"};
    auto value = trim(line.substr(colon + 1));
    for (char c : value)
        if (is_control(c) && c != '\t') return {400, "there is a control character in a header field"};
    return take_field(name, value, out, notes);
}

// What only all the fields together can tell.
refusal judge(request& out, field_notes const& notes) noexcept {
    if (notes.hosts == 0 && !out.is_http_1_0) return {400, "HTTP/1.1 wants a Host field"};
    if (notes.codings != 0) {
        // Two answers to "where does the body end?" is how requests are smuggled past a proxy.
        if (notes.lengths != 0) return {400, "there are both Content-Length and Transfer-Encoding"};
        if (out.is_http_1_0) return {400, "HTTP/1.0 has no Transfer-Encoding"};
        if (notes.codings > 1 || !notes.last_coding_is_chunked) return {501, "this transfer coding is not known here"};
        return {411, "a body is taken only with its Content-Length"};
    }
    if (out.body_bytes > body_limit) return {413, "the body is longer than 64 KiB"};
    out.keep_alive = !notes.close && (!out.is_http_1_0 || notes.keep_alive);
    return {};
}

}  // namespace

bool same_word(std::string_view a, std::string_view b) noexcept {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i != a.size(); ++i)
        if (lower(a[i]) != lower(b[i])) return false;
    return true;
}

std::string_view without_empty_lines(std::string_view text) noexcept {
    while (text.starts_with("\r\n")) text.remove_prefix(2);
    return text;
}

refusal refuse_endless(std::string_view begin) noexcept {
    begin = without_empty_lines(begin);
    auto line_end = begin.find('\n');
    if (line_end == begin.npos || line_end > request_line_limit) return {414, "the request line is longer than 8 KiB"};
    return {431, "the request line and header fields are longer than 16 KiB"};
}

refusal parse_request(std::string_view head, request& out) noexcept {
    out = {};
    if (head.size() > head_limit) return refuse_endless(head);
    head = without_empty_lines(head);
    std::string_view line;
    constexpr refusal bad_line{400, "lines must end with CR LF, and CR stand nowhere else"};
    if (!take_line(head, line)) return bad_line;
    if (auto bad = parse_request_line(line, out)) return bad;
    field_notes notes;
    for (std::size_t fields = 0;; ++fields) {
        if (!take_line(head, line)) return bad_line;
        if (line.empty()) break;
        if (fields == field_limit) return {431, "there are more than 100 header fields"};
        if (auto bad = parse_field(line, out, notes)) return bad;
    }
    if (!head.empty()) return {400, "there is something behind the end of the head"};
    return judge(out, notes);
}

}  // namespace serve
