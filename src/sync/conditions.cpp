#include <spruce/conditions.hpp>

#include "../task/wait_core.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// -- descriptors

struct fd_condition::listening : listener {
    listening(fd_condition& of_, wait_point& p) noexcept : listener(told), of(of_), point(p) {}
    static void told(listener& self, unsigned what) noexcept {
        auto& l = static_cast<listening&>(self);
        if ((what & told_closed) != 0) l.of.closed_ = true;
        l.point.fire();
    }
    fd_condition& of;
    wait_point& point;
};

result<void> fd_condition::arm(wait_point& p) noexcept {
    static_assert(sizeof(listening) <= sizeof entry_.room);
    if (!current_hub) return errc::no_loop;
    if (entry_.armed) return with_detail(errc::already_registered, "fd: it is waited for through the same condition");
    closed_ = false;
    auto* const l = ::new (static_cast<void*>(entry_.room)) listening(*this, p);
    SPRUCE_CHECK(current_hub->fds.watch(fd_, write_, *l));
    entry_.armed = true;
    p.comes_from_outside();
    return {};
}

void fd_condition::disarm() noexcept {
    if (!entry_.armed) return;
    entry_.armed = false;
    current_hub->fds.unwatch(fd_, write_, *std::launder(reinterpret_cast<listening*>(entry_.room)));
}

// -- what a callback of the loop tells

void standing_condition::tell() noexcept {
    if (point_) point_->fire();
}

namespace {
// A callback of the loop that is a condition's own: its callable is the condition's address.
void let_go(void*) noexcept {}
constexpr callable_ops ops_for(void (*run)(void*, void*) noexcept) noexcept {
    return {run, let_go, sizeof(void*), alignof(void*)};
}
void* condition_in(void* callable) noexcept { return *static_cast<void**>(callable); }

result<handler_slot*> claim_for(void* condition) noexcept {
    if (!current_hub) return errc::no_loop;
    slot_claim const c = claim_handler(current_hub, errc::no_loop, sizeof(void*), alignof(void*));
    if (!c.room) return c.why;
    *static_cast<void**>(c.room) = condition;
    c.slot->lasts = true;   // a task waits for it, or did
    return c.slot;
}
}  // namespace

}}}  // namespace spruce::v0::detail

namespace spruce { inline namespace v0 {

using namespace detail;

namespace {
error twice() noexcept { return with_detail(errc::already_registered, "a condition that another task waits for"); }
}  // namespace

// -- idle

void idle::run(void* self, void*) noexcept { static_cast<idle*>(condition_in(self))->tell(); }

result<void> idle::arm(wait_point& p) noexcept {
    static constexpr callable_ops ops = ops_for(run);
    if (point_) return twice();
    SPRUCE_TRY(handler_slot* const s, claim_for(this));
    handler_ = arm_idle(current_hub, s, &ops);
    point_ = &p;
    p.comes_from_outside();
    return {};
}

// -- signals

void signaled::run(void* self, void*) noexcept {
    auto& c = *static_cast<signaled*>(condition_in(self));
    c.came_ = true;
    c.tell();
}

result<void> signaled::arm(wait_point& p) noexcept {
    static constexpr callable_ops ops = ops_for(run);
    if (point_) return twice();
    if (!handler_.active()) {
        SPRUCE_TRY(handler_slot* const s, claim_for(this));
        SPRUCE_TRY(handler_, arm_signal(current_hub, s, &ops, signal_));
    }
    point_ = &p;
    p.comes_from_outside();
    if (came_) p.fire();
    return {};
}

// -- children

void exited::run(void* self, void* status) noexcept {
    auto& c = *static_cast<exited*>(condition_in(self));
    c.status_ = static_cast<callback_argument<result<exit_status>>*>(status)->value;
    c.ended_ = true;
    c.tell();
}

result<void> exited::arm(wait_point& p) noexcept {
    static constexpr callable_ops ops = ops_for(run);
    if (point_) return twice();
    if (!ended_ && !handler_.active()) {
        SPRUCE_TRY(handler_slot* const s, claim_for(this));
        SPRUCE_TRY(handler_, arm_child(current_hub, s, &ops, pid_));
    }
    point_ = &p;
    p.comes_from_outside();
    if (ended_) p.fire();
    return {};
}

// -- beats

result<void> every::arm(wait_point& p) noexcept {
    if (period_ <= duration::zero()) return with_detail(errc::invalid_argument, "d: 0 or less");
    if (!current_hub) return errc::no_loop;
    if (std::exchange(loop_, current_hub->serial) != current_hub->serial) begun_ = false;
    if (!begun_) next_ns_ = current_hub->due_from_now(in(period_));
    begun_ = true;
    p.fire_at({deadline::kind::absolute, next_ns_});
    if (next_ns_ <= current_hub->now_ns) p.fire();
    return {};
}

result<std::uint64_t> every::take() noexcept {
    std::int64_t const late = current_hub->now_ns - next_ns_;
    std::int64_t const beats = 1 + (late > 0 ? late / period_.count() : 0);
    next_ns_ = next_ns_ > no_time - beats * period_.count() ? no_time : next_ns_ + beats * period_.count();
    return static_cast<std::uint64_t>(beats);
}

}}  // namespace spruce::v0
