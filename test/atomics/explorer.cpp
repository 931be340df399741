#include "explorer.hpp"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <unordered_set>
#include <utility>
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

// Places by number.
struct places {
    std::uint64_t words[2] = {};
    void add(unsigned n) noexcept { words[n / 64] |= std::uint64_t{1} << n % 64; }
    places& operator|=(places const& o) noexcept {
        for (int i = 0; i != 2; ++i) words[i] |= o.words[i];
        return *this;
    }
    bool meets(places const& o) const noexcept { return (words[0] & o.words[0]) != 0 || (words[1] & o.words[1]) != 0; }
    bool has(places const& o) const noexcept { return (o.words[0] & ~words[0]) == 0 && (o.words[1] & ~words[1]) == 0; }
};
struct uses {
    places read, written;
    bool conflicts(uses const& o) const noexcept {
        return written.meets(o.written) || written.meets(o.read) || read.meets(o.written);
    }
};
constexpr unsigned most_places = 128, ends_place = 0;
// What a thread may still use, from each of its steps on. It is learnt on the way; when something comes up that was not
// known all begins anew with it, until nothing does. Steps beyond the last of a part count as that.
constexpr unsigned part_steps = 48;

struct thread_state {
    execution machine;
    void* stack_pointer = nullptr;
    std::uint64_t history = 0;         // all that it has read
    std::uint64_t kept = 0;            // and what it has, and did not look at yet
    unsigned part = 0, steps = 0;      // where it is
    bool turns = false;                // its steps are not counted here
    uses next;                         // what its next step uses
    bool ended = false;
    bool aside = false;
    std::uint64_t looked_at = ~std::uint64_t{0};   // changes there were when it last stepped aside
    bool (*holds)(void*) = nullptr;
    void* argument = nullptr;
};

struct branch {
    std::size_t step;   // of the order
    std::uint8_t options[most_threads];
    std::uint8_t count, at;
};

// The keys of the states that were seen.
class key_set {
public:
    std::size_t size() const noexcept { return size_; }
    void clear() {
        std::fill(cells_.begin(), cells_.end(), 0);
        size_ = 0;
    }
    // Whether it is new.
    bool insert(std::uint64_t key) {
        if (size_ * 8 >= cells_.size() * 5) grow();
        if (!put(cells_, key + (key == 0))) return false;
        ++size_;
        return true;
    }

private:
    static bool put(std::vector<std::uint64_t>& cells, std::uint64_t key) noexcept {
        std::size_t const mask = cells.size() - 1;
        std::size_t at = key & mask;
        while (cells[at] != 0 && cells[at] != key) at = (at + 1) & mask;
        bool const is_new = cells[at] == 0;
        cells[at] = key;
        return is_new;
    }
    void grow() {
        std::vector<std::uint64_t> larger(cells_.size() * 2);
        for (std::uint64_t const key : cells_)
            if (key != 0) put(larger, key);
        cells_.swap(larger);
    }
    std::vector<std::uint64_t> cells_ = std::vector<std::uint64_t>(1024);
    std::size_t size_ = 0;
};

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
    std::size_t replayed = 0;          // steps of the order that are the run's before
    bool finishing = false;            // all have ended, and the last one puts things away
    std::size_t steps = 0;
    char const* wrong = nullptr;
    std::string order;
    key_set seen;
    struct numbered {
        void const* at;
        unsigned number;
    };
    numbered numbers[most_places * 4] = {};
    unsigned known = 1;                // the first stands for the threads' ends
    uses ahead[most_threads][most_parts * part_steps];
    bool full = false;
    secret secrets[most_threads];
    std::unordered_set<std::uint64_t> ends;
    harness::random* drawn = nullptr;  // instead of all orders, some
    bool learnt = false;               // something about what is ahead
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
        all = mixed(all * 3 + s.history + mixed(s.kept)) + (s.ended ? 1 : 0) + (s.looked_at == m.changes ? 2 : 0);
    }
    return all;
}

