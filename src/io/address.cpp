#include "socket_address.hpp"

#include <arpa/inet.h>
#include <cstring>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "../base/text_line.hpp"

namespace spruce { inline namespace v0 {

using access = detail::address_access;

namespace {
error wrong(char const* what) noexcept { return detail::with_detail(errc::invalid_argument, what); }

// Not string_view::substr, whose range check would bring in the C++ library and throw.
std::string_view before(std::string_view text, std::size_t at) noexcept { return {text.data(), at}; }
std::string_view after(std::string_view text, std::size_t at) noexcept {
    return {text.data() + at + 1, text.size() - at - 1};
}

// Digits only, at most 65535; -1 otherwise.
int read_port(std::string_view digits) noexcept {
    if (digits.empty() || digits.size() > 5) return -1;
    int port = 0;
    for (char const c : digits) {
        if (c < '0' || c > '9') return -1;
        port = port * 10 + (c - '0');
    }
    return port > 65535 ? -1 : port;
}

result<address> parse_path(std::string_view text) noexcept {
    address a;
    auto& to = *reinterpret_cast<sockaddr_un*>(access::room(a));
    if (text.size() >= sizeof to.sun_path || text.size() + offsetof(sockaddr_un, sun_path) >= access::capacity())
        return detail::with_detail(errc::too_long, "the path of a socket");
    if (text.find('\0') != std::string_view::npos) return wrong("a path with a zero byte");
    to.sun_family = AF_UNIX;
    std::memcpy(to.sun_path, text.data(), text.size());
    std::size_t length = offsetof(sockaddr_un, sun_path) + text.size();
    if (text[0] == '@') to.sun_path[0] = '\0';   // an abstract name has no end but its length
    else ++length;
    access::filled(a, static_cast<unsigned>(length));
    return a;
}

result<address> parse_v6(std::string_view host, int port) noexcept {
    char text[INET6_ADDRSTRLEN + 1];
    std::string_view scope;
    if (std::size_t const percent = host.find('%'); percent != std::string_view::npos) {
        scope = after(host, percent);
        host = before(host, percent);
    }
    if (host.size() >= sizeof text) return wrong("no IPv6 address in the brackets");
    std::memcpy(text, host.data(), host.size());
    text[host.size()] = '\0';
    address a;
    auto& to = *reinterpret_cast<sockaddr_in6*>(access::room(a));
    if (::inet_pton(AF_INET6, text, &to.sin6_addr) != 1) return wrong("no IPv6 address in the brackets");
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(static_cast<std::uint16_t>(port));
    if (!scope.empty()) {
        char name[IF_NAMESIZE];
        if (scope.size() >= sizeof name) return wrong("no such network interface");
        std::memcpy(name, scope.data(), scope.size());
        name[scope.size()] = '\0';
        int const number = read_port(scope);
        to.sin6_scope_id = number >= 0 ? static_cast<std::uint32_t>(number) : ::if_nametoindex(name);
        if (to.sin6_scope_id == 0) return wrong("no such network interface");
    }
    access::filled(a, sizeof to);
    return a;
}
}  // namespace

result<address> address::parse(std::string_view text) noexcept {
    if (text.empty()) return wrong("an empty address");
    if (text[0] == '/' || text[0] == '@') return parse_path(text);
    std::size_t const colon = text.rfind(':');
    if (colon == std::string_view::npos) return wrong("an address needs a port: HOST:PORT");
    int const port = read_port(after(text, colon));
    if (port < 0) return wrong("the port is not a number from 0 to 65535");
    std::string_view host = before(text, colon);
    if (host.find('\0') != std::string_view::npos) return wrong("a host with a zero byte");
    if (!host.empty() && host.front() == '[') {
        if (host.back() != ']') return wrong("a bracket is missing");
        return parse_v6(after(before(host, host.size() - 1), 0), port);
    }
    if (host.find(':') != std::string_view::npos) return wrong("an IPv6 address needs brackets: [::1]:80");
    if (host.empty() || host == "*") host = "0.0.0.0";
    else if (host == "localhost") host = "127.0.0.1";
    char numbers[INET_ADDRSTRLEN + 1];
    if (host.size() >= sizeof numbers) return wrong("no IPv4 address; names must be resolved first");
    std::memcpy(numbers, host.data(), host.size());
    numbers[host.size()] = '\0';
    address a;
    auto& to = *reinterpret_cast<sockaddr_in*>(access::room(a));
    if (::inet_pton(AF_INET, numbers, &to.sin_addr) != 1) return wrong("no IPv4 address; names must be resolved first");
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    access::filled(a, sizeof to);
    return a;
}

std::uint16_t address::port() const noexcept {
    switch (access::family(*this)) {
    case AF_INET: return ntohs(reinterpret_cast<sockaddr_in const*>(raw_)->sin_port);
    case AF_INET6: return ntohs(reinterpret_cast<sockaddr_in6 const*>(raw_)->sin6_port);
    default: return 0;
    }
}

namespace {
void put_dotted(detail::text_line& to, unsigned char const* bytes) noexcept {
    to.put(std::uint64_t{bytes[0]});
    for (int i = 1; i != 4; ++i) to.put(".").put(std::uint64_t{bytes[i]});
}

// As inet_ntop() does, of which a small libc has one that brings all of printf: groups of hexadecimal digits, the
// first longest run of two or more that are 0 left out, an IPv4 address at the end as such.
void put_groups(detail::text_line& to, unsigned char const* bytes) noexcept {
    unsigned group[8];
    int begin = 8, length = 1;   // of that run
    for (int i = 0; i != 8; ++i) group[i] = static_cast<unsigned>(bytes[2 * i] << 8 | bytes[2 * i + 1]);
    for (int i = 0; i != 8; ++i) {
        int zeros = 0;
        while (i + zeros != 8 && group[i + zeros] == 0) ++zeros;
        if (zeros > length) {
            begin = i;
            length = zeros;
        }
    }
    for (int i = 0; i != 8;) {
        if (i == begin) {
            to.put("::");
            i += length;
            continue;
        }
        if (i != 0 && i != begin + length) to.put(":");
        if (i == 6 && begin == 0 && (length == 6 || (length == 5 && group[5] == 0xffff)))
            return put_dotted(to, bytes + 12);
        to.put(std::uint64_t{group[i++]}, 16);
    }
}
}  // namespace

char const* address::text() const noexcept {
    if (text_[0] != '\0' || length_ == 0) return text_;
    detail::text_line line(text_, sizeof text_);
    switch (access::family(*this)) {
    case AF_INET:
        put_dotted(line, reinterpret_cast<unsigned char const*>(&reinterpret_cast<sockaddr_in const*>(raw_)->sin_addr));
        line.put(":").put(std::uint64_t{port()});
        line.string();
        break;
    case AF_INET6: {
        auto const& six = *reinterpret_cast<sockaddr_in6 const*>(raw_);
        line.put("[");
        put_groups(line, six.sin6_addr.s6_addr);
        if (six.sin6_scope_id != 0) line.put("%").put(std::uint64_t{six.sin6_scope_id});
        line.put("]:").put(std::uint64_t{port()});
        line.string();
        break;
    }
    case AF_UNIX: {
        auto const& local = *reinterpret_cast<sockaddr_un const*>(raw_);
        std::size_t const length = length_ - offsetof(sockaddr_un, sun_path);
        std::size_t const take = length < sizeof text_ - 1 ? length : sizeof text_ - 1;
        std::memcpy(text_, local.sun_path, take);
        if (take != 0 && text_[0] == '\0') text_[0] = '@';
        text_[take] = '\0';
        break;
    }
    default: break;
    }
    return text_;
}

}}  // namespace spruce::v0
