// The inbox in every order of its threads' steps: no call lost or run twice, no wake-up lost or doubled, every callable
// destroyed once, nothing accepted after the close. inbox_program.hpp tells what the letters mean.
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "../../src/context/sanitizers.hpp"
#include "../harness/harness.hpp"
#include "inbox_program.hpp"

#if SPRUCE_ASAN
extern "C" void* __asan_get_current_fake_stack();
#endif

namespace {
std::uint64_t states = 0;

// Millions of switches, of stacks that the thread sanitizer would follow each; and only one of them goes at a time.
void need_speed() {
    if (SPRUCE_TSAN) harness::skip("one step at a time there is nothing for the thread sanitizer to see");
#if SPRUCE_ASAN
    if (__asan_get_current_fake_stack()) harness::skip("each order would make its fake stacks anew");
#endif
}

void all_orders(inbox::plan const& p) {
    explorer::outcome const o = inbox::explore(p, inbox::flaw::none, 200'000'000);
    states += o.states;
    if (o.wrong || !o.complete)
        std::printf("loop %s, others %s and %s: %s\n  order %s\n", p.loop, p.others[0], p.others[1] ? p.others[1] : "nobody",
                    o.wrong ? o.wrong : "not finished", o.order.c_str());
    REQUIRE(o.complete);
    CHECK(o.wrong == nullptr);
}

// All that one thread may do in so many deeds. Only a waker that was woken is worth dropping, and then all is done.
std::vector<std::string> programs(std::string_view deeds, std::size_t length) {
    std::vector<std::string> all{""};
    for (std::size_t n = 0; n != length; ++n) {
        std::vector<std::string> longer;
        for (std::string const& p : all) {
            if (p.ends_with('d')) continue;
            for (char const deed : deeds) {
                if (deed == 'd' && p.find('w') == p.npos) continue;
                if (deed == 'z' && p.find('c') == p.npos) continue;
                longer.push_back(p + deed);
            }
        }
        all = longer;
    }
    return all;
}

// Whether a flaw is found, and by which rule.
bool finds(inbox::plan const& p, inbox::flaw f, std::string_view rule) {
    explorer::outcome const o = inbox::explore(p, f, 1'000'000);
    if (o.wrong && rule == o.wrong) return true;
    std::printf("found: %s\n", o.wrong ? o.wrong : "nothing");
    return false;
}
}  // namespace

TEST_FOR(120, "a loop and another thread, three deeds each: every order of their steps keeps the inbox's rules") {
    need_speed();
    std::vector<char const*> loops{"STC"};
    if (harness::nightly()) loops = {"SSS", "STC", "PSC", "SC", "TTC", "C", "SSSSC"};
    for (char const* const loop : loops)
        for (std::string const& other : programs("cxzswd", 3)) all_orders({loop, {other.c_str(), nullptr}});
    all_orders({"SSS", {"ccc", nullptr}});
    all_orders({"SSS", {"ccc", nullptr}, 2});
    all_orders({"STC", {"cxc", nullptr}, 1});
    CHECK(states > 500'000);
}

TEST_FOR(7200, "a loop and two other threads: every order of their steps keeps the inbox's rules") {
    need_speed();
    if (!harness::nightly()) {
        for (std::string const& one : programs("cxsW", 1))
            for (std::string const& two : programs("cxsw", 1)) all_orders({"S", {one.c_str(), two.c_str()}});
        all_orders({"C", {"c", "w"}});
        all_orders({"S", {"c", "c"}, 1});
    } else {
        for (char const* const loop : {"S", "C"})
            for (std::string const& one : programs("cxsW", 2))
                for (char const* const two : {"c", "W"}) all_orders({loop, {one.c_str(), two}});
        all_orders({"SC", {"c", "c"}});
        all_orders({"SC", {"x", "w"}});
    }
    CHECK(states > 100'000);
}

TEST_FOR(600, "a loop and two other threads, three deeds each: orders drawn at random keep the inbox's rules") {
    need_speed();
    harness::random random(harness::seed());
    auto const all = programs("cxzswdW", 3);
    for (int n = harness::nightly() ? 20'000 : 200; n != 0; --n) {
        std::string const &one = all[random.below(all.size())], &two = all[random.below(all.size())];
        char const* const loops[] = {"SSS", "STC", "TSC", "SSC"};
        inbox::plan const p{loops[random.below(4)], {one.c_str(), two.c_str()}, random.chance(20) ? 2U : 1'000U};
        explorer::outcome const o = inbox::explore(p, inbox::flaw::none, 1'000, random.next() | 1);
        if (o.wrong) std::printf("loop %s, others %s and %s: %s\n  order %s\n", p.loop, p.others[0], p.others[1], o.wrong, o.order.c_str());
        REQUIRE(o.wrong == nullptr);
        CHECK_EQ(o.runs, 1'000U);
    }
}

TEST("the explorer finds a loop that sleeps without a second look, torn exchanges, and writes to a closed waker") {
    need_speed();
    using enum inbox::flaw;
    CHECK(finds({"SSS", {"c", nullptr}}, no_second_look, "the loop sleeps, and a call waits"));
    CHECK(finds({"S", {"s", nullptr}}, no_second_look, "the loop sleeps, and a call waits"));
    CHECK(finds({"SC", {"c", nullptr}}, closes_too_early, "a write to a waker that was closed"));
    CHECK(finds({"SC", {"x", nullptr}}, torn_exchange, "a call that was taken back has run"));
    CHECK(inbox::explore({"SS", {"c", "c"}}, torn_exchange, 1'000'000).wrong != nullptr);
    CHECK(inbox::explore({"SSS", {"c", nullptr}}, forgets_gate, 1'000'000).wrong != nullptr);
    // And nothing where nothing is wrong.
    CHECK(inbox::explore({"SSS", {"cxc", nullptr}}, none, 1'000'000).wrong == nullptr);
}
