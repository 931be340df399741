// kqueue. Reading and writing are two registrations to it, of which it forgets both when the number is closed: so
// there are no ghosts, and a number given out again inherits nothing. What was asked for is kept here, by number: it
// is at least what the kernel has, so that all that is not wanted can be taken out, whatever the loop believes.
#include <cerrno>
#include <new>

#include "kqueue_poller.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {

constexpr std::int64_t longest_wait_ns = 86'400'000'000'000;   // a day; some take longer ones as that, some refuse them

kqueue_poller& self(void* context) noexcept { return *static_cast<kqueue_poller*>(context); }

void change(void* context, poll_change* changes, std::size_t count) noexcept {
    change_kqueue(self(context), changes, count);
}

// -- events
std::uint8_t from_record(kevent_record const& r) noexcept {
    if (r.filter == kevent_filter::signal) return ready_signal;
    if (r.filter == kevent_filter::process) return ready_child;
    unsigned what = r.filter == kevent_filter::read ? ready_read : ready_write;
    if ((r.flags & kevent_eof) != 0) {
        what |= r.filter == kevent_filter::read ? ready_read_closed : ready_hangup;
        if (r.notes != 0) what |= ready_error;
    }
    return static_cast<std::uint8_t>(what);
}

// Of a pipe: its read filter tells of the other end's close on both ends, and is the only one that always does.
std::uint8_t from_pipe_record(kqueue_poller& p, kqueue_watched& w, kevent_record const& r) noexcept {
    bool const over = (r.flags & kevent_eof) != 0;
    unsigned what = from_record(r);
    if (r.filter == kevent_filter::read) {
        if ((w.held & interest_read) == 0) what = 0;   // it is watched for its end only
        if (over && (w.held & interest_write) != 0) what |= ready_write | ready_hangup;
    }
    if (over) watch_end_again(p, static_cast<int>(r.ident), w);
    return static_cast<std::uint8_t>(what);
}

// 0: nothing to tell.
std::uint8_t look_at_record(kqueue_poller& p, kevent_record const& r) noexcept {
    if ((r.flags & kevent_error) != 0) return 0;
    bool const of_fd = r.filter == kevent_filter::read || r.filter == kevent_filter::write;
    kqueue_watched* const w = of_fd ? find_watched(p, static_cast<int>(r.ident)) : nullptr;
    bool const known = w && w->pipe && w->generation == static_cast<std::uint32_t>(r.udata);
    return known ? from_pipe_record(p, *w, r) : from_record(r);
}

bool of_fd(poll_event const& e) noexcept { return (e.ready & (ready_signal | ready_child)) == 0; }

// One event for each fd, though its directions are told apart.
int put_event(kqueue_poller& p, poll_event* events, int made, poll_event const& e) noexcept {
    kqueue_watched* const w = of_fd(e) ? find_watched(p, e.fd) : nullptr;
    if (w && w->in_batch != 0) {
        poll_event& first = events[w->in_batch - 1];
        if (first.generation == e.generation) {
            first.ready = static_cast<std::uint8_t>(first.ready | e.ready);
            return made;
        }
    } else if (w) {
        w->in_batch = static_cast<std::uint8_t>(made + 1);
    }
    events[made] = e;
    return made + 1;
}

// Whoever waits to write what the kernel does not watch may do so at once. Half of the room is the kernel's, whose fds
// would else never be heard of; and the next look begins where this one ended.
int tell_refused(kqueue_poller& p, poll_event* events, int room) noexcept {
    int const most = room > 1 ? room / 2 : 1;
    int made = 0;
    for (std::size_t n = p.places; n != 0 && made != most && p.refused != 0; --n) {
        if (p.next_refused >= p.places) p.next_refused = 0;
        std::size_t const fd = p.next_refused++;
        kqueue_watched& w = p.table[fd];
        if (!w.refused || w.told) continue;
        made = put_event(p, events, made, {static_cast<int>(fd), w.generation, ready_write});
        if ((w.held & interest_edge) == 0) continue;
        w.told = true;
        --p.refused;
    }
    return made;
}

// The end of the write side is that of both, unless it is watched for reading and that is not over: then it is we
// who stopped sending.
void tidy(kqueue_poller& p, poll_event& e) noexcept {
    kqueue_watched* const w = of_fd(e) ? find_watched(p, e.fd) : nullptr;
    if (!w) return;
    w->in_batch = 0;
    if ((w->held & interest_read) != 0 && (e.ready & ready_read_closed) == 0)
        e.ready = static_cast<std::uint8_t>(e.ready & ~ready_hangup);
}

// Some end a timeout too soon: what is left of it is waited for, too. Some end it late by a part of its length: a long
// one is waited for in parts, none of which ends too late though it be late, until what is left is short.
template <class F> int in_parts(kqueue_poller& p, std::int64_t timeout_ns, F wait_for) noexcept {
    if (timeout_ns > longest_wait_ns) timeout_ns = longest_wait_ns;
    bool const watch_clock = timeout_ns > 0 && p.calls->now_ns;
    std::int64_t const end = watch_clock ? p.calls->now_ns(p.context) + timeout_ns : 0;
    for (int const late = p.calls->late_part;;) {
        bool const is_short = late == 0 || timeout_ns < late || timeout_ns <= p.calls->grain_ns * late;
        int const got = wait_for(is_short ? timeout_ns : timeout_ns - timeout_ns / (late + 1) - 1);
        if (got != 0 || !watch_clock) return got;
        timeout_ns = end - p.calls->now_ns(p.context);
        if (timeout_ns <= 0) return 0;
    }
}

