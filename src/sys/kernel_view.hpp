// A loop's view of the kernel it runs on: sys.recv(fd, …) for on.calls->recv(on.context, fd, …). What each call
// does, and gives, stands in kernel.hpp.
#pragma once
#include "kernel.hpp"

namespace spruce { inline namespace v0 { namespace detail {

class kernel_view {
public:
    explicit kernel_view(kernel& on) noexcept : calls_(on.calls), context_(on.context) {}

    std::int64_t monotonic_ns() const noexcept { return calls_->monotonic_ns(context_); }
    std::int64_t realtime_ns() const noexcept { return calls_->realtime_ns(context_); }
    ssize read(int fd, void* into, std::size_t size) const noexcept { return calls_->read(context_, fd, into, size); }
    ssize write(int fd, void const* from, std::size_t size) const noexcept {
        return calls_->write(context_, fd, from, size);
    }
    ssize writev(int fd, io_slice const* slices, int count) const noexcept {
        return calls_->writev(context_, fd, slices, count);
    }
    ssize send(int fd, void const* from, std::size_t size) const noexcept {
        return calls_->send(context_, fd, from, size);
    }
    ssize sendv(int fd, io_slice const* slices, int count) const noexcept {
        return calls_->sendv(context_, fd, slices, count);
    }
    ssize recv(int fd, void* into, std::size_t size) const noexcept { return calls_->recv(context_, fd, into, size); }
    int close(int fd) const noexcept { return calls_->close(context_, fd); }
    int socket(int family, int type, int protocol) const noexcept {
        return calls_->socket(context_, family, type, protocol);
    }
    int bind(int fd, sockaddr const* address, unsigned length) const noexcept {
        return calls_->bind(context_, fd, address, length);
    }
    int listen(int fd, int backlog) const noexcept { return calls_->listen(context_, fd, backlog); }
    int accept(int fd, sockaddr* address, unsigned* length) const noexcept {
        return calls_->accept(context_, fd, address, length);
    }
    int connect(int fd, sockaddr const* address, unsigned length) const noexcept {
        return calls_->connect(context_, fd, address, length);
    }
    int shutdown(int fd, int how) const noexcept { return calls_->shutdown(context_, fd, how); }
    int getsockname(int fd, sockaddr* address, unsigned* length) const noexcept {
        return calls_->getsockname(context_, fd, address, length);
    }
    int getpeername(int fd, sockaddr* address, unsigned* length) const noexcept {
        return calls_->getpeername(context_, fd, address, length);
    }
    int getsockopt(int fd, int level, int name, void* value, unsigned* length) const noexcept {
        return calls_->getsockopt(context_, fd, level, name, value, length);
    }
    int setsockopt(int fd, int level, int name, void const* value, unsigned length) const noexcept {
        return calls_->setsockopt(context_, fd, level, name, value, length);
    }
    int make_pipe(int ends[2]) const noexcept { return calls_->make_pipe(context_, ends); }
    int make_socketpair(int ends[2]) const noexcept { return calls_->make_socketpair(context_, ends); }
    int set_nonblocking(int fd, bool on) const noexcept { return calls_->set_nonblocking(context_, fd, on); }
    int kind_of(int fd) const noexcept { return calls_->kind_of(context_, fd); }
    int end_of(int fd, int kind) const noexcept { return calls_->end_of(context_, fd, kind); }
    int make_waker(waker_kind wanted, waker_fds* out) const noexcept {
        return calls_->make_waker(context_, wanted, out);
    }
    void wake(int write_fd) const noexcept { return calls_->wake(context_, write_fd); }
    void drain_waker(int read_fd) const noexcept { return calls_->drain_waker(context_, read_fd); }
    int signal_subscribe(struct signal_port* port, int signal) const noexcept {
        return calls_->signal_subscribe(context_, port, signal);
    }
    int signal_unsubscribe(struct signal_port* port, int signal) const noexcept {
        return calls_->signal_unsubscribe(context_, port, signal);
    }
    int open_child(int pid) const noexcept { return calls_->open_child(context_, pid); }
    int reap_child(int pid, int child_fd, child_status* out) const noexcept {
        return calls_->reap_child(context_, pid, child_fd, out);
    }

private:
    kernel_calls const* calls_;
    void* context_;
};

}}}  // namespace spruce::v0::detail
