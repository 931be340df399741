// How a run begins and ends: hooks, what delays them, the second stop, leaving without them.
#include <stdexcept>
#include <string>

#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

TEST("a hold that a shutdown hook takes delays the next phase until it is released; the loop works meanwhile") {
    world w;
    loop l(w.options());
    std::string seen;
    int beats = 0;
    l.on_shutdown(shutdown_phase::before, [&] {
        seen += 'a';
        spawn([&, hold = l.hold()] {
            CHECK(sleep_for(5ms).ok());
            seen += 'b';
        });
    });
    l.on_shutdown(shutdown_phase::before, [&] { seen += 'c'; });   // its phase has begun: it waits for nobody
    l.on_shutdown(shutdown_phase::during, [&] { seen += 'd'; });
    l.on_shutdown(shutdown_phase::after, [&] {
        seen += 'e';
        spawn([&, hold = l.hold()] {
            CHECK(yield().ok());
            seen += 'f';
        });
    });
    handler beat = l.call_every(1ms, [&] { ++beats; });   // an older hold delays nothing
    l.call_soon([&] { l.stop(); });
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(seen), "acbdef");
    CHECK(beats > 0);
    seen.clear();
    beat.cancel();
    CHECK(l.run().ok());   // also where it ran dry, and each time
    CHECK_EQ(std::string_view(seen), "acbdef");
}

TEST("a second stop ends what delays the shutdown; its hooks still run") {
    world w;
    loop l(w.options());
    std::string seen;
    hold_token kept;
    l.on_shutdown(shutdown_phase::before, [&] {
        seen += 'a';
        kept = l.hold();
        l.call_later(1ms, [&] {
            seen += 's';
            CHECK(l.stop().ok());
        });
    });
    l.on_shutdown(shutdown_phase::during, [&] { seen += 'd'; });
    l.on_shutdown(shutdown_phase::after, [&] {
        seen += 'e';
        kept = l.hold();
    });
    l.call_soon([&] { l.stop(); });
    CHECK(l.run_forever().ok());
    CHECK_EQ(std::string_view(seen), "asde");
    kept.release();
}

TEST("leave() ends a run without its shutdown hooks, and the next run is as ever") {
    world w;
    loop l(w.options());
    std::string seen;
    CHECK(l.leave() == errc::wrong_state);
    l.on_start([&] { seen += 's'; });
    l.on_shutdown(shutdown_phase::before, [&] { seen += 'b'; });
    l.on_shutdown(shutdown_phase::after, [&] { seen += 'a'; });
    l.call_soon([&] { CHECK(l.leave().ok()); });
    l.call_soon([&] { seen += 'c'; });   // the turn goes to its end
    CHECK(l.run_forever().ok());
    CHECK_EQ(std::string_view(seen), "sc");
    CHECK(!l.running());
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(seen), "scsba");
    // In a hook: the later phases do not come.
    seen.clear();
    handler leaves = l.on_shutdown(shutdown_phase::before, [&] { CHECK(l.leave().ok()); });
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(seen), "sb");
    leaves.cancel();
    seen.clear();
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(seen), "sba");
}

TEST("stop() twice is as once, also from a callback of the same turn") {
    world w;
    loop l(w.options());
    int ended = 0;
    l.on_shutdown(shutdown_phase::during, [&] { ++ended; });
    l.call_soon([&] {
        CHECK(l.stop().ok());
        CHECK(l.stop().ok());
        CHECK_EQ(ended, 0);   // deferred: the hooks come with the end of the turn
    });
    l.call_soon([&] { CHECK(l.stop().ok()); });
    CHECK(l.run_forever().ok());
    CHECK_EQ(ended, 1);
    CHECK(l.stop() == errc::wrong_state);
}

TEST("a loop runs, and can be stopped and asked, while its hooks run; its state tells which part of a run it is") {
    world w;
    loop l(w.options());
    CHECK(l.state() == loop_state::idle);
    CHECK(!l.running());
    int hooks = 0;
    l.on_start([&] {
        ++hooks;
        CHECK(l.running());
        CHECK(l.state() == loop_state::running);
        CHECK(l.run() == errc::wrong_state);
    });
    for (auto phase : {shutdown_phase::before, shutdown_phase::during, shutdown_phase::after})
        l.on_shutdown(phase, [&] {
            ++hooks;
            CHECK(l.running());
            CHECK(l.state() == loop_state::stopping);
            CHECK(l.run() == errc::wrong_state);
        });
    l.call_soon([&] {
        CHECK(l.state() == loop_state::running);
        l.stop();
        CHECK(l.state() == loop_state::stopping);
    });
    CHECK(l.run().ok());
    CHECK_EQ(hooks, 4);
    CHECK(l.state() == loop_state::idle);
    auto last = spawn([&] {
        static_cast<void>(sleep_for(1h));
        CHECK(l.state() == loop_state::stopping);   // in destroy()
    });
    CHECK(l.run_once(in(0s)).ok());
    CHECK(l.destroy().ok());
    CHECK(last.done());
    CHECK(l.state() == loop_state::ended);
}

TEST("hooks run in the order they were given within their phase; one that is canceled never runs, twice is refused") {
    world w;
    loop l(w.options());
    std::string seen;
    l.on_start([&] { seen += '1'; });
    handler never = l.on_start([&] { seen += 'x'; });
    l.on_start([&] { seen += '2'; });
    l.on_shutdown(shutdown_phase::before, [&] { seen += '3'; });
    handler gone;
    l.on_shutdown(shutdown_phase::before, [&] { CHECK(gone.cancel()); });
    gone = l.on_shutdown(shutdown_phase::before, [&] { seen += 'y'; });
    l.on_shutdown(shutdown_phase::before, [&] { seen += '4'; });
    CHECK(never.cancel());
    CHECK(!never.cancel());
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(seen), "1234");
}

#if SPRUCE_THROWS
TEST("what a hook throws is told, and the other hooks and the run go on") {
    world w;
    loop l(w.options());
    std::string seen;
    int told = 0;
    l.on_unhandled([&](unhandled const& u) {
        ++told;
        CHECK(u.reason == errc::task_failed);
        CHECK_EQ(std::string_view(u.what), "from a hook");
    });
    l.on_start([] { throw std::runtime_error("from a hook"); });
    l.on_start([&] { seen += 's'; });
    for (auto phase : {shutdown_phase::before, shutdown_phase::during, shutdown_phase::after}) {
        l.on_shutdown(phase, [] { throw std::runtime_error("from a hook"); });
        l.on_shutdown(phase, [&] { seen += 'e'; });
    }
    l.call_soon([&] { seen += 'r'; });
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(seen), "sreee");
    CHECK_EQ(told, 4);
}
#endif

TEST("a run that is no run() of its own calls no hooks") {
    world w;
    loop l(w.options());
    int hooks = 0;
    l.on_start([&] { ++hooks; });
    l.on_shutdown(shutdown_phase::during, [&] { ++hooks; });
    bool ran = false;
    l.call_soon([&] { ran = true; });
    CHECK(l.run_until([&] { return ran; }).ok());
    static_cast<void>(l.run_once(in(0s)));
    CHECK(l.dispatch().ok());
    CHECK_EQ(hooks, 0);
    CHECK(l.run().ok());
    CHECK_EQ(hooks, 2);
}