int collect(kqueue_poller& p, kevent_record* into, int room, std::int64_t timeout_ns) noexcept {
    return in_parts(p, timeout_ns, [&](std::int64_t part_ns) noexcept {
        return p.calls->kevent(p.context, p.queue, nullptr, 0, into, room, part_ns);
    });
}

int wait(void* context, poll_event* events, int room, std::int64_t timeout_ns) noexcept {
    kqueue_poller& p = self(context);
    if (p.mark != fork_mark()) return -EBADF;   // the number may be another thing here
    kevent_record got[kqueue_batch];
    if (room > kqueue_batch) room = kqueue_batch;
    int made = p.refused != 0 ? tell_refused(p, events, room) : 0;
    if (made != room) {
        int const count = collect(p, got, room - made, made != 0 ? 0 : timeout_ns);
        // Interrupted: whoever asked looks at the clock and at what the signal brought.
        if (count < 0 && made == 0) return count == -EINTR ? 0 : count;
        for (int i = 0; i < count; ++i) {
            std::uint8_t const ready = look_at_record(p, got[i]);
            auto const number = static_cast<int>(got[i].ident);
            auto const generation = static_cast<std::uint32_t>(got[i].udata);
            if (ready != 0) made = put_event(p, events, made, {number, generation, ready});
        }
    }
    for (int i = 0; i != made; ++i) tidy(p, events[i]);
    return made;
}

int backend_fd(void* context) noexcept {
    kqueue_poller const& p = self(context);
    if (p.mark != fork_mark()) return -EBADF;
    return p.calls->pollable ? p.queue : -ENOSYS;
}

int lie_down(void* context) noexcept {
    self(context).news = self(context).refused != 0;
    return self(context).calls->sleep ? 0 : -ENOSYS;
}
int sleep(void* context, std::int64_t timeout_ns) noexcept {
    kqueue_poller& p = self(context);
    if (p.news) return 0;
    int const got = in_parts(p, timeout_ns, [&](std::int64_t part_ns) noexcept {
        return p.calls->sleep(p.context, p.queue, part_ns);
    });
    return got < 0 ? got : 0;
}

int renew(void* context, bool after_fork) noexcept {
    kqueue_poller& p = self(context);
    if (after_fork) {
        // A forked child does not have its parent's queue: the number is free there, or somebody else's by now.
        p.calls->forked(p.context);
        int const fresh = p.calls->create(p.context);
        if (fresh < 0) return fresh;
        p.queue = fresh;
        p.mark = fork_mark();
    }
    // The queue stays, and its number with it: there are no ghosts to be rid of, and signals that it has recorded are
    // not lost.
    for (std::size_t fd = 0; fd != p.places; ++fd) {
        if (!after_fork && p.table[fd].held != interest_none)
            for (kevent_filter const side : {kevent_filter::read, kevent_filter::write})
                submit_one(p, {fd, 0, 0, 0, kevent_delete, side});
        p.table[fd] = {};
    }
    p.refused = 0;
    return 0;
}

void close_poller(void* context) noexcept {
    kqueue_poller& p = self(context);
    if (p.mark == fork_mark()) p.calls->close(p.context, p.queue);
    release(p.memory, p.table, p.places * sizeof(kqueue_watched), alignof(kqueue_watched));
    memory_hook const memory = p.memory;
    release(memory, &p, sizeof p, alignof(kqueue_poller));
}

std::int64_t grain_ns(void* context) noexcept { return self(context).calls->grain_ns; }

int watch_other(void* context, int number, kevent_filter filter, bool on) noexcept {
    kqueue_poller& p = self(context);
    return submit_one(p, {static_cast<std::uintptr_t>(number), 0, 0, 0, on ? kevent_add : kevent_delete, filter});
}
int watch_signal(void* context, int signal, bool on) noexcept {
    return watch_other(context, signal, kevent_filter::signal, on);
}
int watch_child(void* context, int pid, bool on) noexcept {
    return watch_other(context, pid, kevent_filter::process, on);
}

constexpr poller_calls calls{"kqueue", false, change, wait, backend_fd, renew, close_poller, grain_ns,
                             watch_signal, watch_child, lie_down, sleep, false, true};
}  // namespace

int make_kqueue_poller(kevent_calls const& on, void* context, memory_hook memory, kernel::made_poller* out) noexcept {
    void* const room = allocate(memory, sizeof(kqueue_poller), alignof(kqueue_poller));
    if (!room) return -ENOMEM;
    int const queue = on.create(context);
    if (queue < 0) {
        release(memory, room, sizeof(kqueue_poller), alignof(kqueue_poller));
        return queue;
    }
    auto* const p = ::new (room) kqueue_poller{&on, context, memory};
    p->queue = queue;
    p->mark = fork_mark();
    out->calls = &calls;
    out->context = p;
    return 0;
}

}}}  // namespace spruce::v0::detail
