// The explorer itself: what it leaves out must not be missed. Small programs made at random are explored in every order,
// with all that was ever read telling states apart, and once more reduced: they end in the same ways.
#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <vector>

#include "../../src/context/sanitizers.hpp"
#include "../harness/harness.hpp"
#include "stepping_atomic.hpp"

#if SPRUCE_ASAN
extern "C" void* __asan_get_current_fake_stack();
#endif

namespace {
using explorer::extent;
constexpr int words = 3, most_operations = 4;
using word = explorer::stepping_atomic<std::uint32_t>;

enum class kind { load, keep, use, store, pass_on, add, exchange, swap_if, wait, forget };
struct operation {
    kind does;
    int at, other;
    std::uint32_t value;
};
struct small_program {
    int threads = 3;
    operation operations[3][most_operations];
    int count[3] = {};
    alignas(word) std::byte room[words * sizeof(word)];
    std::uint32_t known[3] = {};       // what a thread goes by
    word& at(int n) { return std::launder(reinterpret_cast<word*>(room))[n]; }
};
small_program* p = nullptr;

void need_speed() {
    if (SPRUCE_TSAN) harness::skip("one step at a time there is nothing for the thread sanitizer to see");
#if SPRUCE_ASAN
    if (__asan_get_current_fake_stack()) harness::skip("each order would make its fake stacks anew");
#endif
}

void begin(void*) {
    for (int n = 0; n != words; ++n) ::new (&p->at(n)) word(0);
    for (auto& k : p->known) k = 0;
}
// What was read is looked at only after the operations in between.
void operate(int me, int from) {
    std::uint32_t& known = p->known[me];
    for (int n = from; n != p->count[me]; ++n) {
        operation const& o = p->operations[me][n];
        word& at = p->at(o.at);
        switch (o.does) {
        case kind::load: known = known * 4 + at.load(); break;
        case kind::keep: {
            auto const kept = at.load();
            operate(me, n + 1);
            if (kept >= o.value) known += 100;
            return;
        }
        case kind::use:
            if (at.load() == o.value) known += 1000;
            break;
        case kind::store: at.store(known % 3 + o.value); break;
        case kind::pass_on: {
            auto const kept = at.load();
            p->at(o.other).store(kept);
            break;
        }
        case kind::add: at.fetch_add(o.value); break;
        case kind::exchange: known = known * 4 + at.exchange(o.value); break;
        case kind::swap_if: {
            std::uint32_t held = o.value;
            known += at.compare_exchange_strong(held, o.value + 1) ? 10 : 0;
            break;
        }
        case kind::wait: {
            // For the word to be no longer 0, or for the others' ends.
            explorer::wait_until(&at, [](void* w) { return static_cast<word*>(w)->peek() != 0 || explorer::alone(); }, &at);
            break;
        }
        case kind::forget: explorer::forget_but(known, static_cast<unsigned>(n) + 1); break;
        }
    }
}
void thread(void*, int me) { operate(me, 0); }
void end(void*) {
    std::uint64_t sum = 0;
    for (int n = 0; n != words; ++n) sum = sum * 1'000'003 + p->at(n).peek();
    for (auto const& k : p->known) sum = sum * 1'000'003 + k;
    explorer::ended_as(sum);
}
explorer::outcome explore(small_program& of, extent how) {
    p = &of;
    return explorer::explore({of.threads, begin, thread, end, nullptr}, {.most_runs = 10'000'000, .extent = how});
}
small_program drawn_program(harness::random& random) {
    small_program of;
    of.threads = random.chance(70) ? 3 : 2;
    for (int t = 0; t != of.threads; ++t) {
        of.count[t] = 1 + static_cast<int>(random.below(of.threads == 3 ? 3 : 4));
        bool keeps = false;
        for (int n = 0; n != of.count[t]; ++n) {
            operation& o = of.operations[t][n];
            o = {static_cast<kind>(random.below(10)), static_cast<int>(random.below(words)), static_cast<int>(random.below(words)),
                 static_cast<std::uint32_t>(random.below(2))};
            keeps |= o.does == kind::keep;
            if (o.does == kind::forget && keeps) o.does = kind::add;   // its frames would be forgotten with it
            if (o.does == kind::wait && t != 0) o.does = kind::use;    // two that wait for each other's ends would stay
        }
    }
    return of;
}
}  // namespace

TEST_FOR(900, "random programs of two and three threads end, reduced, in exactly the ways of all their orders") {
    need_speed();
    harness::random random(harness::seed());
    std::uint64_t full_states = 0, reduced_states = 0;
    for (int n = harness::nightly() ? 500'000 : 5'000; n != 0; --n) {
        small_program of = drawn_program(random);
        explorer::outcome const full = explore(of, extent::full), reduced = explore(of, extent::reduced);
        REQUIRE(full.complete && reduced.complete);
        REQUIRE(full.wrong == nullptr && reduced.wrong == nullptr);
        REQUIRE(full.ends == reduced.ends);
        full_states += full.states;
        reduced_states += reduced.states;
    }
    CHECK(reduced_states * 3 < full_states);
}

TEST("the explorer finds each way that two threads' stores and loads can end, and no other") {
    need_speed();
    small_program of;
    of.threads = 2;
    // Each writes one word and reads the other's: one of them at least sees what was written.
    of.operations[0][0] = {kind::store, 0, 0, 1};
    of.operations[0][1] = {kind::load, 1, 0, 0};
    of.operations[1][0] = {kind::store, 1, 0, 1};
    of.operations[1][1] = {kind::load, 0, 0, 0};
    of.count[0] = of.count[1] = 2;
    for (extent const how : {extent::full, extent::reduced}) CHECK_EQ(explore(of, how).ends.size(), 3U);
    // Two that count by reading and writing lose a count in some orders; with additions in none.
    of.operations[0][0] = of.operations[1][0] = {kind::load, 0, 0, 0};
    of.operations[0][1] = of.operations[1][1] = {kind::store, 0, 0, 1};
    for (extent const how : {extent::full, extent::reduced}) CHECK_EQ(explore(of, how).ends.size(), 3U);
    of.operations[0][0] = of.operations[1][0] = of.operations[0][1] = of.operations[1][1] = {kind::add, 0, 0, 1};
    for (extent const how : {extent::full, extent::reduced}) CHECK_EQ(explore(of, how).ends.size(), 1U);
}
