#include "../harness/harness.hpp"

#include <cstdint>
#include <cstring>
#include <string>

#include "../../tools/spruce-serve/http_request.hpp"

using namespace serve;

namespace {

struct example {
    char const* what;
    std::string_view head;
    int status;  // 0: accepted
};

constexpr std::string_view host = "Host: a\r\n\r\n";

std::string with_line(std::string_view line) { return std::string(line) + "\r\n" + std::string(host); }
std::string with_field(std::string_view field) { return "GET / HTTP/1.1\r\n" + std::string(field) + "\r\n" + std::string(host); }

int status_of(std::string_view head) {
    request asked;
    return parse_request(head, asked).status;
}

bool keeps(std::string_view head) {
    request asked;
    return !parse_request(head, asked) && asked.keep_alive;
}

void check_line(std::string_view line, int status) {
    int got = status_of(with_line(line));
    if (got != status) std::printf("request line '%.*s': %d, not %d\n", static_cast<int>(line.size()), line.data(), got, status);
    CHECK(got == status);
}

void check_field(std::string_view field, int status) {
    int got = status_of(with_field(field));
    if (got != status) std::printf("field '%.*s': %d, not %d\n", static_cast<int>(field.size()), field.data(), got, status);
    CHECK(got == status);
}

}  // namespace

TEST("a request is taken apart into its method, path, query and fields") {
    request asked;
    std::string head = "GET /a%20b/c.txt?x=1&y=?2 HTTP/1.1\r\nHost: example:80\r\nRANGE: bytes=0-1\r\n"
                       "If-Modified-Since:Sun, 06 Nov 1994 08:49:37 GMT \r\nif-range:\t\"x\"\r\nConnection: Foo, Keep-Alive\r\n\r\n";
    CHECK(!parse_request(head, asked));
    CHECK(asked.what == method::get);
    CHECK(asked.path == "/a%20b/c.txt");
    CHECK(asked.has_query && asked.query == "x=1&y=?2");
    CHECK(asked.range == "bytes=0-1");
    CHECK(asked.if_modified_since == "Sun, 06 Nov 1994 08:49:37 GMT");
    CHECK(asked.if_range == "\"x\"");
    CHECK(asked.keep_alive && !asked.is_http_1_0 && !asked.expects_continue);
    CHECK(asked.body_bytes == 0);
}

TEST("request lines get the status they deserve") {
    check_line("GET / HTTP/1.1", 0);
    check_line("HEAD /x HTTP/1.0", 0);
    check_line("GET /x HTTP/1.7", 0);
    check_line("DELETE /x HTTP/1.1", 0);
    check_line("OPTIONS * HTTP/1.1", 0);
    check_line("CONNECT a:443 HTTP/1.1", 0);
    check_line("BREW /pot HTTP/1.1", 0);
    check_line("get / HTTP/1.1", 0);
    check_line("GET http://a/b HTTP/1.1", 0);
    check_line("GET HTTP://a?b HTTP/1.1", 0);
    check_line("GET /\xc3\xa9 HTTP/1.1", 0);
    check_line("", 400);
    check_line("GET", 400);
    check_line("GET /", 400);
    check_line("GET  HTTP/1.1", 400);
    check_line("GET  / HTTP/1.1", 400);
    check_line("GET /  HTTP/1.1", 400);
    check_line("GET / HTTP/1.1 ", 400);
    check_line(" GET / HTTP/1.1", 400);
    check_line("GET / x HTTP/1.1", 400);
    check_line("GET\t/\tHTTP/1.1", 400);
    check_line("G@T / HTTP/1.1", 400);
    check_line("GET x HTTP/1.1", 400);
    check_line("GET * HTTP/1.1", 400);
    check_line("GET /#top HTTP/1.1", 400);
    check_line("GET /\x01 HTTP/1.1", 400);
    check_line("GET /\x7f HTTP/1.1", 400);
    check_line(std::string_view("GET /\0 HTTP/1.1", 15), 400);
    check_line("GET ftp://a/b HTTP/1.1", 400);
    check_line("GET http:///b HTTP/1.1", 400);
    check_line("GET http:// HTTP/1.1", 400);
    check_line("GET / HTTP/1.10", 400);
    check_line("GET / http/1.1", 400);
    check_line("GET / HTTX/1.1", 400);
    check_line("GET / HTTP/1", 400);
    check_line("GET / HTTP/2.0", 505);
    check_line("PRI * HTTP/2.0", 505);
    check_line("GET / HTTP/0.9", 505);
}

