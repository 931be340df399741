// What a mailbox consists of, and how messages are given to the receivers of one wait.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <spruce/message.hpp>

#include "../sync/waiters.hpp"

namespace spruce { inline namespace v0 { namespace detail {

struct message_line;

// A message, in the order in which they were sent.
struct message_slot : list_link {
    message_receiver* claimed = nullptr;   // for whom it is kept,
    std::uint64_t claimed_in = 0;          // … in this wait
    std::uint64_t number = 0;
    message_line* line = nullptr;          // null: not filed yet
    message_slot* next_same = nullptr;     // of the same name
    message_slot* previous_same = nullptr;
};

// The messages of one name.
struct message_line : list_link {
    message_slot* first = nullptr;
    message_slot* last = nullptr;
    message_line* next_in_bucket = nullptr;
    std::uint64_t judged_in = 0;           // the wait whose filters keep them
    std::uint32_t hash = 0;
};

// In one block with the slots, their items and what they are filed in. One slot more than the bound: what a receiver
// waits for is never refused because of what it does not wait for. Messages are filed by their names when somebody
// looks for one: what is handed over at once never is.
struct mailbox_state {
    message_ops const* ops = nullptr;
    memory_hook memory;
    std::size_t bytes = 0, alignment = 0, bound = 0, count = 0;
    std::size_t item_at = 0;               // of a slot: how far behind it its item lies
    std::uint32_t holders = 1;
    bool closed = false;
    bool dead = false;                     // the mailbox itself is gone
    bool swept = true;                     // what was queued before this wait has been judged
    message_receiver* receivers = nullptr; // all of one wait of one task, in the order they were armed
    std::uint64_t waits = 0;               // which wait it is
    std::uint64_t sent = 0, sent_before = 0;   // … and what had been sent when it began
    intrusive_list<message_slot> queue, free;
    message_slot* unfiled = nullptr;       // this and all behind it are not filed
    message_slot* judged_to = nullptr;     // those before it have been, in this wait
    intrusive_list<message_line> lines, free_lines;
    std::size_t line_count = 0;
    message_line** buckets = nullptr;
    std::uint32_t bucket_mask = 0;

    void* item(message_slot& s) const noexcept { return reinterpret_cast<std::byte*>(&s) + item_at; }
    std::string_view name(message_slot& s) const noexcept { return ops->name(item(s)); }
};

// -- the queue, and the messages by name

// Behind all others.
void enqueue(mailbox_state& box, message_slot& s) noexcept;
// Out of the queue; the slot is the caller's.
void dequeue(mailbox_state& box, message_slot& s) noexcept;
void file(mailbox_state& box, message_slot& s) noexcept;
// The first that the names have and that is nobody's, or null. In no more steps than there are names, and receivers.
message_slot* first_free(mailbox_state& box, message_names const& names) noexcept;
// The message is r's in this wait.
inline void claim(mailbox_state const& box, message_slot& s, message_receiver& r) noexcept {
    s.claimed = &r;
    s.claimed_in = box.waits;
    r.has = &s;
}
// Whose it is in this wait; or null.
inline message_receiver* owner_of(mailbox_state const& box, message_slot const& s) noexcept {
    return s.claimed_in == box.waits ? s.claimed : nullptr;
}

// -- the receivers

inline bool is_valid(message_filter const& f) noexcept {
    return f.accept.count <= message_names::room && f.defer.count <= message_names::room &&
           f.discard.count <= message_names::room;
}

// Enters r, the last of its wait so far.
void add_receiver(mailbox_state& box, message_receiver& r) noexcept;
void remove_receiver(mailbox_state& box, message_receiver& r) noexcept;
// r's wait may be over.
void tell(message_receiver& r) noexcept;
// The receivers' wait is for all of several things: each has a message before any is taken.
bool is_for_all(mailbox_state const& box) noexcept;
// Gives one of those that have no message one, if that can be, though others have to change theirs. Returns: whom; or
// null.
message_receiver* assign_to_any(mailbox_state& box) noexcept;
// r's message goes into the room. Returns: whether there was one.
bool take_for(mailbox_state& box, message_receiver const& r, void* room) noexcept;
// Drops what was queued before this wait and what nobody in it names. The messages' ends, and the hook, may do
// anything, and wait: nothing is remembered across them. Returns: whether anything was dropped.
bool sweep(mailbox_state& box) noexcept;

}}}  // namespace spruce::v0::detail
