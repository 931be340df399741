// Waits for the first of several things, for all of them, and plain calls, over one lot of sources: semaphore, event,
// channels, futures, deadlines. Who is handed what, in which order, and what is left is compared with a model.
#include <algorithm>
#include <array>
#include <deque>
#include <optional>

#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
constexpr std::size_t capacities[] = {0, 2};

struct pledge {
    promise<int> in;
    future<int> out = in.get_future();
    int value = -1;
};
struct sources {
    std::unique_ptr<semaphore> permits = std::make_unique<semaphore>(1);
    std::unique_ptr<event> flag = std::make_unique<event>();
    std::unique_ptr<channel<int>> line[2] = {make_line(0), make_line(1)};
    std::shared_ptr<pledge> to_come[2] = {std::make_shared<pledge>(), std::make_shared<pledge>()};
    static std::unique_ptr<channel<int>> make_line(int i) { return std::make_unique<channel<int>>(capacities[i]); }
};

enum class kind { permit, flag, receive, send, future, time };
struct pick {
    kind what{};
    int which = 0;
    int value = 0;                       // that is sent
    std::shared_ptr<pledge> of{};        // of a future
    bool came = false;                   // it was set, or has ended: that stays
    std::optional<errc> ended{};         // … with this
};
// What a condition gave.
struct given {
    errc how{};
    int value = 0;
    bool operator==(given const&) const = default;
};
given of(result<void> const& r) { return {ending_of(r), 0}; }
given of(result<int> const& r) { return {ending_of(r), r.value_or(0)}; }
given of(result<semaphore::permit> r) {
    if (r) r->keep();   // it is released by whoever likes
    return {ending_of(r), 0};
}

enum class mode { plain, any, all };
struct waiter : followed {
    mode how{};
    std::vector<pick> picks;
    int handed = -1;          // which of them, by the model
    given gift{};
    bool woken = false;       // an event's wait, a future's or one that was closed is over: it is given nothing more
    bool was_canceled = false;
};

// A condition whose kind is chosen at run time; the wait calls those of the library through it.
class condition_of {
public:
    condition_of(sources& s, pick const& p, deadline dl) : what_(p.what) {
        auto const w = static_cast<std::size_t>(p.which);
        switch (p.what) {
        case kind::permit: permit_.emplace(*s.permits); break;
        case kind::flag: flag_.emplace(*s.flag); break;
        case kind::receive: receive_.emplace(*s.line[w]); break;
        case kind::send: send_.emplace(*s.line[w], p.value); break;
        case kind::future: future_.emplace(p.of->out); break;
        case kind::time: time_.emplace(dl); break;
        }
    }
    detail::condition_ref ref() {
        switch (what_) {
        case kind::permit: return name(*permit_);
        case kind::flag: return name(*flag_);
        case kind::receive: return name(*receive_);
        case kind::send: return name(*send_);
        case kind::future: return name(*future_);
        default: return name(*time_);
        }
    }
    given take() {
        switch (what_) {
        case kind::permit: return of(permit_->take());
        case kind::flag: return of(flag_->take());
        case kind::receive: return of(receive_->take());
        case kind::send: return of(send_->take());
        case kind::future: return of(future_->take());
        default: return of(time_->take());
        }
    }

private:
    template <class C> static detail::condition_ref name(C& c) { return {&c, &detail::condition_ops_of<C>}; }
    kind what_;
    std::optional<semaphore::condition> permit_;
    std::optional<event::condition> flag_;
    std::optional<channel<int>::condition> receive_;
    std::optional<sending<int>> send_;
    std::optional<future<int>::condition> future_;
    std::optional<deadline::condition> time_;
};

// What lies where, and who stands in line: all lines have the order in which the waits began.
class model {
public:
    std::vector<std::unique_ptr<waiter>> waiters;
    std::size_t permits = 1;
    bool set = false;
    struct {
        std::deque<int> values;
        bool closed = false;
    } line[2];
    long handed = 0, alone = 0, together = 0, expired = 0, canceled = 0, ended = 0, in_vain = 0;

