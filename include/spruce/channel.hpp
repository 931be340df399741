// Channels: values that go from task to task, one after another.
#pragma once
#include <concepts>
#include <cstddef>
#include <iterator>
#include <new>
#include <type_traits>
#include <utility>

#include "bound.hpp"
#include "queue.hpp"
#include "wait_point.hpp"
#include "detail/waiter_list.hpp"

namespace spruce { inline namespace v0 {

namespace detail {
// What the library does with items: each lies in a result<T>, a value or an error.
struct item_ops {
    void (*put)(void* room, void* value, error const& why) noexcept;   // makes an item of *value, or of why without one
    void (*move)(void* to, void* from) noexcept;                       // and the old place is empty
    void (*destroy)(void* item) noexcept;
    std::size_t size, alignment;
};
template <class T> inline constexpr item_ops item_ops_of{
    [](void* room, void* value, error const& why) noexcept {
        if (value) ::new (room) result<T>(std::move(*static_cast<T*>(value)));
        else ::new (room) result<T>(why);
    },
    [](void* to, void* from) noexcept {
        auto* const old = static_cast<result<T>*>(from);
        ::new (to) result<T>(std::move(*old));
        old->~result<T>();
    },
    [](void* old) noexcept { static_cast<result<T>*>(old)->~result<T>(); },
    sizeof(result<T>),
    alignof(result<T>),
};

struct channel_core : pinned {
    SPRUCE_API channel_core(std::size_t capacity, item_ops const& ops) noexcept;
    SPRUCE_API ~channel_core();
    // The shortest way, for send() and receive() where there are no waiters. place_now(): a place that counts as taken,
    // for an item to be made in; asked if one is free. first_now(): the first item, which counts as gone, to be moved
    // out and destroyed; asked if there is one. size: an item's, which the caller's compiler knows. null: they take the
    // long way.
    SPRUCE_API void* place_now(std::size_t size) noexcept;
    SPRUCE_API void* first_now(std::size_t size) noexcept;
    // An item: *value, or without one `why`.
    SPRUCE_API result<void> send(void* value, error const& why, deadline dl) noexcept;
    SPRUCE_API result<void> try_send(void* value, error const& why) noexcept;
    // Puts an item into the room, where a result<T> lies that holds an error.
    SPRUCE_API result<void> receive(void* room, deadline dl) noexcept;
    SPRUCE_API result<void> try_receive(void* room) noexcept;
    SPRUCE_API void close() noexcept;
    // As conditions: in the line until left; `finish` when the wait is won.
    SPRUCE_API void arm_receive(wait_entry& e, wait_point& p, void* room) noexcept;
    SPRUCE_API bool can_receive(wait_entry const& e) const noexcept;
    SPRUCE_API bool reserve_receive(wait_entry& e) noexcept;
    SPRUCE_API void unreserve_receive(wait_entry& e) noexcept;
    SPRUCE_API void receive_goes_on(wait_entry& e) noexcept;
    SPRUCE_API result<void> finish_receive(wait_entry& e, void* room) noexcept;
    SPRUCE_API void arm_send(wait_entry& e, wait_point& p, void* value) noexcept;
    SPRUCE_API bool can_send(wait_entry const& e) const noexcept;
    SPRUCE_API bool reserve_send(wait_entry& e) noexcept;
    SPRUCE_API void unreserve_send(wait_entry& e) noexcept;
    SPRUCE_API void send_goes_on(wait_entry& e) noexcept;
    SPRUCE_API result<void> finish_send(wait_entry& e, void* value) noexcept;

