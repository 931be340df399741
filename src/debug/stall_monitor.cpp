// The monitor of what holds up a loop. A thread of its own looks at what the loop publishes while it is watched.
#include <spruce/debug.hpp>

#include <new>
#include <utility>

#include "../base/text_line.hpp"
#include "../loop/stall_watch.hpp"
#include "../sys/kernel_error.hpp"
#include "../sys/ticker.hpp"
#include "../sys/write_text.hpp"
#include "../task/scheduler.hpp"

namespace spruce { inline namespace v0 { namespace detail {

struct stall_watcher {
    stall_watch watch;
    std::int64_t limit_ns = 0;
    debug::stall_report report = nullptr;
    void* context = nullptr;
    std::uint32_t serial = 0;            // the loop's
    remote* door = nullptr;              // held
    ticker* thread = nullptr;
    // -- the thread's
    bool seen = false, told = false;
    std::uint32_t dispatch = 0;
    std::int64_t since_ns = 0;
};

namespace {
// The machine's clock, whatever the loop's is.
std::int64_t clock_now() noexcept {
    kernel& k = native_kernel();
    return k.calls->monotonic_ns(k.context);
}

void tell(stall_watcher& w, running_now const& now, std::int64_t held_ns) noexcept {
    if (w.report) {
        debug::stall const s{{now.id}, now.name, now.kind, now.number, duration(held_ns)};
        w.report(s, w.context);
        return;
    }
    char room[200];
    text_line line(room, sizeof room);
    line.put("spruce: loop ").put(w.serial).put(" is held up by ");
    if (now.id != 0) line.put_task(now.id, now.name);
    else line.put("a ").put(now.kind);
    if (now.number >= 0) line.put(" ").put(static_cast<std::uint64_t>(now.number));
    line.put(" for ").put(static_cast<std::uint64_t>(held_ns / 1'000'000)).put(" ms so far").end();
    write_text(2, line.text(), line.size());
}

void look(void* at) noexcept {
    auto& w = *static_cast<stall_watcher*>(at);
    running_now now;
    char name[stall_watch::name_bytes];
    if (!w.watch.read(now, name)) return;
    if (!now.kind) {
        w.seen = false;
        return;
    }
    std::int64_t const t = clock_now();
    if (!w.seen || w.dispatch != now.dispatch) {
        w.seen = true;
        w.told = false;
        w.dispatch = now.dispatch;
        w.since_ns = t;
    } else if (!w.told && t - w.since_ns >= w.limit_ns) {
        w.told = true;
        tell(w, now, t - w.since_ns);
    }
}

void let_go(stall_watcher* w) noexcept {
    release(w->door);
    w->~stall_watcher();
    release({}, w, sizeof(stall_watcher), alignof(stall_watcher));
}
}  // namespace

void end_stall_monitor(stall_watcher* w) noexcept {
    // Its own report ends it, or not this loop's thread: the thread ends, or the loop writes, whenever it will.
    if (!stop_ticker(w->thread)) return;
    if (current_hub && current_hub->serial == w->serial) current_hub->reporting.watch = nullptr;
    else if (remote_alive(w->door)) return;
    let_go(w);
}

}}}  // namespace spruce::v0::detail

namespace spruce { inline namespace v0 { namespace debug {

result<stall_monitor> watch_stalls(any_duration limit, stall_report report, void* context) noexcept {
    SPRUCE_TRY(loop& here, loop::current());
    if (limit < std::chrono::milliseconds(1))
        return detail::with_detail(errc::invalid_argument, "limit: at least 1 ms");
    detail::hub& h = *here.impl();
    if (h.reporting.watch) return detail::with_detail(errc::already_registered, "this loop is watched");
    void* const room = detail::allocate({}, sizeof(detail::stall_watcher), alignof(detail::stall_watcher));
    if (!room) return errc::no_memory;
    auto* const w = ::new (room) detail::stall_watcher;
    w->limit_ns = limit.count();
    w->report = report;
    w->context = context;
    w->serial = h.serial;
    w->door = h.door;
    detail::retain(w->door);
    if (int const failed = detail::start_ticker(w->limit_ns / 2, detail::look, w, &w->thread); failed < 0) {
        detail::let_go(w);
        return failed == -ENOMEM ? error(errc::no_memory)
                                 : detail::with_detail(detail::kernel_error(failed), "pthread_create()");
    }
    h.reporting.watch = &w->watch;
    // What runs now belongs to it already; and then no task switches to the next one past the hub, unseen.
    if (h.dispatching) {
        detail::task_block const* const t = detail::current_scheduler ? detail::current_scheduler->current : nullptr;
        if (t) h.reporting.watch->begin_task(t->id.value, given_name(*t), false);
        else h.reporting.watch->begin("callback", -1);
    }
    h.credit.withheld += h.credit.left();
    h.credit.set(0);
    if (auto* const s = detail::current_scheduler)
        for (detail::return_frame* f = s->returns; f; f = f->outer) h.credit.withheld += std::exchange(f->credit, 0);
    return stall_monitor(w);
}

}}}  // namespace spruce::v0::debug
