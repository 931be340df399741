#include <stdexcept>

#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
void nothing(int) {}
void other(int) {}
}  // namespace

TEST("who watches an emitter is told of each connection and disconnection, however it comes about, and how many are left") {
    auto e = std::make_unique<emitter<int>>();
    std::string seen;
    auto watch = e->on_change([&](connection_change const& c) { seen += (c.connected ? '+' : '-') + std::to_string(c.size); });
    auto deaf = e->on_change([&](connection_change const&) { seen += '.'; });
    CHECK_EQ(e->size(), 0U);
    CHECK(e->emit(0));   // watchers hear of no emission
    CHECK(seen.empty());
    auto a = e->connect([](int) {});
    auto b = e->connect_first([](int) {});
    CHECK_EQ(std::string_view(seen), "+1.+2.");
    CHECK_EQ(e->size(), 2U);
    deaf.disconnect();
    auto once = e->connect_once([&](int) { seen += '!'; });
    CHECK(e->emit(1));
    CHECK_EQ(std::string_view(seen), "+1.+2.+3!-2");
    { auto gone = std::move(a); }
    CHECK(b.disconnect() && !b.disconnect());
    CHECK_EQ(std::string_view(seen), "+1.+2.+3!-2-1-0");
    auto self = connection();
    self = e->connect([&](int) { self.disconnect(); });
    CHECK(e->emit(2));
    seen += '|';
    auto c = e->connect(nothing);
    auto d = e->connect(nothing);
    e->disconnect_all();
    CHECK_EQ(std::string_view(seen), "+1.+2.+3!-2-1-0+1-0|+1+2-1-0");
    CHECK(watch.connected());
    auto last = e->connect(nothing);
    seen.clear();
    e.reset();
    CHECK(seen.empty());
    CHECK(!watch.connected() && !last.connected());
}

TEST("a watcher may connect, disconnect, emit, or end the emitter, in whatever change it is told of") {
    auto e = std::make_unique<emitter<int>>();
    int calls = 0;
    connection more, late;
    auto watch = e->on_change([&](connection_change const& c) {
        if (c.connected && c.size == 1) more = e->connect([&](int n) { calls += n; });
        else if (!c.connected && c.size == 1) e->emit(10);
    });
    auto a = e->connect([&](int) {});
    CHECK_EQ(e->size(), 2U);
    a.disconnect();
    CHECK_EQ(calls, 10);
    watch = e->on_change([&](connection_change const&) { e.reset(); });
    struct notes {
        int* n;
        explicit notes(int& to) noexcept : n(&to) {}
        notes(notes&& other) noexcept : n(std::exchange(other.n, nullptr)) {}
        ~notes() { n && ++*n; }
    };
    int ends = 0;
    auto ending = e->connect([held = notes(ends)](int) {});   // its connecting ends the emitter
    CHECK(!e);
    CHECK(!ending.connected() && !more.connected() && !watch.connected());
    CHECK_EQ(ends, 1);
    for (bool by_emit : {false, true}) {
        e = std::make_unique<emitter<int>>();
        ends = 0;
        auto one = by_emit ? e->connect_once([held = notes(ends)](int) {}) : e->connect([held = notes(ends)](int) {});
        auto two = e->connect(nothing);
        watch = e->on_change([&](connection_change const&) { e.reset(); });
        if (by_emit) CHECK(e->emit(1));
        else CHECK(one.disconnect());
        CHECK(!e && !two.connected());
        CHECK_EQ(ends, 1);
    }
}

TEST("a watcher takes no place among the connected, and is there when they are as many as may be") {
    emitter<int> e(1);
    int changes = 0;
    auto a = e.connect(nothing);
    auto watch = e.on_change([&](connection_change const&) { ++changes; });
    CHECK(watch.connected());
    CHECK(e.connect(nothing).error() == errc::full);
    CHECK_EQ(changes, 0);
    a.disconnect();
    CHECK(e.connect(nothing).connected());
    CHECK_EQ(changes, 3);   // the last one has gone again
}

TEST("what is emitted to nobody can wait for the first who connects, unless it is taken back") {
    emitter<std::unique_ptr<int>> e;
    int sum = 0;
    auto add = [&](std::unique_ptr<int> const& n) { sum += *n; };
    auto waits = emit_when_connected(e, std::make_unique<int>(1));
    CHECK(waits.connected());
    auto back = emit_when_connected(e, std::make_unique<int>(10));
    back.disconnect();
    auto a = e.connect(add);
    CHECK_EQ(sum, 1);
    CHECK(!waits.connected());
    auto b = e.connect(add);
    CHECK_EQ(sum, 1);
    CHECK(!emit_when_connected(e, std::make_unique<int>(100)).connected());
    CHECK_EQ(sum, 201);
}

