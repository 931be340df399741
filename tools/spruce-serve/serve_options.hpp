// The command line. Pure: arguments in, options or a complaint out.
#pragma once
#include <span>

namespace serve {

struct serve_options {
    enum class wish { serve, help, version } what = wish::serve;
    unsigned port = 8080;
    char const* bind = "127.0.0.1";
    unsigned threads = 0;  // 0: one for each processor that we may use
    unsigned timeout_seconds = 30;
    bool verbose = false;
    char const* folder = nullptr;
};

// `arguments` without the program's name. False: `complaint` says what was wrong, with which argument, and what
// to do, in one line.
bool read_options(std::span<char const* const> arguments, serve_options& out, std::span<char> complaint) noexcept;

extern char const help_text[];

}  // namespace serve
