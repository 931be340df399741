// What a future is to the library: one block, counted by its handles, with the outcome in it.
#pragma once
#include <cstddef>
#include <cstdint>

#include <spruce/future.hpp>

#include "../base/atomic.hpp"
#include "../loop/inbox.hpp"
#include "../loop/plain_scope.hpp"
#include "../task/scheduler.hpp"
#include "../sync/waiters.hpp"

namespace spruce { inline namespace v0 { namespace detail {

struct future_block;

// A place among those who are told of a future's outcome besides tasks and callbacks: other futures.
struct future_link : list_link {
    // Called once, out of the list already. It may do what a listener may. Gives the future that has its outcome by
    // that, or null.
    future_block* (*told)(future_link& self) noexcept = nullptr;
    future_block* owner = nullptr;
};

enum class future_kind : std::uint8_t {
    promised,   // a promise gives the outcome, or another future that this one follows
    call,       // a call of an async_function does; the block is a call_block
    set         // others' outcomes do; the block is a future_set
};

enum class future_state : std::uint8_t {
    pending,
    following,   // pending, and `source` is whose outcome it takes
    done
};

// Who is told besides those who wait.
struct future_listeners {
    intrusive_list<handler_slot> subscribers;   // on_done's callbacks
    intrusive_list<handler_slot> watchers;      // on_progress's
    intrusive_list<handler_slot> cancelers;     // on_cancel's
    intrusive_list<future_link> links;
};

// The outcome lies behind it, unless it has `source`'s.
struct future_block {
    atomic<std::uint32_t> references{1};
    future_state state = future_state::pending;
    future_kind kind = future_kind::promised;
    bool shielded = false;            // cannot be canceled, and hands no cancellation on
    bool canceled = false;            // cancel() gave the outcome
    bool looked = false;              // somebody saw the outcome
    bool derived = false;             // an error in it is another's, which tells of it
    bool fine = false;                // its own outcome is known to be no error
    bool listened = false;            // `listeners_room` holds them
    // If not 0: so many references are its makers'; left alone with those, it is canceled
    std::uint8_t makers = 0;
    remote* door = nullptr;           // of its loop; held
    future_ops const* ops = nullptr;
    void* outcome = nullptr;
    future_block* source = nullptr;   // held
    future_link follows;              // at the source, while following
    intrusive_list<parked> waiters;
    alignas(future_listeners) std::byte listeners_room[sizeof(future_listeners)];
    std::int64_t began_ns = 0;
    union {
        progress now;                 // if there are reports
    };
    std::uint32_t reports = 0;
    task_id id{};                     // of a call its task's; of others given when somebody asks: see identity()
    future_block* walk;               // the next of those that have their outcome now, or that are to be freed
    future_block* seek;               // the next of a search that runs nobody
    future_block* forsaken;           // the next of those that only their makers name
    std::uint32_t sought = 0;         // the last such search that came by
    future_block* ahead = nullptr;    // see way_on(); of one that is done and has a source: whose outcome it has
    std::uint64_t ahead_at = 0;
    memory_hook memory;
    std::size_t bytes = 0, alignment = 0;
    alignas(post_node) std::byte note[sizeof(post_node)];   // for the end of a handle on another thread

    future_block() noexcept {}
    // Most futures have none. Made when the first comes.
    future_listeners& listeners() noexcept {
        if (!listened) {
            ::new (static_cast<void*>(listeners_room)) future_listeners;
            listened = true;
        }
        return *std::launder(reinterpret_cast<future_listeners*>(listeners_room));
    }
    bool has_cancelers() noexcept { return listened && !listeners().cancelers.empty(); }
};

// A task's wait for an outcome.
void give_up_awaiting(parked& self) noexcept;
struct awaiting : parked {
    explicit awaiting(future_block& f) noexcept : parked("future"), of(f) { abandon = give_up_awaiting; }
    future_block& of;
    awaiting* up = nullptr;   // of a cancellation on its way: whose task waits for the future that this task makes
};

// Whether this thread's loop is the block's; or it has ended, and nobody will change the block any more.
inline bool is_here(future_block const& b) noexcept {
    return current_hub && current_hub->door == b.door && is_open(*b.door);
}
inline bool is_orphan(future_block const& b) noexcept { return !remote_alive(b.door); }
inline error why_not_here(future_block const& b) noexcept { return is_orphan(b) ? errc::closed : errc::wrong_thread; }

// The one whose outcome it has, or will have. A chain may be long, and is not walked each time: who is done knows the
// end of it, and who is not remembers where its way has led to the last time.
future_block& end_of_way(future_block& b) noexcept;
inline future_block& root_of(future_block& b) noexcept {
    if (!b.source) return b;
    return b.state == future_state::done ? *b.ahead : end_of_way(b);
}
// Of one that follows: the next on its way that follows nobody, or where a cancellation may stop.
future_block& way_on(future_block& b) noexcept;
// What was remembered of ways does not count any more: one of them has been cut, or a cancellation may stop where it
// did not.
void forget_ways() noexcept;
inline bool is_pending(future_block const& b) noexcept { return b.state != future_state::done; }
// Whether anybody waits for its outcome, or subscribed to it.
inline bool has_interest(future_block& b) noexcept {
    return !b.waiters.empty() || (b.listened && (!b.listeners().subscribers.empty() || !b.listeners().links.empty()));
}

// Room for such a block, an outcome, and so many bytes behind it; a reference is the caller's. Or why not.
struct block_room {
    std::byte* block;
    std::byte* outcome;
    std::byte* rest;
    std::size_t bytes, alignment;
};
result<block_room> future_room(std::size_t block_size, future_ops const& ops, std::size_t rest) noexcept;
void fill_block(future_block& b, block_room const& room, future_ops const& ops) noexcept;
// It has its outcome: who waits, subscribed, follows or gathers is told. Runs nobody.
void resolve(future_block& first) noexcept;
// Gives it an error, and resolves it.
void fail_block(future_block& b, error why) noexcept;
// Whether a cancellation would do something; and does it, with that operation as the origin.
bool can_cancel(future_block& first) noexcept;
void cancel_down(future_block& first, task_id by) noexcept;
// What names it as an operation that was canceled, and the details of its error.
task_id identity(future_block& b) noexcept;
// Puts a callback into the ready ring.
void queue_slot(hub& h, handler_slot& s, bool holds) noexcept;
// Lets go of a block that nobody names any more, and of those that only it named. Thread: any.
void end_block(future_block* first) noexcept;
// Like release_future(), of a reference that counted for nobody.
void give_back(future_block* b) noexcept;
// Nobody but its makers names it any more.
void forsake(future_block& b) noexcept;
// Whether `from` takes or gathers the outcome of `what`, directly or not.
bool leads_to(future_block& from, future_block& what) noexcept;
// Its outcome counts as seen.
void look(future_block& b) noexcept;
// What is known of a root's error, or of its members', becomes the task's details, too.
void explain(future_block& r) noexcept;
error_word refusal(error why) noexcept;
// Whether the link is that of one that follows.
inline bool is_follower(future_link const& l) noexcept { return l.owner && &l == &l.owner->follows; }
// Puts the callbacks for its progress, and that of its followers, into the ready ring.
void tell_watchers(future_block& first) noexcept;

}}}  // namespace spruce::v0::detail
