// Messages by name: a mailbox keeps them until its receiver asks for some of them, and says what becomes of the others.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

#include "result.hpp"
#include "task.hpp"
#include "time.hpp"
#include "wait_point.hpp"

namespace spruce { inline namespace v0 {

// A named value on its way.
template <class T> struct message {
    std::string_view name{};   // of static text, or such as lives until the message was received
    T value{};
    task_id sender{};          // filled in by send(); 0: plain code, or a callback
};

// Up to eight names; with more, the call that is given them is invalid_argument.
struct message_names {
    static constexpr std::size_t room = 8;
    constexpr message_names() noexcept = default;
    constexpr message_names(std::initializer_list<std::string_view> names) noexcept {
        for (std::string_view n : names) {
            if (count < room) name[count] = n;
            ++count;
        }
    }
    constexpr bool has(std::string_view wanted) const noexcept {
        for (std::size_t i = 0; i < count && i < room; ++i)
            if (name[i] == wanted) return true;
        return false;
    }
    std::string_view name[room]{};
    std::size_t count = 0;
};

// What a receiver does with which message: takes it, leaves it for a later wait, or drops it. What is not named is
// dropped, too, and reported to the loop's unhandled hook. A name that stands in several is accepted, else deferred.
struct message_filter {
    message_names accept{}, defer{}, discard{};
};

// What would become of a message that was sent now.
enum class message_action : std::uint8_t {
    queue,      // no waiter: the next receiver's filter decides
    unnamed,    // dropped, and reported to the unhandled hook
    discard,    // dropped
    defer,      // kept for a later wait
    accept      // received, before send() comes back
};

namespace detail {
struct mailbox_state;
struct message_slot;

// What the library does with messages whose type it does not know.
struct message_ops {
    std::string_view (*name)(void const* message) noexcept;
    void (*put)(void* slot, void* message) noexcept;
    void (*give)(void* room, void* slot) noexcept;   // into a result<message>; the slot is empty then
    void (*destroy)(void* slot) noexcept;
    std::size_t size, alignment;
};
template <class T> inline constexpr message_ops message_ops_of{
    [](void const* m) noexcept { return static_cast<message<T> const*>(m)->name; },
    [](void* slot, void* m) noexcept { ::new (slot) message<T>(std::move(*static_cast<message<T>*>(m))); },
    [](void* room, void* slot) noexcept {
        auto* const m = static_cast<message<T>*>(slot);
        *static_cast<result<message<T>>*>(room) = std::move(*m);
        m->~message<T>();
    },
    [](void* slot) noexcept { static_cast<message<T>*>(slot)->~message<T>(); },
    sizeof(message<T>),
    alignof(message<T>),
};

// One filter in a wait of the mailbox's receiver.
struct message_receiver : pinned {
    mailbox_state* box = nullptr;   // held
    message_filter const* filter = nullptr;
    void (*fire)(message_receiver& self) noexcept = nullptr;
    wait_point* point = nullptr;    // of a condition
    message_receiver* next = nullptr;   // of the same wait
    message_slot* has = nullptr;    // what was found for it, if that still names it
    task_block* who = nullptr;
    std::uint64_t armed_at = 0;     // the dispatch in which it was
    bool armed = false;
    bool waits = false;             // its task may be run when it is notified
    bool told = false;              // it has something, or its wait is over: the next message is for a later wait
    bool asked = false;             // whether it can do with another message, in this search
};

// The state outlives its mailbox while a receiver holds it. null: there was no memory for it.
SPRUCE_API mailbox_state* make_mailbox(std::size_t bound, message_ops const& ops) noexcept;
SPRUCE_API void end_mailbox(mailbox_state* box) noexcept;
SPRUCE_API void hold_mailbox(mailbox_state* box) noexcept;
SPRUCE_API void drop_mailbox(mailbox_state* box) noexcept;
SPRUCE_API result<void> send_message(mailbox_state* box, void* message) noexcept;
SPRUCE_API result<void> receive_message(mailbox_state* box, message_filter const& filter, void* room,
                                        deadline dl) noexcept;
SPRUCE_API void close_mailbox(mailbox_state* box) noexcept;
SPRUCE_API std::size_t messages_in(mailbox_state const* box) noexcept;
SPRUCE_API message_action action_in(mailbox_state const* box, std::string_view name) noexcept;

// As a condition: the receiver holds the box, and may wait in one task together with others of the same box.
SPRUCE_API result<void> arm_receiver(message_receiver& r) noexcept;
SPRUCE_API void disarm_receiver(message_receiver& r) noexcept;
SPRUCE_API result<void> take_message(message_receiver& r, void* room) noexcept;
SPRUCE_API bool message_ready(message_receiver const& r) noexcept;
}  // namespace detail

// A bounded queue of messages, with one receiver at a time. T moves without throwing; its moves neither wait nor use
// the mailbox. Room for `bound` messages is allocated when it is made, nothing later. Thread: one loop's; what does not
// wait may be called by plain code, too.
// Lifetime: when it dies a receiver that waits gets closed, and unread messages die with it.
template <class T> class mailbox : detail::pinned {
    static_assert(std::is_object_v<T> && std::is_nothrow_move_constructible_v<T>,
                  "a mailbox's values move without throwing");

public:
    using value_type = message<T>;
    explicit mailbox(std::size_t bound = 64) : state_(detail::make_mailbox(bound, detail::message_ops_of<T>)) {}
    ~mailbox() {
        if (state_) detail::end_mailbox(state_);
    }

    // Sends a message. A receiver that waits for it runs before this returns, until it waits again, yields or ends;
    // else the message is queued, or what the receiver's filter says. It never waits. Where a sender is itself sent to
    // meanwhile, that message is queued.
    // Errors: full (it has no waiter, and the bound is reached), closed, no_memory.
    [[nodiscard]] result<void> send(message<T> m) {
        if (!state_) return errc::no_memory;
        m.sender = this_task::id();
        return detail::send_message(state_, &m);
    }
    // Receives the first message that the filter accepts; waits for one. Others that were queued before are dropped or
    // kept, as it says. After close() it receives what is left, then gives end_of_stream.
    // Errors: canceled, timed_out, not_in_task, already_registered (another task waits), invalid_argument (more than
    // eight names), end_of_stream, closed (it was destroyed), no_memory.
    // Cancel: no message is taken.
    [[nodiscard]] result<message<T>> receive(message_filter filter, deadline dl = {}) {
        result<message<T>> room(errc::closed);
        if (auto const got = detail::receive_message(state_, filter, &room, dl); !got) room = got.error();
        return room;
    }
    // No more is sent: send() gives closed.
    void close() noexcept {
        if (state_) detail::close_mailbox(state_);
    }
    // How many messages are queued.
    std::size_t size() const noexcept { return state_ ? detail::messages_in(state_) : 0; }
    // What would become of a message of this name, as those who wait now have it.
    message_action action(std::string_view name) const noexcept {
        return state_ ? detail::action_in(state_, name) : message_action::queue;
    }

    // For the library's own use.
    detail::mailbox_state* state() const noexcept { return state_; }

private:
    detail::mailbox_state* state_;
};

// The messages of a mailbox, as a condition of wait_any() and wait_all(), under the same rules as receive(). Several of
// one mailbox may stand in one wait, and name the same messages: the first of them that accepts one has it, and what
// none of them names is dropped. What the loser of a wait accepts stays in the mailbox. A wait_all() finds a message
// for each of them if there is one for each, however their names overlap, and leaves the rest where it is; the mailbox
// has to have room for so many.
//
//     received wanted(box, {.accept = {"print", "quit"}, .defer = {"later"}});
//     while (auto won = wait_any(wanted, in(5s))) …
//
// Errors of its value: end_of_stream, closed (the mailbox was destroyed). Errors of the wait: already_registered
// (another task waits), invalid_argument (more than eight names), no_memory. Thread: the mailbox's, one task at a
// time.
template <class T> class received : detail::pinned {
public:
    template <class... N>
    requires(sizeof...(N) > 0 && (std::convertible_to<N, std::string_view> && ...)) explicit received(mailbox<T>& box,
                                                                                                      N... accept)
        : received(box, message_filter{.accept = {std::string_view(accept)...}}) {
        static_assert(sizeof...(N) <= message_names::room, "more than eight names");
    }
    explicit received(mailbox<T>& box, message_filter filter) : filter_(filter) {
        mine_.box = box.state();
        mine_.filter = &filter_;
        if (mine_.box) detail::hold_mailbox(mine_.box);
    }
    ~received() {
        if (mine_.box) detail::drop_mailbox(mine_.box);
    }

    result<void> arm(wait_point& p) noexcept {
        mine_.point = &p;
        mine_.fire = [](detail::message_receiver& r) noexcept { r.point->fire(); };
        return detail::arm_receiver(mine_);
    }
    void disarm() noexcept { detail::disarm_receiver(mine_); }
    bool ready() const noexcept { return detail::message_ready(mine_); }
    [[nodiscard]] result<message<T>> take() noexcept {
        result<message<T>> room(errc::closed);
        if (auto const got = detail::take_message(mine_, &room); !got) room = got.error();
        return room;
    }

private:
    detail::message_receiver mine_;
    message_filter filter_;
};

}}  // namespace spruce::v0
