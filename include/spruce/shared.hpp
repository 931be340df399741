// For several threads: a channel and an event. Tasks of any loops wait for them as tasks do; a thread without a loop
// blocks.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <type_traits>
#include <utility>

#include "channel.hpp"
#include "wait_point.hpp"

namespace spruce { inline namespace v0 {

namespace detail {
struct shared_channel_state;   // outlives its object as long as it has waiters
struct shared_event_state;
struct shared_note;

// A condition's place in the line of such a source. `claimed`: the wait is won, and take() is to come.
struct shared_entry {
    shared_entry() noexcept = default;
    shared_entry(shared_entry const&) = delete;
    shared_entry& operator=(shared_entry const&) = delete;
    SPRUCE_API ~shared_entry();
    SPRUCE_API void disarm() noexcept;
    SPRUCE_API bool claim() noexcept;
    SPRUCE_API void unclaim() noexcept;

    shared_note* note = nullptr;
    error why = errc::closed;    // what a claim found in a value's place
    bool claimed = false;
    bool has_item = false;       // … the claim keeps a value
    bool begun = false;          // of an event: the wait has looked, and knows `seen`
    std::uint64_t seen = 0;      // of an event: how often it had been set when the wait began
};

struct shared_channel_core : pinned {
    SPRUCE_API shared_channel_core(std::size_t capacity, item_ops const& ops) noexcept;
    SPRUCE_API ~shared_channel_core();
    SPRUCE_API result<void> send(void* value, deadline dl) noexcept;
    SPRUCE_API result<void> try_send(void* value) noexcept;
    // Puts a value into the room, where a result<T> lies that holds an error.
    SPRUCE_API result<void> receive(void* room, deadline dl) noexcept;
    SPRUCE_API result<void> try_receive(void* room) noexcept;
    SPRUCE_API void close() noexcept;
    SPRUCE_API result<void> arm(shared_entry& e, wait_point& p) noexcept;
    shared_channel_state* state = nullptr;
    error refused = errc::no_memory;   // without a state
};
// What the claim has found.
SPRUCE_API result<void> take_from_channel(shared_entry& e, void* room) noexcept;
}  // namespace detail

// Values from threads to threads, in the order in which they were sent. Each is received once. Waiters are woken in the
// order they came, one for each value or place there is; who does not have to wait may come first, and then the woken
// one waits on, where it stood. Who is woken and has given up meanwhile passes it on, and takes nothing. A task that is
// woken takes its value when its loop next runs. T moves without throwing, and in its moves does not use the channel:
// they happen with its lock held. Memory, from the process's hook: room for `capacity` values when it is made, and a
// note for each task that waits; it keeps as many as have waited at once, for later waits.
// Thread: any. On one with a loop only tasks can wait; on one without, the thread blocks.
// Lifetime: calls that wait when it dies get closed, on whatever thread, and the values it keeps die with it, on the
// thread that destroys it. No thread may begin a call while it is being destroyed, or later. A loop that ends takes
// nothing along: what its tasks were woken for goes to others. A forked child does not use the parent's.
template <class T> class shared_channel : detail::pinned {
    static_assert(std::is_object_v<T> && std::is_nothrow_move_constructible_v<T>,
                  "a channel's values move without throwing");

public:
    using value_type = T;
    // Buffer capacity: so many values, at least 1: with 0, every call gives invalid_argument. If there is no memory for
    // it, every call gives no_memory.
    explicit shared_channel(std::size_t capacity) : core_(capacity, detail::item_ops_of<T>) {}
    // Sends the value; waits until there is a place for it. On failure the value is still the caller's.
    // Errors: canceled, timed_out, not_in_task, closed (close() was called, also while it waited, or the channel was
    // destroyed), no_memory, invalid_argument (as the constructor says); from a thread without a loop an errno, if the
    // system refuses it what it would wait with.
    // Cancel: nothing is sent.
    [[nodiscard]] result<void> send(T&& value, deadline dl = {}) { return core_.send(&value, dl); }
    // The same with a copy, which is lost on failure.
    [[nodiscard]] result<void> send(T const& value, deadline dl = {})
        requires std::copy_constructible<T>
    {
        T copy(value);
        return core_.send(&copy, dl);
    }
    // Sends the value if there is a place for it now; else it is still the caller's.
    // Errors: full, closed, no_memory, invalid_argument.
    [[nodiscard]] result<void> try_send(T&& value) { return core_.try_send(&value); }
    // The same with a copy.
    [[nodiscard]] result<void> try_send(T const& value)
        requires std::copy_constructible<T>
    {
        T copy(value);
        return core_.try_send(&copy);
    }
    // Receives the next value; waits for it. After close() it receives what is left, then gives end_of_stream.
    // Errors: canceled, timed_out, not_in_task, end_of_stream, closed (it was destroyed), no_memory, invalid_argument,
    // an errno, as of send().
    // Cancel: no value is taken.
    [[nodiscard]] result<T> receive(deadline dl = {}) {
        result<T> item(errc::closed);
        if (auto const got = core_.receive(&item, dl); !got) item = got.error();
        return item;
    }
    // Receives the next value if there is one. Errors: would_wait, end_of_stream, no_memory, invalid_argument.
    [[nodiscard]] result<T> try_receive() {
        result<T> item(errc::closed);
        if (auto const got = core_.try_receive(&item); !got) item = got.error();
        return item;
    }
    // No more is sent: senders that wait get closed, and keep their values; receivers get what is left, then
    // end_of_stream.
    void close() noexcept { core_.close(); }
    // for (auto& value : c) receives until the end; an error, a cancellation for one, ends it, too.
    receive_iterator<shared_channel> begin() { return receive_iterator<shared_channel>(*this); }
    std::default_sentinel_t end() noexcept { return {}; }

    // In wait_any and wait_all, on a thread with a loop: a value, as of receive().
    // Errors: end_of_stream, closed. Errors of the wait: no_loop, no_memory, invalid_argument.
    class condition : detail::pinned {
    public:
        explicit condition(shared_channel& c) noexcept : of_(&c) {}
        result<void> arm(wait_point& p) noexcept { return of_->core_.arm(entry_, p); }
        void disarm() noexcept { entry_.disarm(); }
        bool claim() noexcept { return entry_.claim(); }
        void unclaim() noexcept { entry_.unclaim(); }
        [[nodiscard]] result<T> take() noexcept {
            result<T> item(errc::closed);
            if (auto const got = detail::take_from_channel(entry_, &item); !got) item = got.error();
            return item;
        }

    private:
        shared_channel* of_;
        detail::shared_entry entry_;
    };

private:
    detail::shared_channel_core core_;
};

// A flag that any thread sets, and that tasks and threads wait for.
// Thread, Lifetime, and the memory of a wait: as of shared_channel.
class shared_event : detail::pinned {
public:
    // Not set. If there is no memory for it, it is never set, and wait() gives no_memory.
    SPRUCE_API shared_event() noexcept;
    SPRUCE_API ~shared_event();
    // Sets it, and wakes all who wait. It stays set. What the caller did before is seen by who was woken, or sees it
    // set.
    SPRUCE_API void set() noexcept;
    // Not set any more. Who was woken before has been woken.
    SPRUCE_API void clear() noexcept;
    SPRUCE_API bool is_set() const noexcept;
    // Waits until it is set. Errors: canceled, timed_out, not_in_task, closed (it was destroyed), no_memory; from a
    // thread without a loop an errno, as of shared_channel::send().
    // Cancel: leaves no trace.
    [[nodiscard]] SPRUCE_API result<void> wait(deadline dl = {});

    // In wait_any and wait_all, on a thread with a loop. Errors: closed. Errors of the wait: no_loop, no_memory.
    class condition : detail::pinned {
    public:
        explicit condition(shared_event& e) noexcept : of_(&e) {}
        SPRUCE_API result<void> arm(wait_point& p) noexcept;
        void disarm() noexcept { entry_.disarm(); }
        bool claim() noexcept { return entry_.claim(); }
        void unclaim() noexcept { entry_.unclaim(); }
        [[nodiscard]] SPRUCE_API result<void> take() noexcept;

    private:
        shared_event* of_;
        detail::shared_entry entry_;
    };

private:
    detail::shared_event_state* state_;
};

}}  // namespace spruce::v0
