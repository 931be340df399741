// The census as text.
#include <spruce/debug.hpp>

#include <cstring>

#include "../sys/write_text.hpp"
#include "census_text.hpp"
#include "../task/scheduler.hpp"

namespace spruce { inline namespace v0 { namespace detail {

void put_task_state(text_line& line, task_info const& t, std::int64_t now_ns) noexcept {
    line.put_task(t.id.value, t.name);
    if (t.waiting_for[0] == '\0') {
        line.put(" is ").put(t.state);
        return;
    }
    line.put(" waits for ").put(t.waiting_for).put(" since ");
    line.put_seconds(now_ns - t.since.time_since_epoch().count());
}

namespace {
// Calls `take` with each line of the census.
template <class F> void each_line(hub& h, char const* lead, F&& take) noexcept {
    char room[256];
    text_line head(room, sizeof room);
    std::size_t const tasks = h.ext ? h.ext->left(h, false) : 0;
    head.put(lead).put("loop ").put(h.serial).put(": ").put(tasks).put(tasks == 1 ? " task" : " tasks").end();
    take(head);
    std::int64_t const now = h.sys.monotonic_ns();
    census_cursor c;
    c.of = &h;
    while (census_next(c)) {
        text_line line(room, sizeof room);
        put_task_state(line, c.now, now);
        line.put("; stack ").put(c.now.stack_high_water_bytes).put(" of ").put(c.now.stack_bytes).put(" bytes").end();
        take(line);
    }
}
}  // namespace

void write_census(hub& h, int fd, char const* lead) noexcept {
    each_line(h, lead, [fd](text_line const& line) { write_text(fd, line.text(), line.size()); });
}

}}}  // namespace spruce::v0::detail

namespace spruce { inline namespace v0 { namespace debug {

std::size_t census_text(char* room, std::size_t size) noexcept {
    std::size_t whole = 0;
    auto const add = [&](detail::text_line const& line) {
        if (whole < size)
            std::memcpy(room + whole, line.text(), line.size() < size - whole ? line.size() : size - whole);
        whole += line.size();
    };
    if (detail::current_hub) detail::each_line(*detail::current_hub, "", add);
    if (size != 0) room[whole < size ? whole : size - 1] = '\0';
    return whole;
}

void write_census(int fd) noexcept {
    if (detail::current_hub) detail::write_census(*detail::current_hub, fd, "");
}

result<handler> census_on_signal(int signal, int fd) noexcept {
    SPRUCE_TRY(loop& here, loop::current());
    return here.add_signal_handler(signal, [fd] { write_census(fd); });
}

}}}  // namespace spruce::v0::debug
