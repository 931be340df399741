// Semaphores: permits go from hand to hand.
// Cancel, and the deadline: task/park.cpp calls the waiter's parked::abandon, which unlinks it, and gives a permit on
// that was on its way to it.
#include <spruce/semaphore.hpp>

#include "contended.hpp"

namespace spruce { inline namespace v0 {

using namespace detail;

// The permit is put into the waiter's frame before it runs, so that it has it whatever comes in between.
struct semaphore::acquiring : parked {
    acquiring() noexcept : parked("semaphore") {
        abandon = [](parked& self) noexcept {
            self.unlink();
            static_cast<acquiring&>(self).mine.release();   // it was given one, and will never run
        };
    }
    permit mine;
};

semaphore::~semaphore() {
    fail_line(contended_of(waiters_), errc::closed);
    for (permit* p = permits_; p; p = p->next_) p->of_ = nullptr;
}

void semaphore::hold(permit& by) noexcept {
    by.of_ = this;
    by.previous_ = nullptr;
    by.next_ = permits_;
    if (permits_) permits_->previous_ = &by;
    permits_ = &by;
    ++held_;
}

void semaphore::let_go(permit& by) noexcept {
    if (by.next_) by.next_->previous_ = by.previous_;
    (by.previous_ ? by.previous_->next_ : permits_) = by.next_;
    by.of_ = nullptr;
    --held_;
}

bool semaphore::give_to_first() noexcept {
    parked* const p = take_taker(contended_of(waiters_));
    if (!p) return false;
    hold(static_cast<acquiring*>(p)->mine);
    wake_inline(*p);
    return true;
}

void semaphore::permit::move_from(permit& other) noexcept {
    semaphore* const s = other.of_;
    if (!s) return;
    s->let_go(other);
    s->hold(*this);
}

void semaphore::permit::keep() noexcept {
    if (of_) of_->let_go(*this);
}

void semaphore::permit::give_back() noexcept {
    semaphore& s = *of_;
    s.let_go(*this);
    if (s.give_to_first()) return;
    ++s.available_;
    tell_crowd(contended_of(s.waiters_));
}

result<semaphore::permit> semaphore::try_acquire() noexcept {
    if (available_ > bound_) return with_detail(errc::invalid_argument, "a semaphore with more permits than its bound");
    if (available_ == 0) return errc::would_wait;
    --available_;
    permit taken;
    hold(taken);
    return taken;
}

[[gnu::noinline]] result<semaphore::permit> semaphore::acquire(deadline dl) {
    if (!may_wait()) [[unlikely]] SPRUCE_CHECK(begin_wait());
    auto now = try_acquire();
    if (now || now.error() != errc::would_wait) {
        count_call();
        return now && !now->of_ ? result<permit>(errc::closed) : std::move(now);
    }
    acquiring p;
    contended_of(waiters_).takers.push_back(p);
    SPRUCE_CHECK(park_here(p, dl));
    // It was given one, but the semaphore died before it could run.
    if (!p.mine.of_) return errc::closed;
    return std::move(p.mine);
}

// -- as a condition

result<void> semaphore::condition::arm(wait_point& p) noexcept {
    if (of_->available_ > of_->bound_)
        return with_detail(errc::invalid_argument, "a semaphore with more permits than its bound");
    // Who waits for all of several stands in the line even if there is one now: others may take it meanwhile.
    acquiring& mine = enter<acquiring>(entry_, p);
    made_ = true;
    bool const there = of_->available_ != 0;
    enter_line(contended_of(of_->waiters_), mine, there);
    if (there) p.fire();
    return {};
}

// The semaphore may have died, but not before it has told who waits.
void semaphore::condition::disarm() noexcept {
    if (!entry_.armed || entry_of<acquiring>(entry_).outcome != parked::how::waiting)
        return static_cast<void>(entry_.armed = false);
    contended& line = contended_of(of_->waiters_);
    if (leave_line(line, entry_) && of_->available_ != 0) tell_crowd(line);
}

void semaphore::condition::goes_on() noexcept {
    auto& mine = entry_of<acquiring>(entry_);
    if (mine.outcome != parked::how::waiting) return;
    contended& line = contended_of(of_->waiters_);
    if (go_on(line, mine) && of_->available_ != 0) tell_crowd(line);
}

bool semaphore::condition::ready() const noexcept {
    auto const& mine = entry_of<acquiring>(entry_);
    return mine.outcome != parked::how::waiting || of_->available_ != 0;
}

// One that has died has an answer for everybody.
bool semaphore::condition::reserve() noexcept {
    auto& mine = entry_of<acquiring>(entry_);
    if (mine.outcome != parked::how::waiting) return true;
    if (of_->available_ == 0) return false;
    --of_->available_;
    return mine.reserves = true;
}

void semaphore::condition::unreserve() noexcept {
    if (std::exchange(entry_of<acquiring>(entry_).reserves, false)) ++of_->available_;
}

result<semaphore::permit> semaphore::condition::take() noexcept {
    auto& mine = entry_of<acquiring>(entry_);
    if (mine.outcome == parked::how::failed) return mine.reason;
    if (mine.outcome != parked::how::fired) return of_->try_acquire();
    if (!mine.mine.of_) return errc::closed;   // it was given one, and then the semaphore died
    return std::move(mine.mine);
}

semaphore::condition::~condition() {
    if (made_) entry_of<acquiring>(entry_).mine.release();
}

result<void> semaphore::release(std::size_t n) noexcept {
    if (available_ > bound_) return with_detail(errc::invalid_argument, "a semaphore with more permits than its bound");
    if (n > bound_ - available_ - held_) return errc::full;
    while (n != 0 && give_to_first()) --n;
    available_ += n;
    while (n != 0 && tell_crowd(contended_of(waiters_))) --n;
    return {};
}

}}  // namespace spruce::v0
