// Deadline scopes around functions that give nothing.
#include <chrono>

#include <spruce/spruce.hpp>

#include "../harness/virtual_run.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::run_virtually;

TEST("a scope's function that gives nothing is timed out if its time was over when it returned, though it ran on") {
    auto r = run_virtually([]() -> result<void> {
        task_id id;
        bool ran_on = false;
        auto const cut = with_deadline(in(5ms), [&](task_id me) {
            id = me;
            static_cast<void>(sleep_for(1h));
            ran_on = true;
        });
        CHECK(ran_on);
        CHECK(cut == errc::timed_out && cut.error().is_from(id));
        CHECK(with_deadline(in(5ms), [] { static_cast<void>(sleep_for(1ms)); }).ok());
        CHECK(with_deadline(never(), [] {}).ok());
        CHECK(with_deadline(in(0s), [] {}) == errc::timed_out);
        CHECK(with_deadline(in(1ms), [] {
            cancel_shield const shield;
            static_cast<void>(sleep_for(2ms));
        }) == errc::timed_out);
        // Both at one time: the outer one has the word, as for a function that says how its waits ended.
        task_id outer;
        result<void> inner;
        auto const both = with_deadline(in(5ms), [&](task_id me) -> result<void> {
            outer = me;
            return inner = with_deadline(in(5ms), [] { static_cast<void>(sleep_for(1h)); });
        });
        CHECK(inner == errc::canceled && inner.error().is_from(outer));
        CHECK(both == errc::timed_out && both.error().is_from(outer));
        // The outer one alone: the inner one had time left.
        CHECK(with_deadline(in(1ms), [&] { CHECK(with_deadline(in(1h), [] { static_cast<void>(sleep_for(2h)); }).ok()); }) == errc::timed_out);
        auto t = spawn([&] { inner = with_deadline(in(5ms), [] { static_cast<void>(sleep_for(1h)); }); });
        SPRUCE_CHECK(yield());
        t.cancel();
        CHECK(t.join().ok());
        CHECK(inner.ok());   // it was canceled in time; the next wait says so
        return {};
    });
    CHECK(r.ok());
    CHECK(with_deadline(in(0s), [] {}).ok());   // outside a task it just calls
}

TEST("a scope's function that gives nothing and only computes is judged by a clock that moves") {
    harness::world w;
    loop l(w.options());
    if (harness::simulated()) harness::skip("virtual time stands still while a task computes");
    result<void> computed = errc::full;
    spawn([&] {
        computed = with_deadline(in(2ms), [] {
            auto const until = std::chrono::steady_clock::now() + 4ms;
            while (std::chrono::steady_clock::now() < until) {}
        });
    });
    CHECK(l.run().ok());
    CHECK(computed == errc::timed_out);
}
