#include "serve_options.hpp"

#include <cstdio>
#include <string_view>

namespace serve {

char const help_text[] =
    "usage: spruce-serve [--port N] [--bind A] [--threads N] [--timeout S] [--verbose] DIR\n"
    "\n"
    "Serves the files below DIR over HTTP/1.1: GET and HEAD, nothing outside DIR, no lists of folders.\n"
    "\n"
    "  --port N      the port; 0 takes any free one (default 8080)\n"
    "  --bind A      the address to listen on (default 127.0.0.1: this machine only; 0.0.0.0 or ::, everybody)\n"
    "  --threads N   hubs, one on each thread, 1 to 256 (default: one for each processor)\n"
    "  --timeout S   seconds that a client may take for a request, or for 64 KiB of an answer (default 30)\n"
    "  --verbose     a line on stderr for each request\n"
    "  --help        this text\n"
    "  --version     the version\n"
    "\n"
    "The first line on stdout says where it serves. SIGTERM and SIGINT stop it: requests in flight are finished,\n"
    "then it exits with 0; a second signal cuts them off, and it exits with 1. It exits with 2 when the command\n"
    "line is wrong, and with 1 when it cannot listen.\n";

namespace {

struct number_option {
    std::string_view name;
    unsigned least, most;
    unsigned serve_options::*where;
};

constexpr number_option number_options[] = {
    {"--port", 0, 65'535, &serve_options::port},
    {"--threads", 1, 256, &serve_options::threads},
    {"--timeout", 1, 86'400, &serve_options::timeout_seconds},
};

bool read_number(char const* text, number_option const& option, unsigned& out) noexcept {
    unsigned value = 0;
    if (*text == '\0') return false;
    for (; *text != '\0'; ++text) {
        if (*text < '0' || *text > '9') return false;
        value = value * 10 + static_cast<unsigned>(*text - '0');
        if (value > option.most) return false;
    }
    out = value;
    return value >= option.least;
}

// Reads one argument after another; a value stands behind its option's '=' or is the next argument.
class option_reader {
public:
    option_reader(std::span<char const* const> arguments, serve_options& out, std::span<char> complaint) noexcept
        : left_(arguments), out_(out), complaint_(complaint) {}

    bool read() noexcept {
        while (!left_.empty()) {
            char const* argument = take();
            if (!only_folders_ && argument[0] == '-' && argument[1] != '\0') {
                if (!read_option(argument)) return false;
                if (out_.what != serve_options::wish::serve) return true;
            } else if (out_.folder) {
                return complain("'%s' is a second folder (the first is '%s'): give one", argument, out_.folder);
            } else if (*argument == '\0') {
                return complain("the folder's name is empty: give the folder to serve, '.' for this one");
            } else {
                out_.folder = argument;
            }
        }
        return out_.folder || complain("no folder given: say which one to serve, '.' for this one (or see --help)");
    }

private:
    char const* take() noexcept {
        char const* first = left_.front();
        left_ = left_.subspan(1);
        return first;
    }

    bool wish_for(serve_options::wish what) noexcept {
        out_.what = what;
        return true;
    }

    bool read_option(char const* argument) noexcept {
        std::string_view text(argument), name = text.substr(0, text.find('='));
        bool has_value = name.size() != text.size();
        if (text == "--") return only_folders_ = true;
        if (text == "--verbose") return out_.verbose = true;
        if (text == "--help" || text == "-h") return wish_for(serve_options::wish::help);
        if (text == "--version") return wish_for(serve_options::wish::version);
        number_option const* number = nullptr;
        for (auto const& option : number_options)
            if (option.name == name) number = &option;
        if (!number && name != "--bind") return complain("'%s' is no option: see --help for those there are", argument);
        if (!has_value && left_.empty()) return complain("'%s' needs a value behind it", argument);
        char const* value = has_value ? argument + name.size() + 1 : take();
        if (!number) {
            out_.bind = value;
            return *value != '\0' || complain("--bind '' is no address: give one such as 127.0.0.1 or ::1");
        }
        if (read_number(value, *number, out_.*number->where)) return true;
        return complain("%s '%s' is not right: give a whole number from %u to %u", number->name.data(), value, number->least, number->most);
    }

    template <class... A> bool complain(char const* format, A... what) noexcept {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-security"
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        std::snprintf(complaint_.data(), complaint_.size(), format, what...);
#pragma GCC diagnostic pop
        return false;
    }

    std::span<char const* const> left_;
    serve_options& out_;
    std::span<char> complaint_;
    bool only_folders_ = false;
};

}  // namespace

bool read_options(std::span<char const* const> arguments, serve_options& out, std::span<char> complaint) noexcept {
    out = {};
    return option_reader(arguments, out, complaint).read();
}

}  // namespace serve
