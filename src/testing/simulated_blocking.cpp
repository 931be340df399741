// Calls of the simulated kernel on fds that were made to block: each waits on a poller of its own.
#include <cerrno>

#include "simulated_kernel.hpp"

namespace spruce { inline namespace v0 { namespace detail {

int wait_if_blocking(simulated_kernel& k, int fd, interest in) noexcept {
    {
        simulated_guard const guard(k);
        simulated_file const* const f = find_file(k, fd);
        if (!f) return -EBADF;
        if (!f->blocks) return -EAGAIN;
    }
    enum { best };
    kernel::made_poller poller;
    if (int const failed = k.seam.make_poller(k.seam.context, best, {}, &poller); failed < 0) return failed;
    poll_change wanted{fd, 1, interest_none, in, 1};
    poll_event event;
    poller.calls->change(poller.context, &wanted, 1);
    int const got = wanted.result < 0 ? wanted.result : poller.calls->wait(poller.context, &event, 1, -1);
    poller.calls->close(poller.context);
    return got < 0 ? got : 0;
}

}}}  // namespace spruce::v0::detail