    // -- what somebody does, or a condition's take(): it goes to who stands first, else it lies there
    void release() {
        if (auto* w = first(kind::permit, 0)) hand(*w, kind::permit, 0, {});
        else ++permits;
    }
    errc send(int i, int value) {
        auto& l = line[i];
        if (l.closed) return errc::closed;
        if (auto* w = first(kind::receive, i)) hand(*w, kind::receive, i, {errc{}, value});
        else if (l.values.size() == capacity(i)) return errc::full;
        else l.values.push_back(value);
        return {};
    }
    given receive(int i) {
        auto& l = line[i];
        waiter* const sender = first(kind::send, i);
        int const theirs = sender ? find(*sender, kind::send, i)->value : 0;
        if (l.values.empty() && !sender) return {l.closed ? errc::end_of_stream : errc::would_wait, 0};
        if (sender) {
            hand(*sender, kind::send, i, {});
            l.values.push_back(theirs);
        }
        given const got{errc{}, l.values.front()};
        l.values.pop_front();
        return got;
    }
    // Those who wait for it have it, whatever comes later.
    template <class Is> void tell(Is&& is, std::optional<errc> how) {
        for (auto& w : waiters) {
            if (!hears(*w)) continue;
            for (auto& p : w->picks) {
                if (!is(p) || p.came) continue;
                p.came = true;
                p.ended = how;
                if (w->handed < 0 && w->how != mode::all) w->woken = true;
                if (w->handed >= 0 && &w->picks[static_cast<std::size_t>(w->handed)] == &p && p.what == kind::permit) w->gift = {errc::closed, 0};
            }
        }
    }
    void close(int i) {
        line[i].closed = true;
        tell([i](pick& p) { return p.what == kind::send && p.which == i; }, errc::closed);
        for (auto& w : waiters)
            for (auto& p : w->picks)
                if (hears(*w) && w->how != mode::all && w->handed < 0 && p.what == kind::receive && p.which == i) w->woken = true;
    }

    // Whether it would find something now; the waiter does not meet itself.
    bool ready(waiter const& w, pick const& p) {
        if (p.came) return true;
        switch (p.what) {
        case kind::permit: return permits != 0;
        case kind::flag: return set;
        case kind::receive: return line[p.which].closed || !line[p.which].values.empty() || first(kind::send, p.which, {&w});
        case kind::send: return line[p.which].closed || line[p.which].values.size() < capacity(p.which) || first(kind::receive, p.which, {&w});
        case kind::future: return p.of->out.done();
        default: return w.due <= loop_clock::now();
        }
    }
    given take(pick const& p) {
        if (p.ended) return {*p.ended, 0};
        switch (p.what) {
        case kind::permit:
            if (permits == 0) return {errc::would_wait, 0};
            --permits;
            return {};
        case kind::receive: return receive(p.which);
        case kind::send: return {send(p.which, p.value), 0};
        case kind::future: return {errc{}, p.of->value};
        default: return {};
        }
    }
    int first_ready(waiter const& w) {
        for (std::size_t i = 0; i != w.picks.size(); ++i)
            if (ready(w, w.picks[i])) return static_cast<int>(i);
        return -1;
    }
    // Each for itself, and then one after another: nothing counts twice.
    bool all_ready(waiter const& w) {
        std::size_t permits_left = permits, values[] = {line[0].values.size(), line[1].values.size()};
        std::vector<waiter const*> besides{&w};
        for (auto& p : w.picks)
            if (!ready(w, p)) return false;
        for (auto& p : w.picks) {
            if (p.came) continue;
            bool const sends = p.what == kind::send;
            if (p.what == kind::permit && permits_left-- == 0) return false;
            if ((p.what != kind::receive && !sends) || (sends && line[p.which].closed)) continue;
            std::size_t& here = values[p.which];
            if (auto* partner = first(sends ? kind::receive : kind::send, p.which, besides)) besides.push_back(partner);
            else if (sends && here++ == capacity(p.which)) return false;
            else if (!sends && here != 0) --here;
            else if (!sends && !line[p.which].closed) return false;
        }
        return true;
    }
    // A wait begins: it stands in line unless it has something at once.
    void begins(waiter& w) {
        for (auto& p : w.picks) p.came = p.what == kind::flag && set;   // that it was set counts, though it is cleared
        w.waits = w.how == mode::all || first_ready(w) < 0;
    }

