// The model of kqueue(2). What it says is said in the manual of FreeBSD 13, and where that is silent in the books and
// the sources about it: a registration, a knote, is one of {queue, number, filter}; closing the number removes it;
// a filter is asked when it is registered, when something happened, and again when the event is taken.
#include "simulated_knote.hpp"

#include <cerrno>
#include <new>

#include <unistd.h>

namespace spruce { inline namespace v0 { namespace detail {

namespace {
using kind = simulated_kind;

void drop(simulated_knote& n) noexcept {
    static_cast<simulated_knote_of_subject&>(n).unlink();
    static_cast<simulated_knote_of_queue&>(n).unlink();
    static_cast<simulated_watch_ready&>(n).unlink();
    n.~simulated_knote();
    release({}, &n, sizeof n, alignof(simulated_knote));
}

// -- changes

// Why this file cannot have that filter, or 0.
int cannot_watch(simulated_kernel const& k, simulated_file const& f, kevent_filter filter) noexcept {
    if (f.kind == kind::queue) return -EINVAL;
    bool const pipe = f.kind == kind::pipe_reader || f.kind == kind::pipe_writer;
    if (filter == kevent_filter::write && pipe && !f.peer) return manners_of(k).no_reader;
    if (filter == kevent_filter::write && f.kind == kind::child) return -EINVAL;
    return 0;
}

// What is watched: of a file, a signal or a child.
struct subject {
    intrusive_list<simulated_knote_of_subject>* knotes = nullptr;
    simulated_file* file = nullptr;
    bool over = false;         // a child that has ended
};

// 0, or why there is no such thing.
int find_subject(simulated_kernel& k, kevent_record const& r, subject* out) noexcept {
    if (r.filter == kevent_filter::signal) {
        if (r.ident < 1 || r.ident >= static_cast<std::uintptr_t>(signal_limit)) return -EINVAL;
        out->knotes = &k.signal_knotes;
        return 0;
    }
    if (r.filter == kevent_filter::process) {
        for (simulated_child* c = k.children; c; c = c->next) {
            if (static_cast<std::uintptr_t>(c->pid) != r.ident) continue;
            out->knotes = &c->knotes;
            out->over = c->state != simulated_child::running;
            return 0;
        }
        return -ESRCH;
    }
    if (r.filter != kevent_filter::read && r.filter != kevent_filter::write) return -EINVAL;
    out->file = find_file(k, static_cast<int>(r.ident));
    if (!out->file) return -EBADF;
    out->knotes = &out->file->knotes;
    return 0;
}

int attach(simulated_queue& q, subject const& s, kevent_record const& r) noexcept {
    if (s.over && !manners_of(q.kernel).knows_ended) return -ESRCH;
    if (int const no = s.file ? cannot_watch(q.kernel, *s.file, r.filter) : 0) return no;
    void* const at = allocate({}, sizeof(simulated_knote), alignof(simulated_knote));
    if (!at) return -ENOMEM;
    auto* const n = ::new (at) simulated_knote;
    n->queue = &q;
    n->file = s.file;
    n->ident = r.ident;
    n->udata = r.udata;
    n->filter = r.filter;
    n->count = s.over ? 1 : 0;
    n->clear = !s.file || (r.flags & kevent_clear) != 0;   // by itself where it counts
    n->once = r.filter == kevent_filter::process;
    s.knotes->push_back(*n);
    q.knotes.push_back(*n);
    if (ask_filter(*n).active) activate(*n);
    return 0;
}

int apply(simulated_queue& q, kevent_record const& r) noexcept {
    subject s;
    if (int const no = find_subject(q.kernel, r, &s)) return no;
    simulated_knote* found = nullptr;
    for (auto* at = s.knotes->front(); at; at = s.knotes->after(*at)) {
        simulated_knote& n = from_subject(*at);
        if (n.queue == &q && n.ident == r.ident && n.filter == r.filter) found = &n;
    }
    if ((r.flags & kevent_delete) != 0) {
        if (!found) return -ENOENT;
        drop(*found);
        return 0;
    }
    if (!found) return (r.flags & kevent_add) != 0 ? attach(q, s, r) : -ENOENT;
    // Whether it is cleared when it was taken is settled for life; what was told once counts as news again.
    found->udata = r.udata;
    if (ask_filter(*found).active) activate(*found);
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
        simulated_told const now = ask_filter(n);
        if (!now.active) continue;
        auto const flags = static_cast<std::uint16_t>(now.eof ? kevent_eof : 0);
        events[count++] = {n.ident, n.udata, now.data, static_cast<std::uint32_t>(now.error), flags, n.filter};
        n.count = 0;
        if (n.once) drop(n);
        else if (!n.clear) q.ready.push_back(*link);
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

// poll(2), too, is late by such a part.
std::int64_t length_of_sleep(kevent_manners const& m, std::int64_t timeout_ns) noexcept {
    if (timeout_ns > m.longest_ns) timeout_ns = m.longest_ns;
    return timeout_ns > 0 && m.late_part != 0 ? timeout_ns + timeout_ns / m.late_part : timeout_ns;
}

std::int64_t length_of_wait(kevent_manners const& m, std::int64_t timeout_ns) noexcept {
    timeout_ns = length_of_sleep(m, timeout_ns);
    if (timeout_ns <= 0 || m.early_ns == 0) return timeout_ns;
    // Half of it at most, so that even the earliest ends go on.
    return timeout_ns / 2 > m.early_ns ? timeout_ns - m.early_ns : (timeout_ns + 1) / 2;
}

int kevent(void* context, int queue, kevent_record const* changes, int count, kevent_record* events, int room,
           std::int64_t timeout_ns) noexcept {
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
    for (std::size_t i = 0; i != k.room; ++i) {
        simulated_queue const* const q = k.numbers[i] ? k.numbers[i]->kqueue : nullptr;
        if (q && q->pid != ::getpid()) close_fd(k, k.options.first_fd + static_cast<int>(i));
    }
}

int kind_of(void* context, int fd) noexcept {
    simulated_guard const guard(at(context));
    simulated_file const* const f = find_file(at(context), fd);
    return f ? kind_of_file(*f) : -EBADF;
}

int sleep(void* context, int queue, std::int64_t timeout_ns) noexcept {
    simulated_kernel& k = at(context);
    simulated_guard const guard(k);
    simulated_file* const f = find_file(k, queue);
    if (!f || !f->kqueue) return -EBADF;
    // A queue is readable while anything stands in its line: that is not asked until it is taken, so that a level which
    // was told, and whose cause has gone, still counts.
    return sleep_until_ready(
        *f->kqueue, [](simulated_watch_ready&) noexcept { return true; }, length_of_sleep(manners_of(k), timeout_ns));
}

std::int64_t now_ns(void* context) noexcept { return at(context).now_ns.load(std::memory_order_relaxed); }

constexpr std::int64_t day_ns = 86'400'000'000'000;
constexpr std::int64_t years_ns = 100'000'000'000'000'000;
// FreeBSD is 13, NetBSD 9, OpenBSD 7. (NetBSD 8 and 9 know receipts: it is run without, as 7 is.) What OpenBSD tells
// early, others may.
constexpr kevent_manners freebsd{true, -EPIPE, day_ns, false, 0, true, false, true, true, false, true, 16};
constexpr kevent_manners netbsd{false, -EBADF, years_ns, true, 1'000'000, false, false, false, false, true, false, 0};
constexpr kevent_manners openbsd{true, -EPIPE, years_ns, true, 0, false, true, false, false, true, false, 0};
// Virtual time is counted to the end: a grain is for what real clocks cost.
constexpr kevent_calls calls_of_freebsd{create, kevent, close, forked, kind_of, now_ns, true, false, 0, sleep, 16};
constexpr kevent_calls calls_of_netbsd{create, kevent, close, forked, kind_of, now_ns, false, false, 0, sleep};
constexpr kevent_calls calls_of_openbsd{create, kevent, close, forked, kind_of, nullptr, true, false, 0, sleep};
}  // namespace

kevent_manners const& manners_of(simulated_kernel const& k) noexcept {
    switch (k.options.kqueue) {
        case testing::kqueue_of::netbsd: return netbsd;
        case testing::kqueue_of::openbsd: return openbsd;
        case testing::kqueue_of::freebsd:
        case testing::kqueue_of::none: break;
    }
    return freebsd;
}

kevent_calls const& simulated_kevent_calls(simulated_kernel const& k) noexcept {
    switch (k.options.kqueue) {
        case testing::kqueue_of::netbsd: return calls_of_netbsd;
        case testing::kqueue_of::openbsd: return calls_of_openbsd;
        case testing::kqueue_of::freebsd:
        case testing::kqueue_of::none: break;
    }
    return calls_of_freebsd;
}

void drop_knotes(simulated_kernel&, simulated_file& f, int fd) noexcept {
    for (auto* at = f.knotes.front(); at;) {
        simulated_knote& n = from_subject(*at);
        at = f.knotes.after(*at);
        if (fd < 0 || n.ident == static_cast<std::uintptr_t>(fd)) drop(n);
    }
}

// Every attempt to deliver it counts, whatever the process does about it.
void notify_signal_knotes(simulated_kernel& k, int signal) noexcept {
    for (auto* at = k.signal_knotes.front(); at; at = k.signal_knotes.after(*at)) {
        simulated_knote& n = from_subject(*at);
        if (n.ident != static_cast<std::uintptr_t>(signal)) continue;
        ++n.count;
        activate(n);
    }
}

bool notify_child_knotes(simulated_kernel& k, simulated_child& c) noexcept {
    bool early = false;
    for (auto* at = c.knotes.front(); at; at = c.knotes.after(*at)) {
        simulated_knote& n = from_subject(*at);
        n.count = 1;
        activate(n);
        early = manners_of(k).tells_early;
    }
    return early;
}

// It was reaped. Its end is told all the same, if nobody has taken the event yet.
void drop_child_knotes(simulated_child& c) noexcept {
    while (simulated_knote_of_subject* const at = c.knotes.take_front())
        if (from_subject(*at).count == 0) drop(from_subject(*at));
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

}}}  // namespace spruce::v0::detail
