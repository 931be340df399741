// Hooks: the phases of a run's beginning, the end of each turn, the loop's end, and the process's.
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

#include "../../src/context/sanitizers.hpp"
#include "../harness/axes.hpp"
#include "../harness/forked.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

TEST("start hooks run in three phases, each run, whatever order they were given in") {
    world w;
    loop l(w.options());
    std::string seen;
    l.on_start(start_phase::after, [&] { seen += 'a'; });
    l.on_start([&] { seen += 'd'; });
    l.on_start(start_phase::before, [&] { seen += 'b'; });
    l.on_start(start_phase::during, [&] { seen += 'e'; });
    l.call_soon([&] { seen += '.'; });
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(seen), "bdea.");
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(seen), "bdea.bdea");
}

TEST("a hold taken in the first phase of a start delays the others until it is gone, and the loop works meanwhile") {
    world w;
    loop l(w.options());
    std::string seen;
    hold_token whole;
    l.on_start(start_phase::before, [&] {
        seen += 'b';
        spawn([&, first = l.hold()] {
            CHECK(sleep_for(2ms).ok());
            seen += '1';
            spawn([&, second = l.hold()] {   // what it spawned, too
                CHECK(sleep_for(2ms).ok());
                seen += '2';
            });
        });
    });
    l.on_start(start_phase::before, [&] { seen += 'c'; });   // its own phase waits for nobody
    l.on_start([&] {
        seen += 'd';
        whole = l.hold();   // of a later phase: for the run, and delays nothing
        l.call_later(1ms, [&] { whole.release(); });
    });
    l.on_start(start_phase::after, [&] { seen += 'a'; });
    l.call_soon([&] { seen += '.'; });
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(seen), "bc.12da");
}

TEST("stop() ends what delays a start; the hooks of all phases still run, and those of the shutdown") {
    world w;
    loop l(w.options());
    std::string seen;
    hold_token kept;
    l.on_start(start_phase::before, [&] {
        kept = l.hold();
        l.call_soon([&] { CHECK(l.stop().ok()); });
    });
    l.on_start([&] { seen += 'd'; });
    l.on_start(start_phase::after, [&] { seen += 'a'; });
    l.on_shutdown(shutdown_phase::before, [&] { seen += 's'; });
    CHECK(l.run_forever().ok());
    CHECK_EQ(std::string_view(seen), "das");
    kept.release();
}

TEST("a start hook given during a start runs in its turn, once; one whose phase has begun, in the next pass") {
    world w;
    loop l(w.options());
    std::string seen;
    handler late, early;
    bool first = true;
    l.on_start([&] {
        seen += 'd';
        if (!std::exchange(first, false)) return;
        late = l.on_start(start_phase::after, [&] { seen += 'l'; });
        early = l.on_start(start_phase::before, [&] { seen += 'e'; });
    });
    l.on_start(start_phase::after, [&] { seen += 'a'; });
    l.call_soon([&] { seen += '.'; });
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(seen), "dal.e");
    seen.clear();
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(seen), "edal");
    seen.clear();
    l.call_soon([&] { l.on_start([&] { seen += 'n'; }); });
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(seen), "edaln");
}

TEST("a phase that there is not is refused, as a start hook and as a shutdown hook") {
    world w;
    loop l(w.options());
    CHECK(l.on_start(static_cast<start_phase>(3), [] {}).error() == errc::invalid_argument);
    CHECK(l.on_shutdown(static_cast<shutdown_phase>(7), [] {}).error() == errc::invalid_argument);
    CHECK(l.run().ok());
}

TEST("a turn hook runs at the end of each turn, after what ran in it, and makes no turns itself") {
    if (harness::interrupted()) harness::skip("a signal makes a turn, too");
    if (!harness::option("host").empty()) harness::skip("so does a guest's stop");
    world w;
    loop l(w.options());
    std::string seen;
    handler each = l.on_turn([&] { seen += '|'; });
    l.call_soon([&] {
        seen += 'a';
        l.call_soon([&] { seen += 'b'; });   // the same turn's
    });
    l.call_later(40ms, [&] { seen += 'c'; });
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(seen), "ab|c|");
    seen.clear();
    l.call_soon([&] { seen += 'd'; });
    CHECK(l.run_once(in(0s)).ok());
    l.call_soon([&] { seen += 'e'; });
    CHECK(l.dispatch().ok());
    CHECK_EQ(std::string_view(seen), "d|e|");
    CHECK(each.cancel());
    seen.clear();
    l.call_soon([&] { seen += 'f'; });
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(seen), "f");
}

