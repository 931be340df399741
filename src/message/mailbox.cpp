// Mailboxes: messages are judged by the filters of who waits, and wait themselves in slots that were made beforehand.
// Cancel, and the deadline: task/park.cpp calls the receiver's parked::abandon, which takes it off the mailbox.
#include "mailbox.hpp"

#include <bit>

#include "../base/round_up.hpp"
#include "../base/text_line.hpp"
#include "../loop/plain_scope.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
struct holding {
    explicit holding(mailbox_state& b) noexcept : box(b) { ++box.holders; }
    ~holding() { drop_mailbox(&box); }
    mailbox_state& box;
};

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

// The receiver's wait goes on: nothing has been found for it, or for another of the same wait; of one for all: not for
// each of them.
bool still_waits(mailbox_state const& box) noexcept {
    bool const all = is_for_all(box);
    for (message_receiver const* r = box.receivers; r; r = r->next)
        if (r->told != all) return all;
    return box.receivers && !all;
}

// Who has the message at once: the first that accepts it and has none.
message_receiver* taker_of(mailbox_state const& box, std::string_view name) noexcept {
    message_receiver* r = box.receivers;
    while (r && (r->told || !r->filter->accept.has(name))) r = r->next;
    return r;
}

void tell_unnamed(task_block* receiver, char const* what) noexcept {
    tell_unhandled(current_hub, {receiver ? receiver->id : task_id(), receiver ? task_name(receiver) : "", what,
                                 errc::not_supported});
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

}  // namespace

namespace {
// Users' code runs while receivers stand at the box: if their task is abandoned meanwhile, others may receive.
struct sweeping : outside_wait {
    explicit sweeping(mailbox_state& b) noexcept : outside_wait(lost), box(b) {
        if (current_hub) current_hub->outside_waits.push_back(*this);
    }
    ~sweeping() { unlink(); }
    static void lost(outside_wait& w) noexcept {
        mailbox_state& b = static_cast<sweeping&>(w).box;
        while (b.receivers) remove_receiver(b, *b.receivers);
    }
    mailbox_state& box;
};

bool is_kept(mailbox_state const& box, message_line& l) noexcept {
    if (l.judged_in == box.waits) return true;
    if (judge(box, box.name(*l.first)) < message_action::defer) return false;
    l.judged_in = box.waits;
    return true;
}

// The first that was queued before this wait and that nobody in it keeps; or null. What is filed comes before what is
// not. Of few names the first of each will do, so that what is kept need not be passed each time.
message_slot* next_dropped(mailbox_state& box) noexcept {
    constexpr std::size_t few = 32;
    message_slot* found = nullptr;
    if (box.line_count <= few) {
        for (message_line* l = box.lines.front(); l; l = box.lines.after(*l))
            if (l->first->number <= box.sent_before && !is_kept(box, *l) &&
                (!found || l->first->number < found->number))
                found = l->first;
    } else {
        message_slot*& at = box.judged_to;
        while (at && at->line && at->number <= box.sent_before && is_kept(box, *at->line)) at = box.queue.after(*at);
        if (at && at->line && at->number <= box.sent_before) found = at;
    }
    while (!found && box.unfiled && box.unfiled->number <= box.sent_before) {
        if (judge(box, box.name(*box.unfiled)) < message_action::defer) found = box.unfiled;
        else file(box, *box.unfiled);
    }
    return found;
}
}  // namespace

bool sweep(mailbox_state& box) noexcept {
    holding here(box);
    bool dropped = false;
    while (box.receivers && !box.swept) {
        message_slot* const s = next_dropped(box);
        if (!s) {
            box.swept = true;
            break;
        }
        std::string_view const name = box.name(*s);
        message_action const said = judge(box, name);
        dropped = true;
        unnamed_text const text(name);
        task_block* const who = box.receivers->who;
        sweeping const known(box);
        dequeue(box, *s);
        box.ops->destroy(box.item(*s));
        box.free.push_front(*s);
        if (said == message_action::unnamed) tell_unnamed(who, text.text);
    }
    return dropped;
}

