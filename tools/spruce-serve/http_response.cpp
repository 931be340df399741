#include "http_response.hpp"

#include <cstring>

namespace serve {

std::string_view reason_phrase(int status) noexcept {
    switch (status) {
    case 200: return "OK";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return "Unknown";
    }
}

text_room& text_room::operator<<(std::string_view text) noexcept {
    if (text.size() > room_.size() - size_) {
        overflowed_ = true;
        return *this;
    }
    if (!text.empty()) std::memcpy(room_.data() + size_, text.data(), text.size());
    size_ += text.size();
    return *this;
}

text_room& text_room::operator<<(std::uint64_t number) noexcept {
    char digits[20];
    std::size_t begin = sizeof digits;
    do digits[--begin] = static_cast<char>('0' + number % 10);
    while ((number /= 10) != 0);
    return *this << std::string_view(digits + begin, sizeof digits - begin);
}

void text_room::add_encoded(std::string_view path) noexcept {
    constexpr std::string_view plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
    constexpr char hex[] = "0123456789ABCDEF";
    for (char c : path) {
        if (plain.find(c) != plain.npos) {
            *this << std::string_view(&c, 1);
            continue;
        }
        auto byte = static_cast<unsigned char>(c);
        char code[3] = {'%', hex[byte >> 4], hex[byte & 15]};
        *this << std::string_view(code, 3);
    }
}

std::size_t write_head(std::span<char> room, response_head const& head) noexcept {
    text_room out(room);
    out << "HTTP/1.1 " << static_cast<std::uint64_t>(head.status) << " " << reason_phrase(head.status);
    out << "\r\nDate: " << head.date;
    // 304 carries no body; with a length some clients would wait for one.
    if (head.status != 304) out << "\r\nContent-Length: " << head.content_length;
    if (!head.content_type.empty()) out << "\r\nContent-Type: " << head.content_type;
    if (!head.last_modified.empty()) out << "\r\nLast-Modified: " << head.last_modified;
    if (head.offers_ranges) out << "\r\nAccept-Ranges: bytes";
    if (head.range.what == byte_range::kind::part) {
        out << "\r\nContent-Range: bytes " << head.range.begin << "-" << head.range.begin + head.range.size - 1;
        out << "/" << head.whole_size;
    } else if (head.range.what == byte_range::kind::unsatisfiable) {
        out << "\r\nContent-Range: bytes */" << head.whole_size;
    }
    if (head.status == 301) {
        // The slash is ours, and one: a path of the client's that began with two would name another host.
        out << "\r\nLocation: /";
        out.add_encoded(head.location_path);
        out << "/";
        if (head.location_has_query) out << "?" << head.location_query;
    }
    if (head.allows_reading_only) out << "\r\nAllow: GET, HEAD";
    if (!head.keep_alive) out << "\r\nConnection: close";
    else if (head.answers_http_1_0) out << "\r\nConnection: keep-alive";
    out << "\r\n\r\n";
    return out.overflowed() ? 0 : out.size();
}

}  // namespace serve
