// A source of several threads keeps no pointer to who waits: it has a note of each wait, which goes to the waiter's
// loop through its inbox. There, on its own thread, the waiter looks whether there is something, and takes it; or the
// waiter has left, and the notice goes to the next.
#include "shared_call.hpp"

#include <spruce/condition_variable.hpp>

#include "../sys/kernel_error.hpp"
#include "../task/scheduler.hpp"

namespace spruce { inline namespace v0 { namespace detail {

void retain(shared_source& s) noexcept { s.references.fetch_add(1, std::memory_order_relaxed); }

// One wait of a task. Its waiter names it, and so does the line, or the inbox, in which it is.
struct shared_note : shared_waiter, outside_wait {
    shared_note(shared_source& s, shared_line& l, hub& h) noexcept : outside_wait(lose_note), source(s), line(l) {
        retain(source);
        door = h.door;
        retain(door);
        h.outside_waits.push_back(static_cast<outside_wait&>(*this));
    }
    shared_source& source;
    shared_line& line;
    atomic<std::uint32_t> references{1};
    post_node node;                  // while it is told: brings the notice to the waiter's thread
    // The waiter's thread alone:
    parked* waiter = nullptr;        // its wait, while it is parked
    wait_point* point = nullptr;     // or a condition's,
    shared_entry* entry = nullptr;   // which is this one
    bool arrived = false;            // the notice has come
    bool left = false;               // the waiter is gone; a notice that comes goes to others
};

namespace {
// The last reference was given back. With the lock.
void spare(shared_note& n) noexcept {
    shared_source& s = n.source;
    n.~shared_note();
    s.spare = ::new (static_cast<void*>(&n)) shared_source::spare_note{s.spare};
}
void* take_spare(shared_source& s) noexcept {
    shared_source::spare_note* const room = s.spare;
    if (room) s.spare = room->next;
    return room;
}

// The reference of a line, or of a waiter.
void let_go(shared_note& n) noexcept {
    if (n.references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    shared_source& s = n.source;
    remote* const door = n.door;
    s.lock.lock();
    spare(n);
    s.lock.unlock();
    release(door);
    release(s);
}

// In the room, if there is one.
result<shared_note*> make_note(void* room, shared_source& s, shared_line& l) noexcept {
    if (!room) room = allocate({}, sizeof(shared_note), alignof(shared_note));
    if (!room) return errc::no_memory;
    return ::new (room) shared_note(s, l, *current_hub);
}

shared_waiter* before(shared_line& l, shared_waiter& w) noexcept {
    return l.waiting.front() == &w ? nullptr : static_cast<shared_waiter*>(w.previous);
}
// With the lock. Ahead of who returns stand only those that were woken in vain, too, and came before it; mostly they
// return in that order.
void enter(shared_line& l, shared_waiter& w) noexcept {
    w.at = shared_waiter::place::in_line;
    if (w.number == 0) {
        w.number = ++l.arrivals;
        return l.waiting.push_back(w);
    }
    shared_waiter* at = l.returned;
    while (at && at->number > w.number) at = before(l, *at);
    if (at == l.returned) l.returned = &w;
    if (at) w.insert_before(*at->next);
    else l.waiting.push_front(w);
}
void take_out(shared_line& l, shared_waiter& w) noexcept {
    if (l.returned == &w) l.returned = before(l, w);
    w.unlink();
    w.at = shared_waiter::place::away;
}
void enter(shared_note& n) noexcept {
    n.references.fetch_add(1, std::memory_order_relaxed);
    n.arrived = false;
    enter(n.line, static_cast<shared_waiter&>(n));
}
// It has looked, or gives its notice back: the end of the turn chooses another.
void settle(shared_line& l, shared_waiter& w) noexcept {
    w.at = shared_waiter::place::away;
    --l.told;
}
void pass_on(shared_note& n) noexcept {
    shared_turn const turn(n.source);
    settle(n.line, n);
}

// On the waiter's thread, or where its loop ends.
void arrive(shared_note& n) noexcept {
    n.arrived = true;
    // A loop that ends runs nobody whom it wakes.
    if (n.left || !remote_alive(n.door)) {
        pass_on(n);
    } else if (n.waiter) {
        wake(*std::exchange(n.waiter, nullptr));
    } else if (n.point) {
        // Who waits for all of several takes when all are there; until then others may.
        if (waits_for_all(*n.point)) pass_on(n);
        n.point->fire();
    }
    let_go(n);
}
void drop_notice(void* n) noexcept { arrive(*static_cast<shared_note*>(n)); }
constexpr callable_ops notice_ops{[](void*, void*) noexcept {}, drop_notice, 0, 0};

// false: its loop has ended.
bool send_notice(shared_note& n) noexcept {
    auto* const node = ::new (static_cast<void*>(&n.node)) post_node;
    node->ops = &notice_ops;
    node->callable = &n;
    node->embedded = true;
    return push_embedded(*n.door, *node);
}

// The waiter goes, and takes nothing.
void leave(shared_note& n) noexcept {
    shared_source& s = n.source;
    remote* const door = n.door;
    n.waiter = nullptr;
    n.point = nullptr;
    static_cast<outside_wait&>(n).unlink();
    bool over;
    {
        shared_turn const turn(s);
        std::uint32_t given_back = 1;
        if (n.at == shared_waiter::place::in_line) {
            take_out(n.line, n);
            given_back = 2;
        } else if (n.at == shared_waiter::place::told) {
            if (n.arrived) settle(n.line, n);
            else n.left = true;
        }
        over = n.references.fetch_sub(given_back, std::memory_order_acq_rel) == given_back;
        if (over) spare(n);
    }
    if (!over) return;
    release(door);
    release(s);
}
}  // namespace

// Its waiter's frame stays as it is, and nobody comes to leave, nor to take.
void lose_note(outside_wait& w) noexcept {
    auto& n = static_cast<shared_note&>(w);
    if (n.entry) n.entry->note = nullptr;
    leave(n);
}

void release(shared_source& s) noexcept {
    if (s.references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    while (void* const room = take_spare(s)) release({}, room, sizeof(shared_note), alignof(shared_note));
    s.is->end(s);
}

void choose_from(shared_line& l, std::size_t most, told_waiters& out) noexcept {
    while (l.told < most) {
        shared_waiter* const w = l.waiting.front();
        if (!w) return;
        take_out(l, *w);
        w->at = shared_waiter::place::told;
        ++l.told;
        out.push_back(*w);
    }
}

void shared_turn::tell() noexcept {
    while (shared_waiter* const w = chosen_.take_front()) {
        if (!w->door) {
            static_cast<blocked_thread*>(w)->gate.open();
            continue;
        }
        auto& n = *static_cast<shared_note*>(w);
        if (send_notice(n)) continue;
        of_.lock.lock();
        settle(n.line, n);
        of_.is->choose(of_, chosen_);
        of_.lock.unlock();
        let_go(n);
    }
}

// -- calls

namespace {
// Whether it is over; else the waiter is in its line.
bool try_or_enter(shared_source& s, shared_line& l, shared_attempt attempt, void* call, blocked_thread& w) noexcept {
    shared_turn const turn(s);
    if (attempt(s, call)) return true;
    enter(l, w);
    return false;
}

result<void> block(shared_source& s, shared_line& l, shared_attempt attempt, void* call, deadline dl) noexcept {
    if (dl.how() == deadline::kind::relative) {
        std::int64_t const now = loop_clock::now().time_since_epoch().count();
        dl = dl.ns() > no_time - now ? never() : deadline(deadline::kind::absolute, now + dl.ns());
    }
    for (std::uint64_t number = 0;;) {
        blocked_thread w;
        w.number = number;
        if (int const failed = w.gate.status(); failed < 0) return kernel_error(failed);
        if (try_or_enter(s, l, attempt, call, w)) return {};
        number = w.number;
        if (!w.gate.wait(dl.remaining().count())) {
            {
                shared_turn const turn(s);
                if (w.at == shared_waiter::place::in_line) {
                    take_out(l, w);
                    return errc::timed_out;
                }
            }
            w.gate.wait(no_time);   // somebody is about to open it
        }
        shared_turn const turn(s);
        settle(l, w);
        if (attempt(s, call)) return {};
    }
}

bool try_or_enter(shared_note& n, shared_attempt attempt, void* call, bool again) noexcept {
    shared_turn const turn(n.source);
    if (again) settle(n.line, n);
    if (attempt(n.source, call)) return true;
    enter(n);
    return false;
}

result<void> park_for(shared_note& n, shared_attempt attempt, void* call, char const* noun, deadline dl) noexcept {
    struct waiting : parked {
        waiting(char const* what, shared_note& of) noexcept : parked(what, true), note(of) {
            note.waiter = this;
            abandon = [](parked& self) noexcept {
                if (self.outcome != how::fired) static_cast<waiting&>(self).note.waiter = nullptr;   // else it is
            };
        }
        shared_note& note;
    };
    for (bool again = false; !try_or_enter(n, attempt, call, again); again = true) {
        if (again) SPRUCE_CHECK(begin_wait());   // others were faster: it may have been canceled since
        waiting p(noun, n);
        SPRUCE_CHECK(park(p, dl));
    }
    return {};
}
}  // namespace

result<void> wait_shared(shared_source& s, shared_line& l, shared_attempt attempt, void* call, char const* noun,
                         deadline dl) noexcept {
    call_hold held(s);
    SPRUCE_CHECK(begin_wait());
    bool const in_task = current_scheduler && current_scheduler->current;
    void* room = nullptr;
    bool there;
    {
        shared_turn const turn(s);
        there = attempt(s, call);
        if (!there && in_task) room = take_spare(s);
    }
    if (there) return at_once<result<void>>({});
    if (!current_hub) return block(s, l, attempt, call, dl);
    if (!in_task) return errc::not_in_task;
    SPRUCE_TRY(shared_note* const n, make_note(room, s, l));
    held.end();   // the note has its own
    auto const ended = park_for(*n, attempt, call, noun, anchored(dl));
    leave(*n);
    return ended;
}

// -- conditions

result<void> arm_shared(shared_source& s, shared_line& l, shared_entry& e, wait_point& p) noexcept {
    call_hold const held(s);
    if (!current_hub) return errc::no_loop;
    if (e.note) return with_detail(errc::already_registered, "a condition that another task waits for");
    s.lock.lock();
    void* const room = take_spare(s);
    s.lock.unlock();
    SPRUCE_TRY(e.note, make_note(room, s, l));
    e.note->point = &p;
    e.note->entry = &e;
    p.comes_from_outside();
    // A look, which keeps nothing: what is there now may win.
    bool there;
    {
        shared_turn const turn(s);
        there = s.is->claim(s, e);
        if (there) s.is->unclaim(s, e);
        else enter(*e.note);
    }
    if (there) p.fire();
    return {};
}

bool shared_entry::claim() noexcept {
    shared_note& n = *note;
    shared_turn const turn(n.source);
    if (n.at == shared_waiter::place::told && n.arrived) settle(n.line, n);
    claimed = n.source.is->claim(n.source, *this);
    if (!claimed && n.at == shared_waiter::place::away) enter(n);
    return claimed;
}

void shared_entry::unclaim() noexcept {
    if (!claimed) return;
    shared_turn const turn(note->source);
    note->source.is->unclaim(note->source, *this);
    claimed = false;
}

void shared_entry::disarm() noexcept {
    if (!note) return;
    if (claimed) note->references.fetch_add(1, std::memory_order_relaxed);   // take() is to come
    leave(*note);
    if (!claimed) note = nullptr;
}

shared_entry::~shared_entry() {
    if (!note) return;
    if (claimed) {
        unclaim();
        let_go(*note);
    } else {
        disarm();
    }
}

shared_source& source_of(shared_note& n) noexcept { return n.source; }

void end_claim(shared_entry& e) noexcept {
    e.claimed = false;
    let_go(*std::exchange(e.note, nullptr));
}

}}}  // namespace spruce::v0::detail
