// Numbers and what they name. The lowest free number is given first, as real kernels do, so that a number that was
// closed comes back at once and whoever still uses it is found out.
#include <cerrno>
#include <cstring>
#include <new>

#include "simulated_kernel.hpp"
#include "simulated_kevent.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
bool grow_numbers(simulated_kernel& k) noexcept {
    std::size_t const room = k.room ? k.room * 2 : 64;
    auto** const numbers =
        static_cast<simulated_file**>(allocate({}, room * sizeof(simulated_file*), alignof(simulated_file*)));
    if (!numbers) return false;
    if (k.room) std::memcpy(numbers, k.numbers, k.room * sizeof(simulated_file*));
    std::memset(numbers + k.room, 0, (room - k.room) * sizeof(simulated_file*));
    release({}, k.numbers, k.room * sizeof(simulated_file*), alignof(simulated_file*));
    k.numbers = numbers;
    k.room = room;
    return true;
}

void leave_child(simulated_file& f) noexcept { static_cast<simulated_turn&>(f).unlink(); }
}  // namespace

simulated_file* make_simulated_file(simulated_kernel& k, simulated_kind kind) noexcept {
    void* const at = allocate({}, sizeof(simulated_file), alignof(simulated_file));
    if (!at) return nullptr;
    auto* const f = ::new (at) simulated_file;
    f->kind = kind;
    if (kind == simulated_kind::stream) {
        ++k.streams;
        if (!reserve_delivery(k, 0)) {
            discard_file(k, *f);
            return nullptr;
        }
    }
    f->room_to_send = k.options.socket_buffer / 2;
    f->room_to_receive = k.options.socket_buffer - f->room_to_send;
    return f;
}

void discard_file(simulated_kernel& k, simulated_file& f) noexcept {
    switch (f.kind) {
        case simulated_kind::pipe_reader:
        case simulated_kind::pipe_writer: leave_stream(k, f); break;
        case simulated_kind::stream:
            leave_socket(k, f);
            leave_stream(k, f);
            --k.streams;
            break;
        case simulated_kind::child: leave_child(f); break;
        case simulated_kind::queue: leave_queue(k, f); break;
        case simulated_kind::waker:
        case simulated_kind::file: break;
    }
    forget_deliveries(k, f);
    drop_watches(k, f);
    f.~simulated_file();
    release({}, &f, sizeof f, alignof(simulated_file));
}

int install(simulated_kernel& k, simulated_file& f) noexcept {
    while (k.lowest_free < k.room && k.numbers[k.lowest_free]) ++k.lowest_free;
    if (k.lowest_free >= k.options.max_fds) return -EMFILE;
    if (k.lowest_free == k.room && !grow_numbers(k)) return -ENOMEM;
    k.numbers[k.lowest_free] = &f;
    ++f.fds;
    ++k.open;
    return k.options.first_fd + static_cast<int>(k.lowest_free++);
}

simulated_file* find_file(simulated_kernel& k, int fd) noexcept {
    if (fd < k.options.first_fd) return nullptr;
    auto const at = static_cast<std::size_t>(fd - k.options.first_fd);
    return at < k.room ? k.numbers[at] : nullptr;
}

int duplicate_fd(simulated_kernel& k, int fd) noexcept {
    simulated_file* const f = find_file(k, fd);
    return f ? install(k, *f) : -EBADF;
}

int close_fd(simulated_kernel& k, int fd) noexcept {
    simulated_file* const f = find_file(k, fd);
    if (!f) return -EBADF;
    auto const at = static_cast<std::size_t>(fd - k.options.first_fd);
    k.numbers[at] = nullptr;
    --k.open;
    if (at < k.lowest_free) k.lowest_free = at;
    --f->fds;
    drop_knotes(k, *f, fd);
    if (f->kind == simulated_kind::waker) leave_waker(k, *f, fd);
    if (f->fds == 0) discard_file(k, *f);
    return 0;
}

void close_everything(simulated_kernel& k) noexcept {
    for (std::size_t at = 0; at != k.room; ++at)
        if (k.numbers[at]) close_fd(k, k.options.first_fd + static_cast<int>(at));
    release({}, k.numbers, k.room * sizeof(simulated_file*), alignof(simulated_file*));
    k.numbers = nullptr;
    k.room = 0;
}

int make_pair(simulated_kernel& k, simulated_file* first, simulated_file* second, int ends[2]) noexcept {
    int failed = -ENOMEM;
    if (first && second) {
        first->peer = second;
        second->peer = first;
        failed = ends[0] = install(k, *first);
        if (failed >= 0) {
            failed = ends[1] = install(k, *second);
            if (failed >= 0) return 0;
            close_fd(k, ends[0]);   // and with it the first, so that only the second is left
            first = nullptr;
        }
    }
    ends[0] = ends[1] = -1;
    if (first) discard_file(k, *first);
    if (second) discard_file(k, *second);
    return failed;
}

int make_pipe_fds(simulated_kernel& k, int ends[2]) noexcept {
    simulated_file* const reader = make_simulated_file(k, simulated_kind::pipe_reader);
    simulated_file* const writer = make_simulated_file(k, simulated_kind::pipe_writer);
    if (reader) reader->room_to_receive = k.options.pipe_buffer < 4'096 ? 4'096 : k.options.pipe_buffer;
    if (writer) writer->room_to_send = 0;
    return make_pair(k, reader, writer, ends);
}

int open_fifo_reader(simulated_kernel& k) noexcept {
    simulated_file* const f = make_simulated_file(k, simulated_kind::pipe_reader);
    if (!f) return -ENOMEM;
    f->room_to_receive = k.options.pipe_buffer < 4'096 ? 4'096 : k.options.pipe_buffer;
    f->had_writer = false;
    int const fd = install(k, *f);
    if (fd < 0) discard_file(k, *f);
    return fd;
}

int open_fifo_writer(simulated_kernel& k, simulated_file& reader) noexcept {
    if (reader.kind != simulated_kind::pipe_reader || reader.peer) return -EINVAL;
    simulated_file* const f = make_simulated_file(k, simulated_kind::pipe_writer);
    if (!f) return -ENOMEM;
    f->room_to_send = 0;
    int const fd = install(k, *f);
    if (fd < 0) {
        discard_file(k, *f);
        return fd;
    }
    f->peer = &reader;
    reader.peer = f;
    reader.had_writer = true;
    notify(k, reader, any_change);
    return fd;
}

int make_socketpair_fds(simulated_kernel& k, int ends[2]) noexcept {
    simulated_file* pair[2];
    for (simulated_file*& f : pair) {
        f = make_simulated_file(k, simulated_kind::stream);
        if (!f) continue;
        f->state = stream_state::established;
        f->local.kind = f->remote.kind = simulated_address::family::local;
    }
    return make_pair(k, pair[0], pair[1], ends);
}

int make_file_fd(simulated_kernel& k, void const* contents, std::size_t size) noexcept {
    simulated_file* const f = make_simulated_file(k, simulated_kind::file);
    if (!f) return -ENOMEM;
    int fd = -ENOMEM;
    if (f->inbox.reserve(size)) {
        f->inbox.put(contents, size);
        f->inbox.arrive(size);
        fd = install(k, *f);
    }
    if (fd < 0) discard_file(k, *f);
    return fd;
}

}}}  // namespace spruce::v0::detail
