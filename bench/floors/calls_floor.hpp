// Yardsticks for calls: a queue of the thread's own, and one that other threads push to. Nodes are the caller's, and
// linked through themselves: nothing is allocated, nothing can be canceled, nothing counts what is pending.
#pragma once
#include <atomic>
#include <cstdint>
#include <unistd.h>

#if defined(__linux__)
#include <sys/eventfd.h>
#include <poll.h>
#define HAVE_BARE_INBOX 1
#endif

namespace floors {

struct bare_call {
    bare_call* next;
    void (*run)(bare_call&);
};

class bare_calls {
public:
    void push(bare_call& c) noexcept {
        c.next = nullptr;
        *tail_ = &c;
        tail_ = &c.next;
    }
    void run() {
        while (bare_call* const c = head_) {
            if (!(head_ = c->next)) tail_ = &head_;
            c->run(*c);
        }
    }

private:
    bare_call* head_ = nullptr;
    bare_call** tail_ = &head_;
};

#ifdef HAVE_BARE_INBOX
// Any thread pushes; one takes all there is with one exchange, the newest first, and turns them round. Who finds it
// asleep writes to an eventfd.
class bare_inbox {
public:
    bare_inbox() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
    ~bare_inbox() { ::close(fd_); }
    bare_inbox(bare_inbox const&) = delete;

    void push(bare_call& c) noexcept {
        bare_call* top = newest_.load(std::memory_order_relaxed);
        do c.next = top;
        while (!newest_.compare_exchange_weak(top, &c, std::memory_order_seq_cst, std::memory_order_relaxed));
        if (asleep_.load(std::memory_order_seq_cst) != 0 && asleep_.exchange(0, std::memory_order_seq_cst) != 0) {
            std::uint64_t const one = 1;
            [[maybe_unused]] auto const written = ::write(fd_, &one, sizeof one);
        }
    }
    // Runs what is there; waits in the kernel if there is nothing.
    void run_some() {
        bare_call* list = newest_.exchange(nullptr, std::memory_order_acquire);
        if (!list) {
            asleep_.store(1, std::memory_order_seq_cst);
            if (!newest_.load(std::memory_order_seq_cst)) {
                pollfd p{fd_, POLLIN, 0};
                ::poll(&p, 1, -1);
                std::uint64_t count;
                [[maybe_unused]] auto const got = ::read(fd_, &count, sizeof count);
            }
            asleep_.store(0, std::memory_order_seq_cst);
            return;
        }
        bare_call* oldest = nullptr;
        while (list) {
            bare_call* const next = list->next;
            list->next = oldest;
            oldest = list;
            list = next;
        }
        while (oldest) {
            bare_call* const next = oldest->next;
            oldest->run(*oldest);
            oldest = next;
        }
    }

private:
    std::atomic<bare_call*> newest_{nullptr};
    std::atomic<std::uint32_t> asleep_{0};
    int fd_;
};
#endif

}  // namespace floors
