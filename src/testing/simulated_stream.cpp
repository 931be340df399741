// Bytes through pipes, socket pairs and TCP: reading, writing, half-closing, ending, and what a poller sees of it.
// Linux's kernel is the model, down to which end of which thing reports what; test/model compares the two.
#include <cerrno>

#include "simulated_kevent.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
constexpr std::size_t whole_pipe_write = 4'096;   // PIPE_BUF: up to here a pipe takes all or nothing

bool is_pipe(simulated_file const& f) noexcept {
    return f.kind == simulated_kind::pipe_reader || f.kind == simulated_kind::pipe_writer;
}
int take_error(simulated_file& f) noexcept {
    int const e = f.error;
    f.error = 0;
    return -e;
}

std::size_t total_of(io_slice const* slices, int count) noexcept {
    std::size_t all = 0;
    for (int i = 0; i < count; ++i) all += slices[i].size;
    return all;
}

// Puts the first `size` bytes into the inbox. False: no memory, and nothing was put.
bool put_slices(simulated_file& to, io_slice const* slices, std::size_t size) noexcept {
    if (!to.inbox.reserve(size)) return false;
    for (; size != 0; ++slices) {
        std::size_t const part = slices->size < size ? slices->size : size;
        to.inbox.put(slices->data, part);
        size -= part;
    }
    return true;
}

ssize write_pipe(simulated_kernel& k, simulated_file& f, io_slice const* slices, std::size_t size) noexcept {
    if (!f.peer) return -EPIPE;
    std::size_t const room = room_for(f);
    if (room == 0 || (size <= whole_pipe_write && size > room)) return -EAGAIN;
    if (size > room) size = room;
    if (!put_slices(*f.peer, slices, size)) return -ENOMEM;
    arrive(k, *f.peer, under_way::data, size);
    notify_knotes(k, f, ready_write);
    return static_cast<ssize>(size);
}

// Why nothing can be sent, or 0.
int may_not_send(simulated_file& f) noexcept {
    if (f.state == stream_state::connecting) return -EAGAIN;
    if (is_tcp(f) && f.error) return take_error(f);
    if (f.state == stream_state::fresh || f.state == stream_state::listening) return -EPIPE;
    if ((f.shut & shut_out) != 0) return -EPIPE;
    return 0;
}

ssize write_stream(simulated_kernel& k, simulated_file& f, io_slice const* slices, std::size_t size) noexcept {
    if (int const no = may_not_send(f)) return no;
    if (!f.peer) {
        // The other side is gone, and does not want this: it answers with a reset. The bytes are lost.
        if (!f.doomed) {
            f.doomed = true;
            send_off(k, f, under_way::reset, 0);
        }
        return static_cast<ssize>(size);
    }
    std::size_t const room = room_for(f), asked = size;
    if (room == 0) {
        f.starved = true;
        return -EAGAIN;
    }
    if (size > room) size = room;
    bool const shortened = k.options.short_writes && size > 1;
    if (shortened) size = 1 + static_cast<std::size_t>(draw(k, size));
    if (size < asked) f.starved = true;
    std::size_t const segment = k.options.segment != 0 && is_tcp(f) ? k.options.segment : size;
    if (!reserve_delivery(k, size / segment + 1) || !f.peer->inbox.reserve(size)) return -ENOMEM;
    if (k.options.keep_apart && !is_tcp(f) && !f.peer->inbox.set_apart(size)) return -ENOMEM;
    put_slices(*f.peer, slices, size);
    for (std::size_t left = size; left != 0;) {
        std::size_t const part = left < segment ? left : segment;
        left -= part;
        if (is_tcp(f)) send_off(k, *f.peer, under_way::data, part);
        else arrive(k, *f.peer, under_way::data, part);
    }
    // Whoever takes a short write for a full buffer waits for an edge: it comes at once.
    if (shortened && size < asked) notify(k, f, ready_write);
    return static_cast<ssize>(size);
}

// There is room again: the writer is told, if it had run out of it.
void make_room(simulated_kernel& k, simulated_file& reader, bool was_writable) noexcept {
    simulated_file* const writer = reader.peer;
    if (!writer || !is_writable(*writer)) return;
    notify_knotes(k, *writer, ready_write);   // whether it is news or not
    bool const tell = is_pipe(reader) ? !was_writable : is_tcp(reader) ? writer->starved : true;
    if (!tell) return;
    writer->starved = false;
    notify(k, *writer, ready_write);
}