    item_ops const* items;
    contended_list senders, receivers;
    // In bytes, so that nothing is multiplied on the way: all places, where the first item lies, and what items take.
    std::size_t extent = 0, first = 0, used = 0;
    std::byte* places = nullptr;
    memory_hook memory;
    bool closed : 1 = false;
    bool refused : 1 = false;           // there was no memory for the places
};
// Out of the line; the channel may have gone.
SPRUCE_API void leave_receivers(channel_core* c, wait_entry& e) noexcept;
SPRUCE_API void leave_senders(channel_core* c, wait_entry& e) noexcept;
}  // namespace detail

template <class T> class sending;

// How a range-for receives: until the first call to receive() that fails.
template <class Source> class receive_iterator {
public:
    explicit receive_iterator(Source& from) : from_(&from), item_(from.receive()) {}
    typename Source::value_type& operator*() noexcept { return *item_; }
    receive_iterator& operator++() {
        item_ = from_->receive();
        return *this;
    }
    bool operator==(std::default_sentinel_t) const noexcept { return !item_.ok(); }

private:
    Source* from_;
    result<typename Source::value_type> item_;
};

// Values in the order in which they were sent. With a capacity so many are buffered until they are received; without,
// a rendezvous: a sender waits for its receiver. Both are served first come, first served, and a value goes straight to
// the receiver that waits for it. T moves without throwing, and its moves neither wait nor use the channel: they happen
// while its places change. Nothing is allocated but the room for `capacity` values, when the channel is made. Thread:
// one loop's; what does not wait may be called by plain code, too, on its thread.
// Lifetime: waiters that are left when it dies are woken with closed, and the values it keeps die with it.
template <class T> class channel : detail::pinned {
    static_assert(std::is_object_v<T> && std::is_nothrow_move_constructible_v<T>,
                  "a channel's values move without throwing");

public:
    using value_type = T;
    // Buffer capacity: so many values; 0: a rendezvous. If there is no memory for it, every call gives no_memory.
    explicit channel(std::size_t capacity = 0) : core_(capacity, detail::item_ops_of<T>) {}
    // Sends the value; waits until it has its place, or its receiver. On failure the value is still the caller's.
    // Errors: canceled, timed_out, not_in_task, closed (close() was called, also while it waited, or the channel was
    // destroyed), no_memory.
    // Cancel: nothing is sent. Once its place or its receiver has the value, it is sent, canceled or not.
    [[nodiscard]] result<void> send(T&& value, deadline dl = {}) {
        void* const place = core_.used != core_.extent ? core_.place_now(sizeof(result<T>)) : nullptr;
        if (!place) return core_.send(&value, errc::closed, dl);
        ::new (place) result<T>(std::move(value));
        return {};
    }
    // The same with a copy, which is lost on failure.
    [[nodiscard]] result<void> send(T const& value, deadline dl = {})
        requires std::copy_constructible<T>
    {
        T copy(value);
        return send(std::move(copy), dl);
    }
    // Sends the value if there is a place or a receiver for it now; else it is still the caller's.
    // Errors: full, closed, no_memory.
    [[nodiscard]] result<void> try_send(T&& value) { return core_.try_send(&value, errc::closed); }
    // Sends an error in a value's place: one receive() fails with it, and the channel goes on. Errors, Cancel: as of
    // send().
    [[nodiscard]] result<void> send_error(spruce::error e, deadline dl = {}) { return core_.send(nullptr, e, dl); }
    // Receives the next value; waits for it. After close() it receives what is left, then gives end_of_stream.
    // Errors: canceled, timed_out, not_in_task, end_of_stream, closed (it was destroyed), no_memory, and what
    // send_error() sent.
    // Cancel: no value is taken. Who was given a value has it, even if it is canceled before it runs.
    [[nodiscard]] result<T> receive(deadline dl = {}) {
        if (void* const first = core_.used != 0 ? core_.first_now(sizeof(result<T>)) : nullptr) return moved_out(first);
        result<T> item(errc::closed);
        if (auto const got = core_.receive(&item, dl); !got) item = got.error();
        return item;
    }
    // Receives the next value if there is one. Errors: would_wait, end_of_stream, no_memory, and what send_error()
    // sent.
    [[nodiscard]] result<T> try_receive() {
        result<T> item(errc::closed);
        if (auto const got = core_.try_receive(&item); !got) item = got.error();
        return item;
    }
    // No more is sent: senders that wait get closed, and keep their values; receivers that wait get end_of_stream.
    void close() noexcept { core_.close(); }
    // How many values it keeps; those of senders that wait do not count.
    std::size_t size() const noexcept { return core_.used / sizeof(result<T>); }
    // for (auto& value : c) receives until the end. An error that was sent ends it, too, and so does a cancellation of
    // who receives: status() tells of the one, the next wait of the other. Another range-for goes on behind it.
    class iterator : detail::pinned {
    public:
        explicit iterator(channel& c) : of_(&c), life_(c.life_) { ++*this; }
        T& operator*() noexcept { return *item_; }
        iterator& operator++() {
            item_ = errc::closed;
            if (!life_.of) return *this;   // the channel has died
            auto const got = of_->receive_into(item_);
            if (!got) item_ = got.error();
            else if (!item_.ok() && life_.of) of_->ended_ = item_.error();
            return *this;
        }
        bool operator==(std::default_sentinel_t) const noexcept { return !item_.ok(); }

    private:
        channel* of_;
        detail::anchor_link life_;
        result<T> item_ = errc::closed;
    };
    iterator begin() {
        ended_ = {};
        return iterator(*this);
    }
    // How the last range-for ended, or goes on: ok, or the error that was sent in a value's place.
    [[nodiscard]] result<void> status() const noexcept { return ended_; }
    std::default_sentinel_t end() noexcept { return {}; }

    // In wait_any and wait_all: a value, as of receive(). Errors: end_of_stream, closed, no_memory, what send_error()
    // sent.
    class condition : detail::pinned {
    public:
        explicit condition(channel& c) noexcept : of_(&c) {}
        result<void> arm(wait_point& p) noexcept {
            of_->core_.arm_receive(entry_, p, &item_);
            return {};
        }
        void disarm() noexcept { detail::leave_receivers(&of_->core_, entry_); }
        bool ready() const noexcept { return of_->core_.can_receive(entry_); }
        bool reserve() noexcept { return of_->core_.reserve_receive(entry_); }
        void unreserve() noexcept { of_->core_.unreserve_receive(entry_); }
        void goes_on() noexcept { of_->core_.receive_goes_on(entry_); }
        [[nodiscard]] result<T> take() noexcept {
            if (auto const got = of_->core_.finish_receive(entry_, &item_); !got) return got.error();
            result<T> item(std::move(item_));
            item_ = errc::closed;
            return item;
        }

    private:
        channel* of_;
        result<T> item_ = errc::closed;
        detail::wait_entry entry_;
    };

private:
    friend class sending<T>;
    // Puts an item, a value or an error that was sent, in place of an error.
    result<void> receive_into(result<T>& item) {
        if (void* const first = core_.used != 0 ? core_.first_now(sizeof(result<T>)) : nullptr)
            return item = moved_out(first), result<void>();
        return core_.receive(&item, {});
    }
    static result<T> moved_out(void* place) noexcept {
        auto* const old = std::launder(static_cast<result<T>*>(place));
        result<T> item(std::move(*old));
        old->~result<T>();
        return item;
    }
    detail::channel_core core_;
    result<void> ended_;
    anchor life_;
};

// In wait_any and wait_all: sends a value on a channel, as of send(). It keeps the value until it is sent, and may be
// given another one for another wait. Errors: closed, no_memory.
template <class T> class sending : detail::pinned {
public:
    sending(channel<T>& c, std::type_identity_t<T> value) noexcept : of_(&c), value_(std::move(value)) {}
    // The value that is to be sent; once it is sent, what moving has left of it.
    T& value() noexcept { return value_; }
    result<void> arm(wait_point& p) noexcept {
        of_->core_.arm_send(entry_, p, &value_);
        return {};
    }
    void disarm() noexcept { detail::leave_senders(&of_->core_, entry_); }
    bool ready() const noexcept { return of_->core_.can_send(entry_); }
    bool reserve() noexcept { return of_->core_.reserve_send(entry_); }
    void unreserve() noexcept { of_->core_.unreserve_send(entry_); }
    void goes_on() noexcept { of_->core_.send_goes_on(entry_); }
    [[nodiscard]] result<void> take() noexcept { return of_->core_.finish_send(entry_, &value_); }

private:
    channel<T>* of_;
    T value_;
    detail::wait_entry entry_;
};

}}  // namespace spruce::v0
