// The receivers of one wait: which message is whose.
#include "mailbox.hpp"

namespace spruce::inline v0::detail {

void add_receiver(mailbox_state& box, message_receiver& r) noexcept {
    if (!box.receivers) {
        for (message_slot* s = box.queue.front(); s; s = box.queue.after(*s)) {
            s->unjudged = true;
            s->claimed = nullptr;
        }
    }
    message_receiver** at = &box.receivers;
    while (*at) at = &(*at)->next;
    *at = &r;
    r.next = nullptr;
    r.armed = true;
    r.told = r.waits = false;
    r.who = current_scheduler ? current_scheduler->current : nullptr;
}
void remove_receiver(mailbox_state& box, message_receiver& r) noexcept {
    if (!std::exchange(r.armed, false)) return;
    for (message_receiver** at = &box.receivers; *at; at = &(*at)->next) {
        if (*at != &r) continue;
        *at = r.next;
        return;
    }
}

void tell(message_receiver& r) noexcept {
    if (std::exchange(r.told, true)) return;
    r.fire(r);
}

bool is_for_all(mailbox_state const& box) noexcept {
    return box.receivers && box.receivers->point && waits_for_all(*box.receivers->point);
}

namespace {
// A message for r, of a wait for all: one that is nobody's, or that of another, who can do with another one. Who has a
// message once has one ever after, though not the same; and whoever can have one does, after each message and each
// receiver that is added. So deep as there are receivers.
bool assign(mailbox_state& box, message_receiver& r) noexcept {
    r.asked = true;
    for (bool const free : {true, false}) {
        for (message_slot* s = box.queue.front(); s; s = box.queue.after(*s)) {
            if (free != !s->claimed || !r.filter->accept.has(box.ops->name(s->item))) continue;
            if (!free && (s->claimed->asked || !assign(box, *s->claimed))) continue;
            s->claimed = &r;
            return true;
        }
    }
    return false;
}
}  // namespace

message_receiver* assign_to_any(mailbox_state& box) noexcept {
    for (message_receiver* r = box.receivers; r; r = r->next) {
        if (r->told) continue;
        for (message_receiver* other = box.receivers; other; other = other->next) other->asked = false;
        if (assign(box, *r)) return r;
    }
    return nullptr;
}

namespace {
message_slot* find_for(mailbox_state& box, message_receiver const& r) noexcept {
    message_slot* found = nullptr;
    for (message_slot* s = box.queue.front(); s; s = box.queue.after(*s)) {
        if (s->claimed == &r) return s;
        if (!found && !s->claimed && r.filter->accept.has(box.ops->name(s->item))) found = s;
    }
    return found;
}
}  // namespace

bool take_for(mailbox_state& box, message_receiver const& r, void* room) noexcept {
    message_slot* const s = find_for(box, r);
    if (!s) return false;
    s->unlink();
    --box.count;
    box.ops->give(room, s->item);
    box.free.push_front(*s);
    return true;
}

// -- as a condition

result<void> arm_receiver(message_receiver& r) noexcept {
    if (!r.box) return errc::no_memory;
    if (!is_valid(*r.filter)) return with_detail(errc::invalid_argument, "a filter with more than eight names");
    mailbox_state& box = *r.box;
    task_block* const self = current_scheduler ? current_scheduler->current : nullptr;
    if (r.armed || (box.receivers && (box.receivers->who != self || !box.receivers->waits)))
        return with_detail(errc::already_registered, "somebody waits for messages of this mailbox");
    add_receiver(box, r);
    r.waits = true;
    r.armed_at = current_hub ? current_hub->dispatches : 0;
    if (is_for_all(box)) {
        if (assign_to_any(box) || box.closed) tell(r);
        return {};
    }
    message_slot* const s = find_for(box, r);
    if (s) s->claimed = &r;
    if (s || box.closed) tell(r);
    return {};
}

void disarm_receiver(message_receiver& r) noexcept {
    if (!r.armed) return;
    mailbox_state& box = *r.box;
    if (r.waits) {
        // The first of its wait: nothing that comes from here on is for it.
        for (message_receiver* other = box.receivers; other; other = other->next) {
            other->waits = false;
            other->told = true;
        }
        // It has really waited, so that all its filters are known: what was queued before and is not named goes.
        if (current_hub && r.armed_at != current_hub->dispatches) sweep(box);
    }
    remove_receiver(box, r);
}

result<void> take_message(message_receiver& r, void* room) noexcept {
    if (!r.box) return errc::no_memory;
    if (take_for(*r.box, r, room)) return {};
    return r.box->dead ? errc::closed : r.box->closed ? errc::end_of_stream : errc::would_wait;
}

bool message_ready(message_receiver const& r) noexcept { return r.box && (r.box->closed || find_for(*r.box, r)); }

}  // namespace spruce::inline v0::detail
