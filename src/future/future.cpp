// Futures: waiting for an outcome, giving one, and following another's.
#include "call_block.hpp"
#include "future_set.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// -- waiting

namespace {
// Whether it is the call whose task runs now, which would wait for its own end.
bool is_own_call(future_block& b) noexcept {
    if (b.kind != future_kind::call) return false;
    task_block const* const t = static_cast<call_block&>(b).task;
    return t && current_scheduler && current_scheduler->current == t;
}
error own_call() noexcept { return with_detail(errc::deadlock, "a call that waits for its own end"); }

// Where the wait needs no time, the switch is in here. kept: the caller is to hold the block, if the wait is ok.
[[gnu::noinline]] result<void> wait_here(future_block& b, deadline dl, bool* kept) noexcept {
    if (is_own_call(b)) [[unlikely]] return refused_call(own_call());
    // Its handle may go while the task waits.
    b.references.fetch_add(1, std::memory_order_relaxed);
    awaiting p(b);
    b.waiters.push_back(p);
    auto const waited = park_here(p, dl);
    if (kept && waited) *kept = true;
    else release_future(&b);
    return waited;
}
[[gnu::noinline]] result<void> wait_elsewhere(future_block const& b) noexcept {
    if (!is_orphan(b)) return errc::wrong_thread;
    return b.state == future_state::done ? result<void>() : errc::closed;
}
}  // namespace

namespace {
[[gnu::always_inline]] inline result<void> wait_for(future_block& b, deadline dl, bool* kept) noexcept {
    if (!is_here(b)) [[unlikely]] return wait_elsewhere(b);
    if (!may_wait()) [[unlikely]] return begin_wait();
    if (b.state == future_state::done) return {};
    return wait_here(b, dl, kept);
}
}  // namespace

result<void> wait_future(future_block* b, deadline dl) noexcept {
    if (!is_here(*b) || b->state == future_state::done) return at_once(wait_for(*b, dl, nullptr));
    return wait_for(*b, dl, nullptr);
}

result<void*> await_outcome(future_block* b, deadline dl, bool& kept) noexcept {
    SPRUCE_CHECK(wait_for(*b, dl, &kept));
    if (!is_here(*b)) [[unlikely]] return root_of(*b).outcome;
    future_block& r = root_of(*b);
    if (!r.looked) look(r);
    if (!r.fine) explain(r);
    return r.outcome;
}

void explain(future_block& r) noexcept {
    auto const failed = r.ops->failure(r.outcome);
    if (failed || failed != errc::task_failed) return;
    error why = failed.error();
    r.ops->describe(r.outcome, [](void* context, char const* what) {
        auto& e = *static_cast<error*>(context);
        if (what[0]) e = with_detail(e, what);
    }, &why);
    r.ops->fail(r.outcome, why);
}

void* outcome_if_there(future_block* b) noexcept {
    if (!future_done(b)) return nullptr;
    future_block& r = root_of(*b);
    if (is_here(*b)) {
        look(r);
        if (!r.fine) explain(r);
    }
    return r.outcome;
}

result<void> arm_future(future_block* b, wait_entry& e, wait_point& p) noexcept {
    if (!is_here(*b) && !(is_orphan(*b) && b->state == future_state::done)) return why_not_here(*b);
    if (b->state == future_state::done) p.fire();
    else if (is_own_call(*b)) return own_call();
    else b->waiters.push_back(enter<parked>(e, p, "future"));
    return {};
}

void disarm_future(wait_entry& e) noexcept { leave_line(e); }

bool future_done(future_block* b) noexcept { return (is_here(*b) || is_orphan(*b)) && b->state == future_state::done; }

bool future_failed(future_block* b) noexcept {
    if (!future_done(b)) return false;
    future_block& r = root_of(*b);
    return !r.ops->failure(r.outcome).ok();
}

// In a line, however deep sets gather sets; each is looked at once.
void look(future_block& first) noexcept {
    future_block* todo = nullptr;
    auto const add = [&](future_block& r) {
        if (std::exchange(r.looked, true)) return;
        r.seek = todo;
        todo = &r;
    };
    add(root_of(first));
    while (future_block* const b = todo) {
        todo = b->seek;
        if (b->kind == future_kind::set) for_each_shown(static_cast<future_set&>(*b), add);
    }
}

