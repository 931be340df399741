// The real kernel, as a table.
#include "kevent.hpp"
#include "native_calls.hpp"
#include "signals.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
constexpr kernel_calls calls{
    native::monotonic_ns, native::realtime_ns,
    native::read, native::write, native::writev, native::send, native::sendv, native::recv, native::close,
    native::socket, native::bind, native::listen, native::accept, native::connect, native::shutdown,
    native::getsockname, native::getpeername, native::getsockopt, native::setsockopt,
    native::make_pipe, native::make_socketpair, native::set_nonblocking, native::kind_of, native::end_of,
    native::make_waker, native::wake, native::drain_waker,
    dispatcher_subscribe, dispatcher_unsubscribe,
    native::open_child, native::reap_child,
};

int make_poller(void*, int which, memory_hook memory, kernel::made_poller* out) noexcept {
    enum { best, epoll, kqueue, poll };
    switch (which) {
    case best: {
        // Whatever the refusal; what is only lacking for now would be lacking to the next one, too.
        auto const refused = [](int got) { return got < 0 && got != -ENOMEM && got != -EMFILE && got != -ENFILE; };
        int got = make_epoll_poller(memory, out);
        if (refused(got)) got = make_native_kqueue_poller(memory, out);
        if (refused(got)) got = make_poll_poller(memory, out);
        return got;
    }
    case epoll: return make_epoll_poller(memory, out);
    case kqueue: return make_native_kqueue_poller(memory, out);
    case poll: return make_poll_poller(memory, out);
    default: return -EINVAL;
    }
}

int advance(void*, std::int64_t) noexcept { return -ENOSYS; }

constinit kernel the_real_one{&calls, nullptr, make_poller, advance, false, waker_kind::eventfd};
}  // namespace

constinit kernel_filter kernel_in_front = nullptr;

kernel& native_kernel() noexcept { return the_real_one; }

}}}  // namespace spruce::v0::detail
