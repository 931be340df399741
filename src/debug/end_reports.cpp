// What is told when a run ends as a deadlock, and when a loop ends with something left.
#include <spruce/debug.hpp>

#include "../loop/slot_words.hpp"
#include "../sys/write_text.hpp"
#include "census_text.hpp"
#include "../task/scheduler.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
// Lines after a heading that is written before the first of them.
class listing {
public:
    listing(hub& h, int fd, char const* heading) noexcept : h_(h), fd_(fd), heading_(heading) {}
    template <class F> void add(F&& put) noexcept {
        char room[256];
        if (!begun_) {
            text_line head(room, sizeof room);
            head.put("spruce: loop ").put(h_.serial).put(heading_).end();
            write_text(fd_, head.text(), head.size());
            begun_ = true;
        }
        text_line line(room, sizeof room);
        line.put("  ");
        put(line);
        line.end();
        write_text(fd_, line.text(), line.size());
    }

private:
    hub& h_;
    int fd_;
    char const* heading_;
    bool begun_ = false;
};

bool waits_to_run(handler_slot const& s) noexcept {
    if (s.state != slot_state::armed && s.state != slot_state::queued) return false;
    return s.kind != slot_kind::none && s.kind != slot_kind::signal && s.kind != slot_kind::hook &&
           s.kind != slot_kind::idle && s.kind != slot_kind::unhandled;
}

void tell_stuck(hub& h, int fd) noexcept { write_census(h, fd, "spruce: deadlock in "); }

void tell_leaving(hub& h, int fd) noexcept {
    listing all(h, fd, " ends with these left:");
    std::int64_t const now = h.sys.monotonic_ns();
    census_cursor c;
    c.of = &h;
    while (census_next(c)) all.add([&](text_line& line) { put_task_state(line, c.now, now); });
    for (std::size_t i = 0; i != h.handlers.made(); ++i) {
        handler_slot const& s = h.handlers.at(i);
        if (!waits_to_run(s)) continue;
        all.add([&](text_line& line) {
            line.put("a ").put(slot_noun(s.kind));
            if (int const number = slot_number(s); number >= 0) line.put(" ").put(static_cast<std::uint64_t>(number));
            if (s.kind != slot_kind::timer && s.kind != slot_kind::periodic) return;
            if (s.due_ns == no_time) line.put(", suspended");
            else line.put(", due in ").put_seconds(s.due_ns - now);
        });
    }
    if (auto const calls = h.door->inside() / 2; calls != 0)
        all.add(
            [&](text_line& line) { line.put(calls).put(calls == 1 ? " call" : " calls").put(" from other threads"); });
}

void tell_left(hub& h, int fd) noexcept {
    listing all(h, fd, " has ended, and these are left:");
    h.fds.for_each_owned([&](int number) {
        all.add([&](text_line& line) {
            line.put("fd ").put(static_cast<std::uint64_t>(number)).put(", a stream that was not closed");
        });
    });
    std::int64_t tokens = 0;
    for (std::int64_t const of : h.tokens) tokens += of;
    if (tokens != 0)
        all.add([&](text_line& line) {
            line.put(static_cast<std::uint64_t>(tokens)).put(tokens == 1 ? " hold token" : " hold tokens");
        });
}

constexpr end_reports reports{tell_stuck, tell_leaving, tell_left};
}  // namespace

}}}  // namespace spruce::v0::detail

namespace spruce { inline namespace v0 { namespace debug {

result<void> report_deadlocks(int fd) noexcept {
    SPRUCE_TRY(loop& here, loop::current());
    here.impl()->reporting.ends = &detail::reports;
    here.impl()->reporting.deadlock_fd = fd;
    return {};
}

result<void> report_leaks(int fd) noexcept {
    SPRUCE_TRY(loop& here, loop::current());
    here.impl()->reporting.ends = &detail::reports;
    here.impl()->reporting.leak_fd = fd;
    return {};
}

}}}  // namespace spruce::v0::debug
