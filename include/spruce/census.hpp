// The tasks of a loop, to be looked at.
#pragma once
#include <cstddef>
#include <iterator>

#include "config.hpp"
#include "error.hpp"
#include "time.hpp"

namespace spruce::inline v0 {

// One line of the census.
struct task_info {
    task_id id;
    char const* name;               // valid until the next wait
    char const* state;              // "ready", "waiting", "fresh", "running"
    char const* waiting_for;        // the noun it waits on: "event", "sleep", …; "" when it doesn't
    time_point since;               // the turn when that wait began; of tasks that don't wait, this turn
    std::size_t stack_high_water_bytes, stack_bytes;
};

namespace detail {
struct hub;

struct census_cursor {
    hub* of = nullptr;
    std::size_t slab = 0, place = 0;
    task_info now{};
};
SPRUCE_API bool census_next(census_cursor& cursor) noexcept;
}  // namespace detail

// The tasks of a loop, for a range-for. Valid until the next wait; in no particular order. Thread: the loop's.
class census_range {
public:
    explicit census_range(detail::hub* of) noexcept : of_(of) {}
    class iterator {
    public:
        explicit iterator(detail::hub* of) noexcept {
            at_.of = of;
            ++*this;
        }
        task_info const& operator*() const noexcept { return at_.now; }
        iterator& operator++() noexcept {
            more_ = detail::census_next(at_);
            return *this;
        }
        bool operator==(std::default_sentinel_t) const noexcept { return !more_; }

    private:
        detail::census_cursor at_;
        bool more_ = false;
    };
    iterator begin() const noexcept { return iterator(of_); }
    std::default_sentinel_t end() const noexcept { return {}; }

private:
    detail::hub* of_;
};

}  // namespace spruce::inline v0