    // -- a wait has ended so: is that right?
    void ends_any(waiter& w, errc how, int index, given got) {
        w.waits = false;
        if (how == errc::canceled) {
            CHECK(w.was_canceled && w.handed < 0 && !w.woken);
            ++canceled;
        } else if (how == errc::timed_out) {
            CHECK(w.how == mode::plain && w.due <= loop_clock::now() && w.handed < 0 && !w.woken);
            ++expired;
        } else if (w.handed >= 0) {
            CHECK_EQ(index, w.handed);
            CHECK(got == w.gift);
            ++handed;
        } else {
            REQUIRE(index >= 0);
            CHECK_EQ(index, first_ready(w));
            pick const& p = w.picks[static_cast<std::size_t>(index)];
            CHECK(got == take(p));
            if (got.how == errc::closed) ++ended;
            else ++(p.what == kind::time ? expired : alone);
        }
    }
    void ends_all(waiter& w, errc how, std::vector<given> const& got) {
        w.waits = false;
        if (how == errc::canceled) {
            CHECK(w.was_canceled);
            ++canceled;
        } else if (how == errc::timed_out) {
            CHECK(w.due <= loop_clock::now());
            ++expired;
        } else {
            CHECK(all_ready(w));
            for (std::size_t i = 0; i != got.size(); ++i) {
                auto const right = take(w.picks[i]);
                CHECK(got[i] == right);
                if (right.how == errc::would_wait || right.how == errc::full) ++in_vain;
            }
            ++together;
        }
    }
    static std::size_t capacity(int i) { return capacities[i]; }

private:
    static bool hears(waiter const& w) { return w.waits && (w.how == mode::all || !w.was_canceled); }
    static pick* find(waiter& w, kind what, int which) {
        for (auto& p : w.picks)
            if (p.what == what && p.which == which && !p.came) return &p;
        return nullptr;
    }
    waiter* first(kind what, int which, std::vector<waiter const*> const& besides = {}) {
        for (auto& w : waiters) {
            bool const open = w->waits && w->how != mode::all && w->handed < 0 && !w->woken && !w->was_canceled;
            if (open && w->due > loop_clock::now() && std::find(besides.begin(), besides.end(), w.get()) == besides.end() && find(*w, what, which)) return w.get();
        }
        return nullptr;
    }
    void hand(waiter& w, kind what, int which, given gift) {
        w.handed = static_cast<int>(find(w, what, which) - w.picks.data());
        w.gift = gift;
    }
};

class campaign {
public:
    explicit campaign(harness::random& r) : random_(r), time_(r) {}

