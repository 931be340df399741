// make demo: a web server and up to a thousand clients of it, all of them tasks, on this machine.
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>

#include <sys/resource.h>
#include <unistd.h>

#include "demo_acts.hpp"
#include "demo_load.hpp"

using namespace demo;
using namespace std::chrono_literals;

namespace {

// Sockets that this process may have, or the server, which inherits the limit. 0: as many as one likes.
unsigned raise_descriptor_limit() noexcept {
    rlimit limit;
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    limit.rlim_cur = limit.rlim_max;
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > 1'000'000) return 0;
    return static_cast<unsigned>(limit.rlim_cur);
}

// A thousand, or what the limit allows, said plainly.
unsigned most_connections(screen& shown) {
    constexpr unsigned wanted = 1'000, others = 64;  // files, pipes and the loop's own
    unsigned limit = raise_descriptor_limit();
    if (limit == 0 || limit >= wanted + others) return wanted;
    unsigned possible = limit > 2 * others ? limit - others : others;
    shown.say("limit", text("this system allows %u open files (ulimit -Hn): %u connections instead of 1,000", limit, possible));
    return possible;
}

void print_table(std::vector<std::unique_ptr<load_report>> const& reports, screen& shown) {
    shown.blank();
    std::printf("  %s%11s %10s %10s %9s %10s %10s %8s%s\n", shown.bold().data(), "connections", "requests", "req/s", "MB/s", "p50", "p99", "errors",
                shown.plain().data());
    std::printf("  %.*s\n", 74, "--------------------------------------------------------------------------------");
    for (auto const& each : reports) {
        double seconds = each->seconds > 0 ? each->seconds : 1;
        auto rate = static_cast<std::uint64_t>(static_cast<double>(each->requests) / seconds);
        std::printf("  %11s %10s %10s %9.1f %10s %10s %s%8s%s\n", grouped(each->connections).c_str(), grouped(each->requests).c_str(),
                    grouped(rate).c_str(), static_cast<double>(each->bytes) / 1e6 / seconds, time_text(each->latency.percentile(0.5)).c_str(),
                    time_text(each->latency.percentile(0.99)).c_str(), (each->errors ? shown.red() : shown.green()).data(),
                    grouped(each->errors).c_str(), shown.plain().data());
    }
    shown.blank();
}

spruce::result<void> run_loads(demo_files const& files, demo_server& server, screen& shown) {
    struct stage {
        unsigned connections;
        spruce::duration length;
    };
    std::vector<std::unique_ptr<load_report>> reports;
    std::uint64_t requests = 0, bytes = 0;
    for (stage each : {stage{1, 2s}, stage{64, 3s}, stage{most_connections(shown), 4s}}) {
        reports.push_back(std::make_unique<load_report>());
        SPRUCE_CHECK(run_load(files, server.address(), each.connections, each.length, shown, *reports.back()));
        requests += reports.back()->requests;
        bytes += reports.back()->bytes;
        if (reports.back()->requests == 0) shown.complain(text("with %u connections: not one answer", each.connections));
    }
    shown.say("load", text("%s answers, %s, every byte compared", grouped(requests).c_str(), size_text(bytes).c_str()));
    print_table(reports, shown);
    return {};
}

spruce::result<void> run_demo(char const* program, screen& shown) {
    demo_files files;
    if (auto made = files.make(); !made) {
        shown.complain("cannot make the files: " + files.trouble());
        return made;
    }
    demo_server server;
    long processors = ::sysconf(_SC_NPROCESSORS_ONLN);
    if (auto started = server.start(program, files.folder().c_str(), processors > 1 ? 2 : 1); !started) {
        auto line = server.first_line().empty() ? std::string() : "; it said: " + server.first_line();
        shown.complain(text("cannot start %s: %s (%s)", program, started.error().message(), started.error().name()) + line);
        return started;
    }
    shown.say("server", text("%s (pid %d)", server.first_line().c_str(), server.pid()));
    shown.say("files", text("%zu files, %s, generated", files.count(), size_text(files.total_bytes()).c_str()));
    SPRUCE_CHECK(show_timers(shown));
    SPRUCE_CHECK(show_canceled_group(shown));
    SPRUCE_CHECK(show_refusals(server, shown));
    SPRUCE_CHECK(run_loads(files, server, shown));
    return show_stop(files, server, shown);
}

std::string server_beside(char const* program) {
    std::string path(program);
    auto slash = path.rfind('/');
    return (slash == std::string::npos ? std::string("./") : path.substr(0, slash + 1)) + "spruce-serve";
}

}  // namespace

int main(int count, char** arguments) {
    std::string program = count > 1 ? arguments[1] : server_beside(arguments[0]);
    if (count > 2 || program.starts_with("-")) {
        std::fprintf(stderr, "usage: demo [PATH-OF-SPRUCE-SERVE]\n");
        return 2;
    }
    screen shown;
    bool interrupted = false;
    auto begin = now_ns();
    std::printf("\n  Spruce %d.%d.%d: a web server and its clients, one task for each connection\n\n", SPRUCE_VERSION_MAJOR, SPRUCE_VERSION_MINOR,
                SPRUCE_VERSION_PATCH);

    spruce::loop hub;
    if (auto status = hub.status(); !status) {
        std::fprintf(stderr, "demo: no loop: %s (%s)\n", status.error().message(), status.error().name());
        return 1;
    }
    auto all = spruce::spawn({.name = "demo"}, run_demo, program.c_str(), std::ref(shown));
    // Ctrl-C cancels the demo's task: what it has made is undone by the destructors on its stack.
    for (int sig : {SIGINT, SIGTERM, SIGHUP}) {
        auto heard = hub.add_signal_handler(sig, [&] {
            interrupted = true;
            all.cancel();
        });
        if (!heard) shown.complain(text("signals cannot be heard: %s", heard.error().message()));
    }
    auto ran = hub.run_until(all, spruce::in(60s));
    if (ran) ran = all.get();
    if (interrupted) {
        std::fprintf(stderr, "\ndemo: interrupted; the server is stopped and its files are removed\n");
        return 1;
    }
    if (!ran && shown.complaint_count() == 0) shown.complain(text("%s (%s)", ran.error().message(), ran.error().name()));
    double seconds = static_cast<double>(now_ns() - begin) / 1e9;
    if (shown.complaint_count() == 0) {
        std::printf("\n  %sAll was right.%s It took %.1f s.\n\n", shown.green().data(), shown.plain().data(), seconds);
        return 0;
    }
    std::fflush(stdout);
    std::fprintf(stderr, "\n  %sNot all was right (%s troubles):%s\n", shown.red().data(), grouped(shown.complaint_count()).c_str(), shown.plain().data());
    for (auto const& each : shown.complaints()) std::fprintf(stderr, "  - %s\n", each.c_str());
    return 1;
}
