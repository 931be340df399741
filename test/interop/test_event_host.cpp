// A host that is a game library: its events go through a queue with a bound, which refuses them when it is full, drops those
// of a filtered type, and may be flushed. A guest's turn rides in such an event.
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include <spruce/spruce.hpp>

#include "../harness/guest_scenes.hpp"
#include "../harness/thread_count.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::hears;
using harness::is_over;
using harness::world;

namespace {
enum class event_type { key, guests };
struct game_event {
    event_type type = event_type::key;
    std::optional<host_turn> turn{};
};

class event_queue {
public:
    static constexpr std::size_t room = 8;
    // As SDL_PushEvent(): 1 taken, 0 dropped by the filter, -1 full. Any thread.
    int push(game_event e) {
        std::lock_guard const held(lock_);
        ++pushes_;
        // Told with the lock held: afterwards the game may be over.
        changed_.notify_all();
        if (e.type == event_type::guests && filtered_) return 0;
        if (events_.size() == room) return -1;
        guests_ += e.type == event_type::guests;
        if (guests_ > most_guests_) most_guests_ = guests_;
        events_.push_back(std::move(e));
        return 1;
    }
    // The next event, or none in time.
    std::optional<game_event> wait(std::chrono::milliseconds limit) {
        std::unique_lock held(lock_);
        if (!changed_.wait_for(held, limit, [this] { return !events_.empty(); })) return {};
        std::optional<game_event> e(std::move(events_.front()));
        guests_ -= e->type == event_type::guests;
        events_.pop_front();
        return e;
    }
    void filter(bool on) {
        std::lock_guard const held(lock_);
        filtered_ = on;
    }
    void flush(std::size_t then_keys = 0) {
        std::deque<game_event> gone(then_keys);   // a turn that dies asks for nothing here, but with the lock free
        std::lock_guard const held(lock_);
        gone.swap(events_);
        guests_ = 0;
    }
    // Of the game's own events alone.
    void fill() { flush(room); }
    // Until somebody has pushed so often, whatever came of it.
    void wait_for_pushes(long more) {
        std::unique_lock held(lock_);
        long const until = pushes_ + more;
        changed_.wait(held, [&] { return pushes_ >= until; });
    }
    void wait_for_guest() {
        std::unique_lock held(lock_);
        changed_.wait(held, [&] { return guests_ != 0; });
    }
    std::size_t most_guests() const { return std::lock_guard(lock_), most_guests_; }
    std::size_t guests() const { return std::lock_guard(lock_), guests_; }

private:
    mutable std::mutex lock_;
    std::condition_variable changed_;
    std::deque<game_event> events_;
    std::size_t guests_ = 0, most_guests_ = 0;
    long pushes_ = 0;
    bool filtered_ = false;
};

struct game {
    event_queue queue;
    int keys = 0;
    // The game's loop.
    template <class Done> bool run(Done&& done, std::chrono::milliseconds limit = 10s) {
        while (!done()) {
            auto const e = queue.wait(limit);
            if (!e) return false;
            if (e->turn) (*e->turn)();
            else ++keys;
        }
        return true;
    }
};

// The game, and a guest in it with a timer, that was begun with a post() of the test's.
struct played {
    world w;
    game host;
    loop l{w.options()};
    hears heard{l};
    int ticks = 0;
    bool ended = false;

    template <class Post> void begin(Post post) {
        REQUIRE(l.call_every(1ms, [this] { ++ticks; }).active());
        REQUIRE(l.on_shutdown(shutdown_phase::after, [this] { ended = true; }).active());
        REQUIRE(l.interleave(post).ok());
    }
    bool ticks_on(int more = 5) {
        int const until = ticks + more;
        return host.run([&] { return ticks >= until; });
    }
    // The game's loop ends when the guest's shutdown says so.
    bool stops() { return l.stop().ok() && host.run([&] { return ended; }) && host.run(is_over(l)); }
};
// The turn in the event itself, and whether the queue took it as the answer.
auto answers(event_queue& queue) {
    return [&queue](host_turn turn) -> bool { return queue.push({event_type::guests, std::move(turn)}) >= 0; };
}
}  // namespace

TEST("a game's full queue refuses a guest's turn: told once, asked again, and the guest goes on when there is room") {
    int const before = harness::threads();
    played p;
    p.host.queue.fill();
    p.begin(answers(p.host.queue));
    p.host.queue.wait_for_pushes(3);
    CHECK(p.ticks_on());
    REQUIRE(p.heard.reasons.size() == 1 && p.heard.reasons[0] == errc::full);
    p.heard.reasons.clear();
    for (int round = 1; round != 4; ++round) {
        p.host.queue.fill();
        p.host.queue.wait_for_pushes(3);   // refused three times at least
        CHECK_EQ(p.host.queue.guests(), 0U);
        int const keys = p.host.keys;
        CHECK(p.ticks_on());
        CHECK_EQ(p.host.keys, keys + static_cast<int>(event_queue::room));   // its own events are all there
        // The flush before may have dropped one, too: the first failure is the one that is told.
        REQUIRE(p.heard.reasons.size() >= static_cast<std::size_t>(round) && p.heard.reasons.size() <= static_cast<std::size_t>(round) * 2);
        for (error const& e : p.heard.reasons) CHECK(e == errc::full || e == errc::closed);
    }
    CHECK_EQ(p.host.queue.most_guests(), 1U);
    CHECK(p.stops());
    CHECK(harness::threads_become(before));
}

TEST("a game's queue that drops a guest's turns by a filter, silently, stops the guest only as long as the filter stands") {
    played p;
    p.begin(answers(p.host.queue));
    CHECK(p.ticks_on());
    p.host.queue.filter(true);
    p.host.queue.flush();
    p.host.queue.wait_for_pushes(4);
    int const before = p.ticks;
    CHECK(!p.host.run([&] { return p.ticks != before; }, 5ms));
    p.host.queue.filter(false);
    CHECK(p.ticks_on());
    REQUIRE(p.heard.reasons.size() == 1);
    CHECK(p.heard.reasons[0] == errc::closed);
    CHECK(p.heard.has("times: the host let go of a turn that it did not call"));
    CHECK_EQ(p.host.queue.most_guests(), 1U);
    CHECK(p.stops());
}

TEST("a game's queue that is flushed again and again, with a guest's turn in it, loses no turn") {
    played p;
    p.begin(answers(p.host.queue));
    for (int i = 0; i != 20; ++i) {
        p.host.queue.wait_for_guest();
        p.host.queue.flush();
        CHECK(p.ticks_on(2));
    }
    CHECK(!p.heard.reasons.empty());
    CHECK_EQ(p.host.queue.most_guests(), 1U);
    CHECK(p.stops());
}

TEST("a game that ends while its queue is full, without having called a guest's turn, leaves its end to the loop's") {
    int const before = harness::threads();
    {
        played p;
        p.host.queue.fill();
        p.begin(answers(p.host.queue));
        p.host.queue.wait_for_pushes(3);
        CHECK_EQ(p.ticks, 0);
        CHECK(p.l.destroy().ok());
        CHECK(p.ended);
        REQUIRE(p.heard.reasons.size() == 1);
        CHECK(p.heard.reasons[0] == errc::full);
    }
    CHECK(harness::threads_become(before));
}
