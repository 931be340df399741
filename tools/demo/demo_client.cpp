#include "demo_client.hpp"

#include <cerrno>
#include <cstring>

namespace demo {

using namespace std::chrono_literals;

namespace {

// Far beyond what anything should take, so that a hang is a failure and not a hang of the demo.
constexpr auto patience = 8s;

// How much is read and compared at a time.
constexpr std::size_t part_size = 32 * 1024;

constexpr spruce::error_domain answers{"wrong answer", [](int code) noexcept -> char const* {
    switch (static_cast<mismatch>(code)) {
    case mismatch::status: return "the status is not the one expected";
    case mismatch::length: return "Content-Length is not the file's length";
    case mismatch::bytes: return "a byte is not the file's";
    case mismatch::too_much: return "more came than was asked for";
    }
    return "unknown";
}};

std::uint64_t number_after(std::string_view text, std::string_view label) {
    auto at = text.find(label);
    if (at == text.npos) return 0;
    std::uint64_t value = 0;
    for (at += label.size(); at != text.size() && text[at] >= '0' && text[at] <= '9'; ++at) value = value * 10 + static_cast<unsigned>(text[at] - '0');
    return value;
}

}  // namespace

spruce::error mismatched(mismatch what) noexcept { return {answers, static_cast<int>(what)}; }

spruce::result<void> demo_client::get(demo_file const& file) {
    SPRUCE_CHECK(ask(file));
    SPRUCE_CHECK(read_head(file));
    SPRUCE_CHECK(read_bytes(file, 0, file.bytes.size()));
    if (!in_.buffered().empty()) return mismatched(mismatch::too_much);
    return {};
}

spruce::result<void> demo_client::ask(demo_file const& file) {
    spruce::const_bytes const parts[] = {std::string_view("GET "), file.path, std::string_view(" HTTP/1.1\r\nHost: demo\r\n\r\n")};
    return stream_.write(parts, spruce::in(patience));
}

spruce::result<demo_client::answer_head> demo_client::read_answer_head() {
    SPRUCE_TRY(auto head, in_.read_until({"\r\n\r\n"}, spruce::in(patience)));
    return answer_head{static_cast<int>(number_after(head, "HTTP/1.1 ")), number_after(head, "\r\nContent-Length: ")};
}

spruce::result<void> demo_client::read_head(demo_file const& file) {
    SPRUCE_TRY(auto head, read_answer_head());
    if (head.status != 200) return mismatched(mismatch::status);
    if (head.length != file.bytes.size()) return mismatched(mismatch::length);
    return {};
}

spruce::result<void> demo_client::read_bytes(demo_file const& file, std::size_t begin, std::size_t end) {
    while (begin != end) {
        auto size = end - begin < part_size ? end - begin : part_size;
        SPRUCE_TRY(auto part, in_.read_exactly(size, spruce::in(patience)));
        if (std::memcmp(part.data(), file.bytes.data() + begin, size) != 0) return mismatched(mismatch::bytes);
        begin += size;
    }
    return {};
}

spruce::result<int> demo_client::status_of(std::string_view request) {
    SPRUCE_CHECK(stream_.write(request, spruce::in(patience)));
    SPRUCE_TRY(auto head, read_answer_head());
    return head.status;
}

spruce::result<void> demo_client::expect_end(spruce::deadline dl) {
    auto more = in_.read_some(dl);
    if (more) return mismatched(mismatch::too_much);
    if (more == spruce::errc::end_of_stream) return {};
    return more.error();
}

}  // namespace demo
