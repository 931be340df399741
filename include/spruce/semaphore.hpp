// Semaphores: permits that are taken and given back.
#pragma once
#include <cstddef>

#include "detail/waiter_list.hpp"
#include "result.hpp"
#include "time.hpp"
#include "wait_point.hpp"

namespace spruce { inline namespace v0 {

// A number of permits. Waiters are served first come, first served: a permit that is given back goes straight to the
// first waiter, by direct hand-off, without barging. Thread: one loop's; what does not wait may be called by
// plain code, too, on its thread.
// Lifetime: waiters that are left when it dies are woken with closed; its permits become empty.
class semaphore : detail::pinned {
public:
    // The right to go on; gives itself back when it dies. It may be moved to another task.
    class [[nodiscard]] permit {
    public:
        permit(permit&& other) noexcept { move_from(other); }
        permit& operator=(permit&& other) noexcept {
            if (this != &other) {
                release();
                move_from(other);
            }
            return *this;
        }
        ~permit() { release(); }
        // Gives it back now. Nothing if it is empty.
        void release() noexcept {
            if (of_) give_back();
        }
        // Takes it off this object, which is empty then: other code gives it back, by semaphore::release().
        SPRUCE_API void keep() noexcept;

    private:
        friend class semaphore;
        permit() noexcept = default;
        SPRUCE_API void move_from(permit& other) noexcept;
        SPRUCE_API void give_back() noexcept;
        semaphore* of_ = nullptr;
        permit* next_ = nullptr;
        permit* previous_ = nullptr;
    };

    // With so many permits, and no bound.
    explicit semaphore(std::size_t permits) noexcept : semaphore(permits, static_cast<std::size_t>(-1)) {}
    // With a bound: those that are available and those that permit objects hold are never more. If there are more from
    // the start, every call gives invalid_argument.
    semaphore(std::size_t permits, std::size_t bound) noexcept : available_(permits), bound_(bound) {}
    SPRUCE_API ~semaphore();
    // Takes a permit; waits until there is one.
    // Errors: canceled, timed_out, not_in_task, closed (it was destroyed), invalid_argument.
    // Cancel: no permit is taken. Who has been given one keeps it, even if it is canceled before it runs.
    [[nodiscard]] SPRUCE_API result<permit> acquire(deadline dl = {});
    // Takes a permit if there is one. Errors: would_wait, invalid_argument.
    [[nodiscard]] SPRUCE_API result<permit> try_acquire() noexcept;
    // Gives n permits: new ones, or such as were kept. Errors: full (they would pass the bound; none is given),
    // invalid_argument.
    SPRUCE_API result<void> release(std::size_t n = 1) noexcept;
    // How many could be taken now.
    std::size_t available() const noexcept { return available_; }

    // In wait_any and wait_all: a permit, as of acquire(). Errors: closed, invalid_argument.
    class condition {
    public:
        explicit condition(semaphore& s) noexcept : of_(&s) {}
        condition(condition const&) = delete;
        condition& operator=(condition const&) = delete;
        SPRUCE_API ~condition();
        SPRUCE_API result<void> arm(wait_point& p) noexcept;
        SPRUCE_API void disarm() noexcept;
        SPRUCE_API bool ready() const noexcept;
        SPRUCE_API bool reserve() noexcept;
        SPRUCE_API void unreserve() noexcept;
        SPRUCE_API void goes_on() noexcept;
        [[nodiscard]] SPRUCE_API result<permit> take() noexcept;

    private:
        semaphore* of_;
        bool made_ = false;   // entry_ holds a waiter, whose permit must be given back
        detail::wait_entry entry_;
    };

private:
    struct acquiring;
    void hold(permit& by) noexcept;
    void let_go(permit& by) noexcept;
    bool give_to_first() noexcept;
    detail::contended_list waiters_;
    permit* permits_ = nullptr;   // those that live, and those on their way to a waiter
    std::size_t available_, bound_, held_ = 0;
};

}}  // namespace spruce::v0
