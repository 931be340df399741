#include "fd_table.hpp"

#include <cerrno>
#include <new>

namespace spruce { inline namespace v0 { namespace detail {

namespace {
bool has_raw(fd_entry const& e) noexcept { return e.raw_read || e.raw_write; }
bool has_waiter(fd_entry const& e) noexcept { return e.on_read || e.on_write; }
}  // namespace

fd_table::~fd_table() {
    for (std::size_t c = 0; c != chunk_room_; ++c)
        release(memory_, chunks_[c], chunk_size * sizeof(fd_entry), alignof(fd_entry));
    release(memory_, chunks_, chunk_room_ * sizeof(fd_entry*), alignof(fd_entry*));
}

void fd_table::attach(kernel_calls const* calls, void* context, poller_calls const* poller,
                      void* poller_context) noexcept {
    calls_ = calls;
    context_ = context;
    poller_ = poller;
    poller_context_ = poller_context;
    mark_ = fork_mark();
}

fd_entry* fd_table::find(int fd) noexcept {
    if (fd < 0) return nullptr;
    std::size_t const chunk = static_cast<std::size_t>(fd) / chunk_size;
    if (chunk >= chunk_room_ || !chunks_[chunk]) return nullptr;
    return &chunks_[chunk][static_cast<std::size_t>(fd) % chunk_size];
}

result<fd_entry*> fd_table::entry(int fd) noexcept {
    if (fd < 0) return with_detail(errc::invalid_argument, "fd: negative");
    if (static_cast<std::size_t>(fd) >= bound_) return with_detail(errc::full, "max_fds");
    std::size_t const chunk = static_cast<std::size_t>(fd) / chunk_size;
    if (chunk >= chunk_room_) {
        std::size_t room = chunk_room_ ? chunk_room_ : 4;
        while (room <= chunk) room *= 2;
        auto** const bigger = static_cast<fd_entry**>(allocate(memory_, room * sizeof(fd_entry*), alignof(fd_entry*)));
        if (!bigger) return errc::no_memory;
        for (std::size_t i = 0; i != room; ++i) bigger[i] = i < chunk_room_ ? chunks_[i] : nullptr;
        release(memory_, chunks_, chunk_room_ * sizeof(fd_entry*), alignof(fd_entry*));
        chunks_ = bigger;
        chunk_room_ = room;
    }
    if (!chunks_[chunk]) {
        auto* const made = static_cast<fd_entry*>(allocate(memory_, chunk_size * sizeof(fd_entry), alignof(fd_entry)));
        if (!made) return errc::no_memory;
        for (std::size_t i = 0; i != chunk_size; ++i) {
            auto* const e = ::new (static_cast<void*>(made + i)) fd_entry;
            e->fd = static_cast<int>(chunk * chunk_size + i);
        }
        chunks_[chunk] = made;
    }
    return &chunks_[chunk][static_cast<std::size_t>(fd) % chunk_size];
}

// What the poller ought to have. Owned fds keep both directions for life; a raw user makes its fd level-triggered,
// and then only the sides that somebody waits for count.
std::uint8_t fd_table::wanted(fd_entry const& e) const noexcept {
    if (e.unpollable) return interest_none;
    if (e.owned && !has_raw(e)) return e.registered ? interest_read | interest_write | interest_edge : interest_none;
    return static_cast<std::uint8_t>((e.on_read ? interest_read : 0) | (e.on_write ? interest_write : 0));
}

void fd_table::touch(fd_entry& e) noexcept {
    if (e.dirty) return;
    e.dirty = true;
    e.next_dirty = dirty_;
    dirty_ = &e;
}

// Tells the poller at once, for what must be known at once. 0, or -errno.
int fd_table::apply(fd_entry& e, std::uint8_t interest) noexcept {
    if (is_parents()) {
        e.registered = interest_none;
        return interest == interest_none ? 0 : -EBADF;
    }
    if (e.registered == interest_none) ++e.generation;
    poll_change c{e.fd, e.generation, e.registered, interest, 0};
    poller_->change(poller_context_, &c, 1);
    if (c.result == 0) {
        e.registered = interest;
    } else if (c.result == -EPERM && interest != interest_none) {
        // Regular files and their like are never waited for: they are ready.
        e.registered = interest_none;
        e.unpollable = true;
        if (has_waiter(e)) waits_unpollable(e);
        return 0;
    } else if (interest == interest_none) {
        e.registered = interest_none;   // gone already, closed behind our back
        return 0;
    }
    return c.result;
}

// A registration failed. Who waits on a number that was closed behind our back learns it from the call he makes next,
// and who waits for once waits anew; but a raw waiter has nobody else who would try again.
bool fd_table::retries(fd_entry const& e, int failed) noexcept {
    return has_raw(e) && failed != -EBADF && failed != -ENOENT;
}

bool fd_table::flush() noexcept {
    fd_entry* later = nullptr;
    constexpr std::size_t batch = 64;
    poll_change changes[batch];
    while (dirty_) {
        std::size_t count = 0;
        while (dirty_ && count != batch) {
            fd_entry& e = *dirty_;
            dirty_ = e.next_dirty;
            e.dirty = false;
            std::uint8_t const want = wanted(e);
            if (want == e.registered && !e.rearm) continue;
            e.rearm = false;
            changes[count++] = {e.fd, e.generation, e.registered, want, 0};
        }
        if (count == 0) continue;
        poller_->change(poller_context_, changes, count);
        for (std::size_t i = 0; i != count; ++i) {
            fd_entry& e = *find(changes[i].fd);
            e.registered = changes[i].result == 0 ? changes[i].wanted : std::uint8_t{interest_none};
            if (changes[i].result == 0 || changes[i].wanted == interest_none) continue;
            if (!retries(e, changes[i].result)) {
                notify(e, ready_error);
            } else if (!e.dirty) {
                e.dirty = true;
                e.next_dirty = later;
                later = &e;
            }
        }
    }
    dirty_ = later;
    return !later;
}

void fd_table::notify(fd_entry& e, unsigned what) noexcept {
    constexpr unsigned both = ready_hangup | ready_error | told_closed;
    if (e.on_read && (what & (ready_read | ready_read_closed | both))) {
        listener* const who = e.on_read;
        if (!e.raw_read) e.on_read = nullptr;   // an owned wait is for once
        who->notify(*who, what);
    }
    if (e.on_write && (what & (ready_write | both))) {
        listener* const who = e.on_write;
        if (!e.raw_write) e.on_write = nullptr;
        who->notify(*who, what);
    }
}

bool fd_table::dispatch(poll_event const& event) noexcept {
    fd_entry* const e = find(event.fd);
    if (!e || e->registered == interest_none || e->generation != event.generation) return false;
    if (e->owned) {
        std::uint8_t now = event.ready;
        if (now & ready_read_closed) now |= ready_read;
        if (now & (ready_hangup | ready_error)) now |= ready_read | ready_write;
        e->ready |= now;
    }
    notify(*e, event.ready);
    // A level-triggered event that nobody takes would come back for ever: what is not waited for leaves the set.
    if (has_raw(*e) || !e->owned) {
        if (wanted(*e) != e->registered) touch(*e);
    }
    return true;
}

void fd_table::waits_unpollable(fd_entry& e) noexcept {
    if (e.named_unpollable) return;
    e.next_unpollable = unpollable_;
    if (unpollable_) unpollable_->named_unpollable = &e.next_unpollable;
    unpollable_ = &e;
    e.named_unpollable = &unpollable_;
}
void fd_table::left_unpollable(fd_entry& e) noexcept {
    if (!e.named_unpollable) return;
    *e.named_unpollable = e.next_unpollable;
    if (e.next_unpollable) e.next_unpollable->named_unpollable = e.named_unpollable;
    e.named_unpollable = nullptr;
}

bool fd_table::notify_unpollable() noexcept {
    bool const any = unpollable_ != nullptr;
    for (fd_entry* e = unpollable_; e;) {
        fd_entry* const next = e->next_unpollable;
        notify(*e, ready_read | ready_write);
        if (!has_waiter(*e)) left_unpollable(*e);   // an owned one's wait is for once
        e = next;
    }
    return any;
}

result<void> fd_table::watch(int fd, bool write, listener& who) noexcept {
    SPRUCE_TRY(fd_entry* const e, entry(fd));
    listener*& place = write ? e->on_write : e->on_read;
    if (place) return with_detail(errc::already_registered, write ? "fd: it has a writer" : "fd: it has a reader");
    place = &who;
    (write ? e->raw_write : e->raw_read) = true;
    std::uint8_t const want = wanted(*e);
    // A registration that is to be taken out, but is not yet, may belong to a number that was closed and given out
    // again meanwhile: said anew, the poller heals it.
    if (!e->unpollable && (want != e->registered || e->dirty)) {
        if (e->dirty) e->registered = interest_none;
        if (int const failed = apply(*e, want); failed < 0) {
            place = nullptr;
            (write ? e->raw_write : e->raw_read) = false;
            if (wanted(*e) != e->registered) touch(*e);
            if (failed == -EBADF) return with_detail(errc::invalid_argument, "fd: not open");
            return kernel_error(failed);
        }
    }
    if (e->unpollable) waits_unpollable(*e);
    return {};
}

void fd_table::unwatch(int fd, bool write, listener& who) noexcept {
    fd_entry* const e = find(fd);
    if (!e) return;
    listener*& place = write ? e->on_write : e->on_read;
    if (place != &who) return;
    place = nullptr;
    (write ? e->raw_write : e->raw_read) = false;
    leave(*e, false);
}

// Somebody has left. When nobody raw is left, the fd goes back to what it was.
void fd_table::leave(fd_entry& e, bool hard) noexcept {
    if (e.unpollable && !has_waiter(e)) left_unpollable(e);
    if (e.unpollable && !has_waiter(e) && !e.owned) {
        // The number may be given to something else: it is asked anew at the next use.
        e.unpollable = false;
        return;
    }
    if (e.owned && !has_raw(e)) e.ready = ready_read | ready_write;   // unknown now: the calls will tell
    if (wanted(e) == e.registered) return;
    if (hard) apply(e, wanted(e));
    else touch(e);
}

char const* fd_table::evict(int fd) noexcept {
    fd_entry* const e = find(fd);
    if (!e) return nullptr;
    char const* const had = e->owned ? "a stream" : e->on_read ? "a reader" : e->on_write ? "a writer" : nullptr;
    if (had) disown(*e);
    else if (e->registered != interest_none) apply(*e, interest_none);   // an old watch, not yet taken out
    return had;
}

result<fd_entry*> fd_table::adopt(int fd, bool fresh) noexcept {
    SPRUCE_TRY(fd_entry* const e, entry(fd));
    // What was just evicted may have been replaced by its own destructor: then it knows the number as it is now.
    if (e->owned || (!fresh && has_waiter(*e)))
        return with_detail(errc::already_registered,
                           "fd: this loop has it already: a stream, or a handler that outlived its fd");
    if (e->registered != interest_none && !has_waiter(*e)) apply(*e, interest_none);
    e->owned = true;
    e->ready = ready_read | ready_write;   // unknown: the first call tells
    return e;
}

void fd_table::disown(fd_entry& e) noexcept {
    e.owned = false;
    ++e.owners;
    if (e.registered != interest_none) apply(e, interest_none);
    e.ready = 0;
    // Each is out before it is notified: a callback is destroyed then, and its destructor may do what it likes, with
    // this number and with the other side's listener, too.
    for (bool const write : {false, true}) {
        listener*& place = write ? e.on_write : e.on_read;
        listener* const who = place;
        place = nullptr;
        (write ? e.raw_write : e.raw_read) = false;
        if (who) who->notify(*who, told_closed);
    }
    leave(e, true);
}

void fd_table::close(fd_entry& e) noexcept {
    int const fd = e.fd;
    disown(e);
    calls_->close(context_, fd);
}

result<void> fd_table::await(fd_entry& e, bool write, listener& who) noexcept {
    listener*& place = write ? e.on_write : e.on_read;
    if (place)
        return with_detail(errc::already_registered,
                           write ? "a write is already pending" : "a read is already pending");
    place = &who;
    int failed = 0;
    if (e.unpollable) failed = 0;
    else if (has_raw(e)) failed = wanted(e) == e.registered ? 0 : apply(e, wanted(e));
    else if (e.registered == interest_none) failed = apply(e, interest_read | interest_write | interest_edge);
    if (e.unpollable) waits_unpollable(e);
    if (failed >= 0) return {};
    place = nullptr;
    return kernel_error(failed);
}

void fd_table::unawait(fd_entry& e, bool write, listener& who) noexcept {
    listener*& place = write ? e.on_write : e.on_read;
    if (place == &who) place = nullptr;
    if (e.unpollable && !has_waiter(e)) left_unpollable(e);
}

void fd_table::clear_ready(fd_entry& e, std::uint8_t bits) noexcept {
    e.ready = static_cast<std::uint8_t>(e.ready & ~bits);
    // A poller that remembers what it reported is told that it may report again: a change from an interest to the
    // same one. Where the kernel itself reports edges this is nothing.
    if (poller_->needs_rearm && (e.registered & interest_edge)) {
        e.rearm = true;
        touch(e);
    }
}

void fd_table::register_all() noexcept {
    for (std::size_t c = 0; c != chunk_room_; ++c) {
        for (std::size_t i = 0; chunks_[c] && i != chunk_size; ++i) {
            fd_entry& e = chunks_[c][i];
            std::uint8_t const before = e.registered;
            if (before == interest_none) continue;
            e.registered = interest_none;
            std::uint8_t const want = e.owned && !has_raw(e) ? before : wanted(e);
            if (want == interest_none) continue;
            int const failed = apply(e, want);
            if (failed < 0 && retries(e, failed)) touch(e);
            else if (failed < 0) notify(e, ready_error);
        }
    }
}

}}}  // namespace spruce::v0::detail