// -- giving an outcome
result<void*> outcome_room(future_block* b) noexcept {
    if (!is_here(*b)) return why_not_here(*b);
    if (b->state == future_state::pending) return b->outcome;
    if (b->canceled) return with_detail(errc::wrong_state, "it was canceled");
    return with_detail(errc::wrong_state, b->source ? "it follows another one" : "it has an outcome");
}

void announce(future_block* b) noexcept {
    bool const canceled = b->kind == future_kind::call && static_cast<call_block*>(b)->by.value != 0;
    if (!canceled) b->fine = b->ops->failure(b->outcome).ok();
    resolve(*b);
}

result<void> fail_future(future_block* b, error why) noexcept {
    SPRUCE_TRY(void* const at, outcome_room(b));
    b->ops->fail(at, why);
    announce(b);
    return {};
}

void fail_block(future_block& b, error why) noexcept {
    b.ops->fail(b.outcome, why);
    announce(&b);
}

namespace {
future_block* told_of_source(future_link& l) noexcept {
    l.owner->ahead = &root_of(*l.owner->source);
    l.owner->state = future_state::done;
    return l.owner;
}

[[gnu::always_inline]] inline void tell_waiters(future_block& b) noexcept {
    while (parked* const p = b.waiters.take_front()) wake(*p);
}

void tell_all(hub& h, future_block& b) noexcept {
    if (!b.listened) return tell_waiters(b);
    future_listeners& l = b.listeners();
    // Who is canceled by it is told before anybody wakes.
    while (handler_slot* const s = l.cancelers.take_front()) queue_slot(h, *s, b.canceled);
    tell_waiters(b);
    while (handler_slot* const s = l.subscribers.take_front()) queue_slot(h, *s, true);
    while (handler_slot* const s = l.watchers.take_front()) {
        s->kind = slot_kind::soon;   // one that is queued runs once more, with the last report; and all go
        if (s->state == slot_state::armed) queue_slot(h, *s, false);
    }
}
}  // namespace

void queue_slot(hub& h, handler_slot& s, bool holds) noexcept {
    if (holds) add_hold(h, s);
    make_ready(h, s);
}

void resolve(future_block& first) noexcept {
    // Nobody follows, and nothing of the users' runs: the block stays.
    if (first.kind != future_kind::set && !first.listened) [[likely]] {
        first.state = future_state::done;
        return tell_waiters(first);
    }
    hub& h = *current_hub;
    plain_scope const scope(&h);   // what is copied for sets, or dropped, may be the last to own the loop
    retain_future(&first);
    first.walk = nullptr;
    future_block* last = &first;
    for (future_block* b = &first; b;) {
        // A set's outcome is made of copies: what is the users' may run here, and drop handles.
        if (b->kind == future_kind::set && b->state != future_state::done) {
            auto& s = static_cast<future_set&>(*b);
            if (s.collect) {
                forget_ways();   // they may ask of those who are behind a cut, and not told yet
                s.collect(s.outcome, &s, s.winner);
            }
        }
        b->state = future_state::done;
        tell_all(h, *b);
        while (future_link* const l = b->listened ? b->listeners().links.take_front() : nullptr) {
            future_block* const next = l->told(*l);
            if (!next) continue;
            retain_future(next);
            next->walk = nullptr;
            last->walk = next;
            last = next;
        }
        future_block* const done = b;
        b = b->walk;
        release_future(done);
    }
}

// -- following

namespace {
constinit thread_local std::uint64_t ways = 1;   // hints of earlier ones count no more

bool stops_cancellation(future_block& b) noexcept { return b.shielded || b.has_cancelers(); }
future_block& step(future_block& b) noexcept { return b.ahead_at == ways ? *b.ahead : *b.source; }
}  // namespace

void forget_ways() noexcept { ++ways; }

// Those that it passes are told of where it has come to, so that all the ways of a long chain are walked once.
future_block& way_on(future_block& b) noexcept {
    future_block* end = &step(b);
    while (end->state == future_state::following && !stops_cancellation(*end)) end = &step(*end);
    for (future_block* at = &b; at != end;) {
        future_block& next = step(*at);
        at->ahead = end;
        at->ahead_at = ways;
        at = &next;
    }
    return *end;
}

