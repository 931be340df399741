// The system's kevent(2), for poller_kqueue.cpp. The only file that sees its header, whose names, numbers and types
// differ from one BSD to the next: they are used by name, each where it goes, and no arithmetic is done on them.
#if defined(__NetBSD__) && !defined(_NETBSD_SOURCE)
#define _NETBSD_SOURCE 1   // kqueue1() and kevent() are not declared in strict builds
#endif
#include "kevent.hpp"
#include "native_calls.hpp"

#if __has_include(<sys/event.h>)
#define SPRUCE_HAS_KEVENT 1
#include <sys/types.h>
#include <sys/event.h>
#include <sys/time.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#endif

namespace spruce { inline namespace v0 { namespace detail {

#if defined(SPRUCE_HAS_KEVENT)
namespace {

constexpr int batch_room = 128;

#if defined(EV_RECEIPT)
constexpr bool has_receipts = true;
constexpr auto receipt = EV_RECEIPT;
#else
constexpr bool has_receipts = false;
constexpr auto receipt = 0;
#endif

// NetBSD and OpenBSD sleep in whole ticks of 10 ms, and one more. FreeBSD gives itself a sixteenth of the length, so
// that timers close together end together (kern.timecounter.alloweddeviation); what is short is late by no more than a
// tick.
#if defined(__NetBSD__) || defined(__OpenBSD__)
constexpr std::int64_t grain_ns = 20'000'000;
#elif defined(__FreeBSD__)
constexpr std::int64_t grain_ns = 1'000'000;
#else
constexpr std::int64_t grain_ns = 0;
#endif
#if defined(__FreeBSD__)
constexpr int late_part = 16;
#else
constexpr int late_part = 0;
#endif

// Old NetBSD's timeouts may end some milliseconds too soon.
#if defined(__NetBSD__) || defined(__FreeBSD__)
constexpr auto now = native::monotonic_ns;
#else
constexpr std::int64_t (*now)(void*) noexcept = nullptr;
#endif

// udata is a pointer on most, a number on some.
template <class T> T to_udata(std::uintptr_t value) noexcept {
    if constexpr (requires { reinterpret_cast<T>(value); }) return reinterpret_cast<T>(value);
    else return static_cast<T>(value);
}
template <class T> std::uintptr_t from_udata(T value) noexcept {
    if constexpr (requires { reinterpret_cast<std::uintptr_t>(value); }) return reinterpret_cast<std::uintptr_t>(value);
    else return static_cast<std::uintptr_t>(value);
}

void to_system(kevent_record const& r, struct kevent& out) noexcept {
    out = {};
    out.ident = static_cast<decltype(out.ident)>(r.ident);
    out.udata = to_udata<decltype(out.udata)>(r.udata);
    switch (r.filter) {
        case kevent_filter::none: break;
        case kevent_filter::read: out.filter = EVFILT_READ; break;
        case kevent_filter::write: out.filter = EVFILT_WRITE; break;
        case kevent_filter::signal: out.filter = EVFILT_SIGNAL; break;
        case kevent_filter::process:
            out.filter = EVFILT_PROC;
            out.fflags = NOTE_EXIT;
            break;
    }
    unsigned flags = 0;
    if ((r.flags & kevent_add) != 0) flags |= EV_ADD;
    if ((r.flags & kevent_delete) != 0) flags |= EV_DELETE;
    if ((r.flags & kevent_clear) != 0) flags |= EV_CLEAR;
    if ((r.flags & kevent_receipt) != 0) flags |= receipt;
    out.flags = static_cast<decltype(out.flags)>(flags);
}

void from_system(struct kevent const& e, kevent_record& out) noexcept {
    // No switch: on some these are not constants of one type.
    out.filter = e.filter == EVFILT_READ ? kevent_filter::read : e.filter == EVFILT_WRITE ? kevent_filter::write :
                 e.filter == EVFILT_SIGNAL ? kevent_filter::signal : e.filter == EVFILT_PROC ? kevent_filter::process :
                 kevent_filter::none;
    out.ident = static_cast<std::uintptr_t>(e.ident);
    out.udata = from_udata(e.udata);
    out.data = static_cast<std::int64_t>(e.data);
    bool const of_fd = out.filter == kevent_filter::read || out.filter == kevent_filter::write;
    out.notes = of_fd ? static_cast<std::uint32_t>(e.fflags) : 0;
    bool const eof = (e.flags & EV_EOF) != 0, error = (e.flags & EV_ERROR) != 0;
    out.flags = static_cast<std::uint16_t>((eof ? kevent_eof : 0) | (error ? kevent_error : 0));
}

int create(void*) noexcept {
#if defined(__NetBSD__)
    int const fd = ::kqueue1(O_CLOEXEC);
    return fd >= 0 ? fd : -errno;
#else
    int const fd = ::kqueue();
    if (fd < 0) return -errno;
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) == 0) return fd;
    int const failed = -errno;
    ::close(fd);
    return failed;
#endif
}

int kevent_call(void*, int queue, kevent_record const* changes, int count, kevent_record* events, int room,
                std::int64_t timeout_ns) noexcept {
    struct kevent in[batch_room], out[batch_room];
    if (count > batch_room) return -EINVAL;
    if (room > batch_room) room = batch_room;
    for (int i = 0; i < count; ++i) to_system(changes[i], in[i]);
    struct timespec t {};
    if (timeout_ns > 0) {
        t.tv_sec = static_cast<time_t>(timeout_ns / 1'000'000'000);
        t.tv_nsec = static_cast<long>(timeout_ns % 1'000'000'000);
    }
    struct timespec const* const limit = timeout_ns < 0 ? nullptr : &t;
#if defined(__NetBSD__)
    int const got = ::kevent(queue, in, static_cast<std::size_t>(count), out, static_cast<std::size_t>(room), limit);
#else
    int const got = ::kevent(queue, in, count, out, room, limit);
#endif
    if (got < 0) return -errno;
    for (int i = 0; i < got; ++i) from_system(out[i], events[i]);
    return got;
}

void close_queue(void*, int queue) noexcept { ::close(queue); }
void forked(void*) noexcept {}

int sleep(void*, int queue, std::int64_t timeout_ns) noexcept {
    pollfd only{queue, POLLIN, 0};
    int const got = ::poll(&only, 1, poll_timeout_ms(timeout_ns));
    return got < 0 ? -errno : got;
}

constexpr kevent_calls the_system{create, kevent_call, close_queue, forked, native::kind_of, now, has_receipts,
                                  true, grain_ns, sleep, late_part};
}  // namespace

int make_native_kqueue_poller(memory_hook memory, kernel::made_poller* out) noexcept {
    return make_kqueue_poller(the_system, nullptr, memory, out);
}
#else
int make_native_kqueue_poller(memory_hook, kernel::made_poller*) noexcept { return -ENOSYS; }
#endif

}}}  // namespace spruce::v0::detail
