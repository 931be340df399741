#include <deque>
#include <functional>
#include <stdexcept>

#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

TEST("an emitter calls in the order connected, the first ones first, with references to one copy; false of one is the emit's") {
    emitter<int, std::string> e;
    CHECK(e.emit(0, ""));
    std::string seen;
    std::string const* text = nullptr;
    auto a = e.connect([&](int n, std::string const& s) {
        text = &s;
        seen += "a" + std::to_string(n) + s;
    });
    auto b = e.connect([&](int const& n, std::string const& s) {
        CHECK(text == &s);
        seen += "b";
        return n != 2;
    });
    auto c = e.connect_first([&](int, std::string_view) { seen += "c"; return true; });
    CHECK_EQ(e.size(), 3U);
    CHECK(e.emit(1, "x"));
    CHECK(!e.emit(2, "y"));
    CHECK_EQ(std::string_view(seen), "ca1xbca2yb");
    CHECK(a.connected());
    CHECK(a.disconnect());
    CHECK(!a.disconnect());
    CHECK(!a.connected());
    CHECK(connection().error() == errc::wrong_state);
    e.disconnect_all();
    CHECK(!b.connected());
    CHECK_EQ(e.size(), 0U);
    CHECK(e.emit(3, "z"));
    CHECK_EQ(std::string_view(seen), "ca1xbca2yb");
}

TEST("a connection disconnects when it dies or is assigned over, and a kept one stays as long as the emitter") {
    int calls = 0, ends = 0;
    struct counted {
        int* ends;
        explicit counted(int& n) : ends(&n) {}
        counted(counted&& other) noexcept : ends(std::exchange(other.ends, nullptr)) {}
        ~counted() { ends && ++*ends; }
    };
    {
        emitter<> e;
        {
            auto gone = e.connect([&] { ++calls; });
            auto moved = std::move(gone);
            CHECK(e.emit());
            CHECK_EQ(calls, 1);
            CHECK(!gone.connected());
            moved = e.connect([&calls, c = counted(ends)] { calls += 10; });
            CHECK_EQ(e.size(), 1U);
            CHECK(e.emit());
            CHECK_EQ(calls, 11);
            CHECK_EQ(ends, 0);
        }
        CHECK_EQ(ends, 1);
        CHECK_EQ(e.size(), 0U);
        e.connect([&calls, c = counted(ends)] { calls += 100; }).keep();
        CHECK(e.emit());
        CHECK_EQ(calls, 111);
        CHECK_EQ(ends, 1);
    }
    CHECK_EQ(ends, 2);
    connection outlives;
    {
        emitter<> e;
        outlives = e.connect([c = counted(ends)] {});
    }
    CHECK_EQ(ends, 3);
    CHECK(!outlives.connected());
    CHECK(!outlives.disconnect());
}

TEST("who is disconnected during an emit is not called any more, and who is connected during it is not called in it") {
    emitter<> e;
    std::string seen;
    connection a, b, c, d, first;
    a = e.connect([&] {
        seen += 'a';
        if (seen.size() > 1) return;
        b.disconnect();
        d = e.connect([&] { seen += 'd'; });
        first = e.connect_first([&] { seen += 'f'; });
    });
    b = e.connect([&] { seen += 'b'; });
    c = e.connect([&] { seen += 'c'; });
    e.emit();
    CHECK_EQ(std::string_view(seen), "ac");
    seen = "-";
    e.emit();
    CHECK_EQ(std::string_view(seen), "-facd");
}

TEST("a callable that disconnects itself is called no more, and destroyed when its call is over") {
    emitter<> e;
    int calls = 0;
    bool gone = false, gone_in_call = false;
    struct tells_end {
        bool* gone;
        explicit tells_end(bool& g) : gone(&g) {}
        tells_end(tells_end&& other) noexcept : gone(std::exchange(other.gone, nullptr)) {}
        ~tells_end() { if (gone) *gone = true; }
    };
    connection self;
    self = e.connect([&, t = tells_end(gone)] {
        ++calls;
        self = connection();
        gone_in_call = gone;
    });
    auto other = e.connect([&] { calls += 10; });
    e.emit();
    e.emit();
    CHECK_EQ(calls, 21);
    CHECK(gone);
    CHECK(!gone_in_call);
}

