#include "http_connection.hpp"

#include <cstdio>
#include <string>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "http_response.hpp"
#include "media_type.hpp"

namespace serve {
namespace {

// After so much work in a row without a wait of its own, a task lets the others of its hub have their turn.
constexpr unsigned requests_in_a_row = 16;
constexpr unsigned chunks_in_a_row = 16;

// A client that takes much at once, after a while, makes its system drop what does not fit: that comes again when ours
// retransmits it, after 0.2 s, doubled each time.
constexpr std::chrono::seconds retransmission_time{1};

// So many times two empty lines may stand before a request; then it is refused.
constexpr int empty_lines_limit = 8;

// For a log: bytes above 0x7f may be control characters of a terminal (C1), alone or in UTF-8.
std::string visible(std::string_view text) {
    std::string out;
    for (char const c : text) {
        if (static_cast<unsigned char>(c) < 0x80) {
            out += c;
            continue;
        }
        char escaped[8];
        std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
        out += escaped;
    }
    return out;
}

// How long, and for how much, a closing connection listens to what the client was still sending. A close with
// bytes unread makes the kernel reset the connection, and the client may then never see the answer.
constexpr auto linger_time = std::chrono::seconds(2);
constexpr std::size_t linger_bytes = 4 * 1024 * 1024;

// What the fields If-… make of the answer to a GET or HEAD, in the order of RFC 9110, 13.2.2: 200 for as if there
// were none, 304 or 412. Tags go before dates; ours has no tag, so only "*" matches it.
int judge_conditions(request const& asked, std::int64_t changed) noexcept {
    std::int64_t since = 0;
    if (!asked.if_match.empty()) {
        if (asked.if_match != "*") return 412;
    } else if (read_http_date(asked.if_unmodified_since, since) && changed > since) {
        return 412;
    }
    if (!asked.if_none_match.empty()) return asked.if_none_match == "*" ? 304 : 200;
    return read_http_date(asked.if_modified_since, since) && changed <= since ? 304 : 200;
}

}  // namespace

http_connection::http_connection(site& where, spruce::tcp_stream peer) noexcept
    : site_(where), peer_(std::move(peer)), in_(peer_, head_limit), next_(where.connections) {
    if (next_) next_->previous_ = this;
    site_.connections = this;
}

namespace {
// A socket takes more only when a third of its buffer is free, and that may have grown to megabytes: a client that
// takes what serve.md asks of it would seem to take nothing. So what lies in it unsent is bounded: below half of this
// bound, which is a chunk, the next chunk goes in. (Linux, tcp_stream_memory_free(); best effort, as it is tuning.)
void keep_little_unsent([[maybe_unused]] int fd) noexcept {
#ifdef TCP_NOTSENT_LOWAT
    int const most = static_cast<int>(chunk_pool::chunk_size) * 2;
    (void)::setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &most, sizeof most);
#endif
}
}  // namespace

http_connection::~http_connection() {
    if (next_) next_->previous_ = previous_;
    (previous_ ? previous_->next_ : site_.connections) = next_;
}

void http_connection::end_if_idle() noexcept {
    if (waiting_for_head_ && !has_begun()) ::shutdown(peer_.fd(), SHUT_RD);
}

void http_connection::serve() {
    (void)peer_.no_delay(true);  // every write is all there is to say; nothing is gained by holding it back
    keep_little_unsent(peer_.fd());
    fate next = fate::stay;
    for (unsigned row = 1; next == fate::stay; ++row) {
        if (row % requests_in_a_row == 0 && !in_.buffered().empty() && !spruce::yield()) return;
        auto head = wait_for_head();
        next = head ? serve_request(*head) : refuse_head(head.error());
        answered_before_ = true;
    }
    if (next == fate::linger) linger();
}

// Whether there is something of a request: empty lines before it are none (RFC 9112, 2.2), nor is the CR of one.
bool http_connection::has_begun() const noexcept {
    auto const begun = without_empty_lines(in_.buffered());
    return !begun.empty() && begun != "\r";
}

