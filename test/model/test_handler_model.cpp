// Handlers against a model: callbacks of all kinds made, fired, moved in time and canceled at random, from plain code,
// from their own and other callbacks, from tasks and from destructors. Whatever happens, what was canceled never runs again.
#include <algorithm>
#include <array>
#include <csignal>
#include <deque>
#include <memory>
#include <vector>

#include <spruce/spruce.hpp>
#include <spruce/testing.hpp>

#include "../../src/sys/kernel.hpp"
#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
constexpr std::size_t pipes = 12;
constexpr std::array<int, 3> signals{SIGUSR1, SIGUSR2, SIGHUP};
constexpr std::size_t nobody = ~std::size_t{0};

enum class kind { soon, timer, beat, idle, reader, writer, signal, child };

struct item {
    kind what{};
    handler name;
    bool active = false;       // by the model
    bool canceled = false;
    bool running = false;
    bool gone = false;         // the callable was destroyed
    bool suspended = false;    // a timer with no time
    long runs = 0;
    std::size_t live_at = 0;   // its place among the living
    std::size_t which = 0;     // its pipe or signal
    int pid = 0, code = -1;
    bool owed = false;         // a signal or a child's end that it has not heard of
    time_point due{};
    duration period{};
    std::uint64_t order = 0;   // of soon: when it was queued
};

class model {
public:
    explicit model(std::uint64_t seed) : random_(seed) {}

