// What a loop keeps many of, it does not walk for one.
#include <spruce/spruce.hpp>
#include <spruce/testing.hpp>

#include <csignal>
#include <vector>

#include "../harness/axes.hpp"
#include "../harness/virtual_run.hpp"

using namespace spruce;

TEST("handlers of one signal are added, run and removed beside twenty thousand of another") {
    constexpr int count = 20'000;
    testing::simulation world(harness::as_asked());
    loop l({.on = world.on()});
    REQUIRE(l.status().ok());
    int ran = 0;
    auto const added = [&](int sig, auto f) {
        auto const made = l.add_signal_handler(sig, f);
        REQUIRE(made.ok());
        return *made;
    };
    for (int i = 0; i != count; ++i) CHECK(l.add_signal_handler(SIGUSR1, [&] { ran += 1'000'000; }).ok());
    CHECK(!l.remove_signal_handlers(SIGUSR2));
    std::vector<handler> mine;
    for (int i = 0; i != count; ++i) mine.push_back(added(SIGUSR2, [&] { ++ran; }));
    world.raise_signal(SIGUSR2);
    CHECK(l.run_until([&] { return ran == count; }).ok());
    for (int i = 0; i != count; ++i) CHECK(added(SIGUSR2, [] {}).cancel());
    CHECK(l.remove_signal_handlers(SIGUSR2));
    for (handler const& h : mine) CHECK(!h.active());
    CHECK(!l.remove_signal_handlers(SIGUSR2));
    for (int const no_signal : {-1, 0, 1'000'000}) CHECK(!l.remove_signal_handlers(no_signal));
    CHECK(l.remove_signal_handlers(SIGUSR1));
}

TEST("a signal handler whose end removes all others of its signal leaves nothing of them") {
    testing::simulation world(harness::as_asked());
    loop l({.on = world.on()});
    struct removes {
        loop* of;
        explicit removes(loop& l) noexcept : of(&l) {}
        removes(removes&& other) noexcept : of(std::exchange(other.of, nullptr)) {}
        ~removes() {
            if (of) of->remove_signal_handlers(SIGUSR1);
        }
        void operator()() const {}
    };
    std::vector<handler> all;
    for (int i = 0; i != 100; ++i) all.push_back(*l.add_signal_handler(SIGUSR1, removes(l)));
    handler const other = *l.add_signal_handler(SIGUSR2, [] {});
    CHECK(l.remove_signal_handlers(SIGUSR1));
    for (handler const& h : all) CHECK(!h.active());
    CHECK(other.active());
}
