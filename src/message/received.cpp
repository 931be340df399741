// The receivers of one wait: which message is whose.
#include "mailbox.hpp"

namespace spruce { inline namespace v0 { namespace detail {

void add_receiver(mailbox_state& box, message_receiver& r) noexcept {
    if (!box.receivers) {
        ++box.waits;   // nothing is anybody's
        box.sent_before = box.sent;
        box.swept = false;
        box.judged_to = box.queue.front();
    }
    message_receiver** at = &box.receivers;
    while (*at) at = &(*at)->next;
    *at = &r;
    r.next = nullptr;
    r.has = nullptr;
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
// What r has, if it still does.
message_slot* kept_for(mailbox_state const& box, message_receiver const& r) noexcept {
    return r.has && owner_of(box, *r.has) == &r ? r.has : nullptr;
}
// The first behind that number which another receiver has, and which r would take.
message_slot* next_claimed(mailbox_state& box, message_receiver const& r, std::uint64_t behind) noexcept {
    message_slot* found = nullptr;
    for (message_receiver const* other = box.receivers; other; other = other->next) {
        message_slot* const s = kept_for(box, *other);
        if (!s || s->number <= behind || (found && found->number < s->number)) continue;
        if (r.filter->accept.has(box.name(*s))) found = s;
    }
    return found;
}

// A message for r, of a wait for all: one that is nobody's, or that of another, who can do with another one. Who has a
// message once has one ever after, though not the same; and whoever can have one does, after each message and each
// receiver that is added. So deep as there are receivers.
bool assign(mailbox_state& box, message_receiver& r) noexcept {
    r.asked = true;
    message_slot* s = first_free(box, r.filter->accept);
    for (std::uint64_t behind = 0; !s; behind = s->number, s = nullptr) {
        s = next_claimed(box, r, behind);
        if (!s) return false;
        message_receiver& owner = *s->claimed;
        if (!owner.asked && assign(box, owner)) break;
    }
    claim(box, *s, r);
    return true;
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
    message_slot* const kept = kept_for(box, r);
    return kept ? kept : first_free(box, r.filter->accept);
}
}  // namespace

bool take_for(mailbox_state& box, message_receiver const& r, void* room) noexcept {
    message_slot* const s = find_for(box, r);
    if (!s) return false;
    dequeue(box, *s);
    box.ops->give(room, box.item(*s));
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
        return with_detail(errc::already_registered, "a receive() of this mailbox is already pending");
    add_receiver(box, r);
    r.waits = true;
    r.armed_at = current_hub ? current_hub->credit.dispatches : 0;
    if (is_for_all(box)) {
        if (assign_to_any(box) || box.closed) tell(r);
        return {};
    }
    message_slot* const s = find_for(box, r);
    if (s) claim(box, *s, r);
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
        if (current_hub && r.armed_at != current_hub->credit.dispatches) sweep(box);
    }
    remove_receiver(box, r);
}

result<void> take_message(message_receiver& r, void* room) noexcept {
    if (!r.box) return errc::no_memory;
    if (take_for(*r.box, r, room)) return {};
    return r.box->dead ? errc::closed : r.box->closed ? errc::end_of_stream : errc::would_wait;
}

bool message_ready(message_receiver const& r) noexcept { return r.box && (r.box->closed || find_for(*r.box, r)); }

}}}  // namespace spruce::v0::detail
