// kqueue. Reading and writing are two registrations to it, of which it forgets both when the number is closed: so
// there are no ghosts, and a number given out again inherits nothing. What was asked for is kept here, by number: it
// is at least what the kernel has, so that all that is not wanted can be taken out, whatever the loop believes.
#include <cerrno>
#include <new>

#include "kqueue_poller.hpp"

namespace spruce::inline v0::detail {

namespace {

constexpr std::int64_t longest_wait_ns = 86'400'000'000'000;   // a day; some take longer ones as that, some refuse them

kqueue_poller& self(void* context) noexcept { return *static_cast<kqueue_poller*>(context); }

void change(void* context, poll_change* changes, std::size_t count) noexcept { change_kqueue(self(context), changes, count); }

// -- events
std::uint8_t from_record(kevent_record const& r) noexcept {
    unsigned what = r.filter == kevent_filter::read ? ready_read : ready_write;
    if ((r.flags & kevent_eof) != 0) {
        what |= r.filter == kevent_filter::read ? ready_read_closed : ready_hangup;
        if (r.notes != 0) what |= ready_error;
    }
    return static_cast<std::uint8_t>(what);
}

// One event for each fd, though its directions are told apart.
int put_event(kqueue_poller& p, poll_event* events, int made, poll_event const& e) noexcept {
    kqueue_watched* const w = find_watched(p, e.fd);
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

// Whoever waits to write what the kernel does not watch may do so at once.
int tell_refused(kqueue_poller& p, poll_event* events, int made, int room) noexcept {
    for (std::size_t fd = 0; fd != p.places && made != room && p.refused != 0; ++fd) {
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
    kqueue_watched* const w = find_watched(p, e.fd);
    if (!w) return;
    w->in_batch = 0;
    if ((w->held & interest_read) != 0 && (e.ready & ready_read_closed) == 0) e.ready = static_cast<std::uint8_t>(e.ready & ~ready_hangup);
}

// Some end a timeout too soon: what is left of it is waited for, too.
int collect(kqueue_poller& p, kevent_record* into, int room, std::int64_t timeout_ns) noexcept {
    if (timeout_ns > longest_wait_ns) timeout_ns = longest_wait_ns;
    bool const watch_clock = timeout_ns > 0 && p.calls->now_ns;
    std::int64_t const end = watch_clock ? p.calls->now_ns(p.context) + timeout_ns : 0;
    for (;;) {
        int const count = p.calls->kevent(p.context, p.queue, nullptr, 0, into, room, timeout_ns);
        if (count != 0 || !watch_clock) return count;
        timeout_ns = end - p.calls->now_ns(p.context);
        if (timeout_ns <= 0) return 0;
    }
}

int wait(void* context, poll_event* events, int room, std::int64_t timeout_ns) noexcept {
    kqueue_poller& p = self(context);
    kevent_record got[kqueue_batch];
    if (room > kqueue_batch) room = kqueue_batch;
    int made = p.refused != 0 ? tell_refused(p, events, 0, room) : 0;
    if (made != room) {
        int const count = collect(p, got, room - made, made != 0 ? 0 : timeout_ns);
        // Interrupted: whoever asked looks at the clock and at what the signal brought.
        if (count < 0 && made == 0) return count == -EINTR ? 0 : count;
        for (int i = 0; i < count; ++i) {
            if ((got[i].flags & kevent_error) != 0) continue;
            made = put_event(p, events, made, {static_cast<int>(got[i].ident), static_cast<std::uint32_t>(got[i].udata), from_record(got[i])});
        }
    }
    for (int i = 0; i != made; ++i) tidy(p, events[i]);
    return made;
}

int watch_inner(kqueue_poller& p) noexcept {
    return submit_one(p, p.outer, {static_cast<std::uintptr_t>(p.queue), 0, 0, 0, kevent_add, kevent_filter::read});
}

int backend_fd(void* context) noexcept {
    kqueue_poller& p = self(context);
    if (!p.calls->pollable) return -ENOSYS;
    if (p.outer >= 0) return p.outer;
    p.outer = p.calls->create(p.context);
    if (p.outer < 0) return p.outer;
    if (int const failed = watch_inner(p); failed < 0) {
        p.calls->close(p.context, p.outer);
        p.outer = -1;
        return failed;
    }
    return p.outer;
}

int renew(void* context, bool after_fork) noexcept {
    kqueue_poller& p = self(context);
    if (after_fork) p.calls->forked(p.context);
    int const fresh = p.calls->create(p.context);
    if (fresh < 0) return fresh;
    // A forked child does not have its parent's queue: the number is free there, or somebody else's by now.
    if (!after_fork) p.calls->close(p.context, p.queue);
    p.queue = fresh;
    for (std::size_t i = 0; i != p.places; ++i) p.table[i] = {};
    p.refused = 0;
    if (p.outer < 0) return 0;
    if (!after_fork) return watch_inner(p);
    p.outer = -1;
    int const outer = backend_fd(context);
    return outer < 0 ? outer : 0;
}

void close_poller(void* context) noexcept {
    kqueue_poller& p = self(context);
    if (p.outer >= 0) p.calls->close(p.context, p.outer);
    p.calls->close(p.context, p.queue);
    release(p.memory, p.table, p.places * sizeof(kqueue_watched), alignof(kqueue_watched));
    memory_hook const memory = p.memory;
    release(memory, &p, sizeof p, alignof(kqueue_poller));
}

std::int64_t grain_ns(void* context) noexcept { return self(context).calls->grain_ns; }

constexpr poller_calls calls{"kqueue", false, change, wait, backend_fd, renew, close_poller, grain_ns};
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
    out->calls = &calls;
    out->context = p;
    return 0;
}

}  // namespace spruce::inline v0::detail