TEST("connect_once is called once, also where its call emits again") {
    emitter<int> e;
    std::string seen;
    connection once = e.connect_once([&](int n) {
        seen += static_cast<char>('0' + n);
        CHECK(!once.connected());
        if (n == 1) e.emit(2);
    });
    auto always = e.connect([&](int n) { seen += static_cast<char>('a' + n); });
    CHECK(once.connected());
    e.emit(1);
    e.emit(3);
    CHECK_EQ(std::string_view(seen), "1cbd");
    CHECK_EQ(e.size(), 1U);
}

TEST("an emit within an emit is whole, and the outer one goes on behind it") {
    emitter<int> e;
    std::string seen;
    auto a = e.connect([&](int depth) {
        seen += static_cast<char>('a' + depth);
        if (depth != 2) e.emit(depth + 1);
    });
    auto b = e.connect([&](int depth) { seen += static_cast<char>('x' + depth); });
    e.emit(0);
    CHECK_EQ(std::string_view(seen), "abczyx");
}

TEST("an emitter may be destroyed in a call of its own emit: nobody else is called, and the caller is destroyed afterwards") {
    auto e = std::make_unique<emitter<int>>();
    std::string seen;
    int later = 0;
    bool alive = true;
    struct ends_it {
        bool* alive;
        explicit ends_it(bool& a) : alive(&a) {}
        ends_it(ends_it&& other) noexcept : alive(std::exchange(other.alive, nullptr)) {}
        ~ends_it() { if (alive) *alive = false; }
    };
    auto a = e->connect([&, t = ends_it(alive)](int n) {
        seen += static_cast<char>('a' + n);
        if (n == 0) e->emit(1);
        else e.reset();
        CHECK(alive);
        return n != 0;
    });
    auto b = e->connect([&](int) { ++later; });
    auto c = e->connect([&](int) { ++later; });
    CHECK(!e->emit(0));
    CHECK(!e);
    CHECK(!alive);
    CHECK_EQ(later, 0);
    CHECK_EQ(std::string_view(seen), "ab");
    CHECK(!b.connected());
    CHECK(!c.connected());
}

TEST("the end of a callable may disconnect others, emit, or destroy the emitter") {
    auto e = std::make_unique<emitter<>>();
    int calls = 0, of_b = 0;
    struct on_end {
        std::function<void()>* f;
        explicit on_end(std::function<void()>& g) : f(&g) {}
        on_end(on_end&& other) noexcept : f(std::exchange(other.f, nullptr)) {}
        ~on_end() { if (f) (*f)(); }
    };
    connection a, b, c;
    std::function<void()> end_of_a = [&] {
        c.disconnect();
        if (e) e->emit();   // it is gone where there was no place for b
    };
    std::function<void()> end_of_b = [&] { e.reset(); };
    a = e->connect([&, t = on_end(end_of_a)] { a.disconnect(); });
    b = e->connect([&, t = on_end(end_of_b)] { if (++of_b == 2) b.disconnect(); });
    REQUIRE(e != nullptr);   // it would be gone if there were no place for b
    c = e->connect([&] { calls += 100; });
    auto d = e->connect([&] { calls += 10; });
    e->emit();   // a ends within it: c is gone, b and d are called; then b ends, and the emitter with it
    CHECK(!e);
    CHECK_EQ(of_b, 2);
    CHECK_EQ(calls, 10);
}

TEST("tasks may wait in the calls of an emit, which then end in any order") {
    auto r = run_virtually([]() -> result<void> {
        emitter<int> e;
        std::string seen;
        connection a = e.connect([&](int n) {
            seen += static_cast<char>('a' + n);
            static_cast<void>(sleep_for(std::chrono::milliseconds(10 - 2 * n)));
            seen += static_cast<char>('A' + n);
        });
        auto b = e.connect([&](int n) { seen += static_cast<char>('0' + n); });
        task_group g;
        for (int i = 0; i != 3; ++i) g.spawn([&, i] { e.emit(i); });
        settle();
        a.disconnect();   // while three stand in it
        CHECK(g.join().ok());
        CHECK_EQ(std::string_view(seen), "abcC2B1A0");
        CHECK_EQ(e.size(), 1U);
        return {};
    });
    CHECK(r.ok());
}

