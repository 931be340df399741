// An event bus against a simple model: who is called with which event, and when, whatever the called ones do meanwhile.
#include <algorithm>
#include <deque>

#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
constexpr std::string_view names[] = {"a", "b", "c"};
constexpr std::size_t bound = 8;

struct payload {
    explicit payload(long n, long* count) : serial(n), alive(count) { ++*alive; }
    payload(payload&& other) noexcept : serial(other.serial), alive(other.alive) { ++*alive; }
    ~payload() { --*alive; }
    long serial;
    long* alive;
};

struct bus_model {
    explicit bus_model(std::uint64_t seed) : random(seed) {}

    struct subscriber {
        unsigned wants;      // a bit for each name; 0: all
        connection held;
        bool gone = false;
    };
    struct posted_event {
        std::size_t name;
        long serial;
    };
    harness::random random;
    std::unique_ptr<event_bus<payload>> bus;
    std::vector<std::unique_ptr<subscriber>> subscribers;   // in the order of subscribing
    std::deque<posted_event> posted;                        // not begun
    std::vector<subscriber*> due;                           // still to be called with the event under way
    posted_event now{};
    bool waiting = false;    // for what a subscriber gave
    bool waited = false;     // somebody has ever wanted that, of this bus
    bool inside = false;     // a subscriber is being called
    int generation = 0;      // of the bus
    long serial = 0, alive = 0, called = 0, refused = 0, reentered = 0, ended_inside = 0, slow = 0, thrown = 0, told = 0;

    // Everything that may be done from anywhere.
    void act() {
        switch (random.below(6)) {
        case 0:
        case 1:
        case 2: post(); break;
        case 3: subscribe(); break;
        case 4: unsubscribe(); break;
        default:
            if (random.chance(4)) end(), begin();
            break;
        }
    }
    void post() {
        std::size_t const name = random.below(std::size(names));
        auto const r = bus->post(names[name], payload(serial, &alive));
        CHECK_EQ(r.ok(), posted.size() < bound);
        if (!r) {
            CHECK(r == errc::full);
            ++refused;
            return;
        }
        posted.push_back({name, serial++});
        reentered += inside;
    }
    void subscribe() {
        if (subscribers.size() > 8) return unsubscribe();
        auto& s = *subscribers.emplace_back(std::make_unique<subscriber>());
        s.wants = static_cast<unsigned>(random.below(8));
        message_names wanted;
        for (std::size_t i = 0; i != std::size(names); ++i)
            if (s.wants >> i & 1) wanted.name[wanted.count++] = names[i];
        if (random.chance(8)) {
            waited = true;
            s.held = bus->subscribe(wanted, [this, &s](std::string_view name, payload const& value) {
                call(s, name, value.serial);
                waiting = true;
                auto const pause = milliseconds_below(random, 3);
                return spawn([this, pause, mine = generation] {
                    static_cast<void>(sleep_for(pause));
                    if (mine == generation) waiting = false;
                    ++slow;
                });
            });
        } else {
            s.held = bus->subscribe(wanted, [this, &s](std::string_view name, payload const& value) {
                call(s, name, value.serial);
                inside = true;
                int const mine = generation;
                if (random.chance(20)) act();
                inside = false;
                ended_inside += mine != generation;
#if SPRUCE_EXCEPTIONS
                if (random.chance(2)) {
                    ++thrown;
                    throw 1;
                }
#endif
            });
        }
        CHECK(s.held.connected());
    }
    void unsubscribe() {
        if (subscribers.empty()) return;
        auto& s = *subscribers[random.below(subscribers.size())];
        if (s.gone) return;
        CHECK(s.held.disconnect());
        s.gone = true;
        std::erase(due, &s);
    }
    // The first subscriber, who is told of every event: the one before is over, and who is there now is called.
    void next(std::string_view name, long which) {
        CHECK(!waiting);
        CHECK(due.empty());
        REQUIRE(!posted.empty());
        now = posted.front();
        posted.pop_front();
        CHECK_EQ(name, names[now.name]);
        CHECK_EQ(which, now.serial);
        for (auto& s : subscribers)
            if (!s->gone && (s->wants == 0 || s->wants >> now.name & 1)) due.push_back(s.get());
    }
    void call(subscriber& s, std::string_view name, long which) {
        CHECK(!waiting);
        CHECK_EQ(name, names[now.name]);
        CHECK_EQ(which, now.serial);
        REQUIRE(!due.empty() && due.front() == &s);
        due.erase(due.begin());
        ++called;
    }
    void begin() {
        bus = std::make_unique<event_bus<payload>>(bound);
        bus->subscribe({}, [this](std::string_view name, payload const& value) { next(name, value.serial); }).keep();
    }
    void end() {
        ++generation;
        bus.reset();
        for (auto& s : subscribers) s->gone = true;
        due.clear();
        posted.clear();
        waiting = waited = false;
    }
    // Lets all be delivered.
    result<void> rest() {
        for (int n = 0; !posted.empty() || !due.empty() || waiting; ++n) {
            REQUIRE(n != 10'000);
            SPRUCE_CHECK(sleep_for(1ms));
        }
        return {};
    }
    void sweep() {
        std::erase_if(subscribers, [](auto& s) { return s->gone; });
    }
};
}  // namespace

TEST_FOR(300, "an event bus does what its model does: posts, subscribers that come, go, wait, post and end it at random") {
    bus_model m(harness::seed());
    auto r = run_virtually([&]() -> result<void> {
        SPRUCE_TRY(loop& hub, loop::current());
        hub.on_unhandled([&](unhandled const&) { ++m.told; });
        m.begin();
        for (long step = 0; step != model_steps(); ++step) {
            m.act();
            CHECK_EQ(m.bus->size(), m.posted.size());
            if (m.random.chance(40)) {
                // A pass: what was posted before has been delivered, unless a subscriber is waited for.
                long const last = m.posted.empty() ? -1 : m.posted.back().serial;
                int const mine = m.generation;
                SPRUCE_CHECK(yield());
                if (!m.waited && mine == m.generation) CHECK(m.posted.empty() || m.posted.front().serial > last);
            }
            if (m.random.chance(5)) {
                SPRUCE_CHECK(sleep_for(milliseconds_below(m.random, 5)));
            } else if (m.random.chance(4)) {
                SPRUCE_CHECK(m.rest());
                m.sweep();
            }
        }
        SPRUCE_CHECK(m.rest());
        m.end();
        m.sweep();
        SPRUCE_CHECK(sleep_for(1s));
        return {};
    });
    CHECK(r.ok());
    CHECK_EQ(m.alive, 0);
    CHECK_EQ(m.told, m.thrown);
    CHECK(m.called > 10'000 && m.refused > 100 && m.reentered > 1'000 && m.ended_inside > 20 && m.slow > 500);
}
