#include <stdexcept>
#include <string>

#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

TEST("callbacks run in the order they were queued, and what they queue runs after them") {
    world w;
    loop l(w.options());
    std::string seen;
    l.call_soon([&] {
        seen += 'a';
        l.call_soon([&] { seen += 'c'; });
    });
    l.call_soon([&] { seen += 'b'; });
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(seen), "abc");
}

TEST("run() with nothing to do returns at once, and a loop may run again") {
    world w;
    loop l(w.options());
    int ran = 0;
    CHECK(l.run().ok());
    for (int i = 1; i <= 3; ++i) {
        l.call_soon([&] { ++ran; });
        CHECK(l.run().ok());
        CHECK_EQ(ran, i);
    }
}

TEST("a second loop on a thread is refused, and answers every call with the reason") {
    world w;
    loop l(w.options());
    loop second(w.options());
    CHECK(second.status() == errc::already_registered);
    CHECK(second.run() == errc::already_registered);
    CHECK(second.call_soon([] {}).error() == errc::already_registered);
    CHECK(second.add_reader(0, [] {}) == errc::already_registered);
    CHECK(second.destroy() == errc::already_registered);
    CHECK(second.prepare() == errc::already_registered);
    CHECK(second.backend_fd() == -1);
}

TEST("options out of their range are refused by name") {
    loop_options o;
    o.turn_budget = 0;
    loop l(o);
    CHECK(l.status() == errc::invalid_argument);
    CHECK_EQ(l.status().error().detail(), "turn_budget: at least 1");
}

TEST("a canceled callback never runs, and its callable is gone when cancel() returns") {
    world w;
    loop l(w.options());
    struct tracked {
        bool* gone;
        explicit tracked(bool* g) : gone(g) {}
        tracked(tracked&& o) noexcept : gone(std::exchange(o.gone, nullptr)) {}
        ~tracked() {
            if (gone) *gone = true;
        }
        void operator()() const { CHECK(false); }
    };
    bool gone = false;
    handler h = l.call_soon(tracked(&gone));
    CHECK(h.active());
    CHECK(h.cancel());
    CHECK(gone);
    CHECK(!h.cancel());
    CHECK(!h.active());
    CHECK(l.run().ok());
}

TEST("a callable whose destructor cancels its own handler finds it over") {
    world w;
    loop l(w.options());
    struct owner {
        handler* name;
        int* ends;
        owner(handler* n, int* e) : name(n), ends(e) {}
        owner(owner&& o) noexcept : name(std::exchange(o.name, nullptr)), ends(o.ends) {}
        ~owner() {
            if (!name) return;
            ++*ends;
            CHECK(!name->active());
            CHECK(!name->cancel());
        }
        void operator()() const {}
    };
    handler names[5];
    int ends = 0;
    names[0] = l.call_later(1h, owner(&names[0], &ends));
    CHECK(names[0].cancel());
    CHECK_EQ(ends, 1);
    names[1] = l.call_soon(owner(&names[1], &ends));
    CHECK(names[1].cancel());
    CHECK_EQ(ends, 2);
    names[2] = l.call_soon(owner(&names[2], &ends));
    CHECK(l.run().ok());
    CHECK_EQ(ends, 3);
    names[3] = l.call_every(1h, owner(&names[3], &ends));
    names[4] = l.call_when_idle(owner(&names[4], &ends));
    CHECK(l.destroy().ok());
    CHECK_EQ(ends, 5);
}

TEST("a callback canceled by one that runs before it in the same pass does not run") {
    world w;
    loop l(w.options());
    handler second;
    l.call_soon([&] { CHECK(second.cancel()); });
    second = l.call_soon([] { CHECK(false); });
    CHECK(l.run().ok());
}

TEST("a one-shot callback cannot take itself back once it runs; a beat can") {
    world w;
    loop l(w.options());
    int beats = 0;
    l.call_soon([&](handler self) { CHECK(!self.cancel()); });
    l.call_every(1ms, [&](handler self) {
        if (++beats == 3) CHECK(self.cancel());
    });
    CHECK(l.run().ok());
    CHECK_EQ(beats, 3);
}