// Why a read of a stream that has no bytes gives what it gives: 0 for the end, or -errno.
int no_bytes(simulated_file& f) noexcept {
    if (f.kind == simulated_kind::pipe_reader) return f.peer ? -EAGAIN : 0;
    if (f.state == stream_state::listening) return -ENOTCONN;
    if (f.ended) return 0;
    if (f.error) return take_error(f);
    if ((f.shut & shut_in) != 0) return 0;
    return f.state == stream_state::fresh ? -ENOTCONN : -EAGAIN;
}

unsigned look_at_stream(simulated_file& f) noexcept {
    if (f.state == stream_state::listening) return bit_if(f.queued != 0, ready_read);
    unsigned ready = 0;
    bool const over = is_tcp(f) && (f.state == stream_state::fresh || f.state == stream_state::over);
    if (f.shut == shut_both || over) ready |= ready_hangup;
    if ((f.shut & shut_in) != 0) ready |= ready_read | ready_read_closed;
    if (f.error) ready |= ready_error;
    if (f.state == stream_state::connecting) return ready;
    if (f.inbox.arrived() != 0) ready |= ready_read;
    if (f.urgent) ready |= ready_urgent;
    if (is_writable(f) || (is_tcp(f) && (f.shut & shut_out) != 0)) ready |= ready_write;
    else f.starved = true;
    return ready;
}
}  // namespace

std::size_t room_for(simulated_file const& f) noexcept {
    std::size_t const all = f.room_to_send + (f.peer ? f.peer->room_to_receive : 0);
    std::size_t const used = f.peer ? f.peer->inbox.size() : 0;
    return used < all ? all - used : 0;
}

// A pipe is writable when it takes any whole write, a socket when a third of its buffer is free: so a writer isn't
// woken for each byte that is read.
bool is_writable(simulated_file const& f) noexcept {
    if (f.kind == simulated_kind::pipe_writer) return f.peer ? room_for(f) >= whole_pipe_write : !f.no_room;
    if (!f.peer) return true;
    std::size_t const room = room_for(f);
    return room != 0 && room >= f.peer->inbox.size() / 2;
}

unsigned look_at(simulated_file& f) noexcept {
    switch (f.kind) {
        case simulated_kind::pipe_reader:
            return bit_if(f.inbox.arrived() != 0, ready_read) | bit_if(!f.peer && f.had_writer, ready_hangup);
        case simulated_kind::pipe_writer: return bit_if(is_writable(f), ready_write) | bit_if(!f.peer, ready_error);
        case simulated_kind::stream: return look_at_stream(f);
        case simulated_kind::waker: {
            bool const reads = f.waker->reader == &f, writes = f.waker->writer == &f;
            return bit_if(reads && f.waker->count.load(std::memory_order_acquire) != 0, ready_read) |
                   bit_if(writes, ready_write);
        }
        case simulated_kind::child: return bit_if(f.ended, ready_read);
        case simulated_kind::queue: return 0;
        case simulated_kind::file: break;
    }
    return ready_read | ready_write;
}

namespace {
// How much of a read there is until the urgent data; the one that begins there goes beyond it.
std::size_t until_urgent(simulated_file& f, std::size_t size) noexcept {
    if (!f.urgent) return size;
    if (f.before_urgent == 0) {
        f.urgent = false;
        return size;
    }
    if (size > f.before_urgent) size = f.before_urgent;
    if (size > f.inbox.arrived()) size = f.inbox.arrived();
    f.before_urgent -= size;
    return size;
}
}  // namespace

ssize read_file(simulated_kernel& k, simulated_file& f, void* into, std::size_t size) noexcept {
    switch (f.kind) {
        case simulated_kind::waker: return read_waker(f, into, size);
        case simulated_kind::file: return static_cast<ssize>(f.inbox.take(into, size));
        case simulated_kind::pipe_writer: return -EBADF;
        case simulated_kind::child: return -EINVAL;
        case simulated_kind::queue: return -ENXIO;
        case simulated_kind::pipe_reader:
        case simulated_kind::stream: break;
    }
    if (size == 0 && (is_pipe(f) || f.inbox.arrived() != 0)) return 0;
    if (f.inbox.arrived() == 0) {
        if (is_pipe(f) && manners_of(k).empty_reads_tell) notify_knotes(k, f, ready_read);
        return no_bytes(f);
    }
    bool const was_writable = f.peer && is_writable(*f.peer);
    std::size_t const took = f.inbox.take(into, until_urgent(f, size));
    make_room(k, f, was_writable);
    if (is_pipe(f) && (!f.peer || is_writable(*f.peer))) notify_knotes(k, f, ready_read);
    return static_cast<ssize>(took);
}

