#include "simulated_poller.hpp"

#include <cerrno>
#include <new>

namespace spruce { inline namespace v0 { namespace detail {

namespace {
unsigned wanted_bits(std::uint8_t wanted) noexcept {
    bool const read = (wanted & interest_read) != 0, write = (wanted & interest_write) != 0;
    unsigned const urgent = bit_if(read && (wanted & interest_edge) != 0, ready_urgent);
    return bit_if(read, ready_read) | bit_if(read, ready_read_closed) | bit_if(write, ready_write) | urgent |
           ready_hangup | ready_error;
}

simulated_watch* find_watch(simulated_poller& p, simulated_file& f, int fd) noexcept {
    for (simulated_watch_of_file* at = f.watches.front(); at; at = f.watches.after(*at)) {
        auto* const w = static_cast<simulated_watch*>(at);
        if (w->poller == &p && w->fd == fd) return w;
    }
    return nullptr;
}

void drop_watch(simulated_watch& w) noexcept {
    static_cast<simulated_watch_of_file&>(w).unlink();
    static_cast<simulated_watch_of_poller&>(w).unlink();
    static_cast<simulated_watch_ready&>(w).unlink();
    w.~simulated_watch();
    release({}, &w, sizeof w, alignof(simulated_watch));
}

void queue(simulated_watch& w) noexcept {
    simulated_watch_ready& link = w;
    if (!link.linked()) w.poller->ready.push_back(link);
}

// Once registered or changed it is looked at afresh: whatever is ready then counts as news, edge or not.
void look_afresh(simulated_watch& w) noexcept {
    if ((look_at(*w.file) & wanted_bits(w.wanted)) == 0) return;
    queue(w);
    w.poller->kernel.changed = true;
}

int apply(simulated_poller& p, poll_change const& c) noexcept {
    simulated_file* const f = find_file(p.kernel, c.fd);
    if (!f) return -EBADF;
    if (f->kind == simulated_kind::file) return -EPERM;
    simulated_watch* w = find_watch(p, *f, c.fd);
    if (c.wanted == interest_none) {
        if (!w) return -ENOENT;
        drop_watch(*w);
        return 0;
    }
    // Whatever the loop believes was registered before, it is registered so now: a number may have been closed, and
    // given out again, behind its back.
    if (!w) {
        // Not the loop's memory: a file may be closed, and its watches go, on another thread.
        void* const at = allocate({}, sizeof(simulated_watch), alignof(simulated_watch));
        if (!at) return -ENOMEM;
        w = ::new (at) simulated_watch;
        w->poller = &p;
        w->file = f;
        w->fd = c.fd;
        f->watches.push_back(*w);
        p.watches.push_back(*w);
    }
    w->generation = c.generation;
    w->wanted = c.wanted;
    look_afresh(*w);
    return 0;
}

void change(void* context, poll_change* changes, std::size_t count) noexcept {
    auto& p = *static_cast<simulated_poller*>(context);
    simulated_guard const guard(p.kernel);
    // It reports edges by itself: to be armed again is nothing to it.
    for (std::size_t i = 0; i != count; ++i)
        changes[i].result = changes[i].before == changes[i].wanted ? 0 : apply(p, changes[i]);
}

void shuffle(simulated_kernel& k, poll_event* events, int count) noexcept {
    for (int i = count - 1; i > 0; --i) {
        auto const j = static_cast<int>(draw(k, static_cast<std::uint64_t>(i) + 1));
        poll_event const e = events[i];
        events[i] = events[j];
        events[j] = e;
    }
}

// Reports what is ready still. A level watch goes back to the end of the line, so that a full batch is no one's
// privilege; an edge watch has had its turn.
int take_events(simulated_poller& p, poll_event* events, int room) noexcept {
    intrusive_list<simulated_watch_ready> line;
    p.ready.splice_to(line);
    int count = 0;
    while (count != room) {
        simulated_watch_ready* const link = line.take_front();
        if (!link) break;
        auto& w = *static_cast<simulated_watch*>(link);
        unsigned const ready = look_at(*w.file) & wanted_bits(w.wanted);
        if (ready == 0) continue;
        events[count++] = {w.fd, w.generation, static_cast<std::uint8_t>(ready)};
        if ((w.wanted & interest_edge) == 0) queue(w);
    }
    p.ready.splice_to(line);
    line.splice_to(p.ready);
    if (p.kernel.options.shuffle_events) shuffle(p.kernel, events, count);
    return count;
}

int wait(void* context, poll_event* events, int room, std::int64_t timeout_ns) noexcept {
    auto& p = *static_cast<simulated_poller*>(context);
    simulated_guard const guard(p.kernel);
    return wait_on(p, [](simulated_sleeper& on, void* into, int most) noexcept {
        return take_events(static_cast<simulated_poller&>(on), static_cast<poll_event*>(into), most);
    }, events, room, timeout_ns);
}

int backend_fd(void*) noexcept { return -ENOSYS; }

int lie_down(void*) noexcept { return 0; }
int sleep(void* context, std::int64_t timeout_ns) noexcept {
    auto& p = *static_cast<simulated_poller*>(context);
    simulated_guard const guard(p.kernel);
    int const got = sleep_until_ready(p, [](simulated_watch_ready& link) noexcept {
        auto& w = static_cast<simulated_watch&>(link);
        return (look_at(*w.file) & wanted_bits(w.wanted)) != 0;
    }, timeout_ns);
    return got < 0 ? got : 0;
}

int renew(void* context, bool after_fork) noexcept {
    auto& p = *static_cast<simulated_poller*>(context);
    if (after_fork) leave_parents(p.kernel);
    simulated_guard const guard(p.kernel);
    while (simulated_watch_of_poller* const w = p.watches.front()) drop_watch(*static_cast<simulated_watch*>(w));
    return 0;
}

void close(void* context) noexcept {
    auto& p = *static_cast<simulated_poller*>(context);
    simulated_kernel& k = p.kernel;
    renew(context, false);
    simulated_guard const guard(k);
    p.bell->sleeper = nullptr;
    memory_hook const memory = p.memory;
    p.~simulated_poller();
    release(memory, &p, sizeof p, alignof(simulated_poller));
}

std::int64_t grain_ns(void* context) noexcept {
    return static_cast<simulated_poller*>(context)->kernel.options.poll_grain.count();
}

constexpr poller_calls calls{"simulated", false, change, wait, backend_fd, renew, close, grain_ns,
                             nullptr, nullptr, lie_down, sleep, true};
}  // namespace

namespace {
void notify_watches(simulated_kernel& k, simulated_file& f, unsigned key) noexcept {
    for (simulated_watch_of_file* at = f.watches.front(); at; at = f.watches.after(*at)) {
        auto& w = *static_cast<simulated_watch*>(at);
        if (key != any_change && (key & wanted_bits(w.wanted)) == 0) continue;
        queue(w);
        k.changed = true;
    }
}
}  // namespace

void notify(simulated_kernel& k, simulated_file& f, unsigned key) noexcept {
    constexpr unsigned both = ready_read | ready_write;
    notify_watches(k, f, key);
    notify_knotes(k, f, key == any_change || (key & (ready_hangup | ready_error)) != 0 ? both : key & both);
}

void notify_change(simulated_kernel& k, simulated_file& f, unsigned filters) noexcept {
    notify_watches(k, f, any_change);
    notify_knotes(k, f, filters);
}

void drop_watches(simulated_kernel& k, simulated_file& f) noexcept {
    while (simulated_watch_of_file* const w = f.watches.front()) drop_watch(*static_cast<simulated_watch*>(w));
    drop_knotes(k, f, -1);
}

int make_simulated_poller(void* context, int which, memory_hook memory, kernel::made_poller* out) noexcept {
    enum { best, epoll, kqueue };
    auto& k = *static_cast<simulated_kernel*>(context);
    bool const has_kqueue = k.options.kqueue != testing::kqueue_of::none;
    if (which != best && which != (has_kqueue ? kqueue : epoll)) return -ENOSYS;
    if (has_kqueue) return make_kqueue_poller(simulated_kevent_calls(k), &k, memory, out);
    void* const at = allocate(memory, sizeof(simulated_poller), alignof(simulated_poller));
    if (!at) return -ENOMEM;
    simulated_guard const guard(k);
    auto* const p = ::new (at) simulated_poller{{k, nullptr, 0, false, {}}, memory, {}};
    p->bell = claim_bell(k, p);
    if (!p->bell) {
        p->~simulated_poller();
        release(memory, at, sizeof(simulated_poller), alignof(simulated_poller));
        return -EMFILE;
    }
    *out = {&calls, p};
    return 0;
}

}}}  // namespace spruce::v0::detail
