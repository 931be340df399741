// One keep-alive connection of an HTTP client, which compares every byte it gets with what it should be.
#pragma once
#include <spruce/spruce.hpp>

#include <string_view>

#include "demo_files.hpp"

namespace demo {

// What can be wrong with an answer, as an error domain of the demo's own.
enum class mismatch : int { status = 1, length, bytes, too_much };
spruce::error mismatched(mismatch what) noexcept;

class demo_client {
public:
    explicit demo_client(spruce::tcp_stream connection) : stream_(std::move(connection)), in_(stream_) {}

    // A whole request and its answer.
    spruce::result<void> get(demo_file const& file);
    // The same in three steps: the answer is read from `begin` to `end`.
    spruce::result<void> ask(demo_file const& file);
    spruce::result<void> read_head(demo_file const& file);
    spruce::result<void> read_bytes(demo_file const& file, std::size_t begin, std::size_t end);
    // Sends anything, and gives the status of the answer; the rest of it is left.
    spruce::result<int> status_of(std::string_view request);
    // ok when the server has ended the connection, and sent nothing more.
    spruce::result<void> expect_end(spruce::deadline dl);

private:
    struct answer_head {
        int status;
        std::uint64_t length;
    };
    spruce::result<answer_head> read_answer_head();

    spruce::tcp_stream stream_;
    spruce::reader in_;
};

}  // namespace demo
