#include "explorer.hpp"

#include <cstdlib>
#include <memory>
#include <unordered_set>
#include <vector>

#include "../../src/context/switch.hpp"
#include "../harness/harness.hpp"

namespace explorer {
namespace {
using spruce::detail::execution;

constexpr std::size_t stack_bytes = 64 * 1024;

std::uint64_t mixed(std::uint64_t x) noexcept {
    x = (x ^ x >> 31) * 0x7fb5d329728ea185;
    x = (x ^ x >> 27) * 0x81dadef4bc2dd44d;
    return x ^ x >> 33;
}

struct thread_state {
    execution machine;
    void* stack_pointer = nullptr;
    std::uint64_t history = 0;         // all that it has read
    bool ended = false;
    bool aside = false;
    std::uint64_t looked_at = ~std::uint64_t{0};   // changes there were when it last stepped aside
    bool (*holds)(void*) = nullptr;
    void* argument = nullptr;
};

struct branch {
    std::uint8_t options[most_threads];
    std::uint8_t count, at;
};

// Which threads use a place. What one alone uses needs no step: nobody sees when it does. It is learnt on the way;
// when a second one comes to a place, all begins anew with that known.
struct user {
    void const* at = nullptr;
    unsigned threads = 0;
};
constexpr std::size_t most_places = 8'192;

// Memory that its thread alone knows of yet: the last that it took, until its address is written somewhere else.
struct secret {
    std::uintptr_t from = 0, to = 0;
    bool holds(std::uintptr_t at) const noexcept { return at - from < to - from; }
};

struct machine {
    spruce::detail::thread_machine registers;
    thread_state threads[most_threads];
    execution main;
    void* main_pointer = nullptr;
    program const* runs = nullptr;
    int current = most_threads;
    std::uint64_t memory = 0, changes = 0;
    std::vector<branch> path;
    std::size_t depth = 0;             // choices made in this run
    bool finishing = false;            // all have ended, and the last one puts things away
    std::size_t steps = 0;
    bool left = false;                 // this order leads to a state that was seen
    char const* wrong = nullptr;
    std::string order;
    std::unordered_set<std::uint64_t> seen;
    user places[most_places];
    secret secrets[most_threads];
    harness::random* drawn = nullptr;  // instead of all orders, some
    bool learnt = false;               // that a place has one more user
    outcome result;
};
machine* now = nullptr;
alignas(64) std::byte stacks[most_threads][stack_bytes];

bool may_go(machine& m, int t) noexcept {
    thread_state& s = m.threads[t];
    if (s.ended) return false;
    if (s.holds) {
        int const before = m.current;
        m.current = t;   // alone() is asked for this thread
        bool const yes = s.holds(s.argument);
        m.current = before;
        return yes;
    }
    return !s.aside || s.looked_at != m.changes;
}

std::uint64_t key(machine& m) noexcept {
    std::uint64_t all = m.memory;
    for (int t = 0; t != m.runs->threads; ++t) {
        thread_state const& s = m.threads[t];
        all = mixed(all * 3 + s.history) + (s.ended ? 1 : 0) + (s.looked_at == m.changes ? 2 : 0);
    }
    return all;
}

// Who has the next step; most_threads if nobody, or if this run is over.
int choose(machine& m) {
    if (m.wrong || m.learnt) return most_threads;
    branch b{};
    for (int i = 0; i != m.runs->threads; ++i) {
        // The one that runs first: the fewest switches.
        int const t = m.current < m.runs->threads ? (m.current + i) % m.runs->threads : i;
        if (may_go(m, t)) b.options[b.count++] = static_cast<std::uint8_t>(t);
    }
    if (b.count == 0) {
        for (int t = 0; t != m.runs->threads; ++t)
            if (!m.threads[t].ended) m.wrong = "every thread waits for another";
        return most_threads;
    }
    int chosen = b.options[0];
    if (b.count > 1) {
        if (m.drawn) {
            m.order += static_cast<char>('0' + (chosen = b.options[m.drawn->below(b.count)]));
            return chosen;
        }
        if (m.depth == m.path.size()) {
            if (!m.seen.insert(key(m)).second) {
                m.left = true;
                return most_threads;
            }
            m.path.push_back(b);
        }
        chosen = m.path[m.depth].options[m.path[m.depth].at];
        ++m.depth;
    }
    m.order += static_cast<char>('0' + chosen);
    return chosen;
}

[[gnu::noinline]] void leave(machine& m, execution& from, void** save, int to) {
    m.current = to;
    execution& there = to == most_threads ? m.main : m.threads[to].machine;
    switch_to(m.registers, from, there, save, to == most_threads ? m.main_pointer : m.threads[to].stack_pointer);
}
void go_on(machine& m, int to) {
    thread_state& s = m.threads[m.current];
    if (to != m.current) leave(m, s.machine, &s.stack_pointer, to);
}

void entry(void* argument) noexcept {
    machine& m = *static_cast<machine*>(argument);
    spruce::detail::arrived(m.registers, m.threads[m.current].machine);
    int const which = m.current;
    saw(1);   // that it has begun
    m.runs->thread(m.runs->context, which);
    if (alone()) {
        m.finishing = true;
        m.runs->end(m.runs->context);
    }
    m.threads[which].ended = true;
    ++m.changes;
    go_on(m, choose(m));
    std::abort();   // nobody comes back to one that has ended
}

// Whether another thread than this may come to the place.
bool is_shared(machine& m, void const* at) noexcept {
    auto const number = reinterpret_cast<std::uintptr_t>(at);
    if (m.secrets[m.current].holds(number)) return false;
    std::size_t i = mixed(number) % most_places;
    while (m.places[i].at && m.places[i].at != at) i = (i + 1) % most_places;
    user& u = m.places[i];
    u.at = at;
    unsigned const with_me = u.threads | 1U << m.current;
    if (u.threads != 0 && with_me != u.threads) m.learnt = true;
    u.threads = with_me;
    return (u.threads & (u.threads - 1)) != 0;
}

#if SPRUCE_ASAN
// Threads are left wherever they are, and their fake stacks with them, if they have any: only who seems to leave one
// for good can give it back.
[[gnu::noinline, gnu::no_sanitize_address]] void give_fake_stack_back(execution& from, execution& own) {
    if (!from.fake_stack) return;
    void* kept = nullptr;
    __sanitizer_start_switch_fiber(&kept, from.bottom, from.size);
    __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
    __sanitizer_start_switch_fiber(nullptr, own.bottom, own.size);
    __sanitizer_finish_switch_fiber(kept, nullptr, nullptr);
    from.fake_stack = nullptr;
}
#endif

void run_once(machine& m) {
    m.memory = m.changes = 0;
    m.depth = 0;
    m.left = m.finishing = false;
    m.steps = 0;
    m.order.clear();
    m.current = most_threads;
    m.runs->begin(m.runs->context);
    for (int t = 0; t != m.runs->threads; ++t) {
        spruce::detail::forget_frames(stacks[t], stacks[t] + stack_bytes);
        m.threads[t] = thread_state{};
        m.secrets[t] = {};
        m.threads[t].stack_pointer =
            prepare_stack(m.registers, m.threads[t].machine, stacks[t], stacks[t] + stack_bytes, entry, &m);
    }
    if (int const first = choose(m); first != most_threads) leave(m, m.main, &m.main_pointer, first);
#if SPRUCE_ASAN
    for (int t = 0; t != m.runs->threads; ++t) give_fake_stack_back(m.threads[t].machine, m.main);
#endif
#if SPRUCE_TSAN
    for (int t = 0; t != m.runs->threads; ++t) __tsan_destroy_fiber(m.threads[t].machine.fiber);
#endif
}
}  // namespace

outcome explore(program const& p, std::uint64_t most_runs, std::uint64_t draw) {
    auto const room = std::make_unique<machine>();
    machine& m = *room;
    m.runs = &p;
    harness::random drawn(draw);
    if (draw != 0) m.drawn = &drawn;
    machine_begin(m.registers, m.main);
    now = &m;
    while (m.result.runs != most_runs) {
        run_once(m);
        ++m.result.runs;
        if (m.learnt && !m.wrong) {
            m.learnt = false;
            m.path.clear();
            m.seen.clear();
            continue;
        }
        if (m.order.size() > m.result.deepest) m.result.deepest = m.order.size();
        if (m.drawn && !m.wrong) continue;
        // The next order: the last choice that has another option takes it.
        while (!m.path.empty() && m.path.back().at + 1 == m.path.back().count) m.path.pop_back();
        if (m.wrong || m.path.empty()) {
            m.result.complete = true;
            break;
        }
        ++m.path.back().at;
    }
    now = nullptr;
    machine_end(m.registers);
    m.result.states = m.seen.size();
    m.result.wrong = m.wrong;
    m.result.order = m.wrong ? m.order : std::string();
    return m.result;
}

namespace {
void give_others_a_turn() { go_on(*now, choose(*now)); }
}  // namespace
void step(void const* at) noexcept {
    if (!now || now->current == most_threads) return;
    if (++now->steps == 20'000) wrong("a thread spins for ever");
    if (now->wrong || (!now->finishing && is_shared(*now, at))) give_others_a_turn();
}
void keep_secret(void const* from, std::size_t bytes) noexcept {
    auto const at = reinterpret_cast<std::uintptr_t>(from);
    if (now && now->current != most_threads) now->secrets[now->current] = {at, at + bytes};
}
void saw(std::uint64_t value) noexcept {
    if (now && now->current != most_threads) {
        auto& history = now->threads[now->current].history;
        history = mixed(history * 5 + value + 1);
    }
}
void forget_but(std::uint64_t all_it_knows) noexcept {
    if (now && now->current != most_threads) now->threads[now->current].history = mixed(all_it_knows * 2 + 1);
}
namespace {
std::uint64_t cell(void const* at, std::uint64_t value) noexcept {
    return mixed(mixed(reinterpret_cast<std::uintptr_t>(at)) + value);
}
}  // namespace
// Sums, so that the order in which places were written does not count.
void put(void const* at, std::uint64_t value) noexcept {
    if (!now) return;
    for (secret& s : now->secrets)
        if (s.holds(value) && !s.holds(reinterpret_cast<std::uintptr_t>(at))) s = {};
    now->memory += cell(at, value);
    ++now->changes;
}
void drop(void const* at, std::uint64_t value) noexcept {
    if (now) now->memory -= cell(at, value);
}
void step_aside() noexcept {
    if (!now || now->current == most_threads) return;
    thread_state& s = now->threads[now->current];
    // What changed since it looked last may have come too late for it to see.
    s.aside = true;
    give_others_a_turn();
    s.aside = false;
    s.looked_at = now->changes;
    saw(2);
}
void wait_until(bool (*holds)(void*), void* argument) noexcept {
    if (!now || now->current == most_threads) return;
    thread_state& s = now->threads[now->current];
    s.holds = holds;
    s.argument = argument;
    give_others_a_turn();
    s.holds = nullptr;
    saw(3);
}
bool alone() noexcept {
    if (!now) return true;
    for (int t = 0; t != now->runs->threads; ++t)
        if (t != now->current && !now->threads[t].ended) return false;
    return true;
}
int self() noexcept { return now && !now->finishing ? now->current : most_threads; }
void wrong(char const* rule) noexcept {
    if (now && !now->wrong) now->wrong = rule;
}

}  // namespace explorer
