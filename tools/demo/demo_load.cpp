#include "demo_load.hpp"

#include "demo_client.hpp"

namespace demo {

using namespace std::chrono_literals;

namespace {

// What all connections of one load share, on the stack of the task that runs it.
struct load_state {
    demo_files const& files;
    spruce::address const& server;
    screen& shown;
    load_report& report;
    spruce::event begin;         // all are connected
    unsigned arrived = 0;        // connected, or given up
    bool over = false;
};

// Mostly small files, some larger, now and then a big one: about 18 KiB on average.
demo_file const& choose(demo_files const& files, std::uint64_t& state) {
    state = state * 6'364'136'223'846'793'005u + 1'442'695'040'888'963'407u;
    auto of_64 = state >> 58;
    return of_64 < 2 ? files.picture() : of_64 < 24 ? files.page() : files.small();
}

void note_failure(load_state& state, char const* doing, spruce::error why) {
    if (why == spruce::errc::canceled) return;
    ++state.report.errors;
    state.shown.complain(text("with %u connections: %s: %s (%s)", state.report.connections, doing, why.message(), why.name()));
}

void be_client(load_state& state, unsigned index) {
    // A thousand connects in one instant would only show how long a listener's queue is.
    if (!spruce::sleep_for(index * 400us)) return;
    auto connection = spruce::tcp_stream::connect(state.server, spruce::in(5s));
    if (++state.arrived == state.report.connections) state.begin.set();
    if (!connection) return note_failure(state, "connect", connection.error());
    demo_client client(std::move(*connection));
    if (!state.begin.wait()) return;
    for (std::uint64_t random = index; !state.over;) {
        auto const& file = choose(state.files, random);
        auto asked = now_ns();
        if (auto got = client.get(file); !got) return note_failure(state, file.name.c_str(), got.error());
        state.report.latency.add(now_ns() - asked);
        ++state.report.requests;
        state.report.bytes += file.bytes.size();
    }
}

std::string rate_text(load_report const& report, double seconds) {
    return seconds <= 0 ? std::string() : grouped(static_cast<std::uint64_t>(static_cast<double>(report.requests) / seconds)) + " requests/s";
}

}  // namespace

spruce::result<void> run_load(demo_files const& files, spruce::address const& server, unsigned connections, spruce::duration length,
                              screen& shown, load_report& report) {
    report.connections = connections;
    load_state state{files, server, shown, report, {}};
    std::string const what = text("%5s connection%s", grouped(connections).c_str(), connections == 1 ? " " : "s");
    spruce::task_group clients;
    for (unsigned i = 0; i != connections; ++i) {
        auto client = clients.spawn({.name = "client"}, be_client, std::ref(state), i);
        if (auto refused = client.join(spruce::in(0s)); !refused && refused != spruce::errc::timed_out) {
            note_failure(state, "spawn", refused.error());
            if (++state.arrived == connections) state.begin.set();
        }
    }
    for (int waited = 0; !state.begin.is_set() && waited != 400; ++waited) {
        shown.bar("load", what, static_cast<double>(state.arrived) / connections, "connecting");
        SPRUCE_CHECK(spruce::sleep_for(25ms));
    }
    auto started = now_ns();
    auto seconds = [&] { return static_cast<double>(now_ns() - started) / 1e9; };
    double wanted = static_cast<double>(length.count()) / 1e9;
    while (seconds() < wanted) {
        SPRUCE_CHECK(spruce::sleep_for(50ms));
        shown.bar("load", what, seconds() / wanted, rate_text(report, seconds()));
    }
    state.over = true;
    if (auto ended = clients.join(spruce::in(10s)); !ended) note_failure(state, "waiting for the last answers", ended.error());
    report.seconds = seconds();
    return {};
}

}  // namespace demo
