#include "demo_acts.hpp"

#include <cerrno>
#include <csignal>
#include <list>
#include <vector>

#include "demo_client.hpp"

namespace demo {

using namespace std::chrono_literals;

namespace {

struct timer_notes {
    spruce::loop& hub;
    spruce::time_point last_due{};
    unsigned fired = 0, early = 0, out_of_order = 0;
    spruce::duration latest{};

    void fire(spruce::time_point due) {
        ++fired;
        auto late = hub.time() - due;
        if (late < spruce::duration::zero()) ++early;
        if (late > latest) latest = late;
        if (due < last_due) ++out_of_order;
        last_due = due;
    }
};

}  // namespace

spruce::result<void> show_timers(screen& shown) {
    constexpr unsigned count = 10'000;
    SPRUCE_TRY(auto& hub, spruce::loop::current());
    timer_notes notes{hub};
    auto start = hub.time() + 20ms;
    std::uint64_t random = 1;
    std::vector<spruce::scoped_handler> armed;  // a canceled demo leaves here, and none must fire after that
    armed.reserve(count);
    for (unsigned i = 0; i != count; ++i) {
        random = random * 6'364'136'223'846'793'005u + 1'442'695'040'888'963'407u;
        auto due = start + std::chrono::microseconds(random >> 46);  // within 262 ms
        auto timer = hub.call_at(due, [&notes, due] { notes.fire(due); });
        if (!timer) return timer.error();
        armed.emplace_back(timer);
    }
    for (int waited = 0; notes.fired != count && waited != 100; ++waited) SPRUCE_CHECK(spruce::sleep_for(20ms));
    if (notes.fired != count) {
        shown.complain(text("timers: only %u of %u fired", notes.fired, count));
        return {};
    }
    if (notes.early != 0) shown.complain(text("timers: %u fired early", notes.early));
    if (notes.out_of_order != 0) shown.complain(text("timers: %u fired out of order", notes.out_of_order));
    shown.say("timers", text("10,000 within 262 ms: all fired, in order, none early, the latest %s late",
                             time_text(static_cast<std::uint64_t>(notes.latest.count())).c_str()));
    return {};
}

namespace {

struct farewell {
    unsigned& count;
    ~farewell() { ++count; }
};

}  // namespace

spruce::result<void> show_canceled_group(screen& shown) {
    constexpr unsigned count = 1'000;
    unsigned asleep = 0, unwound = 0;
    spruce::task_group sleepers;
    for (unsigned i = 0; i != count; ++i) {
        sleepers.spawn([&]() -> spruce::result<void> {
            farewell last{unwound};
            ++asleep;
            return spruce::sleep_for(1h);
        });
    }
    while (asleep != sleepers.size()) SPRUCE_CHECK(spruce::yield());
    auto begin = now_ns();
    auto canceled = sleepers.cancel();
    (void)sleepers.join();
    auto took = now_ns() - begin;
    if (canceled != count || unwound != count || sleepers.size() != 0)
        shown.complain(text("a group of %u: %zu canceled, %u unwound, %zu left", count, canceled, unwound, sleepers.size()));
    shown.say("a group", text("1,000 tasks asleep for an hour: canceled and unwound in %s, nobody left", time_text(took).c_str()));
    return {};
}

spruce::result<void> show_refusals(demo_server& server, screen& shown) {
    struct example {
        char const* request;
        int status;
    };
    constexpr example examples[] = {
        {"GARBAGE\r\n\r\n", 400},
        {"GET /../etc/passwd HTTP/1.1\r\nHost: demo\r\n\r\n", 403},
        {"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: demo\r\n\r\n", 403},
        {"GET /nothing HTTP/1.1\r\nHost: demo\r\n\r\n", 404},
        {"DELETE / HTTP/1.1\r\nHost: demo\r\n\r\n", 405},
        {"POST / HTTP/1.1\r\nHost: demo\r\nContent-Length: 99999999999\r\n\r\n", 413},
        {"BREW /coffee HTTP/1.1\r\nHost: demo\r\n\r\n", 501},
    };
    std::string seen;
    for (auto const& each : examples) {
        SPRUCE_TRY(auto connection, spruce::tcp_stream::connect(server.address(), spruce::in(2s)));
        demo_client client(std::move(connection));
        SPRUCE_TRY(int status, client.status_of(each.request));
        if (status != each.status) shown.complain(text("'%.40s' was answered with %d, not %d", each.request, status, each.status));
        seen += text("%s%d", seen.empty() ? "" : ", ", status);
    }
    shown.say("refusals", seen + ": requests that are no good get the status that says why");
    return {};
}

spruce::result<void> show_stop(demo_files const& files, demo_server& server, screen& shown) {
    constexpr unsigned idle_count = 20;
    auto complaints_before = shown.complaint_count();
    constexpr std::size_t before_the_signal = 64 * 1024;
    std::list<demo_client> idle;
    for (unsigned i = 0; i != idle_count; ++i) {
        SPRUCE_TRY(auto connection, spruce::tcp_stream::connect(server.address(), spruce::in(2s)));
        SPRUCE_CHECK(idle.emplace_back(std::move(connection)).get(files.small()));
    }
    SPRUCE_TRY(auto connection, spruce::tcp_stream::connect(server.address(), spruce::in(2s)));
    demo_client downloader(std::move(connection));
    auto const& file = files.large();
    SPRUCE_CHECK(downloader.ask(file));
    SPRUCE_CHECK(downloader.read_head(file));
    SPRUCE_CHECK(downloader.read_bytes(file, 0, before_the_signal));

    auto signalled = now_ns();
    SPRUCE_CHECK(server.send_signal(SIGTERM));
    for (auto& each : idle) {
        if (auto ended = each.expect_end(spruce::in(2s)); !ended)
            shown.complain(text("stop: an idle connection did not end: %s (%s)", ended.error().message(), ended.error().name()));
    }
    auto idle_took = now_ns() - signalled;
    auto late = spruce::tcp_stream::connect(server.address(), spruce::in(2s));
    if (late) shown.complain("stop: a new connection was still taken");
    else if (late.error().errno_value() != ECONNREFUSED) shown.complain(text("stop: a new connection: %s", late.error().message()));
    if (auto rest = downloader.read_bytes(file, before_the_signal, file.bytes.size()); !rest)
        shown.complain(text("stop: the download did not come whole: %s (%s)", rest.error().message(), rest.error().name()));
    if (auto ended = downloader.expect_end(spruce::in(3s)); !ended)
        shown.complain(text("stop: after the download: %s (%s)", ended.error().message(), ended.error().name()));
    auto status = server.wait(spruce::in(5s));
    if (!status) shown.complain(text("stop: the server did not end: %s (%s)", status.error().message(), status.error().name()));
    else if (!status->ok()) shown.complain(text("stop: the server ended with exit code %d, signal %d", status->code(), status->signal()));
    shown.say("stop", text("SIGTERM amid a download of %s, beside 20 idle connections: those ended after %s,", size_text(file.bytes.size()).c_str(),
                           time_text(idle_took).c_str()));
    if (shown.complaint_count() != complaints_before) shown.say("", "and not all went as it should");
    else shown.say("", "the download came whole, a new connection was refused, the exit code was 0");
    return {};
}

}  // namespace demo
