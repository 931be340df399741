// The clock, and what is under way in the network until its time has come.
#include <cerrno>
#include <cstring>
#include <limits>

#include "simulated_kernel.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
bool earlier(simulated_delivery const& a, simulated_delivery const& b) noexcept {
    return a.due_ns != b.due_ns ? a.due_ns < b.due_ns : a.sequence < b.sequence;
}

void sift_up(simulated_delivery* heap, std::size_t at) noexcept {
    simulated_delivery const moving = heap[at];
    for (; at != 0 && earlier(moving, heap[(at - 1) / 2]); at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
    heap[at] = moving;
}

void sift_down(simulated_delivery* heap, std::size_t size, std::size_t at) noexcept {
    simulated_delivery const moving = heap[at];
    for (std::size_t child; (child = 2 * at + 1) < size; at = child) {
        if (child + 1 < size && earlier(heap[child + 1], heap[child])) ++child;
        if (!earlier(heap[child], moving)) break;
        heap[at] = heap[child];
    }
    heap[at] = moving;
}

simulated_delivery take_first(simulated_kernel& k) noexcept {
    simulated_delivery const first = k.heap[0];
    k.heap[0] = k.heap[--k.heap_size];
    if (k.heap_size != 0) sift_down(k.heap, k.heap_size, 0);
    return first;
}

bool has_latency(simulated_kernel& k) noexcept {
    return k.options.latency_from.count() > 0 || k.options.latency_to.count() > 0;
}

std::int64_t draw_latency(simulated_kernel& k) noexcept {
    std::int64_t const from = k.options.latency_from.count() < 0 ? 0 : k.options.latency_from.count(),
                       to = k.options.latency_to.count();
    if (to <= from) return from;
    return from + static_cast<std::int64_t>(draw(k, static_cast<std::uint64_t>(to - from) + 1));
}
}  // namespace

// splitmix64: a counter, stirred.
std::uint64_t draw(simulated_kernel& k, std::uint64_t bound) noexcept {
    std::uint64_t z = k.random_state += 0x9e37'79b9'7f4a'7c15U;
    z = (z ^ (z >> 30)) * 0xbf58'476d'1ce4'e5b9U;
    z = (z ^ (z >> 27)) * 0x94d0'49bb'1331'11ebU;
    return (z ^ (z >> 31)) % bound;
}

bool reserve_delivery(simulated_kernel& k, std::size_t more) noexcept {
    if (!has_latency(k)) return true;
    // Three places are kept for each stream, because what begins and ends a connection must not fail half-way.
    std::size_t const wanted = k.heap_size + more + 3 * k.streams;
    if (wanted <= k.heap_room) return true;
    std::size_t const room = wanted * 2;
    auto* const heap =
        static_cast<simulated_delivery*>(allocate({}, room * sizeof(simulated_delivery), alignof(simulated_delivery)));
    if (!heap) return false;
    if (k.heap_size) std::memcpy(heap, k.heap, k.heap_size * sizeof(simulated_delivery));
    release({}, k.heap, k.heap_room * sizeof(simulated_delivery), alignof(simulated_delivery));
    k.heap = heap;
    k.heap_room = room;
    return true;
}

void send_off(simulated_kernel& k, simulated_file& to, under_way what, std::size_t count) noexcept {
    if (!has_latency(k)) {
        arrive(k, to, what, count);
        return;
    }
    std::int64_t const now = k.now_ns.load(std::memory_order_relaxed), takes = draw_latency(k);
    std::int64_t due = takes < end_of_time - now ? now + takes : end_of_time;
    if (due < to.last_due_ns) due = to.last_due_ns;
    to.last_due_ns = due;
    k.heap[k.heap_size] = {due, k.deliveries++, &to, count, what};
    sift_up(k.heap, k.heap_size++);
}

void arrive(simulated_kernel& k, simulated_file& to, under_way what, std::size_t count) noexcept {
    switch (what) {
        case under_way::data:
            to.inbox.arrive(count);
            notify(k, to, ready_read);
            break;
        case under_way::fin:
            to.shut = static_cast<std::uint8_t>(to.shut | shut_in);
            to.ended = true;
            notify_change(k, to, ready_read);   // what this side sends is not over
            break;
        case under_way::reset:
            // After the peer's FIN the error is the writer's; before it the reader is told, too.
            break_off(k, to, to.ended ? EPIPE : ECONNRESET);
            break;
        case under_way::syn: syn_arrives(k, to); break;
    }
}

void forget_deliveries(simulated_kernel& k, simulated_file& to) noexcept {
    std::size_t kept = 0;
    for (std::size_t i = 0; i != k.heap_size; ++i)
        if (k.heap[i].to != &to) k.heap[kept++] = k.heap[i];
    if (kept == k.heap_size) return;
    k.heap_size = kept;
    for (std::size_t i = kept / 2; i-- != 0;) sift_down(k.heap, kept, i);
}

std::int64_t next_delivery_ns(simulated_kernel& k) noexcept {
    return k.heap_size != 0 ? k.heap[0].due_ns : std::numeric_limits<std::int64_t>::max();
}

void move_clock(simulated_kernel& k, std::int64_t to_ns) noexcept {
    while (k.heap_size != 0 && k.heap[0].due_ns <= to_ns) {
        simulated_delivery const d = take_first(k);
        if (d.due_ns > k.now_ns.load(std::memory_order_relaxed)) k.now_ns.store(d.due_ns, std::memory_order_relaxed);
        arrive(k, *d.to, d.what, d.count);
    }
    if (to_ns > k.now_ns.load(std::memory_order_relaxed)) k.now_ns.store(to_ns, std::memory_order_relaxed);
    k.changed = true;   // sleepers look at the clock again
}

}}}  // namespace spruce::v0::detail
