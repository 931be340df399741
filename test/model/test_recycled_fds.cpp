// Fd numbers that go round within one batch of events: while a batch is dispatched, callbacks close fds whose events
// are in it and open others under the same numbers. Each life of a number has a cookie, which is all that is ever
// written to it; a handler that runs finds its own cookie, and never runs in the turn in which it was made.
#include <cstring>
#include <memory>
#include <unistd.h>

#include <spruce/spruce.hpp>
#include <spruce/testing.hpp>

#include "../../src/sys/kernel.hpp"
#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
class recycler {
public:
    recycler(loop_options o, bool sockets, testing::simulation* world = nullptr)
        : on_(*o.on), world_(world), sockets_(sockets), loop_(o), random_(harness::seed()) {}

    void run(long recycled) {
        REQUIRE(loop_.status().ok());
        for (place& p : places_) {
            open(p);
            watch(p);
        }
        while (recycled_ < recycled && wrong_ == 0) {
            ++turn_;
            for (place& p : places_) {
                if (p.told || random_.chance(30)) continue;
                p.told = call().write(on_.context, p.into, &p.cookie, sizeof p.cookie) == sizeof p.cookie;
            }
            CHECK(loop_.run_once(in(0s)).ok());
        }
        // Whoever was told hears of it at last.
        for (int n = 0; n != 4; ++n) {
            ++turn_;
            quiet_ = true;
            static_cast<void>(loop_.run_once(in(0s)));
        }
        for (place& p : places_) {
            wrong_ += p.told;
            shut(p);
        }
        drop_duplicates(0);
        CHECK_EQ(wrong_, 0L);
        CHECK(heard_ > recycled / 20);
        CHECK(!may_duplicate() || ghosts_ > recycled / 1'000);
    }

private:
    struct place {
        int out = -1, into = -1;
        std::uint64_t cookie = 0;
        handler reader, writer;
        bool told = false;         // its cookie was written, and not read
        std::uint64_t made_in = 0;
    };
    detail::kernel_calls const& call() const { return *on_.calls; }

    void open(place& p) {
        int ends[2];
        REQUIRE((sockets_ ? call().make_socketpair(on_.context, ends) : call().make_pipe(on_.context, ends)) == 0);
        p.out = ends[0];
        p.into = ends[1];
        p.cookie = ++cookies_;
        p.made_in = turn_;
        p.told = false;
        if (p.out < 4'096 && closed_at_[p.out] == batch_) ++recycled_;
        if (p.into < 4'096 && closed_at_[p.into] == batch_) ++recycled_;
    }
    void watch(place& p) {
        auto reader = loop_.add_reader(p.out, [this, &p, cookie = p.cookie] { readable(p, cookie); });
        REQUIRE(reader.ok());
        p.reader = *reader;
        if (!random_.chance(20)) return;
        // One for the other side: it is ready at once, and yet not before the next poll.
        auto writer = loop_.add_writer(p.into, [this, &p, cookie = p.cookie](handler self) {
            wrong_ += p.cookie != cookie || p.made_in == turn_;
            self.cancel();
        });
        REQUIRE(writer.ok());
        p.writer = *writer;
    }
    void unwatch(place& p) {
        p.reader.cancel();
        p.writer.cancel();
    }
    // Closes both numbers. What was told and not heard is in this batch, most of the time.
    void close(place& p) {
        for (int const fd : {p.out, p.into}) {
            if (p.told && fd == p.out && fd < 4'096) closed_at_[fd] = batch_;
            call().close(on_.context, fd);
        }
        p.told = false;
    }
    void shut(place& p) {
        unwatch(p);
        close(p);
    }

    void readable(place& p, std::uint64_t cookie) {
        std::uint64_t found = 0;
        bool const mine = p.cookie == cookie && p.made_in != turn_ && p.told;
        // Nothing is there, or somebody else's: the event was not for this life.
        if (!mine || call().read(on_.context, p.out, &found, sizeof found) != sizeof found || found != cookie) ++wrong_;
        p.told = false;
        ++heard_;
        if (!quiet_ && random_.chance(60)) replace(1 + random_.below(6));
    }
    // Some lives end and as many begin, so that the numbers change places.
    void replace(std::size_t count) {
        place* chosen[6];
        std::size_t n = 0;
        ++batch_;
        while (n != count) {
            place& p = places_[random_.below(std::size(places_))];
            bool twice = false;
            for (std::size_t i = 0; i != n; ++i) twice |= chosen[i] == &p;
            if (!twice) chosen[n++] = &p;
        }
        drop_duplicates(8);
        bool const behind_its_back = random_.chance(20);
        for (std::size_t i = 0; i != n; ++i) {
            if (random_.chance(2)) duplicate(*chosen[i]);
            if (!behind_its_back) unwatch(*chosen[i]);
            close(*chosen[i]);
        }
        for (std::size_t i = 0; i != n; ++i) open(*chosen[i]);
        // Closed before they were canceled: nobody is to do so, and yet the new owner hears nothing of the old.
        for (std::size_t i = 0; i != n; ++i) unwatch(*chosen[i]);
        for (std::size_t i = 0; i != n; ++i) watch(*chosen[i]);
    }
    // The same pipe under one more number: what is closed lives on, and the kernel goes on to tell of it.
    void duplicate(place& p) {
        if (!may_duplicate() || duplicates_ == std::size(duplicate_)) return;
        int const fd = world_ ? world_->duplicate(p.out).value_or(-1) : ::dup(p.out);
        if (fd < 0) return;
        duplicate_[duplicates_++] = fd;
        ++ghosts_;
    }
    bool may_duplicate() const { return world_ || !on_.simulated; }
    void drop_duplicates(std::size_t most) {
        while (duplicates_ > most || (duplicates_ != 0 && most == 0)) call().close(on_.context, duplicate_[--duplicates_]);
    }

    kernel& on_;
    testing::simulation* world_;
    bool sockets_;
    loop loop_;
    harness::random random_;
    place places_[64];
    int duplicate_[12];
    std::size_t duplicates_ = 0;
    std::uint64_t cookies_ = 0, turn_ = 0, batch_ = 1;
    std::uint64_t closed_at_[4'096] = {};   // the last batch of closings of a number that had news
    long recycled_ = 0, heard_ = 0, ghosts_ = 0, wrong_ = 0;
    bool quiet_ = false;
};

long length() { return harness::nightly() ? 1'000'000 : 100'000; }
}  // namespace

TEST_FOR(600, "sockets whose numbers go round within a batch of events: no event reaches a later owner of its number") {
    harness::world w;
    std::make_unique<recycler>(w.options(), true)->run(length());
}

TEST_FOR(600, "pipes whose numbers go round within a batch of events: no event reaches a later owner of its number") {
    harness::world w;
    std::make_unique<recycler>(w.options(), false)->run(length());
}

TEST_FOR(600, "on a simulated kernel no event reaches a later owner of its number, in whatever order a batch comes") {
    testing::simulation world({.seed = harness::seed(), .shuffle_events = true});
    loop_options o;
    o.on = world.on();
    std::make_unique<recycler>(o, true, &world)->run(length());
}
