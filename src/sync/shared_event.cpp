// Events between threads. Each set() ends all the waits that had begun before, whatever clear() says meanwhile.
#include <spruce/shared.hpp>

#include "shared_wait.hpp"

namespace spruce { inline namespace v0 {

namespace detail {
struct shared_event_state : shared_source {
    shared_event_state() noexcept;
    shared_line line;
    atomic<std::uint32_t> set{0};      // written with the lock
    std::uint64_t sets = 0;            // how often it was set
};

namespace {
shared_event_state& event_of(shared_source& s) noexcept { return static_cast<shared_event_state&>(s); }

// The set() that ended the wait may have been taken back.
bool is_over(shared_event_state const& e, std::uint64_t seen) noexcept {
    return e.set.load(std::memory_order_relaxed) != 0 || e.sets != seen;
}

void choose(shared_source& s, told_waiters& out) noexcept {
    auto& e = event_of(s);
    if (e.dead || e.set.load(std::memory_order_relaxed) != 0) choose_from(e.line, every_waiter, out);
}
bool claim(shared_source& s, shared_entry& at) noexcept {
    auto& e = event_of(s);
    if (!std::exchange(at.begun, true)) at.seen = e.sets;
    at.has_item = is_over(e, at.seen);
    at.why = errc::closed;
    return at.has_item || e.dead;
}
void unclaim(shared_source&, shared_entry&) noexcept {}
void end(shared_source& s) noexcept {
    auto& e = event_of(s);
    e.~shared_event_state();
    release({}, &e, sizeof e, alignof(shared_event_state));
}
constexpr shared_source::kind event_kind{choose, claim, unclaim, end};

struct event_call {
    std::uint64_t seen = 0;            // what `sets` was when the wait began
    bool begun = false;
    bool died = false;
};
bool look(shared_source& s, void* call) noexcept {
    auto& e = event_of(s);
    auto& my = *static_cast<event_call*>(call);
    if (!my.begun) my.seen = e.sets;
    my.begun = true;
    my.died = e.dead && !is_over(e, my.seen);
    return my.died || is_over(e, my.seen);
}
}  // namespace

shared_event_state::shared_event_state() noexcept : shared_source(event_kind) {}
}  // namespace detail

using namespace detail;

shared_event::shared_event() noexcept : state_(nullptr) {
    void* const room = allocate({}, sizeof(shared_event_state), alignof(shared_event_state));
    if (room) state_ = ::new (room) shared_event_state;
}

shared_event::~shared_event() {
    if (!state_) return;
    {
        shared_turn const turn(*state_);
        state_->dead = true;
    }
    release(*state_);
}

void shared_event::set() noexcept {
    if (!state_) return;
    shared_turn const turn(*state_);
    ++state_->sets;
    state_->set.store(1, std::memory_order_release);
}

void shared_event::clear() noexcept {
    if (!state_) return;
    shared_turn const turn(*state_);
    state_->set.store(0, std::memory_order_relaxed);
}

bool shared_event::is_set() const noexcept { return state_ && state_->set.load(std::memory_order_acquire) != 0; }

result<void> shared_event::wait(deadline dl) {
    if (!state_) return detail::refused_call(errc::no_memory);
    event_call call;
    SPRUCE_CHECK(wait_shared(*state_, state_->line, look, &call, "shared_event", dl));
    return call.died ? result<void>(errc::closed) : result<void>();
}

result<void> shared_event::condition::arm(wait_point& p) noexcept {
    auto* const e = of_->state_;
    if (!e) return errc::no_memory;
    if (entry_.note) return arm_shared(*e, e->line, entry_, p);   // which says why not
    entry_.begun = false;
    return arm_shared(*e, e->line, entry_, p);
}

result<void> shared_event::condition::take() noexcept {
    if (!entry_.claimed) return errc::wrong_state;
    auto const came = entry_.has_item ? result<void>() : result<void>(entry_.why);
    end_claim(entry_);
    return came;
}

}}  // namespace spruce::v0
