// What a mailbox consists of, and how messages are given to the receivers of one wait.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <spruce/message.hpp>

#include "waiters.hpp"

namespace spruce::inline v0::detail {

struct message_slot : list_link {
    message_receiver* claimed = nullptr;   // for whom it is kept, in this wait
    bool unjudged = false;                 // it was queued before this wait, whose filters have not been asked yet
    void* item = nullptr;
};

// In one block with the slots and their items. One slot more than the bound: what a receiver waits for is never refused
// because of what it does not wait for.
struct mailbox_state {
    message_ops const* ops = nullptr;
    memory_hook memory;
    std::size_t bytes = 0, alignment = 0, bound = 0, count = 0;
    std::uint32_t holders = 1;
    bool closed = false;
    bool dead = false;                     // the mailbox itself is gone
    message_receiver* receivers = nullptr; // all of one wait of one task, in the order they were armed
    intrusive_list<message_slot> queue, free;
};

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
// Gives one of those that have no message one, if that can be, though others have to change theirs. Returns: whom; or null.
message_receiver* assign_to_any(mailbox_state& box) noexcept;
// r's message goes into the room. Returns: whether there was one.
bool take_for(mailbox_state& box, message_receiver const& r, void* room) noexcept;
// Drops what was queued before this wait and what nobody in it names. The messages' ends, and the hook, may do anything,
// and wait: nothing is remembered across them. Returns: whether anything was dropped.
bool sweep(mailbox_state& box) noexcept;

}  // namespace spruce::inline v0::detail
