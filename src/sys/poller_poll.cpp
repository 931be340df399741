// poll(2): on every system, without limits but speed. It has no edges: an fd registered for edges is muted once it
// has reported, until a change with the same interest arms it again.
#include <fcntl.h>
#include <new>
#include <poll.h>

#include "native_calls.hpp"

#ifndef POLLRDHUP
#define POLLRDHUP 0
#endif

namespace spruce { inline namespace v0 { namespace detail {

namespace {

struct watched {
    std::uint32_t generation;
    std::uint8_t wanted;
    std::uint8_t muted;     // interests that have reported, of an fd registered for edges
};

struct poll_poller {
    memory_hook memory;
    pollfd* fds = nullptr;      // side by side with `what`
    watched* what = nullptr;
    std::size_t count = 0, room = 0;
    std::int32_t* place = nullptr;   // of each fd number: its place plus 1, or 0
    std::size_t places = 0;
    pollfd* asleep = nullptr;   // a copy, for another thread to sleep on
    std::size_t asleep_count = 0, asleep_room = 0;
    std::size_t turn = 0;       // where the next wait begins to report, so that none is always last
};
poll_poller& self(void* context) noexcept { return *static_cast<poll_poller*>(context); }

template <class T>
bool grow(memory_hook const& memory, T*& at, std::size_t used, std::size_t had, std::size_t wanted) noexcept {
    auto* const bigger = static_cast<T*>(allocate(memory, wanted * sizeof(T), alignof(T)));
    if (!bigger) return false;
    for (std::size_t i = 0; i != wanted; ++i) bigger[i] = i < used ? at[i] : T{};
    release(memory, at, had * sizeof(T), alignof(T));
    at = bigger;
    return true;
}

bool make_room(poll_poller& p, int fd) noexcept {
    auto const number = static_cast<std::size_t>(fd);
    if (number >= p.places) {
        std::size_t places = p.places ? p.places : 64;
        while (places <= number) places *= 2;
        if (!grow(p.memory, p.place, p.places, p.places, places)) return false;
        p.places = places;
    }
    if (p.count == p.room) {
        std::size_t const room = p.room ? p.room * 2 : 16;
        // Both or none: the second must not find the first grown without it.
        auto* const fds = static_cast<pollfd*>(allocate(p.memory, room * sizeof(pollfd), alignof(pollfd)));
        if (!fds) return false;
        if (!grow(p.memory, p.what, p.count, p.room, room)) {
            release(p.memory, fds, room * sizeof(pollfd), alignof(pollfd));
            return false;
        }
        for (std::size_t i = 0; i != p.count; ++i) fds[i] = p.fds[i];
        release(p.memory, p.fds, p.room * sizeof(pollfd), alignof(pollfd));
        p.fds = fds;
        p.room = room;
    }
    return true;
}

void arm(pollfd& f, int fd, watched const& w) noexcept {
    std::uint8_t const live = static_cast<std::uint8_t>(w.wanted & ~w.muted);
    f.events =
        static_cast<short>(((live & interest_read) ? POLLIN | POLLRDHUP : 0) | ((live & interest_write) ? POLLOUT : 0));
    // poll() tells of hang-ups unasked: what is muted wholly leaves its eyes.
    f.fd = (live & (interest_read | interest_write)) != 0 ? fd : -1 - fd;
}

int real_fd(pollfd const& f) noexcept { return f.fd >= 0 ? f.fd : -1 - f.fd; }

void remove(poll_poller& p, std::size_t at) noexcept {
    p.place[real_fd(p.fds[at])] = 0;
    if (at != --p.count) {
        p.fds[at] = p.fds[p.count];
        p.what[at] = p.what[p.count];
        p.place[real_fd(p.fds[at])] = static_cast<std::int32_t>(at + 1);
    }
}

// Any other error: asked in vain
bool is_no_fd(int fd) noexcept { return ::fcntl(fd, F_GETFD) < 0 && errno == EBADF; }

int change_one(poll_poller& p, poll_change const& c) noexcept {
    std::int32_t const known = static_cast<std::size_t>(c.fd) < p.places ? p.place[c.fd] : 0;
    if (c.wanted == interest_none) {
        if (known == 0) return -ENOENT;
        remove(p, static_cast<std::size_t>(known - 1));
        return 0;
    }
    // Said anew by who is not sure: the number may have been closed meanwhile.
    if (known != 0 && c.before == interest_none && is_no_fd(c.fd)) {
        remove(p, static_cast<std::size_t>(known - 1));
        return -EBADF;
    }
    std::size_t at = static_cast<std::size_t>(known) - 1;
    if (known == 0) {
        if (is_no_fd(c.fd)) return -EBADF;
        if (!make_room(p, c.fd)) return -ENOMEM;
        at = p.count++;
        p.place[c.fd] = static_cast<std::int32_t>(p.count);
    }
    p.what[at] = {c.generation, c.wanted, 0};
    arm(p.fds[at], c.fd, p.what[at]);
    return 0;
}

void change(void* context, poll_change* changes, std::size_t count) noexcept {
    for (std::size_t i = 0; i != count; ++i) changes[i].result = change_one(self(context), changes[i]);
}

int wait(void* context, poll_event* events, int room, std::int64_t timeout_ns) noexcept {
    poll_poller& p = self(context);
    int left = ::poll(p.fds, static_cast<nfds_t>(p.count), poll_timeout_ms(timeout_ns));
    if (left < 0) return errno == EINTR ? 0 : -errno;
    int made = 0;
    std::size_t const count = p.count;
    std::size_t at = p.turn < count ? p.turn : 0;
    for (std::size_t i = 0; i != count && left > 0 && made != room; ++i, at = at + 1 == count ? 0 : at + 1) {
        pollfd& f = p.fds[at];
        if (f.fd < 0 || f.revents == 0) continue;
        --left;
        auto const ready = static_cast<std::uint8_t>(
            ((f.revents & (POLLIN | POLLPRI)) ? ready_read : 0) | ((f.revents & POLLOUT) ? ready_write : 0) |
            ((f.revents & POLLRDHUP) ? ready_read_closed : 0) | ((f.revents & POLLHUP) ? ready_hangup : 0) |
            ((f.revents & (POLLERR | POLLNVAL)) ? ready_error : 0));
        watched& w = p.what[at];
        events[made++] = {f.fd, w.generation, ready};
        int const fd = f.fd;
        if ((w.wanted & interest_edge) != 0) {
            bool const over = (ready & (ready_hangup | ready_error)) != 0;
            if (over || (ready & (ready_read | ready_read_closed)) != 0) w.muted |= interest_read;
            if (over || (ready & ready_write) != 0) w.muted |= interest_write;
            arm(f, fd, w);
        } else if ((f.revents & POLLNVAL) != 0) {
            w.muted = interest_read | interest_write;   // closed behind our back: told once
            arm(f, fd, w);
        }
        p.turn = at + 1;
    }
    return made;
}

int backend_fd(void*) noexcept { return -ENOSYS; }

int lie_down(void* context) noexcept {
    poll_poller& p = self(context);
    if (p.asleep_room < p.count) {
        if (!grow(p.memory, p.asleep, 0, p.asleep_room, p.room)) return -ENOMEM;
        p.asleep_room = p.room;
    }
    p.asleep_count = p.count;
    for (std::size_t i = 0; i != p.count; ++i) p.asleep[i] = p.fds[i];
    return 0;
}
int sleep(void* context, std::int64_t timeout_ns) noexcept {
    poll_poller& p = self(context);
    return ::poll(p.asleep, static_cast<nfds_t>(p.asleep_count), poll_timeout_ms(timeout_ns)) < 0 ? -errno : 0;
}

int renew(void* context, bool) noexcept {
    poll_poller& p = self(context);
    while (p.count != 0) remove(p, p.count - 1);
    return 0;
}

void close_poller(void* context) noexcept {
    poll_poller& p = self(context);
    release(p.memory, p.fds, p.room * sizeof(pollfd), alignof(pollfd));
    release(p.memory, p.what, p.room * sizeof(watched), alignof(watched));
    release(p.memory, p.asleep, p.asleep_room * sizeof(pollfd), alignof(pollfd));
    release(p.memory, p.place, p.places * sizeof(std::int32_t), alignof(std::int32_t));
    memory_hook const memory = p.memory;
    release(memory, &p, sizeof p, alignof(poll_poller));
}

std::int64_t grain_ns(void*) noexcept { return 1'000'000; }

constexpr poller_calls calls{"poll", true, change, wait, backend_fd, renew, close_poller, grain_ns,
                             nullptr, nullptr, lie_down, sleep, true};
}  // namespace

int make_poll_poller(memory_hook memory, kernel::made_poller* out) noexcept {
    void* const room = allocate(memory, sizeof(poll_poller), alignof(poll_poller));
    if (!room) return -ENOMEM;
    auto* const p = ::new (room) poll_poller;
    p->memory = memory;
    out->calls = &calls;
    out->context = p;
    return 0;
}

}}}  // namespace spruce::v0::detail
