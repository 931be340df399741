// What the connections of one hub share.
#pragma once
#include <chrono>
#include <cstdint>
#include <ctime>
#include <string_view>

#include "chunk_pool.hpp"
#include "file_root.hpp"
#include "http_date.hpp"

namespace serve {

class http_connection;

// The same for all hubs, and never changed once they run.
struct settings {
    file_root root;
    std::chrono::seconds timeout{30};
    bool verbose = false;
};

// One hub's. Only its thread touches it.
struct site {
    explicit site(settings const& all) noexcept : common(all) {}

    // The wall clock, in seconds, and the same as HTTP writes it; the text is good for the second.
    std::int64_t now() noexcept {
        std::int64_t second = std::time(nullptr);
        if (second != dated_) write_http_date(dated_ = second, date_);
        return second;
    }
    std::string_view date() noexcept {
        now();
        return {date_, http_date_size};
    }

    settings const& common;
    chunk_pool chunks;
    http_connection* connections = nullptr;  // all that live, newest first
    bool stopping = false;                   // finish what is being answered, begin nothing

private:
    std::int64_t dated_ = -1;
    char date_[http_date_size] = {};
};

}  // namespace serve
