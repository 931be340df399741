// The small pure parts of spruce-serve: dates, ranges, media types, response heads, the command line.
#include "../harness/harness.hpp"

#include <cstring>
#include <ctime>
#include <string>

#include "../../tools/spruce-serve/byte_range.hpp"
#include "../../tools/spruce-serve/http_date.hpp"
#include "../../tools/spruce-serve/http_response.hpp"
#include "../../tools/spruce-serve/media_type.hpp"
#include "../../tools/spruce-serve/serve_options.hpp"

using namespace serve;

namespace {

std::string date(std::int64_t seconds) {
    char room[http_date_size];
    write_http_date(seconds, room);
    return std::string(room, sizeof room);
}

bool is_part(byte_range got, std::uint64_t begin, std::uint64_t size) {
    return got.what == byte_range::kind::part && got.begin == begin && got.size == size;
}
bool is_whole(byte_range got) { return got.what == byte_range::kind::whole; }
bool is_none(byte_range got) { return got.what == byte_range::kind::unsatisfiable; }

std::string head_text(response_head const& head) {
    char room[1024];
    return std::string(room, write_head(room, head));
}

}  // namespace

TEST("dates are written and read back, whatever the day") {
    CHECK(date(0) == "Thu, 01 Jan 1970 00:00:00 GMT");
    CHECK(date(784'111'777) == "Sun, 06 Nov 1994 08:49:37 GMT");
    CHECK(date(951'827'696) == "Tue, 29 Feb 2000 12:34:56 GMT");
    CHECK(date(-5) == date(0));
    CHECK(date(INT64_MAX) == "Fri, 31 Dec 9999 23:59:59 GMT");
    for (std::int64_t second = 0; second < 253'402'300'799; second += 86'400 * 97 + 12'345) {
        std::int64_t back = -1;
        CHECK(read_http_date(date(second), back) && back == second);
        auto libc_second = static_cast<std::time_t>(second);
        std::tm parts;
        char room[64];
        ::gmtime_r(&libc_second, &parts);
        std::strftime(room, sizeof room, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        CHECK(date(second) == room);
    }
}

TEST("all three forms of dates are read, and nothing else") {
    for (auto text : {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"}) {
        std::int64_t second = 0;
        CHECK(read_http_date(text, second));
        CHECK(second == 784'111'777);
    }
    for (auto text : {"", "now", "Sun", "Sun, ", "Sun, 06 Nov 1994", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 6 Nov 1994 08:49:37 GMT",
                      "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:61:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nix 1994 08:49:37 GMT",
                      "Sun, 06 Nov 1994 08:49:37 GMT ", "Xxx, 06 Nov 1994 08:49:37 GMT", "Sun Nov 6 08:49:37 1994", "Sun, 06 Nov 19a4 08:49:37 GMT"}) {
        std::int64_t second = 0;
        CHECK(!read_http_date(text, second));
    }
}

TEST("a range is a part, the whole, or behind the end") {
    CHECK(is_whole(choose_range("", 10)));
    CHECK(is_part(choose_range("bytes=0-0", 10), 0, 1));
    CHECK(is_part(choose_range("bytes=2-5", 10), 2, 4));
    CHECK(is_part(choose_range("bytes=2-", 10), 2, 8));
    CHECK(is_part(choose_range("bytes=2-99", 10), 2, 8));
    CHECK(is_part(choose_range("BYTES= 9-9", 10), 9, 1));
    CHECK(is_part(choose_range("bytes=-3", 10), 7, 3));
    CHECK(is_part(choose_range("bytes=-99", 10), 0, 10));
    CHECK(is_part(choose_range("bytes=0-99999999999999999999999", 10), 0, 10));
    CHECK(is_none(choose_range("bytes=10-", 10)));
    CHECK(is_none(choose_range("bytes=99999999999999999999999-", 10)));
    CHECK(is_none(choose_range("bytes=-0", 10)));
    CHECK(is_none(choose_range("bytes=0-", 0)));
    CHECK(is_none(choose_range("bytes=-1", 0)));
    for (auto odd : {"bytes", "bytes=", "bytes=-", "bytes=5-2", "bytes=a-b", "bytes=1-2,4-5", "lines=1-2", "bytes=1", "bytes=--1", "bytes=1-2-3"})
        CHECK(is_whole(choose_range(odd, 10)));
}

TEST("media types go by the end of the name") {
    CHECK(media_type("index.html") == "text/html; charset=utf-8");
    CHECK(media_type("a.b/c.PNG") == "image/png");
    CHECK(media_type("x.tar.gz") == "application/gzip");
    CHECK(media_type("a.html/readme") == "application/octet-stream");
    CHECK(media_type(".html") == "application/octet-stream");
    CHECK(media_type("a.unknown") == "application/octet-stream");
    CHECK(media_type("a.") == "application/octet-stream");
    CHECK(media_type("") == "application/octet-stream");
}

TEST("a response head says all there is to say, and only that") {
    response_head head{.date = "today", .keep_alive = true, .content_length = 5};
    head.content_type = "text/x";
    CHECK(head_text(head) == "HTTP/1.1 200 OK\r\nDate: today\r\nContent-Length: 5\r\nContent-Type: text/x\r\n\r\n");
    head.answers_http_1_0 = true;
    CHECK(head_text(head).ends_with("\r\nConnection: keep-alive\r\n\r\n"));
    head.keep_alive = false;
    CHECK(head_text(head).ends_with("\r\nConnection: close\r\n\r\n"));
    head.status = 206;
    head.range = {byte_range::kind::part, 2, 5};
    head.whole_size = 10;
    CHECK(head_text(head).find("\r\nContent-Range: bytes 2-6/10\r\n") != std::string::npos);
    head.range = {byte_range::kind::unsatisfiable, 0, 0};
    CHECK(head_text(head).find("\r\nContent-Range: bytes */10\r\n") != std::string::npos);
    head.status = 304;
    CHECK(head_text(head).find("Content-Length") == std::string::npos);
}

TEST("a redirect cannot name another host, nor break its line") {
    response_head head{.status = 301, .date = "today"};
    head.location_path = "evil.example/a b\r\nX: y\xc3\xa9";
    head.location_query = "q=1";
    head.location_has_query = true;
    CHECK(head_text(head).find("\r\nLocation: /evil.example/a%20b%0D%0AX%3A%20y%C3%A9/?q=1\r\n") != std::string::npos);
}

TEST("a head that does not fit is not sent in part") {
    char room[64];
    response_head head{.date = "a date"};
    CHECK(write_head(room, head) == 0);
    CHECK(write_head(std::span<char>(room, 0), head) == 0);
}

namespace {

struct command_line {
    serve_options options;
    char complaint[256] = "";
    bool good;
    template <class... A> explicit command_line(A... words) {
        char const* all[] = {words..., nullptr};
        good = read_options(std::span<char const* const>(all, sizeof...(words)), options, complaint);
    }
    bool complains_of(char const* word) const { return !good && std::strstr(complaint, word); }
};

}  // namespace

TEST("the command line is read") {
    command_line plain("www");
    CHECK(plain.good && plain.options.port == 8080 && std::string_view(plain.options.folder) == "www");
    command_line full("--port", "0", "--bind=::1", "--threads", "2", "--timeout=5", "--verbose", "www");
    CHECK(full.good && full.options.port == 0 && full.options.threads == 2 && full.options.timeout_seconds == 5 && full.options.verbose);
    CHECK(std::string_view(full.options.bind) == "::1");
    CHECK(command_line("--", "--port").good);
    CHECK(command_line("--help").options.what == serve_options::wish::help);
    CHECK(command_line("www", "--version").options.what == serve_options::wish::version);
}

TEST("a wrong command line is told what is wrong with which argument") {
    CHECK(command_line().complains_of("no folder"));
    CHECK(command_line("").complains_of("empty"));
    CHECK(command_line("a", "b").complains_of("'b'"));
    CHECK(command_line("--prot", "1", "a").complains_of("'--prot'"));
    CHECK(command_line("--port").complains_of("'--port' needs"));
    CHECK(command_line("--port", "65536", "a").complains_of("'65536'"));
    CHECK(command_line("--port", "-1", "a").complains_of("'-1'"));
    CHECK(command_line("--port", "99999999999999", "a").complains_of("from 0 to 65535"));
    CHECK(command_line("--port=", "a").complains_of("''"));
    CHECK(command_line("--threads", "0", "a").complains_of("from 1 to 256"));
    CHECK(command_line("--timeout", "1s", "a").complains_of("'1s'"));
    CHECK(command_line("--bind=", "a").complains_of("--bind"));
}