unsigned where(thread_state const& s) noexcept {
    return s.part * part_steps + (s.steps < part_steps ? s.steps : part_steps - 1);
}
// The calling thread is about to use these.
void will_use(machine& m, uses const& u) {
    thread_state& s = m.threads[m.current];
    s.next = u;
    if (!s.turns) ++s.steps;
    if (m.replayed != m.order.size()) return;   // nothing new
    for (unsigned at = where(s) + 1; at-- != 0;) {
        uses& ahead = m.ahead[m.current][at];
        if (ahead.read.has(u.read) && ahead.written.has(u.written)) break;
        ahead.read |= u.read;
        ahead.written |= u.written;
        m.learnt = true;
    }
}

// Leaves of those that may go only as many as need be: whatever the others do before one of these goes, commutes with
// its step, now and later; so nothing is missed if these go first.
void narrow(machine& m, branch& b) noexcept {
    unsigned best = 0;
    int fewest = b.count;
    for (int i = 0; i != b.count && fewest > 1; ++i) {
        unsigned in = 1U << b.options[i];
        for (bool grew = true; grew;) {
            grew = false;
            for (int u = 0; u != m.runs->threads; ++u) {
                if ((in >> u & 1) != 0 || m.threads[u].ended) continue;
                for (int t = 0; t != m.runs->threads; ++t) {
                    if ((in >> t & 1) == 0 || !m.ahead[u][where(m.threads[u])].conflicts(m.threads[t].next)) continue;
                    in |= 1U << u;
                    grew = true;
                    break;
                }
            }
        }
        int count = 0;
        for (int j = 0; j != b.count; ++j) count += in >> b.options[j] & 1;
        if (count >= fewest) continue;
        fewest = count;
        best = in;
    }
    if (best == 0) return;
    std::uint8_t kept = 0;
    for (int j = 0; j != b.count; ++j)
        if ((best >> b.options[j] & 1) != 0) b.options[kept++] = b.options[j];
    b.count = kept;
}

