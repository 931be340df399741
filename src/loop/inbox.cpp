#include "inbox.hpp"

#include <bit>
#include <new>
#include <sched.h>

#include <spruce/loop.hpp>

#include "../base/round_up.hpp"
#include "hub.hpp"

namespace spruce { inline namespace v0 { namespace detail {

post_node* post_queue::take() noexcept {
    post_node* first = tail_;
    post_node* next = first->next.load(std::memory_order_acquire);
    if (first == &divider_) {
        if (!next) return nullptr;
        tail_ = first = next;
        next = first->next.load(std::memory_order_acquire);
    }
    if (next) {
        tail_ = next;
        return first;
    }
    // The last one in sight can only be taken when the divider stands behind it.
    if (first != head_.load(std::memory_order_acquire)) return nullptr;
    push(divider_);
    next = first->next.load(std::memory_order_acquire);
    if (!next) return nullptr;
    tail_ = next;
    return first;
}

namespace {
// What a node with such a callable needs: the node, then the callable at its alignment.
template <class Node = post_node> std::size_t offset_for(std::size_t alignment) noexcept {
    return round_up(sizeof(Node), alignment);
}

// From those pages, if there are any: for nodes that do not live long.
template <class Node = post_node>
Node* make_node(block_pages* pages, std::size_t size, std::size_t alignment, void** room) noexcept {
    std::size_t const bytes = offset_for<Node>(alignment) + size;
    std::size_t const strictest = alignment > alignof(Node) ? alignment : alignof(Node);
    if constexpr (sizeof(std::size_t) > 4)
        if (bytes > UINT32_MAX) return nullptr;
    void* block = pages && strictest <= block_pages::line ? pages->take(bytes) : nullptr;
    bool const in_page = block != nullptr;
    if (!block) block = allocate({}, bytes, strictest);
    if (!block) return nullptr;
    auto* const node = ::new (block) Node;
    node->bytes = static_cast<std::uint32_t>(bytes);
    node->alignment_bits = static_cast<std::uint8_t>(std::countr_zero(strictest));
    node->in_page = in_page;
    node->callable = static_cast<std::byte*>(block) + offset_for<Node>(alignment);
    *room = node->callable;
    return node;
}

// Whether a sender that found the gate at `before` is one too many. (Numbers that are only compared later are `auto`: a
// test that goes through every order of the steps puts its own atomics here, and learns what was looked at.)
bool is_full(remote& r, auto const& before) noexcept {
    auto const most = r.most.load(std::memory_order_relaxed);
    if (before - r.left_seen.load(std::memory_order_relaxed) < most) [[likely]] return false;
    // As far as was known. What the loop has taken meanwhile is on the loop's line, which is fetched only now.
    auto const left = r.left.load(std::memory_order_acquire);
    r.left_seen.store(left, std::memory_order_relaxed);
    return before - left >= most;
}
bool takes_calls(remote const& r) noexcept { return r.most.load(std::memory_order_relaxed) != 0; }

// Enters the gate with one more call. 0, or why not.
errc enter(remote& r, bool bounded) noexcept {
    auto const before = r.gate.fetch_add(2, std::memory_order_seq_cst);
    bool const closed = (before & 1) != 0;
    if (!closed && (!bounded || !is_full(r, before))) return {};
    r.gate.fetch_sub(2, std::memory_order_seq_cst);
    return closed || !takes_calls(r) ? errc::closed : errc::full;
}

// The loop may run the node, let go of it, and with it of the last name for its own door, before this thread has come
// to wake it.
void push_and_wake(remote& to, post_node& node) noexcept {
    retain(&to);
    to.queue.push(node);
    to.wake();
    release(&to);
}
}  // namespace

remote* make_remote(kernel& on, std::size_t bound) noexcept {
    void* const block = allocate({}, sizeof(remote), alignof(remote));
    if (!block) return nullptr;
    auto* const r = ::new (block) remote;
    r->on = &on;
    r->most.store(bound > UINTPTR_MAX / 4 ? UINTPTR_MAX / 2 : bound * 2, std::memory_order_relaxed);
    return r;
}

void remote::destroy(void* self) noexcept {
    static_cast<remote*>(self)->~remote();
    release({}, self, sizeof(remote), alignof(remote));
}

void retain(remote* r) noexcept { r->references.fetch_add(1, std::memory_order_relaxed); }
void release(remote* r) noexcept {
    if (r->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    r->pages.close();
}

void release(post_node* n) noexcept {
    if (n->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    if (n->to) release(n->to);
    std::size_t const bytes = n->bytes, alignment = std::size_t{1} << n->alignment_bits;
    if (n->in_page) {
        n->~post_node();
        block_pages::give(n, bytes);
        return;
    }
    if (n->is_waker) static_cast<waker_node*>(n)->~waker_node();
    else n->~post_node();
    release({}, n, bytes, alignment);
}

result<post_node*> claim_post(remote* to, std::size_t size, std::size_t alignment, void** room) noexcept {
    if (!to) return errc::no_loop;
    auto const before = to->gate.load(std::memory_order_relaxed);
    if ((before & 1) != 0) return errc::closed;
    // Not the last word, but what is refused anyway needs no memory: it would keep others' from being whole again.
    if (is_full(*to, before)) return takes_calls(*to) ? with_detail(errc::full, "inbox") : error(errc::closed);
    post_node* const node = make_node(&to->pages, size, alignment, room);
    if (!node) return errc::no_memory;
    return node;
}

void unclaim_post(post_node* node) noexcept { release(node); }

result<void> send_post(remote* to, post_node* node, callable_ops const* ops) noexcept {
    node->ops = ops;
    if (errc const refused = enter(*to, true); refused != errc{}) {
        ops->destroy(node->callable);
        release(node);
        if (refused == errc::full) return with_detail(refused, "inbox");
        return refused;
    }
    node->references.store(2, std::memory_order_relaxed);   // the sender's handle, and the inbox
    node->state.store(post_state::queued, std::memory_order_release);
    // A node in a page keeps that, and the page the door: ours is not given back before we are through.
    if (!node->in_page) {
        push_and_wake(*to, *node);
        return {};
    }
    to->queue.push(*node);
    to->wake();
    return {};
}

bool push_embedded(remote& to, post_node& node) noexcept {
    if (enter(to, false) != errc{}) return false;
    push_and_wake(to, node);
    return true;
}

bool cancel_post(post_node* n) noexcept {
    post_state was = post_state::queued;
    // The callable stays where it is: it is destroyed on the loop's thread, when the inbox comes to it.
    return n->state.compare_exchange_strong(was, post_state::canceled, std::memory_order_acq_rel);
}
bool post_done(post_node const* n) noexcept { return n->state.load(std::memory_order_acquire) == post_state::done; }

bool remote_alive(remote const* r) noexcept { return (r->gate.load(std::memory_order_acquire) & 1) == 0; }

bool remote_takes_calls(remote const* r) noexcept { return remote_alive(r) && takes_calls(*r); }

bool remote_is_here(remote const* r) noexcept { return r && current_hub && current_hub->door == r; }

result<void> stop_remote(remote* r) noexcept {
    if (!r) return errc::no_loop;
    loop_ref const until_it_ends(r);   // the loop that it stops may end at once, and with it who named it
    if (!takes_calls(*r)) return errc::closed;
    if (errc const refused = enter(*r, false); refused != errc{}) return refused;
    // A flag, not a call: it needs no memory and cannot be lost.
    r->stop_asked.store(1, std::memory_order_release);
    r->gate.fetch_sub(2, std::memory_order_seq_cst);
    r->wake();
    return {};
}

// -- wakers

result<post_node*> make_waker_node(hub* on, error const& status, std::size_t size, std::size_t alignment,
                                   void** room) noexcept {
    if (!on) return status;
    if (on != current_hub) return errc::wrong_thread;
    if (on->phase >= hub_phase::ending || on->orphaned) return errc::closed;
    waker_node* const node = make_node<waker_node>(nullptr, size, alignment, room);
    if (!node) return errc::no_memory;
    node->is_waker = true;
    return node;
}

namespace {
waker_node& waker_of(post_node& n) noexcept { return static_cast<waker_node&>(n); }
}  // namespace

void arm_waker(post_node* n, callable_ops const* ops) noexcept {
    n->ops = ops;
    n->to = current_hub->door;
    retain(n->to);
}

void wake_node(post_node* n) noexcept {
    if (waker_of(*n).pending.exchange(1, std::memory_order_acq_rel) != 0) return;
    if (enter(*n->to, false) != errc{}) return;   // the loop is dead: pending stays, which keeps further calls cheap
    n->references.fetch_add(1, std::memory_order_relaxed);
    push_and_wake(*n->to, *n);   // the function may end its waker before this thread is through
}

void drop_waker(post_node* n) noexcept {
    // The function is destroyed on the loop's thread, so the inbox must see the node once more; on a dead loop here.
    waker_of(*n).dropped.store(1, std::memory_order_seq_cst);
    remote& r = *n->to;
    bool closed;
    if (waker_of(*n).pending.exchange(1, std::memory_order_acq_rel) == 0) {
        closed = enter(r, false) != errc{};
        if (!closed) {
            push_and_wake(r, *n);   // takes over the waker's reference
            return;
        }
    } else {
        closed = (r.gate.load(std::memory_order_seq_cst) & 1) != 0;
    }
    // An earlier call may have come to its end meanwhile, and seen that the waker is dropped.
    if (closed && n->state.exchange(post_state::canceled) != post_state::canceled) n->ops->destroy(n->callable);
    release(n);
}

// -- the loop's side

namespace {
void run_node(post_node& n) noexcept {
    if (n.is_waker) {
        waker_of(n).pending.store(0, std::memory_order_seq_cst);
        if (waker_of(n).dropped.load(std::memory_order_seq_cst) != 0) {
            if (n.state.exchange(post_state::canceled) != post_state::canceled) n.ops->destroy(n.callable);
        } else if (takes_calls(*n.to)) {
            n.ops->run(n.callable, nullptr);
        }
        return;
    }
    post_state was = post_state::queued;
    if (n.state.compare_exchange_strong(was, post_state::running, std::memory_order_acq_rel)) {
        n.ops->run(n.callable, nullptr);
        n.ops->destroy(n.callable);
        n.state.store(post_state::done, std::memory_order_release);
    } else {
        n.ops->destroy(n.callable);
    }
}
}  // namespace

namespace {
// Ends a node that will not run. Who waits for it is told, unless that is somebody in the process that forked.
void end_node(post_node& n, bool told = true) noexcept {
    if (n.embedded) {
        n.ops->destroy(n.callable);
        return;
    }
    if (n.is_waker) {
        if (waker_of(n).dropped.load(std::memory_order_seq_cst) != 0 &&
            n.state.exchange(post_state::canceled) != post_state::canceled)
            n.ops->destroy(n.callable);
    } else {
        post_state was = post_state::queued;
        bool const ours = n.state.compare_exchange_strong(was, post_state::canceled, std::memory_order_acq_rel);
        if (ours && told && n.awaited) static_cast<awaited_call_ops const*>(n.ops)->lost(n.callable);
        n.ops->destroy(n.callable);
    }
    release(&n);
}
}  // namespace

std::size_t run_posts(remote& r, std::size_t most, std::uint64_t& dispatches, stall_watch* const& watch) noexcept {
    // Those that are there now; what they post themselves comes with the next turn.
    auto const there = r.inside() / 2;
    std::size_t count = 0;
    while (count != there && count != most) {
        post_node* const n = r.queue.take();
        if (!n) break;
        ++count;
        r.took_one();
        ++dispatches;   // whatever it is, what it reads from the clock is fresh
        if (n->embedded) {
            n->ops->destroy(n->callable);
            continue;
        }
        if (!takes_calls(r) && !n->is_waker) [[unlikely]] {
            end_node(*n);
            continue;
        }
        if (watch) [[unlikely]] watch->begin("call from another thread", -1);
        run_node(*n);
        release(n);
    }
    if (watch) [[unlikely]] watch->end();
    return count;
}

void inbox_after_fork(remote& r) noexcept {
    while (post_node* const n = r.queue.take()) {
        if (n->is_waker) waker_of(*n).pending.store(0, std::memory_order_seq_cst);
        end_node(*n, false);
    }
    // No other thread came along. One that was in the midst of a call left its marks here for ever, and perhaps a
    // gap in the queue.
    r.queue.~post_queue();
    ::new (static_cast<void*>(&r.queue)) post_queue;
    r.gate.store(0, std::memory_order_seq_cst);
    r.left.store(0, std::memory_order_seq_cst);
    r.left_seen.store(0, std::memory_order_seq_cst);
    r.asleep.store(0, std::memory_order_seq_cst);
    r.waking.store(0, std::memory_order_seq_cst);
    r.stop_asked.store(0, std::memory_order_seq_cst);
    r.pages.after_fork();
}

void close_to_calls(remote& r) noexcept { r.most.store(0, std::memory_order_relaxed); }

void close_remote(remote& r) noexcept {
    r.gate.fetch_or(1, std::memory_order_seq_cst);
    // Whoever entered before is between two instructions, and pushes: wait for each of them.
    while (r.pending()) {
        post_node* const n = r.queue.take();
        if (!n) {
            ::sched_yield();
            continue;
        }
        r.took_one();
        end_node(*n);
    }
    // The same for those who are between seeing the hub asleep and writing.
    r.asleep.store(0, std::memory_order_seq_cst);
    while (r.waking.load(std::memory_order_seq_cst) != 0) ::sched_yield();
}

}}}  // namespace spruce::v0::detail