TEST("a handler of a finished callback does not reach the next user of its slot") {
    world w;
    loop l(w.options());
    handler old = l.call_soon([] {});
    CHECK(l.run().ok());
    bool ran = false;
    handler fresh = l.call_soon([&] { ran = true; });
    CHECK(!old.cancel());
    CHECK(!old.active());
    CHECK(fresh.active());
    CHECK(l.run().ok());
    CHECK(ran);
}

TEST("handlers of a dead loop, and empty ones, are harmless") {
    handler h;
    CHECK(h.error() == errc::no_loop);
    {
        world w;
        loop l(w.options());
        h = l.call_later(1h, [] {});
        CHECK(h.active());
    }
    CHECK(!h.active());
    CHECK(!h.cancel());
    CHECK(!h.rearm(in(1s)));
    CHECK(h.due() == errc::wrong_state);
    handler none;
    CHECK(!none.cancel());
}

TEST("a scoped handler cancels when it dies, unless it was released") {
    world w;
    loop l(w.options());
    int ran = 0;
    {
        scoped_handler gone = l.call_soon([] { CHECK(false); });
        scoped_handler kept = l.call_soon([&] { ++ran; });
        kept.release();
    }
    CHECK(l.run().ok());
    CHECK_EQ(ran, 1);
}

TEST("a callback larger than a slot, or aligned beyond it, lives in the loop's memory") {
    if (!harness::option("host").empty() && harness::option("poller") == "poll") harness::skip("as does what a guest sleeps on");
    world w;
    struct counting {
        static void* take(void* c, std::size_t n, std::size_t a) noexcept {
            ++*static_cast<long*>(c);
            return detail::allocate({}, n, a);
        }
        static void give(void* c, void* p, std::size_t n, std::size_t a) noexcept {
            --*static_cast<long*>(c);
            detail::release({}, p, n, a);
        }
    };
    long out = 0;
    {
        auto o = w.options();
        o.memory = {counting::take, counting::give, &out};
        loop l(o);
        l.call_soon([] {});
        long const before = out;
        struct alignas(64) wide {
            char room[256];
        };
        wide v{};
        v.room[200] = 7;
        bool fine = false;
        l.call_soon([v, &fine] { fine = v.room[200] == 7 && reinterpret_cast<std::uintptr_t>(&v) % 64 == 0; });
        CHECK_EQ(out, before + 1);
        CHECK(l.run().ok());
        CHECK(fine);
        CHECK_EQ(out, before);
    }
    CHECK_EQ(out, 0L);
}

TEST("an idle callback runs once, when nothing else is ready, and does not hold the loop") {
    world w;
    loop l(w.options());
    std::string seen;
    handler far = l.call_later(1h, [&] { seen += '?'; });
    l.call_when_idle([&] {
        seen += 'i';
        far.cancel();
        l.call_later(1ms, [&] { seen += 't'; });
    });
    l.call_soon([&] {
        seen += 'a';
        l.call_soon([&] { seen += 'b'; });
    });
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(seen), "abit");
}

TEST("stop() outside a run is wrong, and inside it ends the run after the turn; what is pending is kept") {
    world w;
    loop l(w.options());
    CHECK(l.stop() == errc::wrong_state);
    bool late = false;
    l.call_later(1h, [&] { late = true; });
    l.call_soon([&] { CHECK(l.stop().ok()); });
    CHECK(l.run().ok());
    CHECK(!late);
    CHECK(!l.running());
    l.call_soon([&] { l.stop(); });
    CHECK(l.run_forever().ok());
}

TEST("a run inside a run is refused") {
    world w;
    loop l(w.options());
    l.call_soon([&] {
        CHECK(l.running());
        CHECK(l.run() == errc::wrong_state);
        CHECK(l.run_once() == errc::wrong_state);
        CHECK(l.run_until([] { return true; }) == errc::wrong_state);
        CHECK(l.destroy() == errc::wrong_state);
    });
    CHECK(l.run().ok());
}

