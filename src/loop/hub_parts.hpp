// The parts of a hub: its turn's credit, its run, its visit in a host's loop, what is reported, its signals.
#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>

#include "../base/intrusive_list.hpp"
#include "../sys/signals.hpp"
#include "../sys/thread_signals.hpp"
#include "handler_table.hpp"
#include "stall_watch.hpp"

namespace spruce { inline namespace v0 { namespace detail {

struct end_reports;
struct guest;
struct guest_calls;
struct unhandled_call;

// What a turn may still run before the next poll.
struct turn_credit {
    std::uint64_t dispatches = 0;        // callbacks and task turns begun; published for monitors
    std::uint64_t limit = 0;             // as far as that may go before the next poll
    std::uint32_t withheld = 0;          // the credit while somebody watches what runs
    std::uint32_t forfeited = 0;         // of this turn: what was left when end_turn() was called
    bool turn_over = false;              // no more entries of the ring run in this turn, whatever its budget

    // How many entries of the ring may still run before the next poll.
    bool any() const noexcept { return dispatches < limit; }
    std::uint32_t left() const noexcept { return any() ? std::uint32_t(limit - dispatches) : 0; }
    void set(std::uint32_t n) noexcept { limit = dispatches + n; }
    // Gives back what set() suspended, unless the turn has been ended meanwhile.
    void restore(std::uint32_t n) noexcept {
        if (turn_over) [[unlikely]] forfeited += std::exchange(n, 0);
        set(n);
    }
    // The next poll comes after the dispatch that runs: what else is ready keeps its place in the ring.
    void end_turn() noexcept {
        turn_over = true;
        forfeited += left() + std::exchange(withheld, 0);
        set(0);
    }
};

// A run, from its start hooks to its shutdown hooks.
struct run_state {
    bool stop_asked = false;
    bool leave_asked = false;            // … without shutdown hooks
    bool shutting_down = false;          // the shutdown hooks' time
    bool background_ends = false;        // the run's end, which takes the background tasks along
    bool begun_once = false;             // some run of the loop has begun
    bool ends_at_exit = false;           // with the process, if it was not destroyed before
    bool exits_begun = false;            // the exit hooks have had their moment
    std::uint8_t start_phases_begun = 3; // of this run; those of one that begins come in their turn
};

// A loop in a host's.
struct visit_state {
    detail::guest* guest = nullptr;      // this loop is interleaved
    guest_calls const* calls = nullptr;
    bool poll_thread_sleeping = false;   // for this one, between two turns of a guest
    bool handed_out_backend = false;
    bool prepared = false;
    bool odd_one_is_posted = false;      // of a dispatch(max)
};

// What is reported, and to whom.
struct report_state {
    handler_slot* unhandled_hook = nullptr;
    unhandled_call* unhandled_calls = nullptr;   // of the hook, under way
    end_reports const* ends = nullptr;
    int deadlock_fd = -1, leak_fd = -1;  // where they go; -1: not asked for
    stall_watch* watch = nullptr;        // a monitor watches what runs; then tasks switch through the hub
};

struct signal_state {
    signal_port port;
    bool port_open = false;
    bool watched = true;                 // the poller knows all that it is to report
    int watched_fd = -1;                 // the port's signalfd, as far as the poller knows it
    std::size_t children = 0;            // those for which SIGCHLD stands
    intrusive_list<handler_slot> handlers[64];   // by the signal's number
    hub_thread_signals of_thread;
};

}}}  // namespace spruce::v0::detail