spruce::result<std::string_view> http_connection::wait_for_head() {
    auto timeout = spruce::in(site_.common.timeout);
    waiting_for_head_ = true;
    if (site_.stopping) end_if_idle();
    auto head = in_.read_until({head_end, bare_head_end}, timeout);
    // A kept connection may be silent for the whole timeout; if a request has begun by then, nobody knows when,
    // and it gets the whole timeout once more.
    if (answered_before_ && head == spruce::errc::timed_out && has_begun())
        head = in_.read_until({head_end, bare_head_end}, timeout);
    // Empty lines end as a head does.
    for (int skipped = 0; head && without_empty_lines(*head).empty() && skipped != empty_lines_limit; ++skipped)
        head = in_.read_until({head_end, bare_head_end}, timeout);
    waiting_for_head_ = false;
    return head;
}

// No head came. Silence needs no answer; half a head does.
http_connection::fate http_connection::refuse_head(spruce::error why) {
    auto begun = in_.buffered();
    if (why == spruce::errc::too_long) return send_refusal(refuse_endless(begun), {}, false);
    if (!has_begun()) return fate::close;
    if (why == spruce::errc::timed_out) return send_refusal({408, "the request took too long to come"}, {}, false);
    if (why == spruce::errc::end_of_stream) return send_refusal({400, "the request ends in the middle"}, {}, false);
    return fate::close;
}

http_connection::fate http_connection::serve_request(std::string_view head) {
    request asked;
    if (auto bad = parse_request(head, asked)) return send_refusal(bad, asked, false);
    // Who waits for "100 Continue" gets the final answer at once; whether the body comes then is anyone's guess.
    bool stay = asked.keep_alive && !site_.stopping && !(asked.expects_continue && asked.body_bytes != 0);
    auto body = asked.body_bytes;  // the answer may make the reader move what `asked` looks at
    bool may_send_more = asked.keep_alive || body != 0;
    fate next = fate::close;
    if (asked.what == method::unknown) next = send_refusal({501, "this server knows no such method"}, asked, stay);
    else if (asked.what == method::other) next = send_refusal({405, "files here can be read, and nothing else"}, asked, stay);
    else next = serve_path(asked, stay);
    if (next == fate::stay && body != 0 && !drop_body(body)) return fate::close;
    if (next == fate::linger && !may_send_more) return fate::close;
    return next;
}

http_connection::fate http_connection::serve_path(request const& asked, bool stay) {
    safe_path path;
    if (auto bad = path.take(asked.path)) return send_refusal(bad, asked, stay);
    bool wants_folder = path.asks_for_folder();
    if (wants_folder && !path.append("index.html")) return send_refusal({414, "the path is too long"}, asked, stay);
    auto what = site_.common.root.find(path);
    if (what.refused) {
        if (wants_folder && what.refused.status == 404) what.refused.why = "there is no index.html there, and folders are not listed";
        return send_refusal(what.refused, asked, stay);
    }
    if (!what.is_folder) return send_file(asked, what, path.text(), stay);
    if (wants_folder) return send_refusal({404, "index.html is a folder there"}, asked, stay);
    return send_redirect(asked, path, stay);
}

http_connection::fate http_connection::send_file(request const& asked, found& what, std::string_view path, bool stay) {
    std::int64_t now = site_.now(), since = 0;
    // A file from the future would never again look changed.
    auto changed = what.modified < now ? what.modified : now;
    int verdict = judge_conditions(asked, changed);
    if (verdict == 412) return send_refusal({412, "the file is not as the request wants it"}, asked, stay);
    chunk buffer(site_.chunks);
    if (!buffer) return fate::close;
    auto room = buffer.room();
    char modified[http_date_size];
    write_http_date(changed, modified);

    response_head head{.date = site_.date(), .keep_alive = stay, .answers_http_1_0 = asked.is_http_1_0};
    head.content_type = media_type(path);
    head.last_modified = {modified, http_date_size};
    head.offers_ranges = true;
    head.whole_size = what.size;
    head.range.size = what.size;
    // If-Range: the part is wanted only if the file is still the one of that date. (We give no other validator.)
    bool range_holds = asked.if_range.empty() || (read_http_date(asked.if_range, since) && since == changed);
    if (verdict == 304) head.status = 304;
    else if (asked.what == method::get && range_holds) head.range = choose_range(asked.range, what.size);
    if (head.range.what == byte_range::kind::unsatisfiable) {
        head.status = 416;
        head.content_type = {};
    } else if (head.range.what == byte_range::kind::part) {
        head.status = 206;
    }
    head.content_length = head.range.size;

    std::size_t used = write_head(room, head);
    auto left = asked.what == method::head || head.status == 304 ? 0 : head.range.size;
    note(asked, head.status, left);
    auto at = head.range.begin;
    for (unsigned row = 1;; ++row) {
        if (left != 0) {
            auto most = room.size() - used < left ? room.size() - used : static_cast<std::size_t>(left);
            auto got = what.file.read_at(at, room.data() + used, most);
            if (got < 0 && row == 1) return send_refusal({500, "the file cannot be read"}, asked, stay);
            if (got <= 0) return fate::close;  // it shrank: what was promised cannot come, and the client must see that
            at += static_cast<std::uint64_t>(got);
            left -= static_cast<std::uint64_t>(got);
            used += static_cast<std::size_t>(got);
        }
        if (!send({room.data(), used})) return fate::close;
        if (left == 0) return stay ? fate::stay : fate::linger;
        used = 0;
        if (row % chunks_in_a_row == 0 && !spruce::yield()) return fate::close;
    }
}

