// Sleeping for real: a poller with nothing ready and no time to jump to waits on a pipe of the real kernel until
// somebody rings. Also the kernel's lock, which rings when it is let go after a change.
#include <cerrno>

#include <poll.h>
#include <sched.h>

#include "simulated_kernel.hpp"

namespace spruce { inline namespace v0 { namespace detail {

void simulated_kernel::lock() noexcept {
    while (locked.exchange(1, std::memory_order_acquire) != 0) ::sched_yield();
}

void simulated_kernel::unlock() noexcept {
    bool const tell = changed;
    changed = false;
    locked.store(0, std::memory_order_release);
    if (tell) ring_sleepers(*this);
}

void ring_sleepers(simulated_kernel& k) noexcept {
    for (simulated_bell& bell : k.bells) {
        if (bell.asleep.load(std::memory_order_seq_cst) == 0 || bell.asleep.exchange(0, std::memory_order_seq_cst) == 0)
            continue;
        kernel const& real = native_kernel();
        char const one = 1;
        real.calls->write(real.context, bell.write_fd.load(std::memory_order_relaxed), &one, 1);
    }
}

simulated_bell* claim_bell(simulated_kernel& k, simulated_sleeper* for_whom) noexcept {
    for (simulated_bell& bell : k.bells) {
        if (bell.sleeper) continue;
        bell.sleeper = for_whom;
        return &bell;
    }
    return nullptr;
}

int prepare_bell(simulated_bell& bell) noexcept {
    if (bell.read_fd >= 0) return 0;
    kernel const& real = native_kernel();
    int ends[2];
    if (int const failed = real.calls->make_pipe(real.context, ends); failed < 0) return failed;
    bell.read_fd = ends[0];
    bell.write_fd.store(ends[1], std::memory_order_relaxed);
    return 0;
}

void close_bell(simulated_bell& bell) noexcept {
    if (bell.read_fd < 0) return;
    kernel const& real = native_kernel();
    real.calls->close(real.context, bell.read_fd);
    real.calls->close(real.context, bell.write_fd.exchange(-1, std::memory_order_relaxed));
    bell.read_fd = -1;
    bell.asleep.store(0, std::memory_order_relaxed);
}

bool sleep_on(simulated_bell& bell, std::int64_t longest_ns) noexcept {
    std::int64_t const ms = longest_ns / 1'000'000;
    pollfd p{};
    p.fd = bell.read_fd;
    p.events = POLLIN;
    int const got = ::poll(&p, 1, longest_ns < 0 || ms > 0x7fff'ffff ? -1 : static_cast<int>(ms));
    // Rung or not, awake: from here on nobody needs to ring. A byte that comes late costs one look for nothing.
    bell.asleep.store(0, std::memory_order_seq_cst);
    kernel const& real = native_kernel();
    char bytes[16];
    while (real.calls->read(real.context, bell.read_fd, bytes, sizeof bytes) == sizeof bytes) {}
    return got != 0;
}

}}}  // namespace spruce::v0::detail