TEST("a turn hook may cancel itself and others, give new ones, which wait for the next turn, and stop the run") {
    world w;
    loop l(w.options());
    std::string seen;
    handler other;
    l.on_turn([&](handler self) {
        seen += '1';
        CHECK(self.cancel());
        CHECK(other.cancel());
        l.on_turn([&] {
            seen += '2';
            if (seen.size() == 4) l.stop();
        });
        l.call_every(1ms, [] {});
    });
    other = l.on_turn([&] { seen += 'x'; });
    l.call_soon([] {});
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(seen), "1222");
}

TEST("an exit hook runs once, when the tasks have ended and before the callbacks go; nothing new is taken then") {
    world w;
    loop l(w.options());
    std::string seen;
    struct says {
        std::string* to;
        ~says() {
            if (to) *to += 'c';
        }
        explicit says(std::string& s) : to(&s) {}
        says(says&& o) noexcept : to(std::exchange(o.to, nullptr)) {}
    };
    spawn([&] {
        static_cast<void>(sleep_for(1h));
        seen += 't';
    });
    l.call_later(1h, [gone = says(seen)] {});
    l.on_exit([&] {
        seen += 'e';
        CHECK(l.call_soon([] {}).error() == errc::closed);
        CHECK(l.state() == loop_state::stopping);
    });
    l.on_exit([&] { seen += 'f'; });
    CHECK(l.on_exit([&] { seen += 'x'; }).cancel());
    CHECK(l.run_once(in(0s)).ok());
    CHECK_EQ(std::string_view(seen), "");
    CHECK(l.destroy().ok());
    CHECK_EQ(std::string_view(seen), "tefc");
}

TEST("a loop that is to be destroyed with its process is, by exit(), unless somebody did before") {
    for (bool const before : {false, true}) {
        auto const e = harness::forked([&] {
            loop l;
            if (!l.destroy_at_exit() || !l.destroy_at_exit()) ::_exit(3);
            spawn([] {
                static_cast<void>(sleep_for(1h));
                static_cast<void>(::write(2, "task ", 5));
            });
            l.on_exit([] { static_cast<void>(::write(2, "hook ", 5)); });
            if (!l.run_once(in(0s))) ::_exit(4);
            if (before) static_cast<void>(l.destroy());
            static_cast<void>(::write(2, "exit ", 5));
            std::exit(5);
        });
        CHECK(WIFEXITED(e.status) && WEXITSTATUS(e.status) == 5);
        CHECK_EQ(std::string_view(e.said), before ? "task hook exit " : "exit task hook ");
    }
}

TEST("exit() inside a run calls the exit hooks at once; in a forked child that has no loop of its own, nothing") {
    if (SPRUCE_ASAN) harness::skip("at an exit() on a task's stack the sanitizer does not look at main()'s, and sees leaks");
    auto e = harness::forked([] {
        loop l;
        if (!l.destroy_at_exit()) ::_exit(3);
        l.on_exit([] { static_cast<void>(::write(2, "hook ", 5)); });
        spawn([] { std::exit(6); });
        static_cast<void>(l.run());
        ::_exit(4);
    });
    CHECK(WIFEXITED(e.status) && WEXITSTATUS(e.status) == 6);
    CHECK_EQ(std::string_view(e.said), "hook ");
    e = harness::forked([] {
        loop l;
        if (!l.destroy_at_exit()) ::_exit(3);
        l.on_exit([] { static_cast<void>(::write(2, "hook ", 5)); });
        int const child = ::fork();
        if (child == 0) std::exit(0);
        int status = 0;
        while (::waitpid(child, &status, 0) < 0) {}
        static_cast<void>(::write(2, "parent ", 7));
        std::exit(status);
    });
    CHECK(WIFEXITED(e.status) && WEXITSTATUS(e.status) == 0);
    CHECK_EQ(std::string_view(e.said), "parent hook ");
}

TEST("exit() in a callback that has destroyed its loop calls the exit hooks, and does not touch what the loop was") {
    auto const e = harness::forked([] {
        alignas(loop) static unsigned char room[sizeof(loop)];
        loop* const l = ::new (static_cast<void*>(room)) loop;
        if (!l->destroy_at_exit()) ::_exit(3);
        l->on_exit([] { static_cast<void>(::write(2, "hook ", 5)); });
        l->call_soon([l] {
            l->~loop();
            std::memset(room, 0xa5, sizeof room);
            std::exit(6);
        });
        static_cast<void>(l->run());
        ::_exit(4);
    });
    CHECK(WIFEXITED(e.status) && WEXITSTATUS(e.status) == 6);
    CHECK_EQ(std::string_view(e.said), "hook ");
}