http_connection::fate http_connection::send_redirect(request const& asked, safe_path const& path, bool stay) {
    chunk buffer(site_.chunks);
    if (!buffer) return fate::close;
    response_head head{.status = 301, .date = site_.date(), .keep_alive = stay, .answers_http_1_0 = asked.is_http_1_0};
    head.location_path = path.text();
    head.location_query = asked.query;
    head.location_has_query = asked.has_query;
    auto size = write_head(buffer.room(), head);
    note(asked, 301, 0);
    if (size == 0 || !send({buffer.room().data(), size})) return fate::close;
    return stay ? fate::stay : fate::linger;
}

http_connection::fate http_connection::send_refusal(refusal why, request const& asked, bool stay) {
    char room[1024], text[256];
    text_room body(text);
    body << static_cast<std::uint64_t>(why.status) << " " << reason_phrase(why.status) << ": " << why.why << "\n";
    response_head head{.status = why.status, .date = site_.date(), .keep_alive = stay, .answers_http_1_0 = asked.is_http_1_0};
    head.content_length = body.size();
    head.content_type = "text/plain; charset=utf-8";
    head.allows_reading_only = why.status == 405;
    text_room whole(room);
    auto size = write_head(room, head);
    note(asked, why.status, body.size());
    if (asked.what != method::head) size += std::string_view(text, body.size()).copy(room + size, sizeof room - size);
    if (!send({room, size})) return fate::close;
    return stay ? fate::stay : fate::linger;
}

// Each write has the timeout to itself: a client that takes 64 KiB within it may take as long as it likes in all.
bool http_connection::send(std::string_view bytes) {
    return peer_.write(bytes, spruce::in(site_.common.timeout + retransmission_time)).ok();
}

bool http_connection::drop_body(std::uint64_t bytes) {
    auto until = spruce::at(spruce::loop::current()->time() + site_.common.timeout);
    while (bytes != 0) {
        auto part = bytes < head_limit ? static_cast<std::size_t>(bytes) : head_limit;
        if (!in_.read_exactly(part, until)) return false;
        bytes -= part;
    }
    return true;
}

void http_connection::linger() {
    if (!peer_.shut_write()) return;
    chunk buffer(site_.chunks);
    if (!buffer) return;
    auto until = spruce::at(spruce::loop::current()->time() + linger_time);
    for (std::size_t dropped = 0; dropped < linger_bytes;) {
        auto got = peer_.read(spruce::bytes(buffer.room()), until);
        if (!got) return;
        dropped += *got;
    }
}

void http_connection::note(request const& asked, int status, std::uint64_t bytes) const noexcept {
    if (!site_.common.verbose) return;
    auto method = asked.method_name.empty() ? std::string_view("-") : asked.method_name;
    auto target = asked.target.empty() ? std::string_view("-") : asked.target;
    std::fprintf(stderr, "%s %.*s %s %d %llu\n", peer_.peer().text(), static_cast<int>(method.size()), method.data(),
                 visible(target).c_str(), status, static_cast<unsigned long long>(bytes));
}

}  // namespace serve
