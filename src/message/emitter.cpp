// Emitters: who is connected is called in turn, whatever the calls do to the emitter and its connections.
#include <spruce/emitter.hpp>
#include <spruce/detail/waiter_list.hpp>

#include "../base/intrusive_list.hpp"
#include "../base/round_up.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// Lives as long as somebody needs it: the emitter (while it is connected), its connection object, and each emit that
// stands at it. One that is disconnected stays in the emitter's list while an emit stands at it, which goes on from
// there.
struct connected_slot : list_link {
    emitter_core* of = nullptr;          // null: disconnected, or not yet connected
    callable_ops const* ops = nullptr;   // null: the callable is gone, or not yet made
    void* callable = nullptr;
    std::uint64_t number = 0;            // in the order of connecting: an emit leaves out those that came after it
    memory_hook memory;
    std::size_t bytes = 0, alignment = 0;
    std::uint32_t pins = 0;              // emits that stand here
    bool held = false;                   // a connection object lives
    bool first = false;                  // connected before those who were there
    bool once = false, told_end = false;
    bool busy = false;                   // a step stands in `callable`
    emitter_core* to = nullptr;          // calls this one instead of a callable
    bool watches = false;                // is told of connections, not of emissions
};

// A call of emit, in its frame. They need not end in the order they began: a callable that waits lets others emit.
struct emission {
    emitter_core* of;
    emission* next;
    emission* previous = nullptr;

    explicit emission(emitter_core& c) noexcept : of(&c), next(c.running) {
        if (next) next->previous = this;
        c.running = this;
    }
    ~emission() {
        if (!of) return;
        if (next) next->previous = previous;
        (previous ? previous->next : of->running) = next;
    }
};

static_assert(sizeof(intrusive_list<connected_slot>) == sizeof(emitter_core::head), "room for the head of a list");

namespace {
intrusive_list<connected_slot>& slots(emitter_core& c) noexcept {
    return *std::launder(reinterpret_cast<intrusive_list<connected_slot>*>(c.head));
}
intrusive_list<connected_slot>& watchers(emitter_core& c) noexcept {
    return *std::launder(reinterpret_cast<intrusive_list<connected_slot>*>(c.watchers));
}

void free_slot(connected_slot& s) noexcept {
    memory_hook const memory = s.memory;
    release(memory, &s, s.bytes, s.alignment);
}

// Nobody will call it any more. The callable's destructor may do anything: meanwhile the pin keeps the block.
void drop_callable(connected_slot& s) noexcept {
    s.unlink();
    s.pins = 1;
    if (callable_ops const* const ops = std::exchange(s.ops, nullptr)) ops->destroy(s.callable);
    s.pins = 0;
    if (!s.held) free_slot(s);
}

void unpin(connected_slot& s) noexcept {
    if (--s.pins == 0 && !s.of) drop_callable(s);
}

void take_off(connected_slot& s) noexcept {
    if (!s.watches) --s.of->count;
    s.of = nullptr;
}

// Of all, the one that comes first where connections and watchers stand in one line, as they were made.
connected_slot* take_oldest(emitter_core& c) noexcept {
    connected_slot const* const s = slots(c).front();
    connected_slot const* const w = watchers(c).front();
    return s && (!w || s->first || s->number < w->number) ? slots(c).take_front() : watchers(c).take_front();
}
}  // namespace

emitter_core::emitter_core(std::size_t most) noexcept : bound(most) {
    ::new (static_cast<void*>(head)) intrusive_list<connected_slot>;
    ::new (static_cast<void*>(watchers)) intrusive_list<connected_slot>;
}

emitter_core::~emitter_core() {
    ending = true;
    for (emission* e = running; e; e = e->next) e->of = nullptr;
    while (connected_slot* const s = take_oldest(*this)) {
        bool const was = s->of != nullptr;
        if (was) take_off(*s);
        ++s->pins;
        if (was && s->told_end) s->ops->run(s->callable, nullptr);
        unpin(*s);
    }
}

connection_claim claim_connection(emitter_core& to, std::size_t size, std::size_t alignment,
                                  connection_kind kind) noexcept {
    if (to.ending) return {.why = errc::closed};
    if (!kind.watches && to.count >= to.bound) return {.why = errc::full};
    if (alignment < alignof(connected_slot)) alignment = alignof(connected_slot);
    std::size_t const offset = round_up(sizeof(connected_slot), alignment);
    memory_hook const memory = memory_here();
    void* const block = allocate(memory, offset + size, alignment);
    if (!block) return {.why = errc::no_memory};
    auto* const s = ::new (block) connected_slot;
    s->memory = memory;
    s->bytes = offset + size;
    s->alignment = alignment;
    s->callable = static_cast<std::byte*>(block) + offset;
    return {.slot = s, .room = s->callable};
}
void unclaim_connection(connected_slot* s) noexcept { free_slot(*s); }