TEST("an absolute address loses its host, and nothing else") {
    auto becomes = [](std::string_view address, std::string_view path, std::string_view query) {
        std::string head = with_line("GET " + std::string(address) + " HTTP/1.1");
        request asked;
        return !parse_request(head, asked) && asked.path == path && asked.query == query;
    };
    CHECK(becomes("http://a:80/b?c", "/b", "c"));
    CHECK(becomes("http://a?c", "/", "c"));
    CHECK(becomes("https://a", "/", ""));
    CHECK(becomes("//a/b", "//a/b", ""));
}

TEST("header fields get the status they deserve") {
    check_field("X: y", 0);
    check_field("X:", 0);
    check_field("X:\t y \t", 0);
    check_field("Content-Length: 0", 0);
    check_field("Content-Length: 65536", 0);
    check_field("Expect: 100-Continue", 0);
    check_field("no colon", 400);
    check_field("X : y", 400);
    check_field(": y", 400);
    check_field(" X: y", 400);
    check_field("X: y\r\n z", 400);
    check_field("X: a\x01", 400);
    check_field("X: a\rb", 400);
    check_field("X: a\nY: b", 400);
    check_field(std::string_view("X: \0", 4), 400);
    check_field("Host: a", 400);  // the second
    check_field("Content-Length: -1", 400);
    check_field("Content-Length: +1", 400);
    check_field("Content-Length: 1 1", 400);
    check_field("Content-Length: 1, 1", 400);
    check_field("Content-Length:", 400);
    check_field("Content-Length: 0x1", 400);
    check_field("Content-Length: 1\r\nContent-Length: 1", 400);
    check_field("Content-Length: 65537", 413);
    check_field("Content-Length: 99999999999999999999999999999999", 413);
    check_field("Content-Length: 18446744073709551616", 413);
    check_field("Transfer-Encoding: chunked", 411);
    check_field("Transfer-Encoding: chunked\r\nContent-Length: 3", 400);
    check_field("Content-Length: 3\r\nTransfer-Encoding: chunked", 400);
    check_field("Transfer-Encoding: gzip, chunked", 501);
    check_field("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 501);
    check_field("Transfer-Encoding: xchunked", 501);
    check_field("Expect: the best", 417);
}

TEST("Host is asked for by 1.1 alone, and must be one host") {
    CHECK(status_of("GET / HTTP/1.1\r\n\r\n") == 400);
    CHECK(status_of("GET / HTTP/1.0\r\n\r\n") == 0);
    CHECK(status_of("GET / HTTP/1.1\r\nHost:\r\n\r\n") == 0);
    CHECK(status_of("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n") == 0);
    CHECK(status_of("GET / HTTP/1.1\r\nHost: a b\r\n\r\n") == 400);
    CHECK(status_of("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n") == 400);
    CHECK(status_of("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") == 400);
}

TEST("a connection is kept by the rules of its version") {
    CHECK(keeps("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    CHECK(!keeps("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    CHECK(!keeps("GET / HTTP/1.1\r\nHost: a\r\nConnection: x,CLOSE\r\n\r\n"));
    CHECK(!keeps("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n"));
    CHECK(keeps("GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n"));
    CHECK(!keeps("GET / HTTP/1.0\r\n\r\n"));
    CHECK(keeps("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
    CHECK(!keeps("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"));
}

TEST("empty lines before a request are skipped, and bare line feeds are refused") {
    CHECK(status_of("\r\n\r\nGET / HTTP/1.0\r\n\r\n") == 0);
    CHECK(status_of("GET / HTTP/1.0\n\n") == 400);
    CHECK(status_of("GET / HTTP/1.0\n\r\n") == 400);
    CHECK(status_of("GET / HTTP/1.0\r\nX: y\n\r\n") == 400);
    CHECK(status_of("\n\r\n") == 400);
    CHECK(status_of("\r\n\r\n") == 400);
    CHECK(status_of("") == 400);
}

TEST("heads that are too long are told apart by what is too long") {
    std::string long_line(request_line_limit + 1, 'a');
    CHECK(status_of(with_line("GET /" + long_line + " HTTP/1.1")) == 414);
    CHECK(refuse_endless("GET /" + long_line).status == 414);
    CHECK(refuse_endless("GET / HTTP/1.1\r\nX: " + long_line).status == 431);
    CHECK(refuse_endless("\r\n\r\nGET / HTTP/1.1\r\nX: " + long_line).status == 431);
    CHECK(status_of(with_field("X: " + std::string(head_limit, 'a'))) == 431);
    CHECK(status_of(with_field("X: " + long_line)) == 0);
    std::string fields;
    for (std::size_t i = 0; i + 1 != field_limit; ++i) fields += "X: y\r\n";
    CHECK(status_of("GET / HTTP/1.1\r\n" + fields + std::string(host)) == 0);
    CHECK(status_of("GET / HTTP/1.1\r\nX: y\r\n" + fields + std::string(host)) == 431);
}

// Whatever bytes come, the parser ends, reads nothing outside them (asan watches), and what it accepts keeps the
// promises that the rest of the server builds on.
TEST_FOR(600, "requests changed at random are refused, or are what they claim to be") {
    harness::random random(harness::seed());
    int const rounds = harness::nightly() ? 20'000'000 : 200'000;
    constexpr std::string_view seeds[] = {
        "GET /a/b.html?q HTTP/1.1\r\nHost: a\r\nRange: bytes=1-2\r\nContent-Length: 3\r\n\r\n",
        "HEAD http://h:1/%2e%2e/x HTTP/1.0\r\nConnection: keep-alive\r\nIf-Modified-Since: now\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
    };
    constexpr std::string_view spice[] = {"\r", "\n", "\r\n\r\n", " ", ":", "HTTP/1.1", "%", "..", "Content-Length: 9999999999999999999999", ",", "\x80"};
    int accepted = 0;
    for (int round = 0; round != rounds; ++round) {
        std::string head(seeds[random.below(3)]);
        for (auto changes = random.below(6); changes != 0; --changes) {
            auto at = static_cast<std::size_t>(random.below(head.size() + 1));
            switch (random.below(5)) {
            case 0: head.insert(at, spice[random.below(std::size(spice))]); break;
            case 1: head.erase(at, static_cast<std::size_t>(random.below(4))); break;
            case 2: head.insert(at, 1, static_cast<char>(random.next())); break;
            case 3: head.insert(at, head.substr(static_cast<std::size_t>(random.below(head.size() + 1)), 12)); break;
            default: head.resize(at); break;
            }
        }
        // Its own block, of exactly its size, so that one byte too far is seen.
        char* block = static_cast<char*>(std::malloc(head.size() + 1));
        std::memcpy(block, head.data(), head.size());
        request asked;
        auto bad = parse_request({block, head.size()}, asked);
        if (bad) {
            CHECK(bad.status >= 400 && bad.status <= 505);
        } else {
            ++accepted;
            bool reads = asked.what == method::get || asked.what == method::head;
            CHECK(!reads || asked.path.starts_with('/'));
            CHECK(asked.body_bytes <= body_limit);
            for (char c : asked.target) CHECK(static_cast<unsigned char>(c) > 0x20 && c != 0x7f);
        }
        std::free(block);
    }
    CHECK(accepted > 1'000);  // it was not all noise
}

TEST("a method that is no word is kept from the log") {
    request asked;
    CHECK(parse_request("\x1b[31mGET / HTTP/1.1\r\nHost: a\r\n\r\n", asked).status == 400);
    CHECK(asked.method_name.empty());
    CHECK(asked.target.empty());
}

TEST("a field that may stand once and stands twice is refused, whichever it is") {
    for (std::string const name : {"Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"}) {
        request asked;
        std::string const once = "GET / HTTP/1.1\r\nHost: a\r\n" + name + ": x\r\n";
        CHECK(!parse_request(once + "\r\n", asked));
        CHECK_EQ(parse_request(once + "X: y\r\n" + name + ": x\r\n\r\n", asked).status, 400);
    }
    request asked;
    CHECK_EQ(parse_request("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nexpect: 100-continue\r\n\r\n", asked).status, 400);
}

TEST("empty lines before a request are no part of it") {
    CHECK_EQ(without_empty_lines("\r\n\r\nGET"), "GET");
    CHECK_EQ(without_empty_lines("\r\n\r"), "\r");
    CHECK_EQ(without_empty_lines("\n"), "\n");
}