TEST("an emitter forwards to another, whose answer is its own, until the connection goes") {
    emitter<int, std::string> from, to;
    std::string seen;
    auto f = from.forward_to(to);
    auto c = to.connect([&](int n, std::string const& s) { return seen += s + std::to_string(n), n != 2; });
    CHECK(from.emit(1, "a"));
    CHECK(!from.emit(2, "b"));
    f.disconnect();
    CHECK(from.emit(3, "c"));
    CHECK_EQ(std::string_view(seen), "a1b2");
}

TEST("what was connected is found again by an equal callable, and disconnected, all of them at once") {
    emitter<int> e;
    auto a = e.connect(nothing);
    auto b = e.connect(other);
    auto c = e.connect(nothing);
    auto lambda = e.connect([](int) {});
    CHECK_EQ(e.disconnect(nothing), 2U);
    CHECK(!a.connected() && b.connected() && !c.connected());
    CHECK_EQ(e.disconnect(nothing), 0U);
    // With arguments bound to it; also within its own call, and while an emit goes over it.
    int sum = 0;
    auto add = [](int n, int* to, int times) { *to += n * times; };
    auto const plus = static_cast<void (*)(int, int*, int)>(add);
    auto once = e.connect(bound(plus, &sum, 1));
    auto twice = e.connect(bound(plus, &sum, 2));
    CHECK(e.emit(3));
    CHECK_EQ(sum, 9);
    auto first = e.connect_first([&](int) { CHECK_EQ(e.disconnect(bound(plus, &sum, 1)), 1U); });
    CHECK(e.emit(1));
    CHECK_EQ(sum, 11);
    CHECK(!once.connected() && twice.connected());
    struct itself {
        emitter<int>* from;
        bool operator==(itself const&) const = default;
        void operator()(int) { CHECK_EQ(from->disconnect(*this), 1U); }
    };
    first.disconnect();
    auto self = e.connect(itself{&e});
    CHECK(e.emit(0));
    CHECK(!self.connected());
}

TEST("what waits for somebody to connect is not emitted when the last one goes, or to one who is gone again") {
    emitter<int> e;
    int heard = 0;
    connection waits;
    auto watch = e.on_change([](connection_change const&) {});
    // From within the call of the only one, who is disconnected already.
    auto once = e.connect_once([&](int) { waits = emit_when_connected(e, 7); });
    e.emit(1);
    auto a = e.connect([&](int n) { heard += n; });
    CHECK_EQ(heard, 7);
    a.disconnect();
    // Somebody who watches, and was asked first, refuses the first who connects.
    int asked = 0;
    auto refuses = e.on_change([&](connection_change const& c) {
        if (c.connected && asked++ == 0) e.disconnect_all();
    });
    waits = emit_when_connected(e, 3);
    auto b = e.connect([&](int n) { heard += n; });
    CHECK_EQ(heard, 7);
    CHECK(waits.connected());
    auto c = e.connect([&](int n) { heard += n; });
    CHECK_EQ(heard, 10);
    CHECK(!waits.connected());
}

#if SPRUCE_EXCEPTIONS
TEST("a callable whose copy or comparison throws is no end of who looks for it") {
    struct brittle {
        int* copies;
        bool compares;
        brittle(int* n, bool c) noexcept : copies(n), compares(c) {}
        brittle(brittle const& other) : copies(other.copies), compares(other.compares) {
            if (--*copies < 0) throw std::runtime_error("copy");
        }
        brittle(brittle&&) noexcept = default;
        bool operator==(brittle const& other) const {
            if (!compares || !other.compares) throw std::runtime_error("comparison");
            return true;
        }
        void operator()(int) const {}
    };
    emitter<int> e;
    int copies = 0;
    auto c = e.connect(brittle(&copies, true));
    auto d = e.connect(brittle(&copies, false));
    bool threw = false;
    try {
        e.disconnect(brittle(&copies, true));
    } catch (std::runtime_error const&) {
        threw = true;
    }
    CHECK(threw);
    CHECK_EQ(e.size(), 2U);
    copies = 1;
    CHECK_EQ(e.disconnect(brittle(&copies, true)), 1U);
    CHECK(!c.connected() && d.connected());
}
#endif
