// Mailboxes: messages are judged by the filters of who waits, and wait themselves in slots that were made beforehand.
#include <spruce/message.hpp>

#include "../base/text_line.hpp"
#include "../task/scheduler.hpp"
#include "waiters.hpp"

namespace spruce::inline v0::detail {

namespace {
struct message_slot : list_link {
    message_receiver* claimed = nullptr;   // for whom it is kept, in this wait
    bool unjudged = false;                 // it was queued before this wait, whose filters have not been asked yet
    void* item = nullptr;
};
}  // namespace

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

namespace {
struct holding {
    explicit holding(mailbox_state& b) noexcept : box(b) { ++box.holders; }
    ~holding() { drop_mailbox(&box); }
    mailbox_state& box;
};

bool is_valid(message_filter const& f) noexcept {
    return f.accept.count <= message_names::room && f.defer.count <= message_names::room &&
           f.discard.count <= message_names::room;
}

message_action judge(mailbox_state const& box, std::string_view name) noexcept {
    message_action best = box.receivers ? message_action::unnamed : message_action::queue;
    for (message_receiver const* r = box.receivers; r; r = r->next) {
        message_filter const& f = *r->filter;
        message_action const said = f.accept.has(name)    ? message_action::accept
                                    : f.defer.has(name)   ? message_action::defer
                                    : f.discard.has(name) ? message_action::discard
                                                          : message_action::unnamed;
        if (said > best) best = said;
    }
    return best;
}

// The receiver's wait goes on: nothing has been found for it, or for another of the same wait.
bool still_waits(mailbox_state const& box) noexcept {
    for (message_receiver const* r = box.receivers; r; r = r->next)
        if (r->told) return false;
    return box.receivers != nullptr;
}

void tell_unnamed(task_block* receiver, char const* what) noexcept {
    tell_unhandled(current_hub, {receiver ? receiver->id : task_id(), receiver ? task_name(receiver) : "", what, errc::not_supported});
}
struct unnamed_text {
    explicit unnamed_text(std::string_view name) noexcept {
        text_line line(text, sizeof text - 1);
        line.put("a message is dropped that its receiver does not name: '");
        for (std::size_t i = 0; i != name.size() && i != 80; ++i) {
            char const one[] = {name[i], '\0'};
            line.put(one);
        }
        line.put("'");
        text[line.size()] = '\0';
    }
    char text[160];
};

// Drops what was queued before this wait and what nobody in it names. The messages' ends, and the hook, may do anything,
// and wait: nothing is remembered across them. Returns: whether anything was dropped.
bool sweep(mailbox_state& box) noexcept {
    holding here(box);
    bool dropped = false;
    for (;;) {
        message_slot* s = box.queue.front();
        while (s && !s->unjudged) s = box.queue.after(*s);
        if (!s || !box.receivers) return dropped;
        std::string_view const name = box.ops->name(s->item);
        message_action const said = judge(box, name);
        s->unjudged = false;
        if (said >= message_action::defer) continue;
        dropped = true;
        s->unlink();
        --box.count;
        unnamed_text const text(name);
        task_block* const who = box.receivers->who;
        box.ops->destroy(s->item);
        box.free.push_front(*s);
        if (said == message_action::unnamed) tell_unnamed(who, text.text);
    }
}

message_slot* find_for(mailbox_state& box, message_receiver const& r) noexcept {
    message_slot* found = nullptr;
    for (message_slot* s = box.queue.front(); s; s = box.queue.after(*s)) {
        if (s->claimed == &r) return s;
        if (!found && !s->claimed && r.filter->accept.has(box.ops->name(s->item))) found = s;
    }
    return found;
}

bool take_for(mailbox_state& box, message_receiver const& r, void* room) noexcept {
    message_slot* const s = find_for(box, r);
    if (!s) return false;
    s->unlink();
    --box.count;
    box.ops->give(room, s->item);
    box.free.push_front(*s);
    return true;
}

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

struct receiving : parked {
    receiving(mailbox_state& box, message_filter const& filter) noexcept : parked("message") {
        mine.box = &box;
        mine.filter = &filter;
        abandon = [](parked& self) noexcept {
            auto& r = static_cast<receiving&>(self).mine;
            remove_receiver(*r.box, r);
        };
    }
    struct waiting : message_receiver {
        receiving* of = nullptr;
    } mine;
};
}  // namespace

mailbox_state* make_mailbox(std::size_t bound, message_ops const& ops) noexcept {
    std::size_t const alignment = ops.alignment > alignof(mailbox_state) ? ops.alignment : alignof(mailbox_state);
    auto const round = [&](std::size_t n) { return (n + alignment - 1) / alignment * alignment; };
    std::size_t const head = round(sizeof(mailbox_state)), room = round(sizeof(message_slot)) + round(ops.size);
    if (bound >= static_cast<std::size_t>(-1) / 2 / room - head) return nullptr;
    memory_hook const memory = memory_here();
    std::size_t const bytes = head + (bound + 1) * room;
    void* const block = allocate(memory, bytes, alignment);
    if (!block) return nullptr;
    auto* const box = ::new (block) mailbox_state;
    box->ops = &ops;
    box->memory = memory;
    box->bytes = bytes;
    box->alignment = alignment;
    box->bound = bound;
    std::byte* at = static_cast<std::byte*>(block) + head;
    for (std::size_t i = 0; i <= bound; ++i, at += room) {
        auto* const s = ::new (static_cast<void*>(at)) message_slot;
        s->item = at + round(sizeof(message_slot));
        box->free.push_back(*s);
    }
    return box;
}

void hold_mailbox(mailbox_state* box) noexcept { ++box->holders; }
void drop_mailbox(mailbox_state* box) noexcept {
    if (--box->holders != 0) return;
    memory_hook const memory = box->memory;
    release(memory, box, box->bytes, box->alignment);
}

void close_mailbox(mailbox_state* box) noexcept {
    box->closed = true;
    for (message_receiver* r = box->receivers; r; r = r->next) tell(*r);
}

void end_mailbox(mailbox_state* box) noexcept {
    box->dead = true;
    close_mailbox(box);
    while (message_slot* const s = box->queue.take_front()) {
        --box->count;
        box->ops->destroy(s->item);
    }
    drop_mailbox(box);
}

std::size_t messages_in(mailbox_state const* box) noexcept { return box->count; }
message_action action_in(mailbox_state const* box, std::string_view name) noexcept {
    if (!still_waits(*box)) return message_action::queue;
    return judge(*box, name);
}

result<void> send_message(mailbox_state* b, void* message) noexcept {
    mailbox_state& box = *b;
    holding here(box);
    if (still_waits(box)) sweep(box);
    if (box.closed) return errc::closed;
    std::string_view const name = box.ops->name(message);
    message_receiver* taker = box.receivers;
    while (taker && (taker->told || !taker->filter->accept.has(name))) taker = taker->next;
    if (!taker && still_waits(box)) {
        message_action const said = judge(box, name);
        if (said == message_action::discard) return {};
        if (said == message_action::unnamed) {
            tell_unnamed(box.receivers->who, unnamed_text(name).text);
            return {};
        }
    }
    // The slot beyond the bound is for who will take the message, and not for one whose wait is over but has not run yet.
    // A message on its way out keeps its slot until it is destroyed, and its end may send.
    bool const is_taken = taker && !(taker->waits && taker->who && taker->who->state == task_state::ready);
    if (box.count >= box.bound + (is_taken ? 1 : 0) || box.free.empty()) return errc::full;
    message_slot& s = *box.free.take_front();
    box.ops->put(s.item, message);
    s.claimed = taker;
    s.unjudged = false;
    box.queue.push_back(s);
    ++box.count;
    if (!taker) return {};
    task_block* const who = taker->waits ? taker->who : nullptr;
    tell(*taker);
    // Not if something else is still to come before its task goes on; then it is no mistake that it isn't ready.
    if (who && who->state == task_state::ready) static_cast<void>(switch_now(who));
    return {};
}

result<void> receive_message(mailbox_state* b, message_filter const& filter, void* room, deadline dl) noexcept {
    SPRUCE_CHECK(begin_wait());
    if (!b) return errc::no_memory;
    if (!is_valid(filter)) return with_detail(errc::invalid_argument, "a filter with more than eight names");
    mailbox_state& box = *b;
    if (box.receivers) return with_detail(errc::already_registered, "somebody waits for messages of this mailbox");
    holding here(box);
    receiving p(box, filter);
    p.mine.of = &p;
    p.mine.fire = [](message_receiver& r) noexcept {
        if (r.waits) wake(*static_cast<receiving::waiting&>(r).of);
    };
    add_receiver(box, p.mine);
    if (sweep(box)) {
        // It may have waited there, and been cancelled.
        if (auto const still = begin_wait(); !still) return remove_receiver(box, p.mine), still;
    }
    if (!take_for(box, p.mine, room)) {
        if (!box.closed) {
            p.mine.waits = true;
            SPRUCE_CHECK(park(p, dl));
        }
        bool const got = take_for(box, p.mine, room);
        remove_receiver(box, p.mine);
        if (!got) return box.dead ? errc::closed : errc::end_of_stream;
    }
    remove_receiver(box, p.mine);
    return {};
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
