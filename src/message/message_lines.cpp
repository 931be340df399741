// A mailbox's messages by their names: whoever waits for some of many finds the first of them without a look at the
// others.
#include "mailbox.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
std::uint32_t hash_of(std::string_view name) noexcept {
    std::uint32_t h = 2166136261;   // FNV-1a
    for (char const c : name) h = (h ^ static_cast<unsigned char>(c)) * 16777619;
    return h ^ h >> 15;
}
message_line*& bucket_of(mailbox_state& box, std::uint32_t hash) noexcept {
    return box.buckets[hash & box.bucket_mask];
}

message_line* find_line(mailbox_state& box, std::string_view name, std::uint32_t hash) noexcept {
    message_line* l = bucket_of(box, hash);
    while (l && (l->hash != hash || box.name(*l->first) != name)) l = l->next_in_bucket;
    return l;
}

message_line& line_for(mailbox_state& box, std::string_view name) noexcept {
    std::uint32_t const hash = hash_of(name);
    if (message_line* const there = find_line(box, name, hash)) return *there;
    message_line& made = *box.free_lines.take_front();   // there are as many as slots
    made.hash = hash;
    made.first = made.last = nullptr;
    made.judged_in = 0;
    made.next_in_bucket = bucket_of(box, hash);
    bucket_of(box, hash) = &made;
    box.lines.push_back(made);
    ++box.line_count;
    return made;
}

void drop_line(mailbox_state& box, message_line& l) noexcept {
    message_line** at = &bucket_of(box, l.hash);
    while (*at != &l) at = &(*at)->next_in_bucket;
    *at = l.next_in_bucket;
    l.unlink();
    box.free_lines.push_front(l);
    --box.line_count;
}
}  // namespace

void enqueue(mailbox_state& box, message_slot& s) noexcept {
    s.number = ++box.sent;
    s.claimed = nullptr;
    box.queue.push_back(s);
    ++box.count;
    if (!box.unfiled) box.unfiled = &s;
}

void dequeue(mailbox_state& box, message_slot& s) noexcept {
    if (box.unfiled == &s) box.unfiled = box.queue.after(s);
    if (box.judged_to == &s) box.judged_to = box.queue.after(s);
    if (message_line* const l = std::exchange(s.line, nullptr)) {
        (s.previous_same ? s.previous_same->next_same : l->first) = s.next_same;
        (s.next_same ? s.next_same->previous_same : l->last) = s.previous_same;
        if (!l->first) drop_line(box, *l);
    }
    s.claimed = nullptr;
    s.unlink();
    --box.count;
}

// The first of those that are not.
void file(mailbox_state& box, message_slot& s) noexcept {
    message_line& l = line_for(box, box.name(s));
    s.line = &l;
    s.next_same = nullptr;
    s.previous_same = l.last;
    (l.last ? l.last->next_same : l.first) = &s;
    l.last = &s;
    box.unfiled = box.queue.after(s);
}

message_slot* first_free(mailbox_state& box, message_names const& names) noexcept {
    while (box.unfiled) file(box, *box.unfiled);
    message_slot* found = nullptr;
    if (box.line_count == 0) return found;
    for (std::size_t i = 0; i < names.count && i < message_names::room; ++i) {
        message_line* const l = find_line(box, names.name[i], hash_of(names.name[i]));
        message_slot* s = l ? l->first : nullptr;
        while (s && owner_of(box, *s)) s = s->next_same;
        if (s && (!found || s->number < found->number)) found = s;
    }
    return found;
}

}}}  // namespace spruce::v0::detail
