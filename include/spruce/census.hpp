// The tasks and the callbacks of a loop, to be looked at.
#pragma once
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "config.hpp"
#include "error.hpp"
#include "handler.hpp"
#include "time.hpp"

namespace spruce { inline namespace v0 {

// One line of the census.
struct task_info {
    task_id id;
    char const* name;               // valid until the next wait
    char const* state;              // "ready", "waiting", "fresh", "running"
    char const* waiting_for;        // the noun it waits on: "event", "sleep", …; "" when it doesn't
    time_point since;               // the turn when that wait began; of tasks that don't wait, this turn
    std::size_t stack_high_water_bytes, stack_bytes;
};

// What a callback waits for.
enum class callback_kind : std::uint8_t {
    soon,        // its place in the ready ring: call_soon()
    timer,
    idle,
    hook,        // a start, a turn, a shutdown, the loop's end
    reader, writer, signal, child,
    task_end     // on_done()
};

// A callback that may still run.
struct callback_info {
    handler name;                   // by which it can be canceled
    callback_kind kind;
    bool periodic;
    int number;                     // the fd, the signal or the process; else -1
    time_point due;                 // of a timer; time_point::max() when it is suspended
};

namespace detail {
struct hub;

struct callback_cursor {
    hub* of = nullptr;
    std::size_t place = 0;
    callback_info now{};
};
SPRUCE_API bool callback_next(callback_cursor& cursor) noexcept;

struct census_cursor {
    hub* of = nullptr;
    std::size_t slab = 0, place = 0;
    task_info now{};
};
SPRUCE_API bool census_next(census_cursor& cursor) noexcept;
}  // namespace detail

namespace detail {
template <class Cursor, bool (*next)(Cursor&) noexcept> class walk {
public:
    explicit walk(hub* of) noexcept : of_(of) {}
    class iterator {
    public:
        explicit iterator(hub* of) noexcept {
            at_.of = of;
            ++*this;
        }
        auto const& operator*() const noexcept { return at_.now; }
        iterator& operator++() noexcept {
            more_ = next(at_);
            return *this;
        }
        bool operator==(std::default_sentinel_t) const noexcept { return !more_; }

    private:
        Cursor at_;
        bool more_ = false;
    };
    iterator begin() const noexcept { return iterator(of_); }
    std::default_sentinel_t end() const noexcept { return {}; }

private:
    hub* of_;
};
}  // namespace detail

// The tasks of a loop, for a range-for. Valid until the next wait; in no particular order. Thread: the loop's.
class census_range : public detail::walk<detail::census_cursor, detail::census_next> {
    using walk::walk;
};
// The callbacks of a loop, likewise. They may be canceled on the way.
class callback_range : public detail::walk<detail::callback_cursor, detail::callback_next> {
    using walk::walk;
};

}}  // namespace spruce::v0
