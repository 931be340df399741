// Loops in threads of their own: made, waited for, and ended from outside.
#include <spruce/loop_thread.hpp>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <utility>

#include <spruce/group.hpp>
#include <spruce/loop.hpp>
#include <spruce/memory.hpp>
#include <spruce/shared.hpp>

#include "../sys/fork_mark.hpp"
#include "../sys/kernel_error.hpp"
#include "../sys/own_thread.hpp"
#include "../sys/thread_gate.hpp"
#include "../task/task_block.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// Held by the handle and by the thread; gone with the later one.
struct own_loop {
    explicit own_loop(loop_options const& o) noexcept : options(o) {}
    loop_options const options;
    std::uint32_t const mark = fork_mark();
    std::atomic<std::uint32_t> holders{2};
    // The thread's, until the gate is open; then everybody's.
    loop_ref door;
    bool begun = false;
    thread_gate up;
    // The thread's, until it is over; then everybody's.
    result<void> ended;
    char detail[120] = "";
    shared_event over;     // for tasks
    thread_gate gone;      // for those who block
    // The handle's.
    own_thread* thread = nullptr;

    // Details of errors are a thread's own: kept for who joins.
    void keep(result<void> const& what) noexcept {
        char const* const text = what.ok() ? "" : what.error().detail();
        std::size_t const size = ::strnlen(text, sizeof detail - 1);
        std::memcpy(detail, text, size);
        detail[size] = '\0';
    }
    result<void> tell(result<void> const& what) const noexcept {
        return what.ok() || !detail[0] ? what : result<void>(with_detail(what.error(), detail));
    }
};

namespace {
constexpr std::int64_t for_ever = std::numeric_limits<std::int64_t>::max();

void let_go(own_loop* l) noexcept {
    if (l->holders.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    l->~own_loop();
    release({}, l, sizeof(own_loop), alignof(own_loop));
}

// From its first turn on it is up.
result<void> run_until_stopped(own_loop& o) noexcept {
    loop l(o.options);
    if (!l.status()) return l.status();
    o.door = l.remote();
    if (handler const first = l.call_soon([&o] {
            o.begun = true;
            o.up.open();
        }); !first) return first.error();
    auto const ran = l.run_forever();
    auto const destroyed = l.destroy(in(o.options.destroy_grace));
    // A callback may have destroyed it.
    return !ran.ok() || destroyed.ok() || destroyed == errc::closed ? ran : destroyed;
}

void run_own_loop(void* at) noexcept {
    auto& o = *static_cast<own_loop*>(at);
    auto const ended = run_until_stopped(o);
    o.keep(ended);
    o.ended = ended;
    if (!o.begun) o.up.open();   // its maker waits yet
    o.over.set();
    o.gone.open();
    let_go(&o);
}

bool has_ended(own_loop const& l) noexcept { return l.over.is_set(); }
}  // namespace

result<own_loop*> start_loop_thread(loop_options const& options) noexcept {
    void* const room = allocate({}, sizeof(own_loop), alignof(own_loop));
    if (!room) return errc::no_memory;
    auto* const l = ::new (room) own_loop(options);
    int failed = l->up.status() < 0 ? l->up.status() : l->gone.status();
    if (failed == 0) failed = start_own_thread(run_own_loop, l, &l->thread);
    if (failed < 0) {
        l->holders.store(1, std::memory_order_relaxed);
        let_go(l);
        return failed == -ENOMEM ? error(errc::no_memory) : with_detail(kernel_error(failed), "pthread_create()");
    }
    l->up.wait(for_ever);
    if (l->begun) return l;
    // It was not to be: the thread is ending.
    join_own_thread(l->thread);
    auto const why = l->tell(l->ended);
    let_go(l);
    return why.ok() ? error(errc::closed) : why.error();
}

loop_ref door_of(own_loop const* l) noexcept { return l ? l->door : loop_ref(); }

result<void> stop_loop_thread(own_loop* l) noexcept {
    if (!l) return with_detail(errc::wrong_state, "an empty loop_thread");
    // And so is what wakes it
    if (fork_mark() != l->mark) return with_detail(errc::closed, "the thread is the parent's");
    auto const asked = l->door.stop();
    return !asked && asked != errc::closed ? asked : result<void>();
}

namespace {
result<void> join_held(own_loop* l, deadline dl) noexcept {
    if (fork_mark() != l->mark) return with_detail(errc::closed, "the thread is the parent's");
    SPRUCE_CHECK(begin_wait());
    if (l->thread && is_own_thread(*l->thread)) return with_detail(errc::deadlock, "a thread that joins itself");
    // The handle may go while a task waits.
    l->holders.fetch_add(1, std::memory_order_relaxed);
    struct held {
        own_loop* l;
        ~held() { let_go(l); }
    } const until_it_ends{l};
    if (!has_ended(*l)) {
        auto const waited = l->over.wait(dl);
        // Plain code of a thread that has a loop blocks, as does everybody where the event has no memory.
        if (!waited && waited != errc::not_in_task && waited != errc::no_memory) return waited;
        if (!waited && !l->gone.wait(dl.how() == deadline::kind::never ? for_ever : dl.remaining().count()))
            return errc::timed_out;
    }
    if (own_thread* const t = std::exchange(l->thread, nullptr)) join_own_thread(t);
    return l->tell(l->ended);
}
}  // namespace

result<void> join_loop_thread(own_loop* l, deadline dl) noexcept {
    counted_call const counted;
    if (!l) return with_detail(errc::wrong_state, "an empty loop_thread");
    // The handle may go, or be given another thread, while its user waits here.
    l->holders.fetch_add(1, std::memory_order_relaxed);
    auto const joined = join_held(l, dl);
    let_go(l);
    return joined;
}

void drop_loop_thread(own_loop* l) noexcept {
    if (!l) return;
    if (fork_mark() != l->mark) {
        // The thread's hold is nobody's here, and what it had in hand stays as it was at the fork.
        if (l->thread) leave_own_thread(l->thread);
        return;
    }
    if (own_thread* const t = l->thread; t && is_own_thread(*t)) {
        static_cast<void>(l->door.stop());
        leave_own_thread(t);
    } else if (t) {
        static_cast<void>(stop_loop_thread(l));
        shield_state shield;
        open_shield(shield);
        static_cast<void>(join_loop_thread(l, never()));
        close_shield(shield);
    }
    let_go(l);
}

}}}  // namespace spruce::v0::detail