TEST("start and shutdown hooks run each time, in order") {
    world w;
    loop l(w.options());
    std::string seen;
    l.on_start([&] { seen += 's'; });
    l.on_shutdown(shutdown_phase::after, [&] { seen += '3'; });
    l.on_shutdown(shutdown_phase::before, [&] { seen += '1'; });
    handler h = l.on_shutdown(shutdown_phase::during, [&] { seen += '2'; });
    CHECK(l.run().ok());
    CHECK(h.cancel());
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(seen), "s123s13");
}

TEST("a start hook given within a run runs soon, and at the start of the next") {
    world w;
    loop l(w.options());
    std::string seen;
    handler late;
    l.call_soon([&] {
        late = l.on_start([&] { seen += 's'; });
        l.call_soon([&] { seen += 'c'; });
    });
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(seen), "sc");
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(seen), "scs");
    CHECK(late.cancel());
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(seen), "scs");
}

static bool always() { return true; }

TEST("run_until ends at its predicate, at its deadline, or when stopped") {
    world w;
    loop l(w.options());
    int n = 0;
    l.call_every(1ms, [&] { ++n; });
    CHECK(l.run_until([&] { return n == 3; }).ok());
    CHECK_EQ(n, 3);
    CHECK(l.run_until([] { return false; }, in(5ms)) == errc::timed_out);
    l.call_soon([&] { l.stop(); });
    CHECK(l.run_until([] { return false; }) == errc::closed);
    CHECK(l.run_until(always).ok());
    CHECK(l.run_until(&always).ok());
}

TEST("run_once is one turn, and says when nothing came") {
    if (harness::interrupted()) harness::skip("a signal makes a turn, too");
    world w;
    loop l(w.options());
    CHECK(l.run_once(in(1ms)) == errc::timed_out);
    bool ran = false;
    l.call_soon([&] { ran = true; });
    CHECK(l.run_once(in(1h)).ok());
    CHECK(ran);
}

TEST("a hold keeps run() alive until it is released, twice harmlessly") {
    world w;
    loop l(w.options());
    hold_token token = l.hold();
    bool late = false;
    l.call_every(1ms, [&](handler self) {
        if (late) {
            token.release();
            token.release();
            self.cancel();
        }
        late = true;
    });
    CHECK(l.run().ok());
    hold_token outlives = l.hold();
    CHECK(l.destroy().ok());
    outlives.release();
    CHECK(l.run() == errc::closed);
    CHECK(l.call_soon([] {}).error() == errc::closed);
}

TEST("at the bound of callbacks a call says full, and the loop goes on") {
    world w;
    auto o = w.options();
    o.max_timers = 64;
    loop l(o);
    int ran = 0, refused = 0;
    for (int i = 0; i != 100; ++i) {
        handler h = l.call_soon([&] { ++ran; });
        if (!h) {
            CHECK(h.error() == errc::full);
            ++refused;
        }
    }
    CHECK_EQ(refused, 36);
    CHECK(l.run().ok());
    CHECK_EQ(ran, 64);
    CHECK(bool(l.call_soon([] {})));
}

#if SPRUCE_EXCEPTIONS
TEST("what a callback throws goes to the hook, and the loop goes on") {
    world w;
    loop l(w.options());
    std::string told;
    l.on_unhandled([&](unhandled const& u) {
        told = u.what;
        CHECK(u.reason == errc::task_failed);
        CHECK_EQ(u.task.value, 0U);
        throw 1;   // lost
    });
    bool after = false;
    l.call_soon([] { throw std::runtime_error("boom"); });
    l.call_soon([&] { after = true; });
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(told), "boom");
    CHECK(after);
}

TEST("a callable whose copy throws leaves the loop as it was") {
    world w;
    loop l(w.options());
    struct refuses {
        refuses() = default;
        refuses(refuses const&) { throw 7; }
        void operator()() const {}
    } r;
    int caught = 0;
    try {
        l.call_soon(r);
    } catch (int n) {
        caught = n;
    }
    CHECK_EQ(caught, 7);
    CHECK(l.run().ok());
}
#endif