future_block& end_of_way(future_block& b) noexcept {
    future_block* r = &b;
    bool const here = is_here(b);   // elsewhere nothing is written
    while (r->state == future_state::following) r = here ? &way_on(*r) : r->source;
    return r->source ? *r->ahead : *r;
}

// A search through futures that take others' outcomes, or gather them, an edge at a time.
namespace {
class search {
public:
    search(future_block& first, std::uint32_t mark) noexcept : todo_(&first), mark_(mark) {
        first.seek = nullptr;
        first.sought = mark;
    }
    // What the next edge leads to; null: this one leads nowhere.
    future_block* next(future_block* (*edge)(search& self) noexcept) noexcept {
        if (!at_) {
            at_ = todo_;
            if (!at_) return nullptr;
            todo_ = at_->seek;
            place_ = 0;
            link_ = nullptr;
        }
        return edge(*this);
    }
    bool over() const noexcept { return !at_ && !todo_; }
    // Adds it, unless it was met. Returns: whether the search of that other mark has met it.
    bool add(future_block& b, std::uint32_t other) noexcept {
        if (b.sought == other) return true;
        if (b.sought == mark_) return false;
        b.sought = mark_;
        b.seek = todo_;
        todo_ = &b;
        return false;
    }
    std::uint32_t mark() const noexcept { return mark_; }

    // Whose outcome the block at hand takes, one after another.
    static future_block* source(search& self) noexcept {
        future_block& b = *self.at_;
        if (b.kind == future_kind::set && is_pending(b)) {
            auto& s = static_cast<future_set&>(b);
            if (self.place_ != s.count) return block_of_word(s.members[self.place_++].word);
        } else if (is_pending(b) && self.place_++ == 0) {
            return b.source;
        }
        self.at_ = nullptr;
        return nullptr;
    }
    // Who takes its outcome.
    static future_block* taker(search& self) noexcept {
        future_block& b = *self.at_;
        if (b.listened) {
            auto& links = b.listeners().links;
            self.link_ = self.link_ ? links.after(*self.link_) : links.front();
            if (self.link_) return self.link_->owner;
        }
        self.at_ = nullptr;
        return nullptr;
    }

private:
    future_block* todo_;
    future_block* at_ = nullptr;
    std::size_t place_ = 0;
    future_link* link_ = nullptr;
    std::uint32_t mark_;
};
}  // namespace

// From both sides, an edge here and an edge there: it takes no longer than the smaller one takes, so that chains and
// trees of any shape can be put together one by one.
bool leads_to(future_block& from, future_block& what) noexcept {
    if (&from == &what) return true;
    static constinit thread_local std::uint32_t searches = 0;
    searches += 2;
    search down(from, searches), up(what, searches + 1);
    for (;;) {
        if (future_block* const b = down.next(search::source); b && down.add(*b, up.mark())) return true;
        if (down.over()) return false;
        if (future_block* const b = up.next(search::taker); b && up.add(*b, down.mark())) return true;
        if (up.over()) return false;
    }
}

result<void> follow_future(future_block* b, future_ref const& other) noexcept {
    if (auto const room = outcome_room(b); !room) return room.error();
    future_block* const of = other.block();
    // One that could not be made has its outcome: why. An empty one has none, and never will.
    if (!of && other.word() == 0) return other.why();
    if (!of) return fail_future(b, other.why());
    if (!is_here(*of)) return why_not_here(*of);
    if (leads_to(*of, *b)) return with_detail(errc::deadlock, "a future that would follow itself");
    retain_future(of);
    b->source = of;
    if (of->state == future_state::done) {
        b->ahead = &root_of(*of);
        resolve(*b);
        return {};
    }
    b->state = future_state::following;
    b->follows.told = told_of_source;
    of->listeners().links.push_back(b->follows);
    // Its watchers hear how far the other one is.
    progress ignored;
    std::uint32_t heard = 0;
    if (b->listened && progress_since(of, heard, ignored)) tell_watchers(*b);
    return {};
}

future_ref shield_future(future_ref const& of, future_ops const* ops) noexcept {
    if (!of.block()) return of;
    if (!is_here(*of.block())) return future_ref(refusal(why_not_here(*of.block())));
    future_ref made(make_future(ops));
    if (!made.block()) return made;
    made.block()->shielded = true;
    static_cast<void>(follow_future(made.block(), of));
    return made;
}

}}}  // namespace spruce::v0::detail