TEST("what a connected callable throws goes to the unhandled hook, and the others are called") {
#if SPRUCE_EXCEPTIONS
    auto r = run_virtually([]() -> result<void> {
        SPRUCE_TRY(loop& hub, loop::current());
        std::string told;
        hub.on_unhandled([&](unhandled const& u) { told += u.what; });
        emitter<> e;
        int calls = 0;
        auto a = e.connect([&] { throw std::runtime_error("one of them"); });
        auto b = e.connect([&] { ++calls; });
        CHECK(e.emit());
        CHECK_EQ(calls, 1);
        CHECK_EQ(std::string_view(told), "one of them");
        return {};
    });
    CHECK(r.ok());
#else
    harness::skip("without exceptions there is nothing to throw");
#endif
}

TEST("an emitter bounds its connections, and says why it refused one; emitting allocates nothing") {
    emitter<int> e(2);
    int sum = 0;
    auto a = e.connect([&](int n) { sum += n; });
    auto b = e.connect([&](int n) { sum += n; });
    auto c = e.connect([&](int n) { sum += n; });
    CHECK(!c.connected());
    CHECK(!c.disconnect());
    CHECK(c.error() == errc::full);
    std::uint64_t const before = (harness::refused_allocations().calls = 0);
    CHECK(e.emit(4));
    CHECK_EQ(sum, 8);
    CHECK_EQ(harness::refused_allocations().calls, before);
    b.disconnect();
    c = e.connect([&](int n) { sum += n; });
    CHECK(c.connected());
}

TEST_FOR(300, "random connecting, disconnecting and emitting, also within calls: each emit calls whom a snapshot says") {
    harness::random r(harness::seed());
    struct place {
        connection of;
        long number = 0;      // when it was connected; 0: it is not
        bool once = false;
    };
    auto e = std::make_unique<emitter<int>>();
    std::vector<place> places(12);
    std::deque<std::size_t> order;   // the places that are connected, as they are to be called
    long numbers = 0;
    long const steps = model_steps();
    int depth = 0;
    std::vector<std::vector<std::size_t>> called;   // of each emit under way
    std::function<void()> change;
    auto forget = [&](std::size_t i) {
        std::erase(order, i);
        places[i].number = 0;
    };
    auto call = [&](std::size_t i, long number) {
        CHECK_EQ(places[i].number, number);   // never after it was disconnected
        called.back().push_back(i);
        if (places[i].once) forget(i);
        for (auto n = r.below(3); n != 0; --n) change();
    };
    auto emit = [&] {
        long const before = numbers;
        auto const snapshot = order;
        called.emplace_back();
        ++depth;
        e->emit(1);
        --depth;
        auto const done = std::move(called.back());
        called.pop_back();
        // Those called are of the snapshot, in its order; whoever is missing was disconnected, or called within another.
        auto at = snapshot.begin();
        for (std::size_t i : done) {
            while (at != snapshot.end() && *at != i) {
                CHECK(places[*at].number == 0 || places[*at].number > before);
                ++at;
            }
            REQUIRE(at != snapshot.end());
            ++at;
        }
        for (; at != snapshot.end(); ++at) CHECK(places[*at].number == 0 || places[*at].number > before);
    };
    change = [&] {
        std::size_t const i = r.below(places.size());
        if (r.chance(35)) {
            if (depth < 4) emit();
        } else if (places[i].number != 0) {
            bool const by_end = r.chance(50);
            forget(i);
            if (by_end) places[i].of = connection();
            else CHECK(places[i].of.disconnect());
        } else {
            long const number = places[i].number = ++numbers;
            auto f = [&, i, number](int) { call(i, number); };
            auto const kind = r.below(3);
            places[i].once = kind == 2;
            if (kind == 1) order.push_front(i);
            else order.push_back(i);
            auto made = kind == 0 ? e->connect(f) : kind == 1 ? e->connect_first(f) : e->connect_once(f);
            CHECK(made.connected());
            places[i].of = std::move(made);
        }
        CHECK_EQ(e->size(), order.size());
    };
    for (long n = 0; n < steps; ++n) change();
    places.clear();
    CHECK_EQ(e->size(), 0U);
}