namespace {
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
    auto const round = [&](std::size_t n) { return round_up(n, alignment); };
    std::size_t const head = round(sizeof(mailbox_state)), room = round(sizeof(message_slot)) + round(ops.size);
    std::size_t const behind = sizeof(message_line) + sizeof(message_line*);   // there are fewer buckets than slots
    if (bound >= static_cast<std::size_t>(-1) / 4 / (room + behind) - head) return nullptr;
    std::size_t const slots = bound + 1, buckets = std::bit_floor(slots);
    memory_hook const memory = memory_here();
    std::size_t const lines_at = round_up(head + slots * room, alignof(message_line));
    std::size_t const buckets_at = lines_at + slots * sizeof(message_line);
    std::size_t const bytes = buckets_at + buckets * sizeof(message_line*);
    auto* const block = static_cast<std::byte*>(allocate(memory, bytes, alignment));
    if (!block) return nullptr;
    auto* const box = ::new (static_cast<void*>(block)) mailbox_state;
    box->ops = &ops;
    box->memory = memory;
    box->bytes = bytes;
    box->alignment = alignment;
    box->bound = bound;
    box->item_at = round(sizeof(message_slot));
    for (std::size_t i = 0; i != slots; ++i) {
        box->free.push_back(*::new (static_cast<void*>(block + head + i * room)) message_slot);
        box->free_lines.push_back(*::new (static_cast<void*>(block + lines_at + i * sizeof(message_line)))
                                      message_line);
    }
    box->buckets = reinterpret_cast<message_line**>(block + buckets_at);
    for (std::size_t i = 0; i != buckets; ++i) ::new (static_cast<void*>(box->buckets + i)) message_line*(nullptr);
    box->bucket_mask = static_cast<std::uint32_t>(buckets - 1);
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
    plain_scope const scope;   // a message may be the last to own the loop
    box->dead = true;
    close_mailbox(box);
    while (message_slot* const s = box->queue.front()) {
        dequeue(*box, *s);
        box->ops->destroy(box->item(*s));
    }
    drop_mailbox(box);
}

std::size_t messages_in(mailbox_state const* box) noexcept { return box->count; }
message_action action_in(mailbox_state const* box, std::string_view name) noexcept {
    if (!still_waits(*box)) return message_action::queue;
    auto const said = judge(*box, name);
    return said == message_action::accept && !taker_of(*box, name) ? message_action::queue : said;
}

result<void> send_message(mailbox_state* b, void* message) noexcept {
    mailbox_state& box = *b;
    plain_scope const scope;   // a message that is dropped, the hook, or the receiver may be the last to own the loop
    holding here(box);
    if (still_waits(box)) sweep(box);
    if (box.closed) return errc::closed;
    std::string_view const name = box.ops->name(message);
    message_receiver* taker = taker_of(box, name);
    bool swaps = false;   // who has another one of a wait for all may take this one, and leave that to who has none
    if (!taker && still_waits(box)) {
        message_action const said = judge(box, name);
        if (said == message_action::discard) return {};
        if (said == message_action::unnamed) {
            tell_unnamed(box.receivers->who, unnamed_text(name).text);
            return {};
        }
        swaps = said == message_action::accept;
    }
    // The slot beyond the bound is for who will take the message, and not for one whose wait is over but has not run
    // yet. A message on its way out keeps its slot until it is destroyed, and its end may send.
    message_receiver const* const first = taker || swaps ? box.receivers : nullptr;
    bool const is_taken = first && !(first->waits && first->who && first->who->state == task_state::ready);
    if (box.count >= box.bound + (is_taken ? 1 : 0) || box.free.empty()) return errc::full;
    message_slot& s = *box.free.take_front();
    box.ops->put(box.item(s), message);
    enqueue(box, s);
    if (taker) claim(box, s, *taker);
    if (swaps) taker = assign_to_any(box);
    if (!taker) {
        if (box.count <= box.bound) return {};
        dequeue(box, s);
        box.ops->destroy(box.item(s));
        box.free.push_front(s);
        return errc::full;
    }
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
    counted_call const counted;   // its end comes after the mailbox has been let go
    mailbox_state& box = *b;
    if (box.receivers) return with_detail(errc::already_registered, "a receive() of this mailbox is already pending");
    holding here(box);
    receiving p(box, filter);
    p.mine.of = &p;
    p.mine.fire = [](message_receiver& r) noexcept {
        if (r.waits) wake(*static_cast<receiving::waiting&>(r).of);
    };
    add_receiver(box, p.mine);
    if (sweep(box)) {
        // It may have waited there, and been canceled.
        if (auto const still = begin_wait(); !still) return remove_receiver(box, p.mine), still;
    }
    bool got = take_for(box, p.mine, room);
    if (!got) {
        if (!box.closed) {
            p.mine.waits = true;
            SPRUCE_CHECK(park(p, dl));
        }
        got = take_for(box, p.mine, room);
    }
    remove_receiver(box, p.mine);
    if (!got) return box.dead ? errc::closed : errc::end_of_stream;
    return {};
}

}}}  // namespace spruce::v0::detail
