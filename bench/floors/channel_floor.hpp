// Yardsticks for channels, over the bare tasks: one sender, one receiver, values of one word. Nothing is closed, nobody
// times out or is canceled, and of each side only one may wait.
#pragma once
#include "tasks_floor.hpp"

#ifdef HAVE_BARE_SWITCH
namespace floors {

// A rendezvous: who comes first waits, and the second one moves the value and goes on.
class bare_rendezvous {
public:
    [[gnu::always_inline]] void send(long value) noexcept {
        bare_scheduler& s = *bare_scheduler::here;
        if (hand* const r = receiver_) {
            receiver_ = nullptr;
            r->value = value;
            s.wake(r->waiter);
            return;
        }
        hand mine{{}, value};
        sender_ = &mine;
        s.park(mine.waiter);
    }
    [[gnu::always_inline]] long receive() noexcept {
        bare_scheduler& s = *bare_scheduler::here;
        if (hand const* const from = sender_) {
            sender_ = nullptr;
            s.wake(from->waiter);
            return from->value;
        }
        hand mine{{}, 0};
        receiver_ = &mine;
        s.park(mine.waiter);
        look_again(mine);
        return mine.value;
    }

private:
    struct hand {
        bare_waiter waiter;
        long value;
    };
    // Others have written to it.
    static void look_again(hand& h) noexcept { asm volatile("" : "+m"(h)); }
    hand* sender_ = nullptr;
    hand* receiver_ = nullptr;
};

// A buffer of 128 between them. Who waited is woken at once, and finds what there is then.
class bare_buffer {
public:
    [[gnu::always_inline]] void send(long value) noexcept {
        while (tail_ - head_ == places) wait(sender_);
        values_[tail_++ & (places - 1)] = value;
        wake(receiver_);
    }
    [[gnu::always_inline]] long receive() noexcept {
        while (tail_ == head_) wait(receiver_);
        long const value = values_[head_++ & (places - 1)];
        wake(sender_);
        return value;
    }

private:
    static constexpr std::uint32_t places = 128;
    [[gnu::always_inline]] static void wait(bare_waiter*& at) noexcept {
        bare_waiter mine;
        at = &mine;
        bare_scheduler::here->park(mine);
    }
    [[gnu::always_inline]] static void wake(bare_waiter*& at) noexcept {
        if (!at) [[likely]] return;
        bare_scheduler::here->wake(*at);
        at = nullptr;
    }
    long values_[places];
    std::uint32_t head_ = 0, tail_ = 0;
    bare_waiter* sender_ = nullptr;
    bare_waiter* receiver_ = nullptr;
};

}  // namespace floors
#endif
