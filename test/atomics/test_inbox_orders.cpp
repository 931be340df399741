// The inbox in every order of its threads' steps: no call lost or run twice, no wake-up lost or doubled, every callable
// destroyed once, nothing accepted after the close. inbox_program.hpp tells what the letters mean.
#include <cstdio>
#include <cstring>
#include <initializer_list>
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
    explorer::outcome const o = inbox::explore(p, inbox::flaw::none, {.most_runs = 2'000'000'000});
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
    bool found = true;
    for (auto const extent : {explorer::extent::full, explorer::extent::reduced}) {
        explorer::outcome const o = inbox::explore(p, f, {.most_runs = 1'000'000, .extent = extent});
        if (o.wrong && rule == o.wrong) continue;
        std::printf("found: %s\n", o.wrong ? o.wrong : "nothing");
        found = false;
    }
    return found;
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
    CHECK(states > 300'000);
}

TEST_FOR(3600, "a loop and two other threads: every order of their steps keeps the inbox's rules") {
    need_speed();
    for (char const* const loop : {"S", "C", "SC"})
        for (std::string const& one : programs("cxsW", 1))
            for (std::string const& two : programs("cxsw", 1)) all_orders({loop, {one.c_str(), two.c_str()}});
    all_orders({"S", {"cc", "c"}, 1});
    for (char const* const two : {"cc", "sW", "wd"}) all_orders({"S", {"cx", two}});
    CHECK(states > 100'000);
    if (!harness::nightly()) return;
    for (char const* const loop : {"S", "SC", "ST"})
        for (std::string const& one : programs("cxsW", 2))
            for (std::string const& two : programs("cxsw", 2)) all_orders({loop, {one.c_str(), two.c_str()}});
}

TEST_FOR(7200, "a loop and two other threads, three deeds each: every order of their steps keeps the inbox's rules") {
    need_speed();
    if (!harness::nightly()) {
        // Three turns of the loop against two threads that wake it three times; all else is for the night.
        all_orders({"SSS", {"WWW", "WWW"}});
        all_orders({"SSC", {"c", "W"}});
        return;
    }
    for (inbox::plan const& p : std::initializer_list<inbox::plan>{
             {"SSS", {"ccc", "ccc"}}, {"STC", {"ccc", "ccc"}}, {"SSC", {"cxs", "cwd"}}, {"SSS", {"cxz", "wwd"}},
             {"SSS", {"WWW", "WWW"}}, {"SSC", {"sss", "WcW"}}, {"SSS", {"ccc", "ccc"}, 2}})
        all_orders(p);
    // Of all the others some each night.
    harness::random random(harness::seed());
    auto const all = programs("cxzswdW", 3);
    for (int n = 0; n != 60; ++n) {
        std::string const &one = all[random.below(all.size())], &two = all[random.below(all.size())];
        char const* const loops[] = {"S", "SC", "SS", "T"};
        all_orders({loops[random.below(4)], {one.c_str(), two.c_str()}, random.chance(20) ? 2U : 1'000U});
    }
}

TEST_FOR(600, "a loop and two other threads, three deeds each: orders drawn at random keep the inbox's rules") {
    need_speed();
    harness::random random(harness::seed());
    auto const all = programs("cxzswdW", 3);
    for (int n = harness::nightly() ? 20'000 : 200; n != 0; --n) {
        std::string const &one = all[random.below(all.size())], &two = all[random.below(all.size())];
        char const* const loops[] = {"SSS", "STC", "TSC", "SSC"};
        inbox::plan const p{loops[random.below(4)], {one.c_str(), two.c_str()}, random.chance(20) ? 2U : 1'000U};
        explorer::outcome const o = inbox::explore(p, inbox::flaw::none, {.most_runs = 1'000, .seed = random.next() | 1});
        if (o.wrong) std::printf("loop %s, others %s and %s: %s\n  order %s\n", p.loop, p.others[0], p.others[1], o.wrong, o.order.c_str());
        REQUIRE(o.wrong == nullptr);
        CHECK_EQ(o.runs, 1'000U);
    }
}

TEST_FOR(300, "the explorer finds a loop that sleeps without a second look, torn exchanges, and writes to a closed waker") {
    need_speed();
    using enum inbox::flaw;
    CHECK(finds({"SSS", {"c", nullptr}}, no_second_look, "the loop sleeps, and a call waits"));
    CHECK(finds({"S", {"s", nullptr}}, no_second_look, "the loop sleeps, and a call waits"));
    CHECK(finds({"S", {"c", nullptr}}, looks_too_early, "the loop sleeps, and a call waits"));
    CHECK(finds({"S", {"c", "w"}}, looks_too_early, "the loop sleeps, and a call waits"));
    CHECK(finds({"SC", {"c", nullptr}}, closes_too_early, "a write to a waker that was closed"));
    CHECK(finds({"SC", {"x", nullptr}}, torn_exchange, "a call that was taken back has run"));
    CHECK(inbox::explore({"SS", {"c", "c"}}, torn_exchange, {.most_runs = 1'000'000}).wrong != nullptr);
    CHECK(inbox::explore({"SSS", {"c", nullptr}}, forgets_gate, {.most_runs = 1'000'000}).wrong != nullptr);
    // And nothing where nothing is wrong.
    CHECK(inbox::explore({"SSS", {"cxc", nullptr}}, none, {.most_runs = 1'000'000}).wrong == nullptr);
}

TEST_FOR(600, "what the explorer leaves out is not missed: the inbox ends, reduced, in exactly the ways of all its orders") {
    need_speed();
    std::vector<inbox::plan> plans{
        {"SSS", {"c", nullptr}}, {"SC", {"xs", nullptr}}, {"SSC", {"cz", nullptr}}, {"ST", {"wd", nullptr}}, {"TC", {"wd", nullptr}},
        {"SC", {"cx", nullptr}, 1}, {"S", {"c", "c"}}, {"S", {"s", "W"}}, {"C", {"c", "w"}}, {"S", {"c", "x"}, 1}};
    if (harness::nightly())
        for (auto const& more : std::vector<inbox::plan>{{"SSC", {"cxs", nullptr}}, {"STC", {"cxs", nullptr}}, {"SSS", {"cxc", nullptr}},
                 {"STC", {"cwd", nullptr}}, {"PSC", {"csw", nullptr}}, {"S", {"x", "x"}}, {"S", {"W", "W"}}, {"SC", {"c", "s"}}, {"SC", {"c", "c"}, 1}})
            plans.push_back(more);
    for (inbox::plan const& p : plans) {
        explorer::outcome const full = inbox::explore(p, inbox::flaw::none, {.most_runs = 20'000'000, .extent = explorer::extent::full});
        explorer::outcome const reduced = inbox::explore(p, inbox::flaw::none, {.most_runs = 20'000'000});
        REQUIRE(full.complete && reduced.complete);
        CHECK(full.wrong == nullptr && reduced.wrong == nullptr);
        if (full.ends != reduced.ends)
            std::printf("loop %s, others %s and %s: %zu ends, reduced %zu\n", p.loop, p.others[0], p.others[1] ? p.others[1] : "nobody",
                        full.ends.size(), reduced.ends.size());
        CHECK(full.ends == reduced.ends);
        CHECK(full.ends.size() > 1);
        CHECK(reduced.states * 3 < full.states);
    }
}
