// The library's own inbox, compiled once more with atomics that are steps, under a namespace of its own.
#include "inbox_program.hpp"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <limits>
#include <memory>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

#include <csignal>
#include <sched.h>
#include <sys/types.h>

#include "stepping_atomic.hpp"

#define v0 stepped
#define SPRUCE_TEST_ATOMIC ::explorer::stepping_atomic
inline void give_way(int line) noexcept;
#define sched_yield() give_way(__LINE__)
#include "../../src/base/error.cpp"
#include "../../src/base/errno_names.cpp"
#include "../../src/loop/inbox.cpp"
#undef sched_yield

namespace inbox {
namespace {
using namespace spruce;
using namespace spruce::detail;

// Each thread's memory is at the same places in every run, and never used twice.
struct arena {
    alignas(64) std::byte room[32 * 1024];
    std::size_t used = 0;
};
struct call_record {
    bool sent = false, closed = false, full = false, taken_back = false;
    int ran = 0, destroyed = 0;
};
struct waker_record {
    post_node* node = nullptr;
    std::uint32_t heard = 0;
    int ran = 0, destroyed = 0;
    bool dropped = false;
};
// What several threads use here, too: each access is a step.
struct shared_words {
    template <class T> using word = explorer::stepping_atomic<T>;
    // What wakes the loop: the writes that it has not taken, and in sleep_unit the sleeps that nobody wrote for.
    word<std::uint32_t> waker{0};
    word<std::uint32_t> closing{0}, closed{0};   // the loop's close has begun, and come back
    word<std::uint32_t> stops{0};
    word<std::uint32_t> woken[explorer::most_threads + 1] = {0, 0, 0, 0, 0};
};
constexpr std::uint32_t sleep_unit = 256;

struct world {
    plan const* p = nullptr;
    flaw broken = flaw::none;
    arena memory[explorer::most_threads + 1];
    long blocks = 0;
    kernel_calls calls{};
    kernel on{};
    remote* r = nullptr;
    std::uint64_t dispatches = 0;
    alignas(shared_words) std::byte words_room[sizeof(shared_words)];   // made anew for each run, and not destroyed
    shared_words& words() { return *std::launder(reinterpret_cast<shared_words*>(words_room)); }
    bool running_calls = false;
    unsigned deed = 0;           // the loop's
    bool in_close = false;
    std::uint64_t dispatches_before = 0;   // this deed
    std::uint32_t stops_heard = 0;
    call_record records[explorer::most_threads][4];
    std::size_t made[explorer::most_threads] = {};
    std::size_t last_ran[explorer::most_threads] = {};
    loop_ref doors[explorer::most_threads];
    posted handles[explorer::most_threads][4];
    waker_record wakers[explorer::most_threads + 1];   // the last is shared
};
world* w = nullptr;

// All that a thread goes by besides shared memory, and all that the rules will ask of what it did. `place` tells where
// it is, with all that it keeps in plain variables there.
struct digest {
    std::uint64_t sum = 0;
    template <class T> void add(T value) noexcept {
        sum = (sum + static_cast<std::uint64_t>(value) + 1) * 0x9e3779b97f4a7c15;
        sum ^= sum >> 29;
    }
};
constexpr unsigned parts_a_deed = 32, last_part = explorer::most_parts - 1;
template <class... Place> void forget_orders(unsigned part, Place... place) noexcept {
    digest d;
    int const me = explorer::self();
    bool turns = false;
    if (me == explorer::most_threads) return;
    (d.add(place), ...);
    if (me == 0) {
        // The queue's end is the loop's own, and no atomic.
        post_node* tail;
        std::memcpy(&tail, reinterpret_cast<std::byte const*>(&w->r->queue) + line_bytes, sizeof tail);
        d.add(reinterpret_cast<std::uintptr_t>(tail));
        d.add(w->running_calls * 2 + w->in_close);
        d.add(w->stops_heard);
        for (auto const& of : w->records)
            for (call_record const& c : of) d.add(c.ran * 4 + c.destroyed);
        for (auto const& k : w->wakers) d.add(k.ran * 8 + k.destroyed), d.add(k.heard);
        // A close turns until all have left.
        turns = w->in_close;
        if (part != last_part)
            part = w->deed * parts_a_deed + (turns ? parts_a_deed - 1 : static_cast<unsigned>(w->dispatches - w->dispatches_before));
    } else {
        for (call_record const& c : w->records[me]) d.add(c.sent + c.closed * 2 + c.full * 4 + c.taken_back * 8);
        d.add(w->memory[me].used);
    }
    explorer::forget_but(d.sum, part, turns);
}

void rule(bool holds, char const* what) noexcept {
    if (!holds) explorer::wrong(what);
}

bool on_the_loop() noexcept {
    return w->running_calls && (explorer::self() == 0 || explorer::self() == explorer::most_threads);
}

// The loop has come to a node: where it stands in its list it keeps in a glimpse, and in how many it came to.
void come_to(int thread, std::size_t number, bool runs) noexcept {
    if (explorer::self() == 0) forget_orders(0, thread, number, runs);
}

struct call {
    int thread;
    std::size_t number;
    bool mine = true;
    call(int t, std::size_t n) : thread(t), number(n) {}
    call(call&& o) noexcept : thread(o.thread), number(o.number), mine(std::exchange(o.mine, false)) {}
    ~call() {
        if (!mine) return;
        ++record().destroyed;
        if (record().ran != 0) return;
        left_queue();
        come_to(thread, number, false);
    }
    call_record& record() const { return w->records[thread][number]; }
    // It has left the queue, and does not come back; a waker may have by now.
    void left_queue() const {
        if (explorer::self() != 0) return;
        reinterpret_cast<post_node*>(reinterpret_cast<std::uintptr_t>(this) - offset_for(alignof(call)))->next.spend();
    }
    void operator()() const {
        rule(on_the_loop(), "a call runs where it must not");
        rule(++record().ran == 1 && record().destroyed == 0, "a call runs twice, or after its end");
        rule(number + 1 > w->last_ran[thread], "a thread's calls run out of order");
        w->last_ran[thread] = number + 1;
        left_queue();
        come_to(thread, number, true);
    }
};
struct waker_function {
    waker_record* of;
    bool mine = true;
    explicit waker_function(waker_record* r) : of(r) {}
    waker_function(waker_function&& o) noexcept : of(o.of), mine(std::exchange(o.mine, false)) {}
    ~waker_function() {
        if (!mine) return;
        ++of->destroyed;
        come_to(number(), 0, false);
    }
    int number() const { return explorer::most_threads + static_cast<int>(of - w->wakers); }
    void operator()() const {
        rule(on_the_loop(), "a waker's function runs where it must not");
        rule(of->destroyed == 0, "a waker's function runs after its end");
        auto const woken = w->words().woken[of - w->wakers].load();
        rule(woken >= ++of->ran, "a waker's function runs more often than it was woken");
        of->heard = woken;
        come_to(number(), 0, true);
    }
};

void write_waker(void*, int) noexcept {
    rule(w->words().closed.load() == 0, "a write to a waker that was closed");
    rule(w->words().waker.fetch_add(1 - sleep_unit) >= sleep_unit, "more than one write a sleep");
}

void add_waker(waker_record& r) {
    void* room = nullptr;
    r.node = make_node<waker_node>(nullptr, sizeof(waker_function), alignof(waker_function), &room);
    ::new (room) waker_function(&r);
    r.node->is_waker = true;
    r.node->ops = &plain_ops<waker_function>;
    r.node->to = w->r;
    retain(w->r);
}

// -- the loop
void take_all() {
    if (w->r->stop_asked.load(std::memory_order_relaxed) != 0 && w->r->stop_asked.exchange(0) != 0)
        w->stops_heard = w->words().stops.load();
    w->running_calls = true;
    run_posts(*w->r, 1'000, w->dispatches, nullptr);
    w->running_calls = false;
}
void sleep(bool ends_by_itself) {
    remote& r = *w->r;
    w->words().waker.fetch_add(sleep_unit);   // counted before others can know of it
    bool const has_work = w->broken == flaw::looks_too_early && r.has_work();
    r.going_to_sleep();
    if (w->broken == flaw::looks_too_early ? !has_work : w->broken == flaw::no_second_look || !r.has_work()) {
        auto const written = [] { return w->words().waker.peek() % sleep_unit != 0; };
        auto const woken = [](void*) { return w->words().waker.peek() % sleep_unit != 0 || explorer::alone(); };
        if (!ends_by_itself) {
            explorer::wait_until(&w->words().waker, woken, nullptr);
            explorer::saw(written());
            bool const lost = !written() && (r.inside() != 0 || r.stop_asked.load() != 0);
            rule(!lost, "the loop sleeps, and a call waits");
        }
        w->words().waker.fetch_and(~(sleep_unit - 1));
    }
    r.woke_up();
}
void run_loop() {
    for (char const* deed = w->p->loop; *deed != 0; ++deed) {
        w->deed = static_cast<unsigned>(deed - w->p->loop);
        w->dispatches_before = w->dispatches;
        w->in_close = *deed == 'C';
        forget_orders(0);
        if (w->in_close) {
            w->words().closing.store(1);
            close_remote(*w->r);
            w->words().closed.store(1);
            break;
        }
        if (*deed != 'P') sleep(*deed == 'T');
        take_all();
    }
}

// -- the others
void send(int me, loop_ref const& door, bool take_back) {
    std::size_t const n = w->made[me]++;
    call_record& c = w->records[me][n];
    bool const late = w->words().closed.load() != 0;
    auto sent = door.call(call(me, n));
    c.sent = sent.ok();
    if (!sent) {
        c.closed = sent == errc::closed;
        c.full = sent == errc::full;
        rule(c.destroyed == 1, "a refused call is not destroyed");
        rule(c.closed || c.full, "a call is refused for another reason");
        rule(!c.closed || w->words().closing.load() != 0, "closed before it was");
        rule(!c.full || w->p->bound < 6, "full though there is room");
        return;
    }
    rule(!late, "a call is accepted after the close");
    w->handles[me][n] = std::move(*sent);
    if (take_back) c.taken_back = w->handles[me][n].cancel();
}
void stop(loop_ref const& door) {
    bool const late = w->words().closed.load() != 0;
    w->words().stops.fetch_add(1);
    auto const told = door.stop();
    rule(told.ok() || (told == errc::closed && w->words().closing.load() != 0), "stop() is refused");
    rule(!(late && told.ok()), "stop() is accepted after the close");
    if (!told) w->words().stops.fetch_sub(1);
}
void wake(waker_record& r) {
    w->words().woken[&r - w->wakers].fetch_add(1);
    wake_node(r.node);
}
void do_deeds(int me) {
    loop_ref const& door = w->doors[me];
    waker_record& own = w->wakers[me];
    unsigned number = 0;
    for (char const* deed = w->p->others[me - 1]; *deed != 0; ++deed) {
        forget_orders(number++);
        switch (*deed) {
        case 'c': send(me, door, false); break;
        case 'x': send(me, door, true); break;
        case 'z':
            if (std::size_t const n = w->made[me]; n != 0 && w->records[me][n - 1].sent)
                w->records[me][n - 1].taken_back |= w->handles[me][n - 1].cancel();
            break;
        case 's': stop(door); break;
        case 'w': wake(own); break;
        case 'W': wake(w->wakers[explorer::most_threads]); break;
        default:
            own.dropped = true;
            drop_waker(own.node);
            return;
        }
    }
}

// -- a run
void begin(void*) {
    plan const* const p = w->p;
    flaw const f = w->broken;
    for (auto& thread : w->handles)
        for (posted& h : thread) ::new (&h) posted;   // a run that was left may have let some lie
    for (loop_ref& door : w->doors) ::new (&door) loop_ref;
    w->~world();
    ::new (w) world;
    w->p = p;
    w->broken = f;
    w->calls.wake = write_waker;
    w->on.calls = &w->calls;
    ::new (w->words_room) shared_words;
    w->r = make_remote(w->on, p->bound);
    for (loop_ref& door : w->doors) door = loop_ref(w->r);
    add_waker(w->wakers[explorer::most_threads]);
    for (int t = 1; t <= 2; ++t)
        if (p->others[t - 1] && std::strpbrk(p->others[t - 1], "wd")) add_waker(w->wakers[t]);
    explorer::broken = {};
    explorer::broken.torn = f == flaw::torn_exchange;
    if (f == flaw::closes_too_early) explorer::broken.deaf = &w->r->waking;
    if (f == flaw::forgets_gate) explorer::broken.deaf = &w->r->gate;
}
void thread(void*, int which) {
    if (which == 0) run_loop();
    else do_deeds(which);
    forget_orders(last_part);
}
std::uint64_t all_that_was() noexcept {
    digest d;
    for (auto const& of : w->records)
        for (call_record const& c : of)
            d.add(c.sent + c.closed * 2 + c.full * 4 + c.taken_back * 8 + c.ran * 16 + c.destroyed * 64);
    for (auto const& k : w->wakers) d.add(k.ran * 8 + k.destroyed * 2 + k.dropped), d.add(k.heard);
    d.add(w->stops_heard);
    d.add(w->words().waker.peek());
    return d.sum;
}
void end(void*) {
    bool const was_closed = w->words().closed.peek() != 0;
    if (!was_closed) {
        w->running_calls = true;
        if (w->r->stop_asked.exchange(0) != 0) w->stops_heard = w->words().stops.peek();
        run_posts(*w->r, 1'000, w->dispatches, nullptr);
        w->running_calls = false;
        rule(!w->r->pending(), "the inbox counts calls that are not there");
        rule(w->stops_heard == w->words().stops.peek(), "a stop() was lost");
        close_remote(*w->r);
        w->words().closed.store(1);
    }
    rule(!w->r->pending(), "after the close something is left");
    for (auto& r : w->wakers) {
        if (!r.node) continue;
        if (!r.dropped) drop_waker(r.node);
        rule(was_closed || r.dropped || r.heard == w->words().woken[&r - w->wakers].peek(), "a waker was woken, and not heard");
        rule(r.destroyed == 1, "a waker's function is not destroyed once");
    }
    for (auto& records : w->records) {
        for (call_record const& c : records) {
            if (!c.sent) continue;
            rule(c.destroyed == 1, "a call is not destroyed once");
            rule(!c.taken_back || c.ran == 0, "a call that was taken back has run");
            rule(c.taken_back || c.ran == 1 || was_closed, "a call was lost");
        }
    }
    for (auto& of : w->handles)
        for (posted& h : of) {
            bool const ran = w->records[&of - w->handles][&h - of].ran == 1;
            rule(h.done() == ran, "a handle says otherwise than it was");
            rule(!h.cancel(), "a call could be taken back after all was over");
            h = posted();
        }
    explorer::ended_as(all_that_was());
    for (loop_ref& door : w->doors) door = loop_ref();
    release(w->r);
    rule(w->blocks == 0, "memory is left");
}
}  // namespace

}  // namespace inbox
void give_way(int line) noexcept {
    inbox::forget_orders(static_cast<unsigned>(line));   // it waits with nothing in hand
    explorer::step_aside();
}
namespace inbox {

explorer::outcome explore(plan const& p, flaw f, explorer::effort const& e) {
    w = ::new world;
    w->p = &p;
    w->broken = f;
    explorer::program const threads{p.others[1] ? 3 : 2, begin, thread, end, nullptr};
    explorer::outcome o = explorer::explore(threads, e);
    explorer::broken = {};
    for (auto& of : w->handles)
        for (posted& h : of) ::new (&h) posted;
    for (loop_ref& door : w->doors) ::new (&door) loop_ref;
    ::delete w;
    w = nullptr;
    return o;
}

}  // namespace inbox

// What the inbox needs of the rest of the library.
namespace spruce { inline namespace stepped { namespace detail {
void* allocate(memory_hook const&, std::size_t bytes, std::size_t alignment) noexcept {
    inbox::arena& a = inbox::w->memory[explorer::self()];
    a.used = (a.used + alignment - 1) / alignment * alignment;
    void* const at = a.room + a.used;
    a.used += bytes;
    if (a.used > sizeof a.room) std::abort();
    ++inbox::w->blocks;
    explorer::keep_secret(at, bytes);
    return at;
}
void release(memory_hook const&, void* at, std::size_t, std::size_t) noexcept {
    if (at) --inbox::w->blocks;
}
constinit thread_local hub* current_hub = nullptr;
void panic(char const* rule, char const*, int) noexcept {
    std::fputs(rule, stderr);
    std::abort();
}
// The pages have a program of their own.
void* block_pages::take(std::size_t) noexcept { return nullptr; }
void block_pages::give(void*, std::size_t) noexcept {}
void block_pages::close() noexcept { gone_(owner_); }
void block_pages::after_fork() noexcept {}
int core_of_thread() noexcept { return 0; }   // a hint that no rule depends on
}}}  // namespace spruce::stepped::detail
