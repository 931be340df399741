#include <spruce/io.hpp>

#include <cerrno>
#include <sys/socket.h>

#include "../loop/plain_scope.hpp"
#include "../task/scheduler.hpp"
#include "../sys/kernel_error.hpp"
#include "fd_wait.hpp"

namespace spruce { inline namespace v0 {

namespace detail {

namespace {
// The hub of the thread's loop, as long as that takes fds.
result<hub*> open_hub() noexcept {
    // Also one whose loop was deleted: what its tasks do until they have ended takes fds, as in destroy().
    if (current_hub && current_hub->phase < hub_phase::ended) return current_hub;
    SPRUCE_TRY(loop& here, loop::current());
    return here.impl();
}

result<stream_core> make_core(hub& h, int fd, int kind, bool fresh) noexcept {
    plain_scope const scope(&h);
    char const* const evicted = fresh ? h.fds.evict(fd) : nullptr;
    SPRUCE_TRY(fd_entry* const e, h.fds.adopt(fd, fresh));
    stream_core c;
    retain(c.door = h.door);
    c.entry = e;
    c.fd = fd;
    c.serial = h.serial;
    c.owner = e->owners;
    c.kind = static_cast<std::uint8_t>(kind);
    // Of all there is only TCP over IP is known to give whatever has arrived, but for what lies behind urgent data, and
    // a pipe of our own. Local sockets keep apart what came with descriptors or from others, packet pipes each write,
    // and a pipe that others have, too, may become one at any time.
    c.drains = kind == fd_tcp_socket ? h.poller->short_reads_tell : kind == fd_pipe && fresh;
    tell_evicted(h, fd, evicted);
    return c;
}
}  // namespace

result<stream_core> open_core(int fd, bool fresh) noexcept {
    SPRUCE_TRY(hub* const h, open_hub());
    int const kind = h->sys.kind_of(fd);
    if (kind < 0) return with_detail(errc::invalid_argument, "fd: not open");
    return make_core(*h, fd, kind, fresh);
}

result<stream_core> open_fresh(int fd, fd_kind kind) noexcept {
    SPRUCE_TRY(hub* const h, open_hub());
    return make_core(*h, fd, kind, true);
}

void close_core(stream_core& c) noexcept {
    stream_core const was = std::exchange(c, {});
    c.written = was.written;
    if (was.fd < 0) return;
    // After its loop, or from another thread, only the number is left to give back.
    plain_scope const scope;   // a reader of the same fd is canceled, and may be the last to own the loop
    if (current_hub && current_hub->serial == was.serial) {
        // Unless the number was closed behind our back, and is somebody else's now.
        if (was.entry->owners == was.owner) current_hub->fds.close(*was.entry);
    } else {
        kernel& on = *was.door->on;
        on.calls->close(on.context, was.fd);
    }
    release(was.door);
}

namespace {
constexpr std::uint8_t sticky = ready_read_closed | ready_hangup | ready_error | ready_urgent;

// A short read spares the one that would find nothing: where it is known to mean so, and while nothing else is flagged.
void note_short_read(hub& h, stream_core const& c) noexcept {
    if (c.drains && (c.entry->ready & sticky) == 0) h.fds.clear_ready(*c.entry, ready_read);
}

// Errors of a connection that are its end, and not of the call.
bool ends_connection(int e) noexcept {
    switch (e) {
    case ECONNRESET:
    case ECONNABORTED:
    case ECONNREFUSED:
    case ENETRESET:
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETUNREACH:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EPROTO: return true;
    default: return false;
    }
}

// The system says once what broke a connection, to whoever calls first; then reads end and writes say EPIPE, as if the
// peer had said all. What it said stays.
[[gnu::cold]] void note_error(stream_core& c, int e) noexcept {
    if (c.is_connection() && ends_connection(e)) c.broke = static_cast<std::uint16_t>(e);
}
[[gnu::cold]] error write_failed(stream_core& c, int e) noexcept {
    note_error(c, e);
    return call_error(-(e == EPIPE && c.broke != 0 ? c.broke : e), "write()");
}

// Why a read gave no byte: `got` is 0, or -errno but for -EAGAIN. would_wait: more may come.
[[gnu::cold, gnu::noinline]] error read_failed(hub& h, stream_core& c, int got) noexcept {
    if (got == 0 && c.kind == fd_pipe && c.drains) return errc::end_of_stream;
    if ((got == 0 && c.kind == fd_pipe) || ((got == 0 || got == -EIO) && c.kind == fd_tty)) {
        end_kind const end = static_cast<end_kind>(h.sys.end_of(c.fd, c.kind));
        if (end == end_kind::gone || (end == end_kind::typed && got == 0)) return errc::end_of_stream;
        return got == 0 ? error(errc::would_wait) : error::from_errno(EIO);
    }
    if (got != 0 && !(c.is_connection() && ends_connection(-got))) return call_error(got, "read()");
    note_error(c, -got);
    // What broke after the peer's end took nothing away.
    if (c.broke != 0 && !c.ended) return error::from_errno(c.broke);
    c.ended = c.is_connection();
    return errc::end_of_stream;
}

ssize put(hub& h, stream_core const& c, io_slice const* slices, int count) noexcept {
    if (count == 1) {
        return c.is_socket() ? h.sys.send(c.fd, slices->data, slices->size)
                             : h.sys.write(c.fd, slices->data, slices->size);
    }
    return c.is_socket() ? h.sys.sendv(c.fd, slices, count)
                         : h.sys.writev(c.fd, slices, count);
}

// One successful write of at least a byte, after waiting for it if need be.
result<std::size_t> put_some(stream_core& c, io_slice const* slices, int count, deadline& dl) noexcept {
    hub& h = *current_hub;
    for (bool tried = false;; tried = true) {
        if (c.entry->on_write) return with_detail(errc::already_registered, "a write is already pending");
        if ((c.entry->ready & ready_write) != 0 || (!tried && must_not_wait(h, dl))) {
            ssize const n = put(h, c, slices, count);
            if (n >= 0) {
                count_bytes(h, static_cast<std::size_t>(n));
                c.written += static_cast<std::uint64_t>(n);
                c.broke = 0;   // it takes more: what was said concerned no more than a packet of it
                return static_cast<std::size_t>(n);
            }
            if (n != -EAGAIN) return write_failed(c, static_cast<int>(-n));
            h.fds.clear_ready(*c.entry, ready_write);
        }
        SPRUCE_CHECK(wait_ready(c, true, "writable", dl));
    }
}
}  // namespace
}  // namespace detail

using detail::hub;

namespace {
// begin_wait(), of which nearly always nothing but the question is left.
inline result<void> may_begin() noexcept {
    if (detail::may_wait()) [[likely]] return {};
    return detail::begin_wait();
}
}  // namespace

result<stream> stream::adopt(int fd) {
    SPRUCE_TRY(auto core, detail::open_core(fd));
    hub& h = *detail::current_hub;
    if (int const failed = h.sys.set_nonblocking(fd, true); failed < 0) {
        h.fds.disown(*core.entry);
        detail::release(core.door);
        return detail::call_error(failed, "fcntl()");
    }
    return stream(core);
}

result<int> stream::release() {
    SPRUCE_CHECK(detail::usable(core_));
    int const fd = core_.fd;
    detail::plain_scope const scope;
    detail::stream_core const was = std::exchange(core_, {});
    core_.written = was.written;
    detail::current_hub->fds.disown(*was.entry);
    detail::release(was.door);
    return fd;
}

result<std::size_t> stream::read(bytes into, deadline dl) {
    detail::counted_call const counted;
    return read_on(into, dl);
}

result<std::size_t> stream::read_on(bytes into, deadline& dl) {
    SPRUCE_CHECK(may_begin());
    SPRUCE_CHECK(detail::usable(core_));
    if (into.size() == 0) return detail::with_detail(errc::invalid_argument, "into: no room");
    std::size_t const size = detail::at_once_of(into.size());
    hub& h = *detail::current_hub;
    for (bool tried = false;; tried = true) {
        detail::fd_entry& e = *core_.entry;
        if (e.on_read) return detail::with_detail(errc::already_registered, "a read is already pending");
        if ((e.ready & detail::ready_read) != 0 || (!tried && detail::must_not_wait(h, dl))) {
            detail::ssize const n = core_.is_socket() ? h.sys.recv(core_.fd, into.data(), size)
                                                      : h.sys.read(core_.fd, into.data(), size);
            if (n > 0) {
                detail::count_bytes(h, static_cast<std::size_t>(n));
                if (static_cast<std::size_t>(n) < size) detail::note_short_read(h, core_);
                return static_cast<std::size_t>(n);
            }
            if (n != -EAGAIN) [[unlikely]] {
                error const why = detail::read_failed(h, core_, static_cast<int>(n));
                if (why != error(errc::would_wait)) return why;
            }
            h.fds.clear_ready(e, detail::ready_read | detail::ready_urgent);
        }
        SPRUCE_CHECK(detail::wait_ready(core_, false, "readable", dl));
    }
}

result<std::size_t> stream::write_some(const_bytes from, deadline dl) {
    detail::counted_call const counted;
    SPRUCE_CHECK(may_begin());
    SPRUCE_CHECK(detail::usable(core_));
    if (from.size() == 0) return std::size_t{0};
    detail::io_slice const one{from.data(), detail::at_once_of(from.size())};
    return detail::put_some(core_, &one, 1, dl);
}

result<void> stream::write(const_bytes from, deadline dl) {
    detail::counted_call const counted;
    SPRUCE_CHECK(may_begin());
    SPRUCE_CHECK(detail::usable(core_));
    for (std::size_t done = 0; done != from.size();) {
        detail::io_slice const rest{from.data() + done, detail::at_once_of(from.size() - done)};
        SPRUCE_TRY(std::size_t const n, detail::put_some(core_, &rest, 1, dl));
        done += n;
        if (done != from.size()) SPRUCE_CHECK(detail::between_transfers(core_, true));
    }
    return {};
}

result<void> stream::write(std::span<const_bytes const> parts, deadline dl) {
    detail::counted_call const counted;
    SPRUCE_CHECK(may_begin());
    SPRUCE_CHECK(detail::usable(core_));
    constexpr int most = 16;
    std::size_t part = 0, done = 0;   // so many whole parts, and so much of the next
    while (part != parts.size()) {
        detail::io_slice slices[most];
        int count = 0;
        std::size_t left = detail::most_at_once;
        for (std::size_t i = part, skip = done; i != parts.size() && count != most && left != 0; ++i, skip = 0) {
            std::size_t const size = parts[i].size() - skip < left ? parts[i].size() - skip : left;
            if (size != 0) slices[count++] = {parts[i].data() + skip, size};
            left -= size;
        }
        if (count == 0) break;
        SPRUCE_TRY(std::size_t n, detail::put_some(core_, slices, count, dl));
        while (part != parts.size() && n >= parts[part].size() - done) {
            n -= parts[part].size() - done;
            done = 0;
            ++part;
        }
        done += n;
        if (part != parts.size()) SPRUCE_CHECK(detail::between_transfers(core_, true));
    }
    return {};
}

result<void> stream::shut_write() {
    SPRUCE_CHECK(detail::usable(core_));
    if (!core_.is_socket()) return detail::with_detail(errc::not_supported, "only sockets can be half-closed");
    hub& h = *detail::current_hub;
    if (int const failed = h.sys.shutdown(core_.fd, SHUT_WR); failed < 0)
        return detail::call_error(failed, "shutdown()");
    return {};
}

result<pipe_ends> make_pipe() {
    detail::plain_scope const scope;   // whose number it was, or the hook, may be the last to own the loop
    SPRUCE_TRY(loop& here, loop::current());
    hub& h = *here.impl();
    int ends[2];
    if (int const failed = h.sys.make_pipe(ends); failed < 0)
        return detail::call_error(failed, "pipe()");
    auto first = detail::open_fresh(ends[0], detail::fd_pipe);
    auto second = first ? detail::open_fresh(ends[1], detail::fd_pipe) : result<detail::stream_core>(first.error());
    if (second) return pipe_ends{pipe_stream(*first), pipe_stream(*second)};
    if (first) detail::close_core(*first);
    else h.sys.close(ends[0]);
    h.sys.close(ends[1]);
    return second.error();
}

}}  // namespace spruce::v0
