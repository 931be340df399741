// The census as text.
#include <spruce/debug.hpp>

#include <cstring>

#include "../base/text_line.hpp"
#include "../sys/write_text.hpp"
#include "scheduler.hpp"

namespace spruce::inline v0::detail {

namespace {
// Calls `take` with each line of the census.
template <class F> void each_line(F&& take) noexcept {
    hub* const h = current_hub;
    if (!h) return;
    char room[256];
    text_line head(room, sizeof room);
    std::size_t const tasks = h->ext ? h->ext->left(*h, false) : 0;
    head.put("loop ").put(h->serial).put(": ").put(tasks).put(tasks == 1 ? " task" : " tasks").end();
    take(head);
    std::int64_t const now = h->calls->monotonic_ns(h->on.context);
    census_cursor c;
    c.of = h;
    while (census_next(c)) {
        task_info const& t = c.now;
        text_line line(room, sizeof room);
        line.put_task(t.id.value, t.name);
        if (t.waiting_for[0] != '\0') {
            line.put(" waits for ").put(t.waiting_for).put(" since ");
            line.put_seconds(now - t.since.time_since_epoch().count());
        } else {
            line.put(" is ").put(t.state);
        }
        line.put("; stack ").put(t.stack_high_water_bytes).put(" of ").put(t.stack_bytes).put(" bytes").end();
        take(line);
    }
}
}  // namespace

}  // namespace spruce::inline v0::detail

namespace spruce::inline v0::debug {

std::size_t census_text(char* room, std::size_t size) noexcept {
    std::size_t whole = 0;
    detail::each_line([&](detail::text_line const& line) {
        if (whole < size) std::memcpy(room + whole, line.text(), line.size() < size - whole ? line.size() : size - whole);
        whole += line.size();
    });
    if (size != 0) room[whole < size ? whole : size - 1] = '\0';
    return whole;
}

void write_census(int fd) noexcept {
    detail::each_line([fd](detail::text_line const& line) { detail::write_text(fd, line.text(), line.size()); });
}

result<handler> census_on_signal(int signal, int fd) noexcept {
    SPRUCE_TRY(loop& here, loop::current());
    return here.add_signal_handler(signal, [fd] { write_census(fd); });
}

}  // namespace spruce::inline v0::debug
