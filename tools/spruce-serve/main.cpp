// spruce-serve: static files over HTTP/1.1, one hub a thread.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include <sys/resource.h>
#include <unistd.h>

#include "serve_options.hpp"
#include "serve_threads.hpp"

namespace {

// Each connection and each file being sent takes a descriptor; the soft limit is often far below what is allowed.
void allow_many_descriptors() noexcept {
    rlimit limit;
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

unsigned processors() noexcept {
    long n = ::sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > 256 ? 256 : static_cast<unsigned>(n);
}

int wrong_command_line(char const* complaint) {
    std::fprintf(stderr, "spruce-serve: %s\n", complaint);
    return 2;
}

int serve_folder(serve::serve_options const& options) {
    serve::settings common;
    common.timeout = std::chrono::seconds(options.timeout_seconds);
    common.verbose = options.verbose;
    if (int failed = common.root.open(options.folder)) {
        char complaint[512];
        std::snprintf(complaint, sizeof complaint, "cannot serve '%s': %s; give a folder that you may read", options.folder, std::strerror(failed));
        return wrong_command_line(complaint);
    }
    char host[128], at[160];
    bool bare_ipv6 = std::strchr(options.bind, ':') && options.bind[0] != '[';
    std::snprintf(host, sizeof host, bare_ipv6 ? "[%s]" : "%s", options.bind);
    std::snprintf(at, sizeof at, "%s:%u", host, options.port);
    if (!spruce::address::parse(at)) {
        char complaint[256];
        std::snprintf(complaint, sizeof complaint, "--bind '%.100s' is no address: give one such as 127.0.0.1, 0.0.0.0 or ::1", options.bind);
        return wrong_command_line(complaint);
    }
    allow_many_descriptors();
    serve::serve_threads threads(common);
    if (auto begun = threads.begin(at, options.threads ? options.threads : processors()); !begun) {
        std::fprintf(stderr, "spruce-serve: cannot serve on %s: %s (%s); try another --port or --bind\n", at,
                     begun.error().message(), begun.error().name());
        return 1;
    }
    std::printf("spruce-serve: serving %s on http://%s/ with %u threads\n", options.folder, threads.local().text(), threads.count());
    std::fflush(stdout);
    auto ended = threads.run();
    if (!ended) std::fprintf(stderr, "spruce-serve: stopped: %s (%s)\n", ended.error().message(), ended.error().name());
    if (threads.cut_off()) std::fprintf(stderr, "spruce-serve: stopped at once by a second signal; requests were cut off\n");
    return ended && !threads.cut_off() ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
    serve::serve_options options;
    char complaint[512];
    auto given = std::span<char const* const>(arguments, static_cast<std::size_t>(count)).subspan(count > 0 ? 1 : 0);
    if (!serve::read_options(given, options, complaint)) return wrong_command_line(complaint);
    switch (options.what) {
    case serve::serve_options::wish::help: return std::fputs(serve::help_text, stdout) < 0;
    case serve::serve_options::wish::version:
        return std::printf("spruce-serve %d.%d.%d\n", SPRUCE_VERSION_MAJOR, SPRUCE_VERSION_MINOR, SPRUCE_VERSION_PATCH) < 0;
    case serve::serve_options::wish::serve: break;
    }
    return serve_folder(options);
}
