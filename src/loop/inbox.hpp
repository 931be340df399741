// The inbox: calls from other threads, and the part of a loop that other threads hold.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

#include <spruce/detail/callback.hpp>
#include <spruce/memory.hpp>

#include "../base/atomic.hpp"
#include "../base/block_pages.hpp"
#include "../sys/kernel.hpp"
#include "../sys/threads.hpp"

namespace spruce { inline namespace v0 { namespace detail {

struct hub;
struct remote;
class stall_watch;

enum class post_state : std::uint32_t {
    made,        // not sent yet
    queued,      // in the inbox, may be canceled
    running,     // begun
    done,        // ran to its end
    canceled    // taken back, or its loop died first; the callable is gone
};

// One call. Lives until its handle and the inbox have both let go. Its memory is the process's: it is made on one
// thread and may end on another. With a small callable it is a line of the cache, where that has 64 bytes.
struct post_node {
    atomic<post_node*> next{nullptr};
    atomic<post_state> state{post_state::made};
    atomic<std::uint32_t> references{1};
    callable_ops const* ops = nullptr;
    void* callable = nullptr;
    remote* to = nullptr;
    std::uint32_t bytes = 0;            // of this node and its callable together
    std::uint8_t alignment_bits = 0;    // of both, as a power of two
    bool in_page : 1 = false;           // its memory is a part of a page
    bool is_waker : 1 = false;          // a waker_node
    bool embedded : 1 = false;          // lies in what it stands for: run is not called, destroy once, and it is gone
    bool awaited : 1 = false;           // its ops are awaited_call_ops
};
// A waker's node is sent again and again: pending melts its calls into one, dropped ends it.
struct waker_node : post_node {
    atomic<std::uint32_t> pending{0};
    atomic<std::uint32_t> dropped{0};
};
// Of a call that somebody waits for, who is told if the loop ends before the call begins.
struct awaited_call_ops : callable_ops {
    void (*lost)(void* callable) noexcept;
};

// What one side writes all the time lies on another line than what the other side does.
inline constexpr std::size_t line_bytes = sizeof(void*) >= 8 ? 64 : alignof(std::max_align_t);

// A queue of nodes that any thread and any signal handler may push to without waiting, and the loop's thread takes
// from: Vyukov's intrusive queue of many producers and one consumer (1024cores.net). A push is one exchange and one
// store; between the two the nodes behind are out of sight, and come into sight before their pusher wakes the loop.
class post_queue {
public:
    post_queue() noexcept : head_(&divider_), tail_(&divider_) {}
    void push(post_node& n) noexcept {
        n.next.store(nullptr, std::memory_order_relaxed);
        auto const before = head_.exchange(&n, std::memory_order_acq_rel);
        before->next.store(&n, std::memory_order_release);
    }
    // The oldest in sight, or null.
    post_node* take() noexcept;

private:
    atomic<post_node*> head_;   // the newest; producers' side
    alignas(line_bytes) post_node* tail_;   // the oldest; consumer's side, on a line of its own
    post_node divider_;   // a node of no call, so that the queue is never without one
};

// What other threads know of a loop. Outlives it, as long as somebody names it.
struct remote {
    // -- seldom written
    atomic<std::uint32_t> references{1};
    atomic<std::uint32_t> asleep{0};   // the hub waits in the kernel, or is about to
    // Twice the calls that may be inside; 0: the loop object is gone, and takes none
    std::atomic<std::uintptr_t> most{0};
    kernel* on = nullptr;
    int wake_fd = -1;                       // valid while anybody may be waking
    hub* owner = nullptr;                   // the loop's thread only
    atomic<std::uint32_t> stop_asked{0};
    atomic<std::uint32_t> waking{0};   // threads that may be about to write to wake_fd
    std::atomic<int> waker_core{-1};   // of who woke it last; a hint, with no order to anything

    // -- written by senders
    // Twice the calls that ever entered, plus 1 once the loop takes no more. A sender adds 2 first and looks at what
    // was there: so whoever closes knows when nobody is between deciding and pushing. It runs on, and may wrap.
    alignas(line_bytes) atomic<std::uintptr_t> gate{0};
    atomic<std::uintptr_t> left_seen{0};   // what `left` once was: a sender looks there only when this is too old
    block_pages pages{this, destroy};            // the nodes'; they live as long as the last node, and this with them
    post_queue queue;                           // its head is the senders', its tail the loop's

    // -- written by the loop: twice the calls that were taken
    atomic<std::uintptr_t> left{0};

    static void destroy(void* self) noexcept;
    // Twice the calls that entered and were not taken, as the loop sees it.
    auto inside() const noexcept {
        return (gate.load(std::memory_order_seq_cst) & ~std::uintptr_t{1}) - left.load(std::memory_order_relaxed);
    }
    bool pending() const noexcept { return inside() != 0; }
    void took_one() noexcept { left.store(left.load(std::memory_order_relaxed) + 2, std::memory_order_release); }
    // Whether there is something for the hub to do.
    bool has_work() const noexcept { return pending() || stop_asked.load(std::memory_order_relaxed) != 0; }

    // The hub's side of a sleep: from going_to_sleep() on whoever posts wakes it, and what came before has_work() sees,
    // which it asks next.
    void going_to_sleep() noexcept { asleep.store(1, std::memory_order_seq_cst); }
    // Returns: whether nobody had woken it.
    bool woke_up() noexcept { return asleep.exchange(0, std::memory_order_seq_cst) != 0; }
    // The senders': wakes the hub if it sleeps; at most one write a sleep.
    void wake() noexcept {
        if (asleep.load(std::memory_order_seq_cst) == 0) return;
        // Counted before the exchange: whoever closes the fd clears `asleep` first, then waits for this count.
        waking.fetch_add(1, std::memory_order_seq_cst);
        if (asleep.exchange(0, std::memory_order_seq_cst) != 0) {
            waker_core.store(core_of_thread(), std::memory_order_relaxed);
            on->calls->wake(on->context, wake_fd);
        }
        waking.fetch_sub(1, std::memory_order_seq_cst);
    }
};
// remote_alive(), for the loop's own thread, which alone closes it.
inline bool is_open(remote const& r) noexcept { return (r.gate.load(std::memory_order_relaxed) & 1) == 0; }

// Sends a node that lies in something else; past the bound, and never failing but when the loop is closed: false.
bool push_embedded(remote& to, post_node& node) noexcept;

remote* make_remote(kernel& on, std::size_t bound) noexcept;
// Runs the calls that were there at the start, each counted in `dispatches` before it begins; any of them may begin or
// end the watch. Returns how many.
std::size_t run_posts(remote& r, std::size_t most, std::uint64_t& dispatches, stall_watch* const& watch) noexcept;
// The loop object is gone: no call runs any more, and none is taken. Notices to tasks come through to the end.
void close_to_calls(remote& r) noexcept;
// Closes the gate, waits until no sender is inside, and ends what is left: canceled, its callable destroyed.
void close_remote(remote& r) noexcept;
// In a forked child: empty again, and nobody is inside. The calls that were pending are the parent's.
void inbox_after_fork(remote& r) noexcept;

}}}  // namespace spruce::v0::detail
