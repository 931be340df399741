// loop::interleave(): a thread sleeps, the host gives turns. sys/poll_thread.hpp has the hand-off between the two.
#include <cerrno>
#include <new>
#include <utility>

#include <spruce/interop.hpp>

#include "../base/round_up.hpp"
#include "../base/text_line.hpp"
#include "../loop/running_scope.hpp"
#include "guest.hpp"

namespace spruce { inline namespace v0 { namespace detail {

struct host_turn_access {
    static host_turn make(poll_thread& of, std::uint32_t number) noexcept { return host_turn(&of, number); }
};

void refuse_post(post_outcome& how, error why) noexcept {
    how.taken = false;
    how.why = why;
}
void post_threw(post_outcome& how, char const* what) noexcept {
    refuse_post(how, errc::task_failed);
    text_line(how.what, sizeof how.what).put(what).string();
}

namespace {
// On the thread that sleeps.
void post_to_host(void* context, std::uint32_t number, post_outcome& how) noexcept {
    auto& g = *static_cast<guest*>(context);
    post_call call{host_turn_access::make(*g.thread, number), &how};
    g.post_ops->run(g.post, &call);
}

void free_guest(guest* g) noexcept {
    std::size_t const bytes = g->bytes, alignment = g->alignment;
    g->~guest();
    release({}, g, bytes, alignment);
}

void tell_failures(hub& h, post_failures const& since) noexcept {
    if (since.count == 0) return;
    char text[160];
    post_outcome const& first = since.first;
    char const* const what = first.what[0] != '\0' ? first.what : "the host did not take a turn";
    text_line line(text, sizeof text);
    line.put("interleave()");
    if (since.count != 1) line.put(", ").put(std::uint64_t{since.count}).put(" times");
    tell_unhandled(&h, {{}, "", line.put(": ").put(what).string(), first.why});
}

// The loop's thread has done what it could: the other one sleeps for what comes next.
void let_sleep(hub& h) noexcept {
    guest& g = *h.visiting.guest;
    // What the poller refused is tried again soon, and what lies on the other thread is not what is to be slept on.
    bool const settled = settle_poller(h) && h.poller->lie_down(h.poller_context) == 0;
    h.door->going_to_sleep();
    std::int64_t timeout_ns = -1;
    if (has_ready(h)) {
        timeout_ns = 0;
    } else {
        std::int64_t due = h.timers.next_due_ns();
        if (std::int64_t const step = next_step_ns(g); step < due) due = step;
        std::int64_t const now = h.sys.monotonic_ns();
        if (!settled && due > now + retry_ns) due = now + retry_ns;
        if (due != no_time) timeout_ns = due > now ? due - now : 0;
    }
    h.visiting.poll_thread_sleeping = timeout_ns != 0;
    hand_over(*g.thread, timeout_ns, g.pauses);
}

// From here on nobody else sleeps for the loop, and nothing is posted any more.
void end_sleeping(hub& h, guest& g) noexcept {
    h.visiting.poll_thread_sleeping = false;
    if (is_lost(*g.thread)) return;
    end_poll_thread(*g.thread, [](void* at) noexcept {
        hub& asleep = *static_cast<hub*>(at);
        asleep.sys.wake(asleep.wake.write_fd);
    }, &h);
    h.door->woke_up();
}

void leave_host(hub& h) noexcept {
    h.run.background_ends = false;
    guest* const g = std::exchange(h.visiting.guest, nullptr);
    end_sleeping(h, *g);
    g->post_ops->destroy(g->post);
    release(*g->thread);
    free_guest(g);
}

// After a turn, or the start. The hub is gone if its loop was destroyed in there. A child that was forked in there has
// a guest without a thread, whose run is over.
void after_turn(hub& h, poll_thread& thread, bool goes_on) noexcept {
    if (current_hub != &h || !h.visiting.guest || h.visiting.guest->thread != &thread) return;
    if (goes_on && !is_lost(thread)) let_sleep(h);
    else leave_host(h);
}

// A lack of memory and its like pass; what is wrong with the poller itself does not.
bool may_pass(int failed) noexcept { return failed == -ENOMEM || failed == -ENOBUFS || failed == -EAGAIN; }

// `failed`: of this turn's poll, or of the sleep before it. The hook is told when it begins, and of what ends the run.
void look_at_poller(hub& h, int failed) noexcept {
    int const before = std::exchange(h.visiting.guest->refused_with, failed);
    if (failed == 0) return;
    bool const passes = may_pass(failed);
    if (failed != before) {
        char const* const what = passes ? "interleave(): the poller refuses for now, and is asked again"
                                        : "interleave(): the poller failed, and ends the run";
        tell_unhandled(&h, {{}, "", what, poller_failed(failed)});
    }
    // And again in each turn of the shutdown: what is delayed there may need the poller
    if (!passes) h.run.stop_asked = true;
}

void run_guest_turn(hub& h, post_failures const& since) noexcept {
    poll_thread& thread = *h.visiting.guest->thread;
    bool goes_on = true;
    {
        running_scope const scope(h);
        tell_failures(h, since);
        int const failed = turn(h, 0);
        h.visiting.guest->pauses = failed < 0;
        look_at_poller(h, failed < 0 ? failed : since.sleep);
        if (failed < 0 && may_pass(failed)) turn_without_poll(h);   // timers, tasks and calls do not need the poller
        goes_on = go_on(h);
    }
    after_turn(h, thread, goes_on);
}

void end_visit(hub& h, std::int64_t until_ns) noexcept {
    guest& g = *h.visiting.guest;
    if (is_lost(*g.thread)) {
        // A forked child's. Within a turn it is the turn's end that lets go.
        if (h.phase != hub_phase::running) leave_host(h);
        return;
    }
    // What is left of the run takes turns of its own.
    end_sleeping(h, g);
    h.phase = hub_phase::running;
    h.signals.of_thread.begin();
    h.now_ns = h.read_clock();
    // A host that never took a turn had none in which the hook could be told so.
    tell_failures(h, failures_of(*g.thread));
    if (g.stage <= guest_stage::running) h.run.stop_asked = true;
    int refusals = 0;
    while (go_on(h) && refusals != 16) {
        if (until_ns < g.until_ns) g.until_ns = until_ns;   // the background tasks have no longer, either
        std::int64_t const step = next_step_ns(g), first = step < until_ns ? step : until_ns;
        refusals = turn(h, first) < 0 ? refusals + 1 : 0;
        if (h.now_ns >= until_ns) h.run.stop_asked = true;   // ends all delays
    }
    h.signals.of_thread.end();
    h.run.stop_asked = h.run.leave_asked = h.run.shutting_down = false;
    h.delays = delayed::nothing;
    h.phase = hub_phase::ending;
    leave_host(h);
}

bool is_stopping(hub& h) noexcept { return h.visiting.guest->stage > guest_stage::running; }

constexpr guest_calls visits{end_visit, is_stopping};
}  // namespace

result<guest*> claim_guest(hub* on, error const& status, std::size_t size, std::size_t alignment,
                           void** room) noexcept {
    SPRUCE_CHECK(runnable(on, status));
    if (!on->poller->lie_down) return with_detail(errc::not_supported, "interleave(): this poller cannot be slept on");
    std::size_t const strictest = alignment > alignof(guest) ? alignment : alignof(guest);
    std::size_t const offset = round_up(sizeof(guest), alignment);
    void* const block = allocate({}, offset + size, strictest);
    if (!block) return errc::no_memory;
    auto* const g = ::new (block) guest;
    g->bytes = offset + size;
    g->alignment = strictest;
    *room = g->post = static_cast<std::byte*>(block) + offset;
    return g;
}

result<void> may_run_host(hub* h, error const& why_none) noexcept {
    if (!h) return why_none;
    if (h->phase == hub_phase::running || (h->ext && h->ext->in_task(*h)))
        return with_detail(errc::wrong_state, "the host is run by plain code, not inside a turn of its guest's");
    return {};
}

void unclaim_guest(guest* g) noexcept { free_guest(g); }

result<void> begin_guest(hub* on, guest* g, callable_ops const* post) noexcept {
    hub& h = *on;
    g->post_ops = post;
    poll_thread_options const o{h.poller, h.poller_context, post_to_host, g, &h};
    // What can fail comes first. Where the fd to sleep on cannot be had for now, it is tried again by the turns.
    int failed = runnable(on, errc::closed) ? 0 : -EINVAL;   // a constructor of post's may have done anything
    if (failed == 0) failed = h.poller->lie_down(h.poller_context);
    bool const sleeps = failed == 0;
    if (sleeps) failed = start_poll_thread(o, &g->thread);
    if (failed < 0) {
        post->destroy(g->post);
        free_guest(g);
        if (failed == -ENOMEM) return errc::no_memory;
        if (sleeps) return with_detail(kernel_error(failed), "interleave(): pthread_create()");
        if (failed == -ENOSYS) return with_detail(errc::not_supported, "interleave(): this poller cannot be slept on");
        if (failed == -EINVAL) return with_detail(errc::wrong_state, "interleave(): within the making of post");
        return with_detail(kernel_error(failed), "interleave(): epoll_create1()");
    }
    h.visiting.guest = g;
    h.visiting.calls = &visits;
    poll_thread& thread = *g->thread;
    retain(thread);
    bool goes_on = true;
    {
        running_scope const scope(h);
        begin_run(h);
        goes_on = go_on(h);
    }
    after_turn(h, thread, goes_on);
    release(thread);
    return {};
}

}}}  // namespace spruce::v0::detail

namespace spruce { inline namespace v0 {

host_turn::host_turn(detail::poll_thread* of, std::uint32_t number) noexcept : of_(of), number_(number) {
    if (of_) detail::keep_turn(*of_, number_);
}
host_turn::~host_turn() {
    if (of_) detail::drop_turn(*of_, number_);
}

void host_turn::operator()() const noexcept {
    if (!of_) return;
    void const* const owner = detail::owner_of(*of_);
    if (!owner) return;   // late, or in a forked child
    detail::hub* const h = detail::current_hub;
    if (h != owner) return detail::misplace_turn(*of_, number_, errc::wrong_thread);
    if (h->phase != detail::hub_phase::idle || h->fds.is_parents() || (h->ext && h->ext->in_task(*h)))
        return detail::misplace_turn(*of_, number_, errc::wrong_state);
    host_turn const kept = *this;   // whoever holds this one may let it go meanwhile
    detail::post_failures since;
    if (detail::begin_turn(*kept.of_, kept.number_, since)) detail::run_guest_turn(*h, since);
}

}}  // namespace spruce::v0
