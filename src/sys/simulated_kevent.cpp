// The model of kqueue(2). What it says is said in the manual of FreeBSD 13, and where that is silent in the books and
// the sources about it: a registration, a knote, is one of {queue, number, filter}; closing the number removes it;
// a filter is asked when it is registered, when something happened, and again when the event is taken.
#include "simulated_kevent.hpp"

#include <cerrno>
#include <new>

#include <unistd.h>

#include "simulated_poller.hpp"

namespace spruce::inline v0::detail {

namespace {
struct simulated_knote_of_queue : list_link {};
}  // namespace

struct simulated_knote : simulated_knote_of_subject, simulated_knote_of_queue, simulated_watch_ready {
    simulated_queue* queue;
    simulated_file* file;
    std::uintptr_t ident, udata;
    kevent_filter filter;
    bool clear;
};

struct simulated_queue : simulated_sleeper {
    simulated_queue(simulated_kernel& k) noexcept : simulated_sleeper{k, nullptr, 0, {}} {}
    intrusive_list<simulated_knote_of_queue> knotes;
    int pid = ::getpid();   // a forked child does not have it
};

namespace {
using kind = simulated_kind;

simulated_knote& from_subject(simulated_knote_of_subject& at) noexcept { return static_cast<simulated_knote&>(at); }

void drop(simulated_knote& n) noexcept {
    static_cast<simulated_knote_of_subject&>(n).unlink();
    static_cast<simulated_knote_of_queue&>(n).unlink();
    static_cast<simulated_watch_ready&>(n).unlink();
    n.~simulated_knote();
    release({}, &n, sizeof n, alignof(simulated_knote));
}

// -- filters: whether there is something to tell, and what

struct told {
    bool active;
    std::int64_t data = 0;
    bool eof = false;
    int error = 0;
};

told ask_read(simulated_file& f) noexcept {
    auto const pending = static_cast<std::int64_t>(f.inbox.arrived());
    switch (f.kind) {
        case kind::pipe_reader: return {pending != 0 || !f.peer, pending, !f.peer, 0};
        case kind::pipe_writer: return {!f.peer, 0, !f.peer, 0};
        case kind::stream: {
            if (f.state == stream_state::listening) return {f.queued != 0, f.queued, false, 0};
            bool const eof = (f.shut & shut_in) != 0;
            return {eof || f.error != 0 || pending != 0, pending, eof, eof ? f.error : 0};
        }
        case kind::waker: {
            std::int64_t const count = f.waker->reader == &f ? f.waker->count.load(std::memory_order_acquire) : 0;
            bool const eof = f.waker->is_pipe && !f.waker->writer;
            return {count != 0 || eof, count, eof, 0};
        }
        case kind::child: return {f.ended, 0, false, 0};
        case kind::file: return {pending != 0, pending, false, 0};   // not at its end: poll(2) says always
        case kind::queue: break;
    }
    return {false, 0, false, 0};
}

told ask_write(simulated_file& f) noexcept {
    switch (f.kind) {
        case kind::pipe_reader: return {!f.peer, 0, !f.peer, 0};
        case kind::pipe_writer: return {!f.peer || is_writable(f), static_cast<std::int64_t>(f.peer ? room_for(f) : 0), !f.peer, 0};
        case kind::stream: {
            if (f.state == stream_state::listening) return {false, 0, false, 0};
            bool const eof = (f.shut & shut_out) != 0;
            if (eof || f.error != 0) return {true, 0, eof, eof ? f.error : 0};
            if (f.state != stream_state::established) return {false, 0, false, 0};
            if (is_writable(f)) return {true, static_cast<std::int64_t>(room_for(f)), false, 0};
            f.starved = true;   // so that it is told when there is room
            return {false, 0, false, 0};
        }
        case kind::waker: return {f.waker->writer == &f, 0, false, 0};
        case kind::file: return {true, 0, false, 0};
        case kind::child:
        case kind::queue: break;
    }
    return {false, 0, false, 0};
}

told ask(simulated_knote& n) noexcept { return n.filter == kevent_filter::read ? ask_read(*n.file) : ask_write(*n.file); }

void activate(simulated_knote& n) noexcept {
    simulated_watch_ready& link = n;
    if (!link.linked()) n.queue->ready.push_back(link);
    n.queue->kernel.changed = true;
}

// -- changes

// Why this file cannot have that filter, or 0.
int cannot_watch(simulated_kernel const& k, simulated_file const& f, kevent_filter filter) noexcept {
    if (f.kind == kind::queue) return -EINVAL;
    if (filter == kevent_filter::write && (f.kind == kind::pipe_reader || f.kind == kind::pipe_writer) && !f.peer) return manners_of(k).no_reader;
    if (filter == kevent_filter::write && f.kind == kind::child) return -EINVAL;
    return 0;
}

int attach(simulated_queue& q, simulated_file& f, kevent_record const& r) noexcept {
    if (int const no = cannot_watch(q.kernel, f, r.filter)) return no;
    void* const at = allocate({}, sizeof(simulated_knote), alignof(simulated_knote));
    if (!at) return -ENOMEM;
    auto* const n = ::new (at) simulated_knote;
    n->queue = &q;
    n->file = &f;
    n->ident = r.ident;
    n->udata = r.udata;
    n->filter = r.filter;
    n->clear = (r.flags & kevent_clear) != 0;
    f.knotes.push_back(*n);
    q.knotes.push_back(*n);
    if (ask(*n).active) activate(*n);
    return 0;
}

int apply(simulated_queue& q, kevent_record const& r) noexcept {
    if (r.filter != kevent_filter::read && r.filter != kevent_filter::write) return -EINVAL;
    simulated_file* const f = find_file(q.kernel, static_cast<int>(r.ident));
    if (!f) return -EBADF;
    simulated_knote* found = nullptr;
    for (auto* at = f->knotes.front(); at; at = f->knotes.after(*at)) {
        simulated_knote& n = from_subject(*at);
        if (n.queue == &q && n.ident == r.ident && n.filter == r.filter) found = &n;
    }
    if ((r.flags & kevent_delete) != 0) {
        if (!found) return -ENOENT;
        drop(*found);
        return 0;
    }
    if (!found) return (r.flags & kevent_add) != 0 ? attach(q, *f, r) : -ENOENT;
    // Whether it is cleared when it was taken is settled for life; what was told once counts as news again.
    found->udata = r.udata;
    if (ask(*found).active) activate(*found);
    return 0;
}

// -- events. A level goes back to the end of the line.
int take(simulated_sleeper& on, void* into, int room) noexcept {
    auto& q = static_cast<simulated_queue&>(on);
    auto* const events = static_cast<kevent_record*>(into);
    intrusive_list<simulated_watch_ready> line;
    q.ready.splice_to(line);
    int count = 0;
    while (count != room) {
        simulated_watch_ready* const link = line.take_front();
        if (!link) break;
        auto& n = *static_cast<simulated_knote*>(link);
        told const now = ask(n);
        if (!now.active) continue;
        events[count++] = {n.ident, n.udata, now.data, static_cast<std::uint32_t>(now.error), static_cast<std::uint16_t>(now.eof ? kevent_eof : 0), n.filter};
        if (!n.clear) q.ready.push_back(*link);
    }
    q.ready.splice_to(line);
    line.splice_to(q.ready);
    return count;
}

// -- the calls

simulated_kernel& at(void* context) noexcept { return *static_cast<simulated_kernel*>(context); }

int create(void* context) noexcept {
    simulated_kernel& k = at(context);
    simulated_guard const guard(k);
    simulated_file* const f = make_simulated_file(k, kind::queue);
    if (!f) return -ENOMEM;
    void* const room = allocate({}, sizeof(simulated_queue), alignof(simulated_queue));
    if (!room) {
        discard_file(k, *f);
        return -ENOMEM;
    }
    f->kqueue = ::new (room) simulated_queue(k);
    f->kqueue->bell = claim_bell(k, f->kqueue);
    int const fd = f->kqueue->bell ? install(k, *f) : -EMFILE;
    if (fd < 0) discard_file(k, *f);
    return fd;
}

std::int64_t length_of_wait(kevent_manners const& m, std::int64_t timeout_ns) noexcept {
    if (timeout_ns > m.longest_ns) timeout_ns = m.longest_ns;
    // Half of it at most, so that even the earliest ends go on.
    return timeout_ns <= 0 || m.early_ns == 0 ? timeout_ns : timeout_ns / 2 > m.early_ns ? timeout_ns - m.early_ns : (timeout_ns + 1) / 2;
}

int kevent(void* context, int queue, kevent_record const* changes, int count, kevent_record* events, int room, std::int64_t timeout_ns) noexcept {
    simulated_kernel& k = at(context);
    simulated_guard const guard(k);
    kevent_manners const& m = manners_of(k);
    simulated_file* const f = find_file(k, queue);
    if (!f || !f->kqueue) return -EBADF;
    if (timeout_ns > m.longest_ns && m.refuses_longer) return -EINVAL;
    int answers = 0;
    for (int i = 0; i < count; ++i) {
        int const failed = apply(*f->kqueue, changes[i]);
        bool const receipt = m.receipts && (changes[i].flags & kevent_receipt) != 0;
        if (failed == 0 && !receipt) continue;
        if (answers == room) return answers != 0 ? answers : failed;   // and the rest is not done
        events[answers] = changes[i];
        events[answers].flags = kevent_error;
        events[answers++].data = -failed;
    }
    if (answers != 0) return answers;
    if (room == 0) return 0;   // whatever the timeout
    return wait_on(*f->kqueue, take, events, room, length_of_wait(m, timeout_ns));
}

void close(void* context, int queue) noexcept {
    simulated_guard const guard(at(context));
    close_fd(at(context), queue);
}

void forked(void* context) noexcept {
    simulated_kernel& k = at(context);
    leave_parents(k);
    simulated_guard const guard(k);
    for (std::size_t i = 0; i != k.room; ++i)
        if (k.numbers[i] && k.numbers[i]->kqueue && k.numbers[i]->kqueue->pid != ::getpid()) close_fd(k, k.options.first_fd + static_cast<int>(i));
}

int kind_of(void* context, int fd) noexcept {
    simulated_guard const guard(at(context));
    simulated_file const* const f = find_file(at(context), fd);
    return f ? kind_of_file(*f) : -EBADF;
}

std::int64_t now_ns(void* context) noexcept { return at(context).now_ns.load(std::memory_order_relaxed); }

constexpr std::int64_t day_ns = 86'400'000'000'000;
constexpr kevent_manners freebsd{true, -EPIPE, day_ns, false, 0};
constexpr kevent_manners netbsd{false, -EBADF, 100'000'000'000'000'000, true, 1'000'000};
constexpr kevent_manners openbsd{true, -EPIPE, 100'000'000'000'000'000, true, 0};
constexpr kevent_calls with_receipts{create, kevent, close, forked, kind_of, nullptr, true, false, 0};
constexpr kevent_calls without_receipts{create, kevent, close, forked, kind_of, now_ns, false, false, 0};
}  // namespace

kevent_manners const& manners_of(simulated_kernel const& k) noexcept {
    switch (k.options.kqueue) {
        case testing::kqueue_of::netbsd: return netbsd;
        case testing::kqueue_of::openbsd: return openbsd;
        case testing::kqueue_of::freebsd: break;
    }
    return freebsd;
}

kevent_calls const& simulated_kevent_calls(simulated_kernel const& k) noexcept {
    return manners_of(k).receipts ? with_receipts : without_receipts;
}

void notify_knotes(simulated_kernel&, simulated_file& f, unsigned key) noexcept {
    constexpr unsigned over = ready_hangup | ready_error;
    for (auto* at = f.knotes.front(); at; at = f.knotes.after(*at)) {
        simulated_knote& n = from_subject(*at);
        unsigned const mine = n.filter == kevent_filter::read ? over | ready_read | ready_read_closed : over | ready_write;
        if ((key == any_change || (key & mine) != 0) && ask(n).active) activate(n);
    }
}

void drop_knotes(simulated_kernel&, simulated_file& f, int fd) noexcept {
    for (auto* at = f.knotes.front(); at;) {
        simulated_knote& n = from_subject(*at);
        at = f.knotes.after(*at);
        if (fd < 0 || n.ident == static_cast<std::uintptr_t>(fd)) drop(n);
    }
}

void leave_queue(simulated_kernel&, simulated_file& f) noexcept {
    simulated_queue* const q = f.kqueue;
    if (!q) return;
    while (simulated_knote_of_queue* const n = q->knotes.front()) drop(static_cast<simulated_knote&>(*n));
    if (q->bell) q->bell->sleeper = nullptr;
    q->~simulated_queue();
    release({}, q, sizeof *q, alignof(simulated_queue));
    f.kqueue = nullptr;
}

}  // namespace spruce::inline v0::detail
