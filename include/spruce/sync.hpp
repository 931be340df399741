// What tasks of one loop wait for among themselves.
#pragma once
#include <cstddef>

#include "result.hpp"
#include "time.hpp"

namespace spruce::inline v0 {

namespace detail {
// The waiters of one source, first come, first served: room for the list's head, which the library alone knows.
struct waiter_list {
    SPRUCE_API waiter_list() noexcept;
    waiter_list(waiter_list const&) = delete;
    waiter_list& operator=(waiter_list const&) = delete;
    void* head[2];
};
}  // namespace detail

// A flag that tasks wait for. Thread: one loop's; set() and clear() may be called by plain code, too, on its thread.
// Lifetime: waiters that are left when it dies are woken with closed.
class event : detail::pinned {
public:
    event() noexcept = default;
    SPRUCE_API ~event();
    // Wakes all who wait now, even if it is cleared right after; nobody waits until it is cleared.
    SPRUCE_API void set() noexcept;
    void clear() noexcept { set_ = false; }
    bool is_set() const noexcept { return set_; }
    // Waits until it is set. Errors: canceled, timed_out, not_in_task, closed (it was destroyed).
    // Cancel: leaves no trace.
    SPRUCE_API result<void> wait(deadline dl = {});

private:
    detail::waiter_list waiters_;
    bool set_ = false;
};

// A number of permits. Who waits for one is served first come, first served: a permit that is given back goes straight
// to the first who waits, and nobody slips in between. Thread: one loop's; what does not wait may be called by plain
// code, too, on its thread.
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
        // Takes it off this object, which is empty then: somebody else gives it back, by semaphore::release().
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
    // Cancel: no permit is taken. Who has been given one keeps it, even if it is cancelled before it runs.
    [[nodiscard]] SPRUCE_API result<permit> acquire(deadline dl = {});
    // Takes a permit if there is one. Errors: would_wait, invalid_argument.
    [[nodiscard]] SPRUCE_API result<permit> try_acquire() noexcept;
    // Gives n permits: new ones, or such as were kept. Errors: full (they would pass the bound; none is given),
    // invalid_argument.
    SPRUCE_API result<void> release(std::size_t n = 1) noexcept;
    // How many could be taken now. Not 0 only if nobody waits.
    std::size_t available() const noexcept { return available_; }

private:
    struct acquiring;
    void hold(permit& by) noexcept;
    void let_go(permit& by) noexcept;
    bool give_to_first() noexcept;
    detail::waiter_list waiters_;
    permit* permits_ = nullptr;   // those that live, and those on their way to who waited
    std::size_t available_, bound_, held_ = 0;
};

}  // namespace spruce::inline v0