ssize write_file(simulated_kernel& k, simulated_file& f, io_slice const* slices, int count) noexcept {
    if (count < 0 || count > 1'024) return -EINVAL;
    std::size_t const size = total_of(slices, count);
    switch (f.kind) {
        case simulated_kind::waker: return write_waker(k, f, slices, count);
        case simulated_kind::pipe_reader: return -EBADF;
        case simulated_kind::child: return -EINVAL;
        case simulated_kind::queue: return -ENXIO;
        case simulated_kind::pipe_writer: return size == 0 ? 0 : write_pipe(k, f, slices, size);
        case simulated_kind::file:
            if (!put_slices(f, slices, size)) return -ENOMEM;
            f.inbox.arrive(size);
            return static_cast<ssize>(size);
        case simulated_kind::stream: break;
    }
    if (size != 0) return write_stream(k, f, slices, size);
    return may_not_send(f);
}

// Of two urgent bytes the later one counts, as in TCP.
int send_urgent_byte(simulated_kernel& k, simulated_file& f) noexcept {
    if (!is_tcp(f)) return -EOPNOTSUPP;
    if (int const no = may_not_send(f)) return no == -EAGAIN ? -ENOTCONN : no;
    if (!f.peer) return 0;
    f.peer->urgent = true;
    f.peer->before_urgent = f.peer->inbox.size();
    notify(k, *f.peer, ready_urgent);
    return 0;
}

namespace {
unsigned filters_of(std::uint8_t shut) noexcept {
    return bit_if((shut & shut_in) != 0, ready_read) | bit_if((shut & shut_out) != 0, ready_write);
}
}  // namespace

int shut_down(simulated_kernel& k, simulated_file& f, std::uint8_t what) noexcept {
    if (f.state == stream_state::listening) {
        if ((what & shut_in) == 0) return 0;
        leave_socket(k, f);
        f.state = stream_state::fresh;
        f.shut = static_cast<std::uint8_t>(f.shut | what);
        notify(k, f, any_change);
        return 0;
    }
    if (f.state == stream_state::connecting) {
        // It is taken back, and the socket may connect anew.
        static_cast<simulated_turn&>(f).unlink();
        forget_deliveries(k, f);
        f.state = stream_state::fresh;
        f.new_outcome = false;
        f.error = ECONNRESET;
        f.shut = 0;
        notify(k, f, any_change);
        return 0;
    }
    if (f.state != stream_state::established) {
        f.shut = static_cast<std::uint8_t>(f.shut | what);
        notify(k, f, any_change);
        return -ENOTCONN;
    }
    bool const was_sending = (f.shut & shut_out) == 0;
    if (is_tcp(f)) {
        f.shut = static_cast<std::uint8_t>(f.shut | what);
        if ((what & shut_out) != 0 && was_sending && f.peer) send_off(k, *f.peer, under_way::fin, 0);
        notify_change(k, f, filters_of(what));
        return 0;
    }
    f.shut = static_cast<std::uint8_t>(f.shut | what);
    notify_knotes(k, f, filters_of(what));   // a queue's are told of what this side does, too
    if (f.peer) {
        // A socket pair has no network in between: what one side no longer takes, the other may no longer send.
        std::uint8_t const there =
            static_cast<std::uint8_t>(((what & shut_in) != 0 ? shut_out : 0) | ((what & shut_out) != 0 ? shut_in : 0));
        f.peer->shut = static_cast<std::uint8_t>(f.peer->shut | there);
        notify_change(k, *f.peer, filters_of(there));
    }
    return 0;
}

void break_off(simulated_kernel& k, simulated_file& f, int error) noexcept {
    if (f.peer) f.peer->peer = nullptr;
    f.peer = nullptr;
    f.error = error;
    f.state = stream_state::over;
    f.shut = shut_both;
    notify(k, f, any_change);
}

void leave_stream(simulated_kernel& k, simulated_file& f) noexcept {
    simulated_file* const peer = f.peer;
    if (!peer) return;
    bool const unread = f.inbox.size() != 0;
    if (f.kind == simulated_kind::pipe_reader) peer->no_room = !is_writable(*peer);
    if (is_pipe(f)) notify_pipe_end(k, *peer, false);
    f.peer = peer->peer = nullptr;
    if (is_pipe(f)) {
        notify_change(k, *peer, 0);
        notify_pipe_end(k, *peer, true);
    } else if (!is_tcp(f)) {
        peer->shut = shut_both;
        if (unread) peer->error = ECONNRESET;
        notify(k, *peer, any_change);
    } else if (unread || f.reset_on_close) {
        peer->doomed = true;
        send_off(k, *peer, under_way::reset, 0);
    } else if ((f.shut & shut_out) == 0) {
        send_off(k, *peer, under_way::fin, 0);
    }
}

}}}  // namespace spruce::v0::detail