    void run(long operations) {
        while (done_ < operations && !failed()) epoch(done_ + 12'000);
        for (auto const& [out, in] : ends_) {
            CHECK(world_.close(out).ok());
            CHECK(world_.close(in).ok());
        }

        CHECK_EQ(world_.open_fds(), 0U);
        CHECK(runs_ > operations / 20);
        CHECK(cancels_ > operations / 50);
        CHECK(tasks_ended_ > operations / 100);
    }
    long wrong = 0;

private:
    // What the loop holds. Its end is noted, and now and then meddles with others.
    template <std::size_t size> struct callable {
        model* of;
        std::size_t id;
        std::array<char, size> room{};
        callable(model* m, std::size_t i) : of(m), id(i) { room[size - 1] = static_cast<char>(i); }
        callable(callable&& o) noexcept : of(std::exchange(o.of, nullptr)), id(o.id), room(o.room) {}
        callable& operator=(callable&&) = delete;
        ~callable() {
            if (of) of->destroyed(id);
        }
        void operator()(handler self) {
            of->expect(room[size - 1] == static_cast<char>(id));
            of->ran(id, self, nullptr);
        }
        void operator()(handler self, result<exit_status> status) { of->ran(id, self, &status); }
    };

    void expect(bool holds, int line = __builtin_LINE()) {
        if (holds) return;
        if (++wrong < 5) harness::fail(__FILE__, line, "what the model expects");
    }
    bool failed() const { return wrong != 0; }

    // One life of a loop.
    void epoch(long until) {
        items_.clear();
        live_.clear();
        readers_.fill(nobody);
        writers_.fill(nobody);
        ending_ = quiet_ = false;
        last_soon_ = 0;
        {
            loop l(loop_options{.on = world_.on()});
            REQUIRE(l.status().ok());
            loop_ = &l;
            if (ends_.empty())
                for (std::size_t i = 0; i != pipes; ++i) ends_.push_back(*world_.make_pipe());
            while (done_ < until && !failed()) {
                for (std::uint64_t n = random_.below(24); n != 0; --n) operate();
                static_cast<void>(l.run_once(in(duration(static_cast<std::int64_t>(random_.below(3'000'000))))));
                look_after();
            }
            resting_ = true;
            for (int n = 0; tasks_ != 0 && n != 1'000; ++n) static_cast<void>(l.run_once(in(0s)));
            expect(tasks_ == 0);
            resting_ = false;
            if (random_.chance(50)) settle();
            ending_ = true;
            expect(l.destroy(in(1s)).ok());
            for (item& i : items_) {
                expect(i.gone);
                expect(!i.name.active());
                expect(!i.name.cancel());
                expect(!i.name.rearm(in(1s)));
            }
        }
        for (int const pid : children_) {
            static_cast<void>(world_.end_child(pid, 0));
            static_cast<void>(world_.steal_status(pid));
        }
        children_.clear();
        // Those whose handlers were canceled first; the kernel would keep them, and look through them all at each end.
        for (int const pid : ended_) static_cast<void>(world_.steal_status(pid));
        ended_.clear();
        for (auto const& [out, into] : ends_) drain(out, 1 << 20);
        pending_.fill(0);
    }

    // -- making
    // The new item, or null: refused, or there are enough.
    template <class Add> item* make(kind what, Add&& add, std::size_t which = 0) {
        if (live_.size() > 400) return nullptr;
        std::size_t const id = items_.size();
        item& i = items_.emplace_back();
        i.what = what;
        i.which = which;
        switch (random_.below(3)) {
        case 0: i.name = add(callable<1>(this, id)); break;
        case 1: i.name = add(callable<40>(this, id)); break;
        default: i.name = add(callable<300>(this, id));
        }
        if (!i.name) {
            expect(i.gone);   // destroyed at once
            return nullptr;
        }
        expect(!i.gone);
        enliven(i, id);
        return &i;
    }
    void enliven(item& i, std::size_t id) {
        i.active = true;
        i.live_at = live_.size();
        live_.push_back(id);
    }
    void bury(item& i) {
        i.active = false;
        items_[live_.back()].live_at = i.live_at;
        live_[i.live_at] = live_.back();
        live_.pop_back();
        if (i.what == kind::reader) readers_[i.which] = nobody;
        if (i.what == kind::writer) writers_[i.which] = nobody;
    }
    static handler or_refused(result<handler> r) { return r ? *r : handler(); }
    duration some_time() {
        return duration(static_cast<std::int64_t>(random_.below(std::uint64_t{1} << random_.below(33))));
    }

    // -- one random operation
    void operate() {
        ++done_;
        if (ending_ || quiet_ || resting_) return;
        std::size_t const pipe = random_.below(pipes), number = random_.below(signals.size());
        switch (random_.below(23)) {
        case 0:
        case 1:
            if (item* const i = make(kind::soon, [&](auto&& f) { return loop_->call_soon(std::move(f)); }))
                i->order = ++soon_;
            break;
        case 2:
        case 3: {
            duration const d = some_time() - 1us;
            time_point const due = world_.now() + std::max(d, duration::zero());
            bool const relative = random_.chance(50);
            auto const add = [&](auto&& f) {
                return relative ? loop_->call_later(d, std::move(f)) : loop_->call_at(due, std::move(f));
            };
            if (item* const i = make(kind::timer, add)) i->due = due;
            break;
        }
        case 4: {
            duration const d = 10us + some_time();
            item* const i = make(kind::beat, [&](auto&& f) { return loop_->call_every(d, std::move(f)); });
            if (i) i->due = world_.now() + d, i->period = d;
            break;
        }
        case 5: make(kind::idle, [&](auto&& f) { return loop_->call_when_idle(std::move(f)); }); break;
        case 6:
            add_fd(readers_[pipe], kind::reader, pipe,
                   [&](auto&& f) { return or_refused(loop_->add_reader(ends_[pipe].first, std::move(f))); });
            break;
        case 7:
            add_fd(writers_[pipe], kind::writer, pipe,
                   [&](auto&& f) { return or_refused(loop_->add_writer(ends_[pipe].second, std::move(f))); });
            break;
        case 8: {
            auto const add = [&](auto&& f) {
                return or_refused(loop_->add_signal_handler(signals[number], std::move(f)));
            };
            make(kind::signal, add, number);
            break;
        }
        case 9: add_child(); break;
        case 10:
        case 11:
        case 12:
            if (!live_.empty()) cancel(live_[random_.below(live_.size())]);
            break;
        case 13:
            if (!items_.empty()) cancel(random_.below(items_.size()));   // most of these are over
            break;
        case 14:
        case 15:
            if (!live_.empty() && random_.chance(80)) rearm(live_[random_.below(live_.size())]);
            else if (!items_.empty()) rearm(random_.below(items_.size()));
            break;
        case 16:
        case 17:
            if (pending_[pipe] < 1'000 && world_.write(ends_[pipe].second, "abc").ok()) pending_[pipe] += 3;
            break;
        case 18: raise(number); break;
        case 19: end_child(); break;
        case 20: remove(pipe, number); break;
        case 21: start_task(); break;
        default:
            if (!items_.empty()) look_at(random_.below(items_.size()));
        }
    }

    // A task that does the same, now and then within the callback that made it.
    void start_task() {
        if (tasks_ == 20) return;
        ++tasks_;
        auto const t = spawn([this] {
            for (std::uint64_t n = random_.below(4); n != 0; --n) {
                operate();
                if (random_.chance(1)) expect(loop_->destroy(in(0s)) == errc::wrong_state);
                if (random_.chance(50)) static_cast<void>(yield());
            }
            --tasks_;
            ++tasks_ended_;
        });
        if (random_.chance(50)) static_cast<void>(run_now(t));
    }
    // One a side: a second is refused.
    template <class Add> void add_fd(std::size_t& place, kind what, std::size_t pipe, Add&& add) {
        bool const room = place == nobody;
        std::size_t const before = items_.size();
        item* const i = make(what, add, pipe);
        if (items_.size() == before) return;
        expect((i != nullptr) == room);
        if (i) place = before;
    }
    void add_child() {
        auto const pid = world_.spawn_child();
        if (!pid) return;
        children_.push_back(*pid);
        std::size_t const before = items_.size();
        auto const add = [&](auto&& f) { return or_refused(loop_->add_child_handler(*pid, std::move(f))); };
        item* const i = make(kind::child, add);
        expect(i != nullptr || items_.size() == before);
        if (i) i->pid = *pid;
    }
    void end_child() {
        if (children_.empty()) return;
        std::size_t const at = random_.below(children_.size());
        int const pid = children_[at], code = static_cast<int>(random_.below(200));
        expect(world_.end_child(pid, code).ok());
        ended_.push_back(pid);
        children_[at] = children_.back();
        children_.pop_back();
        for (std::size_t const id : live_) {
            item& i = items_[id];
            if (i.pid == pid) i.code = code, i.owed = true;
        }
    }
    void raise(std::size_t number) {
        bool heard = false;
        for (std::size_t const id : live_) {
            item& i = items_[id];
            if (i.what == kind::signal && i.which == number) heard = i.owed = true;
        }
        std::size_t const told = world_.raise_signal(signals[number]);
        expect(!heard || told == 1);
    }
    void cancel(std::size_t id) {
        item& i = items_[id];
        bool const was = i.active;
        // Buried first: the callable's end may look at us.
        if (was) {
            bury(i);
            i.canceled = true;
            ++cancels_;
        }
        expect(i.name.cancel() == was);
        if (was) expect(i.gone == !i.running);
        expect(!i.name.active());
    }
    void rearm(std::size_t id) {
        item& i = items_[id];
        bool const is_timer = i.what == kind::timer || i.what == kind::beat;
        bool const may = is_timer && (i.active || (i.running && !i.canceled));
        bool const suspend = random_.chance(10);
        duration const d = some_time();
        bool const did = i.name.rearm(suspend ? never() : in(d));
        expect(did == may);
        if (!did) return;
        if (!i.active) enliven(i, id);
        i.suspended = suspend;
        i.due = world_.now() + d;
    }
    void remove(std::size_t pipe, std::size_t number) {
        switch (random_.below(3)) {
        case 0: {
            std::size_t const id = readers_[pipe];
            forget(id);
            expect(loop_->remove_reader(ends_[pipe].first) == (id != nobody));
            break;
        }
        case 1: {
            std::size_t const id = writers_[pipe];
            forget(id);
            expect(loop_->remove_writer(ends_[pipe].second) == (id != nobody));
            break;
        }
        default: {
            if (!random_.chance(10)) return;
            bool any = false;
            for (std::size_t n = live_.size(); n-- != 0;) {
                std::size_t const id = live_[n];
                if (items_[id].what != kind::signal || items_[id].which != number) continue;
                forget(id);
                any = true;
            }
            meddles_ = false;   // a destructor that canceled another of them would be neither's fault
            expect(loop_->remove_signal_handlers(signals[number]) == any);
            meddles_ = true;
        }
        }
    }
    void forget(std::size_t id) {
        if (id == nobody) return;
        bury(items_[id]);
        items_[id].canceled = true;
        ++cancels_;
    }
    void look_at(std::size_t id) {
        item& i = items_[id];
        expect(i.name.active() == i.active);
        if (!i.running) expect(i.gone == !i.active);
        auto const due = i.name.due();
        bool const timed = i.active && !i.suspended && (i.what == kind::timer || i.what == kind::beat);
        expect(due.ok() == timed);
        // Of one that is about to run, a beat gives its next time already.
        if (timed && due.ok() && i.due > world_.now()) expect(*due == i.due);
    }
    // After each turn: nothing runs, so all that is over is gone.
    void look_after() {
        for (std::size_t n = 0; n != 8 && !items_.empty(); ++n) look_at(random_.below(items_.size()));
    }

    // -- what the loop does
    void ran(std::size_t id, handler self, result<exit_status> const* status) {
        item& i = items_[id];
        ++runs_;
        ++i.runs;
        expect(!i.canceled && i.active && !ending_ && !i.gone && !i.running);
        expect(self == i.name);
        i.running = true;
        bool const once =
            i.what == kind::soon || i.what == kind::timer || i.what == kind::idle || i.what == kind::child;
        if (once) bury(i);
        expect(self.active() == !once);
        switch (i.what) {
        case kind::soon:
            expect(i.order > last_soon_);
            last_soon_ = i.order;
            break;
        case kind::timer:
        case kind::beat: {
            duration const late = world_.now() - i.due;
            expect(!i.suspended && late >= 0ns && late <= 65'536ns);
            if (i.what == kind::beat) i.due += ((late / i.period) + 1) * i.period;
            break;
        }
        case kind::idle: break;
        case kind::reader: {
            expect(pending_[i.which] != 0);
            std::size_t const most = random_.chance(70) || quiet_ ? std::size_t{1} << 20 : 2;
            pending_[i.which] -= drain(ends_[i.which].first, most);
            break;
        }
        case kind::writer:
            // Always ready: it must not last, for time stands still meanwhile.
            if (random_.chance(50) || quiet_) cancel(id);
            break;
        case kind::signal: i.owed = false; break;
        case kind::child:
            expect(status && status->ok() && i.owed && (*status)->code() == i.code);
            i.owed = false;
        }
        if (i.what == kind::beat && quiet_ && i.active) cancel(id);
        if (!quiet_ && random_.chance(10) && i.active) cancel(id);
        if (!quiet_ && random_.chance(10)) rearm(id);
        if (random_.chance(1)) expect(loop_->destroy(in(0s)) == errc::wrong_state);
        if (!quiet_ && random_.chance(40))
            for (std::uint64_t n = random_.below(4); n != 0; --n) operate();
        i.running = false;
    }
    void destroyed(std::size_t id) {
        item& i = items_[id];
        expect(!i.gone);
        expect(ending_ || !i.active);
        i.gone = true;
        // Destructors may look for themselves, which is too late, and cancel others.
        expect(!i.name.active() && !i.name.cancel() && !i.name.rearm(in(1s)));
        if (!ending_ && meddles_ && !live_.empty() && random_.chance(10)) {
            std::size_t const other = live_[random_.below(live_.size())];
            cancel(other);
        } else if (ending_ && random_.chance(10)) {
            std::size_t const other = random_.below(items_.size());
            if (items_[other].name.cancel()) expect(items_[other].gone);
        }
    }
    std::size_t drain(int fd, std::size_t most) {
        char room[256];
        std::size_t all = 0;
        while (all < most) {
            auto const got = world_.read(fd, room, std::min(sizeof room, most - all));
            if (!got) break;
            all += *got;
        }
        return all;
    }

    // Lets all that must still happen happen.
    void settle() {
        quiet_ = true;
        for (int n = 0; n != 4; ++n) static_cast<void>(loop_->run_once(in(0s)));
        for (auto const* side : {&readers_, &writers_})
            for (std::size_t const id : *side)
                if (id != nobody) cancel(id);
        for (std::size_t n = live_.size(); n-- != 0;)
            if (n < live_.size() && items_[live_[n]].what == kind::child && !items_[live_[n]].owed) cancel(live_[n]);
        expect(loop_->run().ok());
        for (std::size_t const id : live_) {
            item const& i = items_[id];
            // What is left is what nothing calls for, and does not hold the loop.
            expect(i.suspended || i.what == kind::idle || (i.what == kind::signal && !i.owed));
        }
        for (item const& i : items_) expect(!i.active || !i.owed);
    }

    harness::random random_;
    testing::simulation world_{harness::as_asked({.stuck_after = 1s})};
    loop* loop_ = nullptr;
    std::deque<item> items_;
    std::vector<std::size_t> live_;
    std::vector<std::pair<int, int>> ends_;
    std::array<std::size_t, pipes> readers_{}, writers_{};
    std::array<std::size_t, pipes> pending_{};
    std::vector<int> children_, ended_;   // of this epoch: ended, and perhaps not reaped by the loop
    std::uint64_t soon_ = 0, last_soon_ = 0;
    long done_ = 0, runs_ = 0, cancels_ = 0, tasks_ = 0, tasks_ended_ = 0;
    bool ending_ = false, quiet_ = false, resting_ = false, meddles_ = true;
};
}  // namespace

TEST_FOR(60, "a million random operations on handlers of all kinds: what was canceled never runs again") {
    auto m = std::make_unique<model>(harness::seed());
    m->run(harness::nightly() ? 100'000'000 : 1'000'000);
    CHECK_EQ(m->wrong, 0L);
}
