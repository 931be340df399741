// Wait groups: waiting until work that others do is done.
#pragma once
#include <cstddef>

#include "detail/waiter_list.hpp"
#include "result.hpp"
#include "time.hpp"
#include "verify.hpp"

namespace spruce { inline namespace v0 {

// Counts work that others finish. Thread: one loop's; what does not wait may be called by plain code, too, on its
// thread.
// Lifetime: waiters that are left when it dies are woken with closed.
class wait_group : detail::pinned {
public:
    wait_group() noexcept = default;
    SPRUCE_API ~wait_group();
    // So much more is to be done. More than a std::size_t counts ends the program.
    void add(std::size_t n = 1) noexcept {
        SPRUCE_VERIFY(count_ + n >= count_, "a wait group counts no further");
        count_ += n;
    }
    // One is done; the last one wakes all who wait. Errors: wrong_state (nothing is left to be done).
    SPRUCE_API result<void> done() noexcept;
    // Waits until nothing is left. Errors: canceled, timed_out, not_in_task, closed (it was destroyed).
    // Cancel: leaves no trace.
    [[nodiscard]] SPRUCE_API result<void> wait(deadline dl = {});

private:
    detail::waiter_list waiters_;
    std::size_t count_ = 0;
};

}}  // namespace spruce::v0