// Who has the next step; most_threads if nobody, or if this run is over.
int choose(machine& m) {
    if (m.wrong) return most_threads;
    if (m.replayed != m.order.size()) return m.order[m.replayed++] - '0';
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
    if (!m.drawn && !m.full && b.count > 1) narrow(m, b);
    int chosen = b.options[0];
    if (b.count > 1) {
        if (m.drawn) {
            chosen = b.options[m.drawn->below(b.count)];
        } else {
            if (!m.seen.insert(key(m))) return most_threads;   // this order leads to a state that was seen
            b.step = m.order.size();
            m.path.push_back(b);
        }
    }
    m.order += static_cast<char>('0' + chosen);
    m.replayed = m.order.size();
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

void give_others_a_turn() { go_on(*now, choose(*now)); }

void entry(void* argument) noexcept {
    machine& m = *static_cast<machine*>(argument);
    spruce::detail::arrived(m.registers, m.threads[m.current].machine);
    int const which = m.current;
    saw(1);   // that it has begun
    m.runs->thread(m.runs->context, which);
    uses last;
    last.written.add(ends_place);
    will_use(m, last);
    give_others_a_turn();
    if (alone()) {
        m.finishing = true;
        m.runs->end(m.runs->context);
    }
    m.threads[which].ended = true;
    ++m.changes;
    go_on(m, choose(m));
    std::abort();   // nobody comes back to one that has ended
}

uses at_place(machine& m, void const* at, access kind) noexcept {
    std::size_t i = mixed(reinterpret_cast<std::uintptr_t>(at)) % std::size(m.numbers);
    while (m.numbers[i].at && m.numbers[i].at != at) i = (i + 1) % std::size(m.numbers);
    if (!m.numbers[i].at) {
        if (m.known == most_places) std::abort();
        m.numbers[i] = {at, m.known++};
    }
    uses u;
    (kind == access::read ? u.read : u.written).add(m.numbers[i].number);
    return u;
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
    m.replayed = 0;
    m.finishing = false;
    m.steps = 0;
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

outcome explore(program const& p, effort const& e) {
    auto const room = std::make_unique<machine>();
    machine& m = *room;
    m.runs = &p;
    m.full = e.extent == extent::full;
    harness::random drawn(e.seed), first_looks(1);
    machine_begin(m.registers, m.main);
    now = &m;
    auto const draw = [&](harness::random& from, std::uint64_t enough, bool until_known) {
        m.drawn = &from;
        for (std::uint64_t n = 0; n != enough && !m.wrong; ++n) {
            m.order.clear();
            run_once(m);
            ++m.result.runs;
            m.result.deepest = std::max(m.result.deepest, m.order.size());
            if (std::exchange(m.learnt, false) && until_known) n = 0;
        }
        m.drawn = nullptr;
    };
    // What is ahead is mostly learnt from orders drawn at random, until so many in a row teach nothing.
    if (e.seed != 0) draw(drawn, e.most_runs, false);
    else if (!m.full) draw(first_looks, 100, true);
    std::size_t const never = ~std::size_t{0};
    std::size_t anew_at = never;   // once something was learnt: what is looked at until then, to learn more
    m.ends.clear();
    m.order.clear();
    while (m.result.runs < e.most_runs && m.seen.size() < e.most_states && !m.wrong) {
        run_once(m);
        ++m.result.runs;
        if (m.wrong) break;
        if (std::exchange(m.learnt, false) && anew_at == never && !m.full) anew_at = m.seen.size() * 2 + 100;
        m.result.deepest = std::max(m.result.deepest, m.order.size());
        // The next order: the last choice that has another option takes it.
        while (!m.path.empty() && m.path.back().at + 1 == m.path.back().count) m.path.pop_back();
        if (anew_at != never && (m.path.empty() || m.seen.size() >= anew_at)) {
            ++m.result.again;
            anew_at = never;
            m.path.clear();
            m.seen.clear();
            m.ends.clear();
            m.order.clear();
            continue;
        }
        if (m.path.empty()) {
            m.result.complete = true;
            break;
        }
        branch& last = m.path.back();
        m.order.resize(last.step);
        m.order += static_cast<char>('0' + last.options[++last.at]);
    }
    if (m.wrong) m.result.complete = true;
    now = nullptr;
    machine_end(m.registers);
    m.result.states = m.seen.size();
    m.result.wrong = m.wrong;
    m.result.order = m.wrong ? m.order : std::string();
    m.result.ends.assign(m.ends.begin(), m.ends.end());
    std::sort(m.result.ends.begin(), m.result.ends.end());
    return m.result;
}

void step(void const* at, access kind) noexcept {
    if (!now || now->current == most_threads) return;
    machine& m = *now;
    if (++m.steps == 20'000) wrong("a thread spins for ever");
    if (!m.wrong) {
        if (m.finishing || m.secrets[m.current].holds(reinterpret_cast<std::uintptr_t>(at))) return;
        will_use(m, at_place(m, at, kind));
    }
    give_others_a_turn();
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
void forget_but(std::uint64_t all_it_knows, unsigned part, bool turns) noexcept {
    if (!now || now->current == most_threads || now->full) return;
    thread_state& s = now->threads[now->current];
    if (part >= most_parts || part < s.part || (s.turns && !turns && part == s.part)) std::abort();
    s.history = mixed(mixed(all_it_knows * 2 + 1) + part);
    s.part = part;
    s.turns = turns;
    s.steps = 0;
}
namespace {
std::uint64_t cell(void const* at, std::uint64_t value) noexcept {
    return mixed(mixed(reinterpret_cast<std::uintptr_t>(at)) + value);
}
}  // namespace
void keep(void const* where, std::uint64_t value) noexcept {
    if (!now || now->current == most_threads) return;
    if (now->full) saw(value);
    now->threads[now->current].kept += cell(where, value);
}
void let_go(void const* where, std::uint64_t value) noexcept {
    if (now && now->current != most_threads) now->threads[now->current].kept -= cell(where, value);
}
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
    uses all;
    for (unsigned n = 0; n != most_places; ++n) all.read.add(n);
    will_use(*now, all);
    give_others_a_turn();
    s.aside = false;
    s.looked_at = now->changes;
    saw(2);
}
void wait_until(void const* at, bool (*holds)(void*), void* argument) noexcept {
    if (!now || now->current == most_threads) return;
    thread_state& s = now->threads[now->current];
    s.holds = holds;
    s.argument = argument;
    uses both = at_place(*now, at, access::read);
    both.read.add(ends_place);
    will_use(*now, both);
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
void ended_as(std::uint64_t sum) noexcept {
    if (now) now->ends.insert(sum);
}
void wrong(char const* rule) noexcept {
    if (now && !now->wrong) now->wrong = rule;
}

}  // namespace explorer
