// Wakers of the simulated kernel. Whoever wakes holds no lock and may be a signal handler, so a waker's state is a
// few atomics in a place that never moves; the poller collects what happened there before it looks at anything.
#include <cerrno>
#include <cstring>

#include "simulated_kernel.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
constexpr std::uint32_t most_written = 65'536;   // as much as a pipe holds; more tells nobody anything new

simulated_waker* free_waker(simulated_kernel& k) noexcept {
    for (simulated_waker& w : k.wakers)
        if (!w.reader && !w.writer) return &w;
    return nullptr;
}

void publish(simulated_kernel& k, simulated_waker& w, int write_fd) noexcept {
    auto const at = static_cast<std::uint32_t>(&w - k.wakers);
    w.write_fd.store(write_fd, std::memory_order_release);
    if (k.wakers_used.load(std::memory_order_relaxed) <= at) k.wakers_used.store(at + 1, std::memory_order_release);
}

void add(simulated_waker& w, std::uint32_t count) noexcept {
    if (w.count.load(std::memory_order_relaxed) < most_written) w.count.fetch_add(count, std::memory_order_seq_cst);
    w.writes.fetch_add(1, std::memory_order_seq_cst);
}
}  // namespace

int make_waker_fds(simulated_kernel& k, waker_kind wanted, waker_fds* out) noexcept {
    simulated_waker* const w = free_waker(k);
    if (!w) return -EMFILE;
    bool const pipe = wanted == waker_kind::pipe;
    simulated_file* const reader = make_simulated_file(k, simulated_kind::waker);
    simulated_file* const writer = pipe ? make_simulated_file(k, simulated_kind::waker) : reader;
    int ends[2] = {-1, -1};
    int failed = -ENOMEM;
    if (reader && writer) {
        w->reader = reader;
        w->writer = writer;
        reader->waker = writer->waker = w;
        w->count.store(0, std::memory_order_relaxed);
        w->seen = w->writes.load(std::memory_order_relaxed);
        w->is_pipe = pipe;
        failed = ends[0] = install(k, *reader);
        if (failed >= 0) failed = ends[1] = pipe ? install(k, *writer) : ends[0];
    }
    if (failed >= 0) {
        publish(k, *w, ends[1]);
        *out = {ends[0], ends[1]};
        return 0;
    }
    if (ends[0] >= 0) close_fd(k, ends[0]);
    else if (reader) discard_file(k, *reader);
    if (pipe && writer) discard_file(k, *writer);
    w->reader = w->writer = nullptr;
    return failed;
}

void wake_by(simulated_kernel& k, int write_fd) noexcept {
    std::uint32_t const used = k.wakers_used.load(std::memory_order_acquire);
    for (std::uint32_t i = 0; i != used; ++i) {
        simulated_waker& w = k.wakers[i];
        if (w.write_fd.load(std::memory_order_acquire) != write_fd) continue;
        add(w, 1);
        ring_sleepers(k);
        return;
    }
}

void collect_wakes(simulated_kernel& k) noexcept {
    std::uint32_t const used = k.wakers_used.load(std::memory_order_acquire);
    for (std::uint32_t i = 0; i != used; ++i) {
        simulated_waker& w = k.wakers[i];
        std::uint32_t const writes = w.writes.load(std::memory_order_seq_cst);
        if (writes == w.seen || !w.reader) continue;
        w.seen = writes;
        notify(k, *w.reader, ready_read);
    }
}

// One of its numbers was closed. While the file has others it goes on, but that number wakes no more.
void leave_waker(simulated_kernel& k, simulated_file& f, int fd) noexcept {
    simulated_waker& w = *f.waker;
    if (w.write_fd.load(std::memory_order_relaxed) == fd) w.write_fd.store(-1, std::memory_order_release);
    if (f.fds != 0) return;
    if (w.reader == &f) w.reader = nullptr;
    if (w.writer == &f) {
        w.writer = nullptr;
        if (w.reader) notify_change(k, *w.reader, ready_read);
    }
}

ssize read_waker(simulated_file& f, void* into, std::size_t size) noexcept {
    simulated_waker& w = *f.waker;
    if (w.reader != &f) return -EBADF;
    std::uint32_t const count = w.count.load(std::memory_order_acquire);
    if (w.is_pipe) {
        if (count == 0) return size != 0 && w.writer ? -EAGAIN : 0;
        std::size_t const took = size < count ? size : count;
        std::memset(into, 0, took);
        w.count.fetch_sub(static_cast<std::uint32_t>(took), std::memory_order_acq_rel);
        return static_cast<ssize>(took);
    }
    if (size < sizeof(std::uint64_t)) return -EINVAL;
    if (count == 0) return -EAGAIN;
    std::uint64_t const value = w.count.exchange(0, std::memory_order_acq_rel);
    std::memcpy(into, &value, sizeof value);
    return sizeof value;
}

ssize write_waker(simulated_kernel& k, simulated_file& f, io_slice const* slices, int count) noexcept {
    simulated_waker& w = *f.waker;
    if (w.writer != &f) return -EBADF;
    std::size_t size = 0;
    for (int i = 0; i < count; ++i) size += slices[i].size;
    std::uint64_t value = size;
    if (w.is_pipe) {
        if (!w.reader) return -EPIPE;
        if (size == 0) return 0;
    } else {
        if (size < sizeof value || slices[0].size < sizeof value) return -EINVAL;
        std::memcpy(&value, slices[0].data, sizeof value);
        size = sizeof value;
    }
    std::uint32_t const now = w.count.load(std::memory_order_relaxed);
    if (now >= most_written || value > most_written - now) return -EAGAIN;
    add(w, static_cast<std::uint32_t>(value));
    k.changed = true;
    return static_cast<ssize>(size);
}

}}}  // namespace spruce::v0::detail