namespace {
// Calls each(slot) for those of the list that were connected when it began, in their order, as long as the emitter
// lives; each() says whether it has disconnected that one, which is told to who watches.
// Returns: whether the emitter still lives.
template <class Each> bool walk(emitter_core& over, intrusive_list<connected_slot>& list, Each each) noexcept;

void tell_change(emitter_core& of, bool connected) noexcept {
    if (watchers(of).empty() || of.ending) return;
    connection_change change{connected, of.count};
    walk(of, watchers(of), [&](connected_slot& s) {
        if (s.once && of.count == 0) return false;   // it waits for somebody to be there
        if (s.once) take_off(s);
        s.ops->run(s.callable, &change);
        return false;
    });
}

template <class Each> bool walk(emitter_core& over, intrusive_list<connected_slot>& list, Each each) noexcept {
    emission here(over);
    std::uint64_t const end = over.next_number;
    connected_slot* at = list.front();
    if (at) ++at->pins;
    while (at) {
        if (at->of && at->number < end && each(*at) && here.of) tell_change(*here.of, false);
        // The next one is pinned first: the end of this one's callable may disconnect it.
        connected_slot* const next = here.of ? list.after(*at) : nullptr;
        if (next) ++next->pins;
        unpin(*at);
        if (!here.of && next) {
            unpin(*next);
            return false;
        }
        at = next;
    }
    return here.of != nullptr;
}
}  // namespace

void arm_connection(emitter_core& to, connected_slot* s, callable_ops const* ops, connection_kind kind) noexcept {
    s->of = &to;
    s->ops = ops;
    s->first = kind.first;
    s->once = kind.once;
    s->told_end = kind.told_end;
    s->watches = kind.watches;
    s->to = kind.to;
    s->held = true;
    s->number = to.next_number++;
    if (kind.watches) return watchers(to).push_back(*s);
    ++to.count;
    kind.first ? slots(to).push_front(*s) : slots(to).push_back(*s);
    tell_change(to, true);
}

namespace {
// An emission's way through one emitter, and back to the one that forwards to it. The first lies in the frame of the
// call, each further one in the connection that forwards: chains of emitters, of any length, take no stack.
struct emit_step {
    emit_step(emitter_core& over, emit_step* from) noexcept
        : here(over), end(over.next_number), at(slots(over).front()), back(from) {
        if (at) ++at->pins;
    }
    // Past the one it stands at. The next one is pinned first: the end of this one's callable may disconnect it.
    void go_on() noexcept {
        connected_slot* next = here.of ? slots(*here.of).after(*at) : nullptr;
        if (next) ++next->pins;
        unpin(*at);
        if (!here.of && next) {
            unpin(*next);
            next = nullptr;
        }
        at = next;
    }
    emission here;
    std::uint64_t end;
    connected_slot* at;
    emit_step* back;
};
static_assert(sizeof(emit_step) <= sizeof(forwarded::room));

void call(emit_step& now, void* argument) noexcept {
    connected_slot& s = *now.at;
    bool const once = s.once;
    if (once) take_off(s);
    if (!s.to) s.ops->run(s.callable, argument);
    else emit_to(*s.to, argument);   // another emission is on its way there
    if (once && now.here.of) tell_change(*now.here.of, false);
}
}  // namespace

bool emit_to(emitter_core& from, void* argument) noexcept {
    if (from.ending) return false;
    emit_step first(from, nullptr);
    for (emit_step* now = &first;;) {
        connected_slot* const s = now->at;
        if (!s) {
            if (now == &first) return first.here.of != nullptr;
            emit_step* const back = now->back;
            now->~emit_step();
            back->at->busy = false;
            now = back;
            now->go_on();
            continue;
        }
        if (s->of && s->number < now->end) {
            if (s->to && !s->busy && !s->to->ending) {
                s->busy = true;
                now = ::new (s->callable) emit_step(*s->to, now);
                continue;
            }
            call(*now, argument);
        }
        now->go_on();
    }
}

void disconnect_all(emitter_core& from) noexcept {
    if (from.ending) return;
    // What is connected meanwhile, by the callables' ends, stays.
    walk(from, slots(from), [](connected_slot& s) {
        take_off(s);
        if (s.told_end) s.ops->run(s.callable, nullptr);
        return true;
    });
}

std::size_t disconnect_equal(emitter_core& from, callable_ops const* ops, bool (*equal)(void const*, void const*),
                             void const* to) noexcept {
    std::size_t found = 0;
    if (from.ending) return found;
    walk(from, slots(from), [&](connected_slot& s) {
        if (s.ops != ops || !equal(s.callable, to)) return false;
        take_off(s);
        ++found;
        return true;
    });
    return found;
}

bool disconnect(connected_slot* s) noexcept {
    if (!s->of) return false;
    bool const told = !s->watches && !watchers(*s->of).empty();
    if (!told) {
        take_off(*s);
        if (s->pins == 0) drop_callable(*s);
        return true;
    }
    emission here(*s->of);   // which may die by what follows
    take_off(*s);
    if (s->pins == 0) drop_callable(*s);
    if (here.of) tell_change(*here.of, false);
    return true;
}

bool is_connected(connected_slot const* s) noexcept { return s->of != nullptr; }

void let_go(connected_slot* s, bool keep) noexcept {
    s->held = false;
    if (s->of && !keep) disconnect(s);
    else if (!s->of && s->pins == 0) free_slot(*s);
}

}}}  // namespace spruce::v0::detail