    void run() {
        for (long step = 0; step != model_steps(); ++step) {
            act();
            CHECK_EQ(of_.permits->available(), m_.permits);
            for (int i : {0, 1}) CHECK_EQ(of_.line[i]->size(), m_.line[i].values.size());
            if (random_.chance(50)) look();   // else more in the same turn
        }
        CHECK(m_.handed > 1'000 && m_.alone > 1'000 && m_.together > 300 && m_.expired > 1'000 && m_.canceled > 300 && m_.ended > 100);
        CHECK_EQ(m_.in_vain, 0);   // all were there, or nothing was taken
        for (auto& w : m_.waiters) cancel(*w);
        look();
        CHECK(m_.waiters.empty());
    }

private:
    void act() {
        int const i = static_cast<int>(random_.below(2));
        switch (random_.below(16)) {
        case 0:
            if (m_.permits > 3) break;
            CHECK(of_.permits->release().ok());
            m_.release();
            break;
        case 1: {
            auto p = of_.permits->try_acquire();
            CHECK_EQ(p.ok(), m_.permits != 0);
            if (p) p->keep(), --m_.permits;
            break;
        }
        case 2:
            of_.flag->set();
            m_.set = true;
            m_.tell([](pick& p) { return p.what == kind::flag; }, std::nullopt);
            if (!random_.chance(70)) break;
            [[fallthrough]];
        case 3:
            of_.flag->clear();
            m_.set = false;
            break;
        case 4:
            CHECK_EQ(ending_of(of_.line[i]->try_send(int(next_))), m_.send(i, next_));
            ++next_;
            break;
        case 5: {
            auto const got = of_.line[i]->try_receive();
            CHECK(of(got) == m_.receive(i));
            break;
        }
        case 6:
            if (auto& f = of_.to_come[i]; f->out.done()) {
                f = std::make_shared<pledge>();
            } else {
                CHECK(f->in.set(f->value = next_++).ok());
                m_.tell([&](pick& p) { return p.what == kind::future && p.of == f; }, std::nullopt);
            }
            break;
        case 7:
            if (!m_.waiters.empty()) cancel(*m_.waiters[random_.below(m_.waiters.size())]);
            break;
        case 8:
            if (random_.chance(8)) end_one(i);
            break;
        case 9:
            look();   // what is due is to come after what was said
            time_.pass();
            break;
        default:
            if (m_.waiters.size() < 25) begin();
            break;
        }
    }
    void begin() {
        auto& w = *m_.waiters.emplace_back(std::make_unique<waiter>());
        w.how = random_.chance(20) ? mode::plain : random_.chance(70) ? mode::any : mode::all;
        deadline const dl = time_.draw(w);
        bool const timed = w.due > time_.moment() && w.due != time_point::max();
        std::size_t const count = w.how == mode::plain ? 1 : 1 + random_.below(4);
        while (w.picks.size() != count) {
            pick p{static_cast<kind>(random_.below(5)), 0, next_++};
            if (p.what == kind::receive || p.what == kind::send) p.which = static_cast<int>(random_.below(2));
            if (p.what == kind::future) p.of = of_.to_come[random_.below(2)];
            w.picks.push_back(p);
        }
        if (w.how != mode::plain && !timed) w.due = time_point::max();
        if (w.how == mode::any && timed) w.picks.insert(w.picks.begin() + static_cast<long>(random_.below(count + 1)), pick{kind::time});
        w.handle = spawn([this, &w, dl] {
            if (w.how == mode::plain) plain(w, dl);
            else several(w, w.due == time_point::max() ? never() : dl);
            w.done = true;
        });
        CHECK(yield().ok());
    }
    void plain(waiter& w, deadline dl) {
        m_.begins(w);
        pick& p = w.picks[0];
        given got;
        switch (p.what) {
        case kind::permit: got = of(of_.permits->acquire(dl)); break;
        case kind::flag: got = of(of_.flag->wait(dl)); break;
        case kind::receive: got = of(of_.line[p.which]->receive(dl)); break;
        case kind::send: got = of(of_.line[p.which]->send(p.value, dl)); break;
        default: got = of(p.of->out.get(dl)); break;
        }
        bool const gave_up = got.how == errc::canceled || got.how == errc::timed_out;
        m_.ends_any(w, gave_up ? got.how : errc{}, gave_up ? -1 : 0, got);
    }
    void several(waiter& w, deadline dl) {
        m_.begins(w);
        std::array<std::optional<condition_of>, 5> made;
        std::array<detail::condition_ref, 5> refs{};
        wait_point points[5];
        std::size_t const count = w.picks.size();
        for (std::size_t i = 0; i != count; ++i) refs[i] = made[i].emplace(of_, w.picks[i], dl).ref();
        if (w.how == mode::any) {
            auto const won = detail::wait_for_any(refs.data(), points, count);
            m_.ends_any(w, ending_of(won), won ? static_cast<int>(*won) : -1, won ? made[*won]->take() : given{});
        } else {
            auto const done = detail::wait_for_all(refs.data(), points, count, dl);
            std::vector<given> got;
            for (std::size_t i = 0; done && i != count; ++i) got.push_back(made[i]->take());
            m_.ends_all(w, ending_of(done), got);
        }
    }
    void cancel(waiter& w) {
        if (w.done) return;
        w.handle.cancel();
        // Who has something already keeps it.
        if (w.handed < 0 && !w.woken) w.was_canceled = true;
    }
    // A source ends, with those who wait for it; another one takes its place.
    void end_one(int i) {
        switch (random_.below(4)) {
        case 0:
            of_.line[i]->close();
            m_.close(i);
            break;
        case 1:
            look();
            m_.tell([i](pick& p) { return (p.what == kind::receive || p.what == kind::send) && p.which == i; }, errc::closed);
            m_.line[i].values.clear();
            m_.line[i].closed = false;
            of_.line[i].reset();
            of_.line[i] = sources::make_line(i);
            break;
        case 2:
            m_.tell([](pick& p) { return p.what == kind::permit; }, errc::closed);
            of_.permits = std::make_unique<semaphore>(m_.permits = 1);
            break;
        default:
            m_.tell([](pick& p) { return p.what == kind::flag; }, errc::closed);
            of_.flag = std::make_unique<event>();
            m_.set = false;
            break;
        }
        look();
    }
    // Lets all run, and sees that none of those who could go on still waits.
    void look() {
        settle(8);
        for (auto& w : m_.waiters) {
            if (w->done) continue;
            CHECK(w->waits && w->handed < 0 && !w->woken && !w->was_canceled);
            if (w->how == mode::all) CHECK(!m_.all_ready(*w));
            else CHECK_EQ(m_.first_ready(*w), -1);
        }
        std::erase_if(m_.waiters, [](auto& w) { return w->done; });
    }

    harness::random& random_;
    model_time time_;
    sources of_;
    model m_;
    int next_ = 0;
};
}  // namespace

TEST_FOR(300, "waits for the first of several, for all, and plain ones get what their model says, and leave the rest") {
    harness::random random(harness::seed());
    CHECK(run_virtually([&] { campaign(random).run(); }).ok());
}
