// Changes of kqueue's registrations: reading and writing are two to it, and level or edge is settled for life.
#include <cerrno>

#include "kqueue_poller.hpp"

namespace spruce { inline namespace v0 { namespace detail {

int submit_one(kqueue_poller& p, kevent_record record) noexcept {
    if (p.mark != fork_mark()) return -EBADF;
    record.flags = static_cast<std::uint16_t>(record.flags & ~kevent_receipt);
    int const got = p.calls->kevent(p.context, p.queue, &record, 1, nullptr, 0, 0);
    return got < 0 ? got : 0;
}

namespace {

kqueue_watched* place_for(kqueue_poller& p, int fd) noexcept {
    auto const number = static_cast<std::size_t>(fd);
    if (number < p.places) return &p.table[fd];
    std::size_t places = p.places ? p.places : 64;
    while (places <= number) places *= 2;
    void* const room = allocate(p.memory, places * sizeof(kqueue_watched), alignof(kqueue_watched));
    auto* const bigger = static_cast<kqueue_watched*>(room);
    if (!bigger) return nullptr;
    for (std::size_t i = 0; i != places; ++i) bigger[i] = i < p.places ? p.table[i] : kqueue_watched{};
    release(p.memory, p.table, p.places * sizeof(kqueue_watched), alignof(kqueue_watched));
    p.table = bigger;
    p.places = places;
    return &p.table[fd];
}

// Each change becomes up to four records; how each of them went is known before anything of its fd is asked again.
enum : std::uint8_t { old_read, old_write, new_read, new_end, new_write };
struct change_batch {
    kevent_record records[kqueue_batch];
    std::uint8_t roles[kqueue_batch];
    poll_change* owners[kqueue_batch];
    int count = 0;
};

void put(change_batch& b, poll_change& c, std::uint8_t role, std::uint8_t wanted) noexcept {
    bool const add = role >= new_read;
    bool const clear = (wanted & interest_edge) != 0 || role == new_end;
    unsigned const what = !add ? kevent_delete : clear ? kevent_add | kevent_clear : +kevent_add;
    auto const flags = static_cast<std::uint16_t>(what);
    auto const filter = role == old_write || role == new_write ? kevent_filter::write : kevent_filter::read;
    b.records[b.count] = {static_cast<std::uintptr_t>(c.fd), c.generation, 0, 0, flags, filter};
    b.roles[b.count] = role;
    b.owners[b.count++] = &c;
}

// What a refusal to watch means. Many things cannot be watched, and each system has errors of its own for them.
int meaning(int failed) noexcept {
    switch (failed) {
        case -EINVAL:
        case -ENODEV:
        case -ENXIO:
        case -ENOTSUP:
#if EOPNOTSUPP != ENOTSUP
        case -EOPNOTSUPP:
#endif
        case -ENOTTY: return -EPERM;
        default: return failed;
    }
}

struct outcome {
    int result = 0;
    std::uint8_t added = 0;
    bool refused = false, end_watched = false, taken_out = false;
};

void take_answer(kqueue_poller& p, outcome& o, poll_change const& c, std::uint8_t role, int failed) noexcept {
    if (role == old_read || role == old_write) {
        // Closed behind our back, it is gone already; only who wants nothing else is told so. (Of a pipe that is over
        // the kernel may have dropped the one side by itself.)
        if (failed == 0) o.taken_out = true;
        if (c.wanted == interest_none) o.result = o.taken_out ? 0 : failed;
        return;
    }
    if (role == new_end) {
        o.end_watched = failed == 0;   // where it cannot be, there is nothing more to hear
        return;
    }
    std::uint8_t const side = role == new_read ? interest_read : interest_write;
    if (failed == 0) {
        o.added = static_cast<std::uint8_t>(o.added | side);
        return;
    }
    failed = meaning(failed);
    if (side == interest_write) {
        // A pipe without the other end cannot be watched for writing: that is what a write would tell, and no reason
        // to lose what can still be read.
        bool const over = failed == -EPIPE || (failed == -EBADF && p.calls->kind_of(p.context, c.fd) >= 0);
        bool const only_read = failed == -EPERM && (o.added & interest_read) != 0;
        if (over || only_read) {
            o.refused = true;
            return;
        }
    }
    if (o.result == 0) o.result = failed;
}

// All that is known of how a change went goes into the table and to its owner.
void settle(kqueue_poller& p, poll_change& c, outcome const& o) noexcept {
    kqueue_watched& w = p.table[c.fd];
    w.in_batch = 0;
    c.result = o.result;
    std::uint8_t const had = w.held;
    if (w.refused && !w.told) --p.refused;
    w.refused = w.told = false;
    if (o.result == 0 || c.wanted == interest_none) {
        w.held = c.wanted;
        w.generation = c.generation;
        w.end_watched = o.end_watched;
        w.refused = o.refused;
        if (!o.refused) return;
        // It is over already, or was never to be watched: its end is nothing to wait for.
        ++p.refused;
        if (o.end_watched)
            submit_one(p, {static_cast<std::uintptr_t>(c.fd), 0, 0, 0, kevent_delete, kevent_filter::read});
        w.end_watched = false;
        return;
    }
    // Half of it was done: what is new goes again, and what the kernel may have is what it may have had.
    for (std::uint8_t const side : {interest_read, interest_write})
        if ((o.added & side) != 0 && (had & side) == 0)
            submit_one(p, {static_cast<std::uintptr_t>(c.fd), 0, 0, 0, kevent_delete,
                           side == interest_read ? kevent_filter::read : kevent_filter::write});
    if (o.end_watched && !w.end_watched)
        submit_one(p, {static_cast<std::uintptr_t>(c.fd), 0, 0, 0, kevent_delete, kevent_filter::read});
}

void submit(kqueue_poller& p, change_batch& b) noexcept {
    if (b.count == 0) return;
    int answers = -ENOSYS;
    kevent_record answer[kqueue_batch];
    if (p.calls->has_receipts) {
        for (int i = 0; i != b.count; ++i) b.records[i].flags |= kevent_receipt;
        answers = p.calls->kevent(p.context, p.queue, b.records, b.count, answer, b.count, 0);
    }
    for (int i = 0; i != b.count;) {
        poll_change& c = *b.owners[i];
        outcome o;
        for (; i != b.count && b.owners[i] == &c; ++i) {
            // Without an answer of its own it is done alone, which tells how it goes; twice is as good as once.
            kevent_record const& asked = b.records[i];
            bool const answered = i < answers && (answer[i].flags & kevent_error) != 0 &&
                                  answer[i].ident == asked.ident && answer[i].filter == asked.filter;
            int const failed = answered ? -static_cast<int>(answer[i].data) : submit_one(p, asked);
            take_answer(p, o, c, b.roles[i], failed);
        }
        settle(p, c, o);
    }
    b.count = 0;
}

// What a new fd is, or one that is to be written, whatever had its number before. 0, or why it cannot be watched.
int look_at_kind(kqueue_poller& p, poll_change const& c, kqueue_watched** w) noexcept {
    int const kind = p.calls->kind_of(p.context, c.fd);
    if (kind < 0) return kind;
    // It takes regular files, but tells of them only while there is more to read: to us they are always ready.
    if (kind == fd_file) return -EPERM;
    *w = place_for(p, c.fd);
    if (!*w) return -ENOMEM;
    (*w)->pipe = kind == fd_pipe;
    return 0;
}

// Puts its records into the batch; or settles it here: there is nothing to ask the kernel.
void prepare(kqueue_poller& p, change_batch& b, poll_change& c) noexcept {
    kqueue_watched* w = find_watched(p, c.fd);
    std::uint8_t const held = w ? w->held : std::uint8_t{0};
    bool const any = (c.wanted & (interest_read | interest_write)) != 0;
    std::uint8_t const wanted = any ? c.wanted : std::uint8_t{interest_none};
    c.result = 0;
    if (wanted == interest_none) {
        if (held == interest_none) {
            c.result = -ENOENT;
            return;
        }
    } else if (c.before == interest_none || held == interest_none || (wanted & interest_write) != 0) {
        c.result = look_at_kind(p, c, &w);
        if (c.result < 0) return;
    }
    // What is there stays level or edge as it was made: to become the other it is made anew.
    bool const anew = ((held ^ wanted) & interest_edge) != 0;
    auto const gone = static_cast<std::uint8_t>(anew ? held : held & ~wanted);
    // A full pipe's write filter may not hear that its reader goes (NetBSD, OpenBSD), and does not tell of it again and
    // again (FreeBSD): only the read filter of the same end does.
    bool const for_end = w->pipe && (wanted & (interest_read | interest_write)) == interest_write;
    w->in_batch = 1;
    bool const read_held = (gone & interest_read) != 0 || (w->end_watched && !for_end);
    bool const write_held = (gone & interest_write) != 0 && !w->refused;
    if (read_held) put(b, c, old_read, wanted);
    if (write_held) put(b, c, old_write, wanted);
    if ((wanted & interest_read) != 0) put(b, c, new_read, wanted);
    if (for_end) put(b, c, new_end, wanted);
    if ((wanted & interest_write) != 0) put(b, c, new_write, wanted);
    if (wanted == interest_none && !read_held && !write_held) settle(p, c, {});
}

}  // namespace

void watch_end_again(kqueue_poller& p, int fd, kqueue_watched& w) noexcept {
    // To whom it was told as an edge, or is from now on at each look, nothing is left to say.
    if ((w.held & interest_write) == 0 || (w.held & interest_edge) != 0 || w.refused) return;
    if (submit_one(p, {static_cast<std::uintptr_t>(fd), w.generation, 0, 0, kevent_add, kevent_filter::write}) == 0)
        return;
    w.refused = true;
    ++p.refused;
}

void change_kqueue(kqueue_poller& p, poll_change* changes, std::size_t count) noexcept {
    if (p.mark != fork_mark()) {
        for (std::size_t i = 0; i != count; ++i) changes[i].result = -EBADF;
        return;
    }
    change_batch b;
    for (std::size_t i = 0; i != count; ++i) {
        poll_change& c = changes[i];
        if (c.before == c.wanted) {
            c.result = 0;   // to be armed again is nothing: edges are the kernel's
            continue;
        }
        kqueue_watched const* const w = find_watched(p, c.fd);
        if (b.count > kqueue_batch - 4 || (w && w->in_batch != 0)) submit(p, b);
        prepare(p, b, c);
    }
    submit(p, b);
}

}}}  // namespace spruce::v0::detail
